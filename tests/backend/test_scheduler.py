"""The scheduler with a worker that does exactly what a test says: what real processes do too seldom or too slowly."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

import pytest

from backend import scheduler as scheduler_module
from backend.jobs import MemoryStore
from backend.orders import Loaded, Ready, Sample, ToWorker
from backend.scheduler import CANCEL_SECONDS, START_SECONDS, Scheduler
from shared_protocol.messages import Accepted, Cancel, Cancelled, Done, Failed, Frame, Message, Progress
from shared_protocol.wire import Buffer, Incoming
from tests.backend.harness import ENDS

ME = b"me"


def order(name: str) -> Sample:
    return Sample(
        job=name,
        prompt="",
        negative_prompt="",
        t2i="",
        t2v="",
        loras=(),
        plan={},
        frames=1,
        width=8,
        height=8,
        fps=8,
        seed=0,
        previews=False,
    )


def done(name: str) -> Done:
    return Done(job=name, frames=1, width=8, height=8, fps=8, seed=0, seconds=1)


class Puppet:
    """Stands for a WorkerProcess."""

    pid = 7
    socket = None

    def __init__(self) -> None:
        self.exit_code: int | None = None
        self.says: list[Message] = []
        self.told: list[ToWorker] = []
        self.ended = False

    def send(self, message: ToWorker) -> None:
        self.told.append(message)

    def receive(self) -> Iterator[Incoming]:
        said, self.says = self.says, []
        return iter([Incoming(message, ()) for message in said])

    def end(self) -> None:
        self.ended = True


class Stage:
    """A scheduler, its puppets, and all that clients are told."""

    def __init__(self) -> None:
        self.workers: list[Puppet] = []
        self.heard: list[tuple[bytes, Message]] = []
        self.broken = False
        self.scheduler = Scheduler(MemoryStore(), self.start, self.emit)  # type: ignore[arg-type]

    def start(self) -> Puppet:
        if self.broken:
            raise OSError(12, "Cannot allocate memory")
        self.workers.append(Puppet())
        return self.workers[-1]

    def emit(self, client: bytes, message: Message, buffers: Sequence[Buffer]) -> None:
        self.heard.append((client, message))

    @property
    def worker(self) -> Puppet:
        return self.workers[-1]

    def submit(self, *names: str) -> None:
        for name in names:
            self.scheduler.submit(ME, order(name), ())

    def say(self, *messages: Message) -> None:
        self.worker.says += messages
        self.scheduler.work()

    def ends(self) -> list[Message]:
        return [message for _, message in self.heard if isinstance(message, ENDS)]


@pytest.fixture
def stage() -> Stage:
    return Stage()


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[float]]:
    """The clock runs ahead by the sum of this list."""
    ahead: list[float] = []
    real = time.monotonic
    monkeypatch.setattr(scheduler_module.time, "monotonic", lambda: real() + sum(ahead))
    yield ahead
    monkeypatch.undo()


def test_no_worker_runs_without_work(stage: Stage) -> None:
    stage.scheduler.work()
    assert not stage.workers
    assert stage.scheduler.idle


def test_orders_wait_until_the_worker_is_ready(stage: Stage) -> None:
    stage.submit("a", "b")
    stage.scheduler.work()
    assert not stage.worker.told
    stage.say(Ready(device="cpu"))
    assert stage.worker.told == [order("a")]
    assert stage.scheduler.device == "cpu"
    stage.say(done("a"))
    assert stage.worker.told == [order("a"), order("b")]
    assert len(stage.workers) == 1


def test_last_words_of_a_dying_worker_count(stage: Stage) -> None:
    stage.submit("a")
    stage.say(Ready(device="cpu"))
    stage.worker.exit_code = -9
    stage.say(done("a"))
    assert stage.ends() == [done("a")]
    assert stage.worker.ended


def test_a_job_ends_once(stage: Stage) -> None:
    stage.submit("a", "b")
    stage.say(Ready(device="cpu"))
    stage.say(done("a"), done("a"), Cancelled(job="a"), Frame(job="a", index=0, frames=1))
    assert stage.ends() == [done("a")]
    assert not [message for _, message in stage.heard if isinstance(message, Frame)]
    assert stage.scheduler.current == "b"


def test_done_may_be_quicker_than_cancel(stage: Stage) -> None:
    stage.submit("a")
    stage.say(Ready(device="cpu"))
    stage.scheduler.cancel(ME, "a")
    stage.scheduler.cancel(ME, "a")
    assert stage.worker.told == [order("a"), Cancel(job="a")]
    stage.say(done("a"))
    assert stage.ends() == [done("a")]


def test_a_worker_that_does_not_obey_is_ended_by_force(stage: Stage, later: list[float]) -> None:
    stage.submit("a", "b")
    stage.say(Ready(device="cpu"))
    stage.scheduler.cancel(ME, "a")
    later.append(CANCEL_SECONDS - 5)
    stage.scheduler.work()
    assert not stage.ends()
    later.append(10)
    stage.scheduler.work()
    assert stage.ends() == [Cancelled(job="a")]
    assert stage.workers[0].ended
    assert len(stage.workers) == 2, "the next job gets a new worker"


def test_an_obeyed_cancel_sets_no_time_bomb(stage: Stage, later: list[float]) -> None:
    stage.submit("a", "b")
    stage.say(Ready(device="cpu"))
    stage.scheduler.cancel(ME, "a")
    stage.say(Cancelled(job="a"))
    later.append(2 * CANCEL_SECONDS)
    stage.scheduler.work()
    assert stage.scheduler.current == "b"
    assert not stage.worker.ended


def test_a_worker_that_never_gets_ready_fails_its_job(stage: Stage, later: list[float]) -> None:
    stage.submit("a")
    later.append(START_SECONDS + 1)
    stage.scheduler.work()
    (end,) = stage.ends()
    assert isinstance(end, Failed)
    assert end.code == "worker_died"
    assert stage.worker.ended


def test_a_cancel_while_the_worker_starts_leaves_its_deadline(stage: Stage, later: list[float]) -> None:
    stage.submit("a")
    stage.scheduler.cancel(ME, "a")
    assert stage.ends() == [Cancelled(job="a")]
    stage.submit("b")
    later.append(START_SECONDS + 1)
    stage.scheduler.work()
    assert isinstance(stage.ends()[-1], Failed)


def test_a_worker_that_cannot_be_started_fails_one_job_at_a_time(stage: Stage) -> None:
    stage.broken = True
    stage.submit("a")
    stage.broken = False
    stage.submit("b")
    assert [type(end) for end in stage.ends()] == [Failed]
    stage.say(Ready(device="cpu"), done("b"))
    stage.say(done("b"))
    assert stage.ends()[-1] == done("b")


def test_jobs_fail_on_when_no_worker_can_ever_be_started(stage: Stage) -> None:
    stage.submit("a")
    stage.submit("b", "c")
    stage.broken = True
    stage.worker.exit_code = 1
    for _ in range(4):
        stage.scheduler.work()
    assert [type(end) for end in stage.ends()] == [Failed] * 3
    assert stage.scheduler.idle


def test_only_a_clients_own_jobs_go_with_it(stage: Stage) -> None:
    stage.submit("a", "b")
    stage.scheduler.submit(b"other", order("c"), ())
    stage.say(Ready(device="cpu"))
    stage.scheduler.client_left(ME)
    stage.say(Cancelled(job="a"))
    assert stage.ends() == [Cancelled(job="b"), Cancelled(job="a")]
    assert stage.scheduler.current == "c"


def test_closing_ends_all(stage: Stage) -> None:
    stage.submit("a", "b")
    stage.say(Ready(device="cpu"))
    stage.scheduler.close()
    assert stage.ends() == [Cancelled(job="a"), Cancelled(job="b")]
    assert stage.worker.ended
    assert stage.scheduler.idle


def test_loads_add_up_over_workers(stage: Stage) -> None:
    stage.submit("a")
    stage.say(Ready(device="cpu"), Loaded(times=4))
    stage.say(Loaded(times=1), done("a"))
    assert stage.scheduler.loads == 5


def test_what_a_client_is_told_of_a_job(stage: Stage) -> None:
    stage.submit("a")
    stage.say(Ready(device="cpu"))
    stage.say(Progress(job="a", phase="text", step=1, steps=2), Frame(job="a", index=0, frames=1), done("a"))
    assert [client for client, _ in stage.heard] == [ME] * len(stage.heard)
    assert [type(message) for _, message in stage.heard] == [Accepted, Progress, Progress, Frame, Done]
    assert stage.heard[0][1] == Accepted(job="a", position=0)
