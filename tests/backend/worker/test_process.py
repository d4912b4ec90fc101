"""What the process that samples says of failures that no maker foresees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from backend.orders import Task
from backend.worker.maker import Item
from backend.worker.process import Line, Worker
from shared_protocol.messages import Failed
from tests.backend.clip_orders import order


class Raises:
    """A maker whose first step imports something that is not there."""

    device, loads = "none", 0

    def make(self, *_: object) -> Iterator[Item]:
        import not_there_any_more  # type: ignore[import-not-found]  # noqa: F401

        yield from ()


def test_a_package_that_is_missed_late_is_named(home: Path) -> None:
    worker = Worker(cast(Line, None), cast(Any, Raises()))
    end = worker._end_of(
        Task(job="0" * 32, order=order(), folder=str(home), pictures={}, cautious=False, previews=False)
    )
    assert isinstance(end, Failed)
    assert end.code == "environment_broken"
    assert "No module named 'not_there_any_more'" in end.message
    assert "install.py setup" in end.next_step
