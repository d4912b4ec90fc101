"""What the server's tests share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from backend.server.store import JobStore


@pytest.fixture(autouse=True)
def stores_are_closed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A test may leave its stores open, as a backend does that is killed; Python 3.13 warns of those."""
    opened: list[JobStore] = []
    real = JobStore._open

    def open_and_remember(self: JobStore) -> None:
        real(self)
        opened.append(self)

    monkeypatch.setattr(JobStore, "_open", open_and_remember)
    yield
    for store in opened:
        store._base.close()
