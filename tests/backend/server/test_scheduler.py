"""The scheduler with workers that do exactly what a test says: what real processes do too seldom or too slowly."""

from __future__ import annotations

import errno
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backend.failures import BackendError, StorageFailure
from backend.orders import Loaded, Preview, Ready, Sample, Task, ToWorker
from backend.result_files import ResultWriter
from backend.serve_options import ServeOptions
from backend.server import scheduler as scheduler_module
from backend.server import store as store_module
from backend.server.endings import SAVE_SECONDS
from backend.server.hold import (
    LEAST_PAUSE,
    MOST_PAUSE,
    ROOM_SECONDS,
    SPARE_BYTES,
    SPARE_FILES,
    files_for,
    room_for,
)
from backend.server.jobs import Job, Owner, State
from backend.server.results import ResultStore
from backend.server.scheduler import MOST_JOBS, Scheduler, make_slots
from backend.server.slot import CANCEL_SECONDS, START_SECONDS
from backend.server.store import JobStore
from backend.server.store_errors import StoreRefuses
from backend.server.times import TELL_SECONDS
from elevator.pictures.clip_folder import frame_name
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Frame,
    Message,
    Notice,
    Progress,
    Queue,
    WorkerView,
)
from shared_protocol.wire import Buffer, Incoming
from tests.backend import orders
from tests.backend.harness import ENDS

FULL = StoreRefuses("database or disk is full", StorageFailure("disk_full"))
A, B, C, D = (letter * 32 for letter in "abcd")
ME = Owner("local", "1" * 32)


class Puppet:
    """Stands for a WorkerProcess."""

    socket = None
    import_error = ""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.exit_code: int | None = None
        self.says: list[Message] = []
        self.told: list[ToWorker] = []
        self.ended = self.killed = self.is_strange = False
        self.stays = True
        """Whether it goes on for a while after it was told to end."""

    def send(self, message: ToWorker) -> None:
        self.told.append(message)

    def receive(self) -> Iterator[Incoming]:
        said, self.says = self.says, []
        return iter([Incoming(message, ()) for message in said])

    def end(self, *, at_once: bool = False) -> None:
        self.ended, self.killed = True, at_once

    @property
    def is_over(self) -> bool:
        return not self.stays

    def wait(self) -> None:
        self.stays = False


class Stage:
    """A scheduler, its puppets, and all that clients are told."""

    def __init__(self, folder: Path, devices: Sequence[str] = ("cpu",), **options: Any) -> None:
        self.workers: list[Puppet] = []
        self.heard: list[Message] = []
        self.all_told: list[Message] = []
        self.broken = False
        self.previewed: set[str] = set()
        self.uploads: dict[str, Path] = {}
        self.now = 1000.0
        """On the clock, which began long ago."""
        self.store = JobStore(None)
        self.results = ResultStore(folder / "results", self.clock)
        self.options = ServeOptions(**options)
        self.scheduler = Scheduler(
            self.store,
            self.results,
            self.options,
            make_slots(devices, self.start, self.clock, self.options),  # type: ignore[arg-type]
            emit=lambda *told: self.emit(*told),
            broadcast=self.all_told.append,
            previewed=lambda job: job in self.previewed,
            upload=self.uploads.get,
            clock=self.clock,
        )

    def clock(self) -> float:
        return self.now

    def start(self, device: str) -> Puppet:
        if self.broken:
            raise OSError(12, "Cannot allocate memory")
        self.workers.append(Puppet(len(self.workers) + 1))
        return self.workers[-1]

    def emit(self, job: Job, message: Message, buffers: Sequence[Buffer]) -> None:
        assert job.owner == ME
        self.heard.append(message)

    @property
    def worker(self) -> Puppet:
        return self.workers[-1]

    def submit(self, *names: str) -> None:
        for name in names:
            self.scheduler.submit(Job(name, ME, orders.order()), ())

    def later(self, seconds: float) -> None:
        self.now += seconds
        self.scheduler.work()

    def say(self, *messages: Message, worker: Puppet | None = None) -> None:
        (worker or self.worker).says += messages
        self.scheduler.work()

    def cancel(self, name: str) -> None:
        job = self.store.get(name)
        assert job is not None
        self.scheduler.cancel(job)

    def make(self, name: str) -> Done:
        """What a worker does before it says Done."""
        files = ResultWriter(self.results._partial(name))
        files.write(frame_name(0), b"png")
        return orders.done(name)

    def ends(self) -> list[Message]:
        return [message for message in self.heard if isinstance(message, ENDS)]

    def ended(self) -> list[tuple[type[Message], str]]:
        return [(type(message), message.job) for message in self.ends()]  # type: ignore[attr-defined]

    def orders(self, worker: Puppet | None = None) -> list[str]:
        return [message.job for message in (worker or self.worker).told if isinstance(message, Task)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def test_no_worker_runs_without_work(stage: Stage) -> None:
    stage.scheduler.work()
    assert not stage.workers
    assert stage.scheduler.idle


def test_orders_wait_until_the_worker_is_ready(stage: Stage) -> None:
    stage.submit(A, B)
    stage.scheduler.work()
    assert not stage.worker.told
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [A]
    assert stage.scheduler.device == "cpu"
    stage.say(stage.make(A))
    assert stage.orders() == [A, B]
    assert len(stage.workers) == 1


def test_a_worker_hears_what_its_clip_is_known_to_need(stage: Stage) -> None:
    asked: list[int] = []

    def foreseen(order: Sample) -> tuple[int, ...]:
        asked.append(stage.scheduler.memory)
        return (0, 2) if stage.scheduler.memory else ()

    stage.scheduler.foreseen = foreseen
    stage.submit(A, B)
    stage.say(Ready(device="cuda", memory=5000))
    stage.say(stage.make(A))
    assert [message.rungs for message in stage.worker.told if isinstance(message, Task)] == [(), (0, 2)]
    assert asked == [0, 5000]


def test_last_words_of_a_dying_worker_count(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.worker.exit_code = -9
    stage.say(stage.make(A))
    assert stage.ended() == [(Done, A)]
    assert stage.worker.ended


def test_a_result_is_there_and_stored_before_done_is_told(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    seen = []

    def emit(job: Job, message: Message, buffers: Sequence[Buffer]) -> None:
        stored = stage.store.get(A)
        assert stored is not None
        seen.append((type(message), stage.results.has(A), stored.state))

    monkeypatch.setattr(stage, "emit", emit)
    stage.say(stage.make(A))
    assert (Done, True, State.DONE) in seen
    assert stage.results.frame(A, 0) == b"png"
    assert stage.store.get(A).bytes == stage.results.size(A) > 0  # type: ignore[union-attr]


def test_a_job_ends_once(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.say(stage.make(A), orders.done(A), Cancelled(job=A), Frame(job=A, index=0, frames=1))
    assert stage.ended() == [(Done, A)]
    assert not [message for message in stage.heard if isinstance(message, Frame)]
    assert stage.orders() == [A, B]


def test_done_may_be_quicker_than_cancel(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    stage.cancel(A)
    assert stage.worker.told[1:] == [Cancel(job=A)]
    stage.say(stage.make(A))
    assert stage.ended() == [(Done, A)]


def test_a_cancel_leaves_nothing_on_the_disk(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.make(A)
    stage.cancel(A)
    stage.say(Cancelled(job=A))
    assert stage.ended() == [(Cancelled, A)]
    assert not list(stage.results._root.iterdir())


def test_a_worker_that_does_not_obey_is_ended_by_force(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    stage.later(CANCEL_SECONDS)
    assert not stage.ends()
    stage.later(1)
    assert stage.ended() == [(Cancelled, A)]
    assert stage.workers[0].ended
    assert len(stage.workers) == 2, "the next job gets a new worker"


def test_a_worker_that_dies_while_it_is_told_to_cancel_has_obeyed(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    stage.worker.exit_code = -9
    stage.scheduler.work()
    assert stage.ended() == [(Cancelled, A)]


def test_an_obeyed_cancel_sets_no_time_bomb(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    stage.say(Cancelled(job=A))
    stage.later(2 * CANCEL_SECONDS)
    assert stage.orders() == [A, B]
    assert not stage.worker.ended


def test_a_job_whose_worker_dies_is_tried_once_more_with_less_memory(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    assert not stage.worker.told[0].cautious  # type: ignore[union-attr]
    stage.worker.exit_code = -9
    stage.scheduler.work()
    assert not stage.ends()
    (notice,) = [message for message in stage.heard if isinstance(message, Notice)]
    assert notice.again
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [A], "before B, which was behind it"
    assert stage.worker.told[0].cautious  # type: ignore[union-attr]
    stage.worker.exit_code = -9
    stage.scheduler.work()
    (end,) = stage.ends()
    assert isinstance(end, Failed)
    assert end.code == "worker_died"
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [B]
    assert not stage.worker.told[0].cautious  # type: ignore[union-attr]


def test_no_job_is_to_blame_for_a_worker_that_never_gets_ready(stage: Stage) -> None:
    stage.submit(A)
    for tries in range(1, 6):
        stage.later(START_SECONDS)
        assert not stage.worker.ended
        stage.later(1)
        assert stage.worker.ended
        assert "before it was ready" in stage.scheduler.state.stopped
        stage.later(MOST_PAUSE)
        assert len(stage.workers) == tries + 1
    stage.say(Ready(device="cpu"))
    assert not stage.scheduler.state.stopped
    stage.say(stage.make(A))
    assert stage.ended() == [(Done, A)]


def test_a_worker_that_says_nothing_is_stuck(tmp_path: Path) -> None:
    stage = Stage(tmp_path, silence=100)
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    for _ in range(5):
        stage.later(90)
        stage.say(Progress(job=A, phase="painting", step=1, steps=2))
    stage.later(100)
    assert len(stage.workers) == 1
    stage.later(1)
    assert stage.workers[0].ended
    stage.say(Ready(device="cpu"))
    stage.later(101)
    (end,) = stage.ends()
    assert isinstance(end, Failed)
    assert end.code == "worker_hung"


def test_a_worker_without_a_job_may_be_silent(tmp_path: Path) -> None:
    stage = Stage(tmp_path, silence=100, idle=1000)
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(stage.make(A))
    for _ in range(2):
        stage.later(500)
        assert not stage.worker.ended
    stage.later(1)
    assert stage.worker.ended, "idle for too long: its memory is given back"
    stage.submit(B)
    assert len(stage.workers) == 2


def test_free_ends_workers_without_a_job_only(tmp_path: Path) -> None:
    stage = Stage(tmp_path, devices=("cuda:0", "cuda:1"))
    stage.submit(A, B)
    first, second = stage.workers
    stage.say(Ready(device="cuda:0"), worker=first)
    stage.say(Ready(device="cuda:1"), worker=second)
    stage.say(stage.make(B), worker=second)
    stage.scheduler.free()
    assert second.ended
    assert not first.ended


def test_jobs_go_to_the_first_free_worker(tmp_path: Path) -> None:
    stage = Stage(tmp_path, devices=("cuda:0", "cuda:1"))
    stage.submit(A, B, C, D)
    first, second = stage.workers
    stage.say(Ready(device="cuda:1"), worker=second)
    stage.say(Ready(device="cuda:0"), worker=first)
    assert (stage.orders(first), stage.orders(second)) == ([A], [B])
    stage.say(stage.make(B), worker=second)
    stage.say(stage.make(C), worker=second)
    assert stage.orders(second) == [B, C, D]
    first.exit_code = 1
    stage.scheduler.work()
    assert stage.ended() == [(Done, B), (Done, C)], "the loss of one worker is not the other's"
    assert stage.scheduler.state.running == 2


def test_a_cancel_while_the_worker_starts_leaves_its_deadline(stage: Stage) -> None:
    stage.submit(A)
    stage.cancel(A)
    assert stage.ended() == [(Cancelled, A)]
    stage.submit(B)
    stage.later(START_SECONDS + 1)
    assert stage.workers[0].ended


def test_a_worker_that_cannot_be_started_holds_the_queue_until_it_can(stage: Stage) -> None:
    stage.broken = True
    stage.submit(A, B, C)
    assert "Cannot allocate memory" in stage.scheduler.state.stopped
    assert stage.scheduler.state.waiting == 3
    stage.later(LEAST_PAUSE / 2)
    stage.broken = False
    assert not stage.workers  # not before the pause is over
    stage.later(LEAST_PAUSE / 2)
    assert len(stage.workers) == 1
    assert stage.scheduler.state.stopped  # nobody knows yet whether it goes well
    stage.say(Ready(device="cpu"))
    for name in (A, B, C):
        stage.say(stage.make(name))
    assert stage.ended() == [(Done, A), (Done, B), (Done, C)]
    told = [bool(message.queue.stopped) for message in stage.all_told if isinstance(message, Queue)]
    assert told == [True, False]


def test_it_is_tried_less_and_less_often_and_quickly_again_after_it_went_well(stage: Stage) -> None:
    stage.broken = True
    tried: list[float] = []
    start = stage.start

    def counted(device: str) -> Puppet:
        tried.append(stage.now)
        return start(device)

    stage.scheduler._slots[0]._start = counted  # type: ignore[assignment]
    stage.submit(A)
    for _ in range(4 * int(MOST_PAUSE)):
        stage.later(1)
    pauses = [then - before for before, then in pairwise(tried)]
    assert pauses[:4] == [LEAST_PAUSE * factor for factor in (1, 2, 4, 8)]
    assert max(pauses) == MOST_PAUSE
    stage.broken = False
    stage.later(MOST_PAUSE)
    stage.say(Ready(device="cpu"))
    stage.broken = True
    stage.worker.exit_code = 1  # over a job: that is another kind of loss
    stage.scheduler.work()
    tried.clear()
    stage.later(LEAST_PAUSE)
    assert tried == [stage.now]


def test_resume_tries_at_once(stage: Stage) -> None:
    stage.broken = True
    stage.submit(A)
    stage.broken = False
    stage.scheduler.pause(False)
    assert len(stage.workers) == 1
    assert not stage.scheduler.state.stopped


def test_no_descriptor_and_no_disk_are_two_reasons(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def start(device: str) -> Puppet:
        raise OSError(errno.ENOSPC, "No space left on device")

    stage.scheduler._slots[0]._start = start  # type: ignore[assignment]
    stage.submit(A)
    assert stage.scheduler.state.stopped.startswith("The disk is full.")
    assert stage.scheduler.state.waiting == 1
    assert not stage.ends()


def test_a_worker_that_cannot_be_understood_is_lost_and_its_job_begun_anew(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.worker.is_strange = True
    stage.scheduler.work()
    assert stage.workers[0].killed
    stage.say(Ready(device="cpu"))
    stage.say(stage.make(A))
    stage.say(stage.make(B))
    assert stage.ended() == [(Done, A), (Done, B)]


def test_nobody_waits_for_a_worker_that_does_not_end(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(stage.make(A))
    stage.scheduler.free()
    assert (stage.worker.ended, stage.worker.killed) == (True, False)  # it has nothing to spoil
    assert len(stage.scheduler._slots[0]._ending) == 1
    stage.submit(B)
    assert len(stage.workers) == 2
    stage.workers[0].stays = False
    stage.scheduler.work()
    assert stage.scheduler._slots[0]._ending == []


def test_a_job_that_was_to_be_cancelled_ends_with_the_backend(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    assert not stage.ends()
    stage.scheduler.close()
    assert stage.ended() == [(Cancelled, A)]
    assert [job.id for job in stage.store.unfinished()] == [B]


def test_closing_keeps_jobs_for_the_next_start(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.say(Progress(job=A, phase="loading", step=0, steps=0))
    assert stage.store.get(A).state is State.LOADING  # type: ignore[union-attr]
    stage.say(Progress(job=A, phase="painting", step=1, steps=2))
    assert stage.store.get(A).state is State.RUNNING  # type: ignore[union-attr]
    stage.scheduler.close()
    assert not stage.ends()
    assert stage.worker.ended
    assert not stage.worker.stays, "it is waited for"
    assert [(job.id, job.state, job.interruptions) for job in stage.store.unfinished()] == [
        (A, State.QUEUED, 0),
        (B, State.QUEUED, 0),
    ]


def test_closing_asks_nothing_of_devices_without_a_job(tmp_path: Path) -> None:
    stage = Stage(tmp_path, devices=("cuda:0", "cuda:1", "cuda:2"))
    stage.submit(A, B)
    first, second = stage.workers
    stage.say(Ready(device="cuda:0"), worker=first)
    stage.say(Ready(device="cuda:1"), worker=second)
    stage.say(stage.make(A), worker=first)
    stage.scheduler.close()
    assert stage.ended() == [(Done, A)]
    assert [(job.id, job.state) for job in stage.store.unfinished()] == [(B, State.QUEUED)]


def test_a_paused_queue_starts_nothing_and_finishes_what_runs(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.scheduler.pause(True)
    stage.say(stage.make(A))
    assert stage.ended() == [(Done, A)]
    assert stage.orders() == [A]
    stage.scheduler.pause(False)
    assert stage.orders() == [A, B]
    states = [message.queue.paused for message in stage.all_told if isinstance(message, Queue)]
    assert states == [True, False]


def test_a_job_that_fails_has_no_result(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(Failed(job=A, code="internal", message="It broke.", next_step="Look."))
    assert [each.job for each in stage.ends() if isinstance(each, Failed)] == [A]
    failed = stage.store.get(A)
    assert failed is not None
    assert (failed.state, failed.bytes) == (State.FAILED, 0)


@pytest.mark.parametrize("code", ["disk_full", "results_unwritable"])
def test_a_full_disk_stops_the_queue_and_loses_nothing(stage: Stage, code: str) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.say(Failed(job=A, code=code, message="No room.", next_step="Make some."))  # type: ignore[arg-type]
    stage.later(LEAST_PAUSE / 2)
    assert not stage.ends()
    assert stage.orders() == [A]
    assert [job.id for job in stage.store.queued()] == [A, B]
    (told,) = [message for message in stage.all_told if isinstance(message, Queue)]
    advice = "The queue goes on when" if code == "disk_full" else "It is tried again by and by"
    assert told.queue.stopped.startswith(f"No room. Make some. {advice}")
    stage.scheduler.pause(False)
    assert stage.orders() == [A, A]
    assert stage.scheduler.state.stopped == ""


def refused(code: str) -> Failed:
    return Failed(job=A, code=code, message="No room.", next_step="Make some.")  # type: ignore[arg-type]


def test_a_hindrance_that_has_passed_is_over_as_soon_as_a_ready_worker_has_the_job(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(refused("results_unwritable"))
    stage.later(LEAST_PAUSE)
    assert stage.orders() == [A, A]
    assert [bool(message.queue.stopped) for message in stage.all_told if isinstance(message, Queue)] == [True, False]


def test_a_disk_that_fills_up_after_another_hindrance_is_waited_for(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    for code in ("results_unwritable", "disk_full"):
        stage.say(refused(code))
        stage.later(LEAST_PAUSE)
    assert stage.orders() == [A, A], "room would show, so it is not tried in vain"
    assert stage.scheduler.state.stopped.startswith("No room. Make some. The queue goes on when")


@pytest.mark.parametrize("code", ["disk_full", "results_unwritable"])
def test_a_job_that_finds_no_room_while_it_is_cancelled_ends_and_stops_nothing(stage: Stage, code: str) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.cancel(A)
    stage.say(refused(code))
    assert stage.ended() == [(Cancelled, A)]
    assert not stage.scheduler.state.stopped
    assert stage.orders() == [A, B]


def test_a_disk_that_says_nothing_of_its_room_has_none_until_it_does(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is away when the queue stops, as a disk of the network may be."""
    free, left = [0], [0]

    def away(self: ResultStore) -> int:
        raise OSError(errno.EIO, "Input/output error")

    stage.submit(A)
    stage.say(Ready(device="cpu"))
    job = Job(A, ME, orders.order())
    monkeypatch.setattr(ResultStore, "free", away)
    monkeypatch.setattr(ResultStore, "files_left", away)
    stage.say(refused("disk_full"))
    stage.later(ROOM_SECONDS)
    assert stage.orders() == [A]
    monkeypatch.setattr(ResultStore, "free", lambda self: free[0])
    monkeypatch.setattr(ResultStore, "files_left", lambda self: left[0])
    for free[0], left[0] in ((room_for(job) - 1, 0), (room_for(job) - 1, files_for(job) - 1)):
        stage.later(ROOM_SECONDS)
        assert stage.scheduler.state.stopped
    free[0], left[0] = room_for(job), files_for(job)
    stage.later(ROOM_SECONDS)
    assert stage.orders() == [A, A]


def test_a_queue_without_room_begins_nothing_and_goes_on_when_there_is_room(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [SPARE_BYTES]
    monkeypatch.setattr(ResultStore, "free", lambda self: free[0])
    stage.submit(A)
    stage.later(ROOM_SECONDS)
    assert not stage.workers
    assert "disk is full" in stage.scheduler.state.stopped
    free[0] += room_for(Job(A, ME, orders.order())) - 1
    stage.later(ROOM_SECONDS)
    assert not stage.workers
    free[0] += 1
    stage.later(ROOM_SECONDS - 1)
    assert not stage.workers, "the disk is not asked at every round"
    stage.later(1)
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [A]
    assert [bool(message.queue.stopped) for message in stage.all_told if isinstance(message, Queue)] == [True, False]


def test_a_disk_that_takes_no_further_files_is_full_and_shows_when_it_takes_some(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    left = [SPARE_FILES]
    monkeypatch.setattr(ResultStore, "free", lambda self: 1 << 40)
    monkeypatch.setattr(ResultStore, "files_left", lambda self: left[0])
    stage.submit(A)
    stage.later(ROOM_SECONDS)
    assert not stage.workers
    assert "disk is full" in stage.scheduler.state.stopped
    left[0] += orders.order().frames
    stage.later(ROOM_SECONDS)
    assert len(stage.workers) == 1


def test_a_quota_that_shows_as_free_space_does_not_make_the_same_clip_for_ever(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ResultStore, "free", lambda self: 1 << 30)
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(Failed(job=A, code="disk_full", message="No room.", next_step="Make some."))
    for _ in range(10):
        stage.later(ROOM_SECONDS)
    assert stage.orders() == [A]


def test_nobody_hears_of_an_end_that_is_not_stored(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    real = store_module.JobStore.finish
    full = [True]

    def finish(self: JobStore, end: Message, size: int = 0) -> Job:
        if full[0]:
            raise FULL
        return real(self, end, size)  # type: ignore[arg-type]

    monkeypatch.setattr(store_module.JobStore, "finish", finish)
    stage.say(stage.make(A))
    assert not stage.ends()
    assert stage.scheduler.state.stopped
    assert not stage.scheduler.idle
    stage.cancel(A)  # too late: it has an end
    stage.cancel(B)  # this end cannot be stored either
    stage.later(SAVE_SECONDS + 1)
    assert not stage.ends()
    full[0] = False
    stage.later(SAVE_SECONDS / 2)
    assert not stage.ends(), "the disk is not asked at every round"
    stage.later(SAVE_SECONDS / 2)
    assert stage.ended() == [(Done, A), (Cancelled, B)]


def test_a_job_whose_cancel_is_not_stored_yet_is_not_begun(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def finish(self: JobStore, end: Message, size: int = 0) -> Job:
        raise FULL

    stage.submit(A, B, C)
    stage.say(Ready(device="cpu"))
    with monkeypatch.context() as patched:
        patched.setattr(store_module.JobStore, "finish", finish)
        stage.cancel(B)
    stage.scheduler.pause(False)
    stage.say(stage.make(A))
    assert stage.orders() == [A, C]
    stage.later(SAVE_SECONDS + 1)
    assert stage.ended() == [(Done, A), (Cancelled, B)]


def test_what_cannot_be_deleted_ends_nothing(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def forget(self: ResultStore, job: str) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(ResultStore, "forget", forget)
    stage.submit(A, B)
    stage.cancel(B)
    assert stage.ended() == [(Cancelled, B)]


def test_places_and_times_of_waiting_jobs(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"), Progress(job=A, phase="text", step=1, steps=2))
    stage.now += 10
    stage.say(stage.make(A))
    stage.submit(B, C, D)
    accepted = [message for message in stage.heard if isinstance(message, Accepted)][1:]
    assert [(one.position, one.seconds_left) for one in accepted] == [(0, 10), (1, 20), (2, 30)]
    stage.say(Progress(job=B, phase="painting", step=1, steps=2, seconds_left=4.0))
    where = stage.scheduler.forecast(stage.store.unfinished())
    assert {name: tuple(where[name]) for name in (B, C, D)} == {B: (0, 4.0, 0), C: (1, 14.0, 0), D: (2, 24.0, 1)}
    stage.heard.clear()
    stage.cancel(C)
    stage.later(TELL_SECONDS)
    told = [message for message in stage.heard if isinstance(message, Progress)]
    assert [(one.job, one.phase, one.position) for one in told] == [(D, "waiting", 1)]


def test_a_place_is_told_when_it_changes_and_once(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.submit(B, C)
    stage.heard.clear()
    stage.later(TELL_SECONDS)
    assert not [message for message in stage.heard if isinstance(message, Progress)], "Accepted has told it"
    stage.cancel(B)
    for _ in range(2):
        stage.later(TELL_SECONDS)
    told = [message for message in stage.heard if isinstance(message, Progress)]
    assert told == [Progress(job=C, phase="waiting", step=0, steps=0, position=1)]


def test_loads_add_up_over_workers(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"), Loaded(times=4))
    stage.say(Loaded(times=1), stage.make(A))
    assert stage.scheduler.loads == 5


def test_what_a_client_is_told_of_a_job(stage: Stage) -> None:
    stage.submit(A)
    stage.say(Ready(device="cpu"))
    stage.say(Progress(job=A, phase="text", step=1, steps=2), Frame(job=A, index=0, frames=1), stage.make(A))
    assert [type(message) for message in stage.heard] == [Accepted, Progress, Progress, Frame, Done]
    assert stage.heard[0] == Accepted(job=A, position=0)
    assert stage.heard[1] == Progress(job=A, phase="loading", step=0, steps=0)


def test_previews_are_wished_of_the_worker_that_has_the_job(stage: Stage) -> None:
    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    stage.previewed |= {A, B}
    stage.scheduler.preview(A)
    stage.scheduler.preview(B)
    stage.previewed.clear()
    stage.scheduler.preview(A)
    assert stage.worker.told[1:] == [Preview(job=A, wanted=True), Preview(job=A, wanted=False)]


def test_a_task_says_whether_previews_are_wanted_by_then(stage: Stage) -> None:
    stage.previewed |= {A, C}
    stage.submit(A, B, C)
    stage.previewed.remove(A)
    stage.scheduler.preview(A)
    assert not stage.worker.told, "it is not ready"
    stage.say(Ready(device="cpu"))
    stage.say(stage.make(A))
    stage.say(stage.make(B))
    assert [task.previews for task in stage.worker.told if isinstance(task, Task)] == [False, False, True]


def test_a_task_says_where_the_pictures_of_its_order_lie(stage: Stage, tmp_path: Path) -> None:
    shown, look = "1" * 64, "2" * 64
    stage.uploads |= {shown: tmp_path / "shown.png", look: tmp_path / "look.png", "3" * 64: tmp_path}
    order = msgspec.structs.replace(orders.order(), footage=(shown,), anchor=look)
    stage.scheduler.submit(Job(A, ME, order), ())
    stage.say(Ready(device="cpu"))
    (task,) = stage.worker.told
    assert isinstance(task, Task)
    assert task.order == order
    assert task.pictures == {shown: str(tmp_path / "shown.png"), look: str(tmp_path / "look.png")}


def test_a_picture_that_has_gone_ends_its_job_alone(stage: Stage) -> None:
    order = msgspec.structs.replace(orders.order(), footage=("1" * 64,))
    stage.scheduler.submit(Job(A, ME, order), ())
    stage.submit(B)
    (end,) = stage.ends()
    assert isinstance(end, Failed)
    assert (end.job, end.code) == (A, "footage_missing")
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [B]


def test_old_results_make_room_once_they_were_received(tmp_path: Path) -> None:
    stage = Stage(tmp_path, kept_results=2)
    for name in (A, B, C, D):
        stage.submit(name)
        stage.say(Ready(device="cpu"))
        stage.say(stage.make(name))
        assert stage.results.has(A), "nobody has fetched it"
        if name != A:
            stage.store.receive(name)
    assert [name for name in (A, B, C, D) if stage.results.has(name)] == [A, D]
    stage.store.receive(A)
    stage.submit("e" * 32)
    stage.say(stage.make("e" * 32))
    assert not stage.results.has(A)
    assert not stage.store.get(A).bytes  # type: ignore[union-attr]


def test_the_queue_takes_no_more_than_it_can(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    assert MOST_JOBS >= 1000
    monkeypatch.setattr(scheduler_module, "MOST_JOBS", 2)
    stage.submit(A, B)
    with pytest.raises(BackendError) as refused:
        stage.submit(C)
    assert refused.value.code == "queue_full"


def test_a_name_is_given_once(stage: Stage) -> None:
    stage.submit(A)
    with pytest.raises(BackendError) as refused:
        stage.submit(A)
    assert refused.value.code == "duplicate_job"
    assert [type(message) for message in stage.heard] == [Accepted, Progress]
    assert stage.scheduler.state.running == 1


def test_what_each_worker_does_is_seen(tmp_path: Path) -> None:
    stage = Stage(tmp_path, devices=("cuda:0", "cuda:1"))
    stage.submit(A)
    stage.say(Ready(device="cuda:0"))
    off = WorkerView(device="cuda:1", state="off", pid=0, job="")
    assert stage.scheduler.workers == (WorkerView(device="cuda:0", state="working", pid=1, job=A), off)
    stage.say(stage.make(A))
    assert stage.scheduler.workers == (WorkerView(device="cuda:0", state="resting", pid=1, job=""), off)
    stage.scheduler.preview(B)
    assert len(stage.worker.told) == 1, "nobody has this job"


def test_a_worker_that_could_not_import_what_it_needs_says_what_to_mend(stage: Stage) -> None:
    stage.submit(A)
    stage.worker.import_error, stage.worker.exit_code = "No module named 'torch'", 1
    stage.scheduler.work()
    assert (
        "could be started: the backend's environment is broken: No module named 'torch'"
        in stage.scheduler.state.stopped
    )
    stage.later(LEAST_PAUSE)
    stage.say(Ready(device="cpu"))
    stage.worker.import_error, stage.worker.exit_code = "No module named 'torch'", 1
    stage.scheduler.work()
    assert not stage.scheduler.state.stopped, "it was ready: what it printed long ago is not why it ended"
    assert [message.again for message in stage.heard if isinstance(message, Notice)] == [True, True]


def test_a_worker_that_dies_while_the_disk_is_full_costs_no_job(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: JobStore, job_id: str) -> Job:
        raise FULL

    stage.submit(A, B)
    stage.say(Ready(device="cpu"))
    with monkeypatch.context() as full:
        full.setattr(store_module.JobStore, "lose", refuse)
        stage.worker.exit_code = -9
        stage.scheduler.work()
    assert [message.again for message in stage.heard if isinstance(message, Notice)] == [True]
    stage.say(Ready(device="cpu"))
    assert stage.orders() == [A], "at its old place"
    stage.say(stage.make(A))
    assert stage.ended() == [(Done, A)]
