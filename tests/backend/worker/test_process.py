"""The process that samples: what it hears, what it says of a clip, and of failures that no maker foresees."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, cast

import cv2
import numpy as np
import pytest
import zmq

from backend.failures import Failure
from backend.orders import Loaded, Preview, Ready, Task, ToWorker, WorkerKeys
from backend.server.keys import KeyPair
from backend.worker.maker import Advance, Extra, Item, Note, Picture
from backend.worker.process import Keeper, Line, Worker, log_file
from backend.worker.progress import Reporter
from elevator.pictures.clip_folder import frame_name
from shared_protocol import wire
from shared_protocol.messages import Cancel, Cancelled, Done, Failed, Frame, Message, Notice, Progress
from shared_protocol.wire import Buffer
from tests.backend.clip_orders import order
from tests.backend.harness import until

A, B = "a" * 32, "b" * 32


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


# What it hears -----------------------------------------------------------------------------------------------


@pytest.fixture
def line() -> Iterator[tuple[Line, Callable[[ToWorker], None]]]:
    """A worker's line, and what speaks at the server's end of it."""
    ours, theirs = KeyPair.fresh(), KeyPair.fresh()
    with zmq.Context() as context, context.socket(zmq.DEALER) as server:
        server.linger = 0
        server.curve_server = True
        server.curve_publickey, server.curve_secretkey = ours.public.encode(), ours.secret.encode()
        port = server.bind_to_random_port("tcp://127.0.0.1")
        keys = {"server_key": ours.public, "public": theirs.public, "secret": theirs.secret}
        line = Line(WorkerKeys(endpoint=f"tcp://127.0.0.1:{port}", fake=True, device="cpu", **keys))  # type: ignore[arg-type]

        def say(message: ToWorker) -> None:
            server.send_multipart(wire.encode(message))

        yield line, say
        line._context.destroy()


def test_only_what_is_said_of_its_own_job_changes_what_it_does(
    line: tuple[Line, Callable[[ToWorker], None]],
) -> None:
    heard, say = line
    reporter = Reporter(A, previews=False)
    for others in (Cancel(job=B), Preview(job=B, wanted=True), Preview(job=A, wanted=True)):
        say(others)
    assert until(lambda: heard.cancelled(A, reporter) or reporter.previews, 60)
    assert not heard.cancelled(A, reporter), "another's cancel"
    for others in (Preview(job=B, wanted=True), Preview(job=A, wanted=False)):
        say(others)
    assert until(lambda: heard.cancelled(A, reporter) or not reporter.previews, 60)
    say(Cancel(job=A))
    assert until(lambda: heard.cancelled(A, reporter), 60)
    assert not reporter.previews


# What it says ------------------------------------------------------------------------------------------------


class Told:
    """A line to a server that says what a test wants it to, and writes down what it hears."""

    def __init__(self, *says: ToWorker, cancels: int | None = None) -> None:
        """`cancels`: at the how manieth question the job is cancelled."""
        self._says, self._cancels = list(says), cancels
        self.sent: list[Message] = []
        self.data: list[bytes] = []

    def send(self, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        self.sent.append(message)
        self.data += map(bytes, buffers)

    def receive(self) -> ToWorker:
        if not self._says:
            raise EOFError
        return self._says.pop(0)

    def cancelled(self, job: str, reporter: Reporter) -> bool:
        if self._cancels is not None:
            self._cancels -= 1
        return self._cancels == 0


class Scripted:
    """A maker that gives what a test wants of each clip; it reads two networks for the first."""

    device, memory = "cuda:1", 5000

    def __init__(self, *items: Item | Exception) -> None:
        self._items = items
        self.loads = 0
        self.closed = 0
        self.given: list[tuple[object, ...]] = []

    def make(self, *given: object) -> Iterator[Item]:
        self.given.append(given)
        self.loads = 2
        try:
            for item in self._items:
                if isinstance(item, Exception):
                    raise item
                yield item
        finally:
            self.closed += 1


def picture(index: int) -> Picture:
    return Picture(index, np.full((64, 64, 3), index, np.uint8))


def task(folder: Path, job: str = A, **fields: Any) -> Task:
    told = {"order": order(frames=2), "folder": str(folder), "rungs": (1,), "cautious": True, "pictures": {"x": "y"}}
    return Task(job=job, **{**told, **fields})


def served(maker: Scripted, told: Told, log: Path) -> list[Message]:
    """What a worker says until nobody is there any more."""
    with pytest.raises(EOFError):
        Worker(cast(Line, told), cast(Any, maker), log).serve()
    return told.sent


def test_a_worker_says_what_it_is_and_then_all_of_each_clip_to_its_end(tmp_path: Path) -> None:
    asked = order(frames=2, fps=30000 / 1001, seed=7)
    maker = Scripted(picture(0), picture(1), Extra("clip.json", b"{}"), Extra("sheet.png", b"png"))
    told = Told(Cancel(job=B), task(tmp_path, order=asked), Preview(job=A, wanted=True), task(tmp_path, B, order=asked))
    ready, loaded, *rest = served(maker, told, tmp_path)
    assert (ready, loaded) == (Ready(device="cuda:1", memory=5000), Loaded(times=2)), "and what it has read, once"
    assert maker.given == [(asked, {"x": "y"}, True, (1,))] * 2
    first, second = rest[:5], rest[5:]
    for job, said in ((A, first), (B, second)):
        *frames, one, two, done = said
        assert frames == [Frame(job=job, index=index, frames=2) for index in (0, 1)]
        assert {type(progress) for progress in (one, two)} == {Progress}
        assert all(cast(Progress, progress).phase == "writing" for progress in (one, two))
        assert isinstance(done, Done)
        assert (done.job, done.frames, done.width, done.height, done.seed) == (job, 2, 64, 64, 7)
        assert Fraction(done.fps_numerator, done.fps_denominator) == Fraction(30000, 1001)
        assert 0 <= done.seconds < 60
    assert told.data[:2] == [(tmp_path / frame_name(index)).read_bytes() for index in (0, 1)]
    assert (tmp_path / "clip.json").read_bytes() == b"{}"
    assert (tmp_path / "sheet.png").read_bytes() == b"png"


def test_a_clip_that_is_cancelled_ends_there_and_frees_what_was_held_for_it(tmp_path: Path) -> None:
    maker, told = Scripted(picture(0), picture(1)), Told(task(tmp_path), cancels=2)
    assert served(maker, told, tmp_path)[2:] == [Frame(job=A, index=0, frames=2), Cancelled(job=A)]
    assert maker.closed == 1
    assert not (tmp_path / frame_name(1)).exists()


def test_a_clip_that_is_begun_anew_says_so_and_counts_its_steps_anew(tmp_path: Path) -> None:
    first = Advance("painting", 1, 9)
    maker = Scripted(first, Note("It is tried with less memory.", again=True), first, picture(0), picture(1))
    said = served(maker, Told(task(tmp_path)), tmp_path)[2:]
    assert [type(message) for message in said] == [Progress, Notice, Progress, Frame, Frame, Done]
    assert said[1] == Notice(job=A, message="It is tried with less memory.", again=True)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Failure("model_missing", folder="x"), "model_missing"),
        (MemoryError(), "out_of_memory"),
        (ZeroDivisionError("x"), "internal"),
    ],
)
def test_whatever_goes_wrong_fails_the_clip_and_the_next_is_made(error: Exception, code: str, tmp_path: Path) -> None:
    told = Told(task(tmp_path, A), task(tmp_path, B))
    failed, other = served(Scripted(error), told, tmp_path / "worker.log")[2:]
    assert isinstance(failed, Failed)
    assert isinstance(other, Failed)
    assert (failed.job, failed.code, other.job) == (A, code, B)
    if code == "internal":
        assert "ZeroDivisionError" in failed.message
        assert str(tmp_path / "worker.log") in failed.next_step


def test_a_clip_whose_folder_has_gone_fails(tmp_path: Path) -> None:
    (failed,) = served(Scripted(picture(0)), Told(task(tmp_path / "gone")), tmp_path)[2:]
    assert isinstance(failed, Failed)
    assert failed.code == "results_unwritable"
    assert str(tmp_path) in failed.message


@pytest.mark.parametrize(
    ("items", "made"),
    [((), 0), ((picture(0),), 1), ((picture(0), picture(1), Note("Once more.", again=True)), 0)],
)
def test_a_clip_of_too_few_frames_is_no_clip(items: tuple[Item, ...], made: int, tmp_path: Path) -> None:
    *_, failed = served(Scripted(*items), Told(task(tmp_path)), tmp_path)
    assert isinstance(failed, Failed)
    assert failed.code == "internal"
    assert f"{made} of 2 frames were made" in failed.message
