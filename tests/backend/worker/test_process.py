"""What the process that samples says of failures that no maker foresees."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from backend.orders import Task
from backend.worker.maker import Item
from backend.worker.process import Line, Worker, log_file
from shared_protocol.messages import Failed
from tests.backend.clip_orders import order


class Raises:
    """A maker whose first step imports something that is not there."""

    device, loads = "none", 0

    def make(self, *_: object) -> Iterator[Item]:
        import not_there_any_more  # type: ignore[import-not-found]  # noqa: F401

        yield from ()


def test_a_package_that_is_missed_late_is_named(home: Path) -> None:
    worker = Worker(cast(Line, None), cast(Any, Raises()), home / "worker.log")
    end = worker._end_of(
        Task(job="0" * 32, order=order(), folder=str(home), pictures={}, cautious=False, previews=False)
    )
    assert isinstance(end, Failed)
    assert end.code == "environment_broken"
    assert "No module named 'not_there_any_more'" in end.message
    assert "install.py setup" in end.next_step


def test_each_device_has_a_log_of_its_own(home: Path) -> None:
    names = [log_file(device).name for device in ("auto", "cpu", "cuda:0", "cuda:1")]
    assert names == ["worker.log", "worker_cpu.log", "worker_cuda_0.log", "worker_cuda_1.log"]
