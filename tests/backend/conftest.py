"""Every test has a home of its own: no test sees the user's files or another test's backend."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.server.store import JobStore
from tests.backend.harness import Running, running


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder that ELEVATOR_HOME names; with a space and a letter that is not ASCII, as users have them."""
    folder = tmp_path / "mon été"
    monkeypatch.setenv("ELEVATOR_HOME", str(folder))
    return folder


@pytest.fixture(autouse=True)
def no_store_stays_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Tests leave stores as a killed backend does. From Python 3.13 on that is complained of, in whatever test then
    runs."""
    opened: list[JobStore] = []
    begin = JobStore.__init__

    def noted(store: JobStore, path: Path | None) -> None:
        begin(store, path)
        opened.append(store)

    monkeypatch.setattr(JobStore, "__init__", noted)
    yield
    for store in opened:
        store.close()


@pytest.fixture
def backend() -> Iterator[Running]:
    """A backend with the fake maker."""
    with running() as backend:
        yield backend


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One backend with the fake maker for all tests of a file that neither end it nor count what it did."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(tmp_path_factory.mktemp("shared")))
        with running("--stay") as backend:
            yield backend
