"""What the process that samples says of failures that no maker foresees."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest

from backend.failures import Failure
from backend.orders import Task
from backend.worker.maker import Item, Note, Picture
from backend.worker.process import Keeper, Line, Worker, log_file
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


def _of_opencv(code: int) -> cv2.error:
    error = cv2.error("OpenCV(5.0.0) alloc.cpp: error")
    error.code = code
    return error


def _because(cause: BaseException) -> Exception:
    error = ValueError("the clip cannot be made")
    error.__cause__ = cause
    return error


class Meets:
    """A maker that meets an error."""

    device, loads = "none", 0

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def make(self, *_: object) -> Iterator[Item]:
        raise self.error
        yield


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), "out_of_memory"),
        (OSError(errno.ENOMEM, "Cannot allocate memory"), "out_of_memory"),
        (_of_opencv(cv2.Error.StsNoMem), "out_of_memory"),
        (ImportError("libx.so: failed to map segment from shared object"), "out_of_memory"),
        (ImportError("libx.so: cannot allocate memory in static TLS block"), "out_of_memory"),
        (ImportError("libx.so: cannot read file data: Cannot allocate memory"), "out_of_memory"),
        (_because(MemoryError()), "out_of_memory"),
        (_of_opencv(cv2.Error.StsBadArg), "internal"),
        (OSError(errno.ENOENT, "No such file or directory"), "internal"),
        (ImportError("No module named 'x'"), "environment_broken"),
        (_because(KeyError("x")), "internal"),
    ],
    ids=str,
)
def test_a_shortage_of_memory_is_called_so_however_it_is_said(home: Path, error: Exception, code: str) -> None:
    worker = Worker(cast(Line, None), cast(Any, Meets(error)), home / "worker.log")
    end = worker._end_of(
        Task(job="0" * 32, order=order(), folder=str(home), pictures={}, cautious=False, previews=False)
    )
    assert isinstance(end, Failed)
    assert end.code == code
    if code == "internal":
        assert type(error).__name__ in end.message


class Unheard:
    """A line to a server that nobody hears."""

    def send(self, *_: object) -> None:
        pass


def test_frames_of_a_try_that_was_begun_anew_do_not_count(home: Path, tmp_path: Path) -> None:
    (tmp_path / "clip").mkdir()
    asked = order(frames=1)
    keeper = Keeper(
        Task(job="0" * 32, order=asked, folder=str(tmp_path / "clip"), pictures={}, cautious=False, previews=False),
        cast(Line, Unheard()),
    )
    picture = Picture(0, np.zeros((asked.height, asked.width, 3), np.uint8))
    keeper.picture(picture)
    keeper.note(Note("It is tried with less memory.", again=True))
    with pytest.raises(Failure):
        keeper.done(1.0)
    keeper.picture(picture)
    keeper.note(Note("All is well."))
    assert keeper.done(1.0).frames == 1


def test_each_device_has_a_log_of_its_own(home: Path) -> None:
    names = [log_file(device).name for device in ("auto", "cpu", "cuda:0", "cuda:1")]
    assert names == ["worker.log", "worker_cpu.log", "worker_cuda_0.log", "worker_cuda_1.log"]
