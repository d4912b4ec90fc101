"""Clocks that jump: someone sets the date, a laptop sleeps. Nothing counts as stuck, and the queue keeps its order."""

from __future__ import annotations

import itertools
import time
from pathlib import Path
from typing import Any

import pytest

from backend.orders import Ready
from backend.server.clock import LONGEST_STEP, AwakeClock
from backend.server.jobs import Job, State
from backend.server.slot import START_SECONDS
from backend.server.store import JobStore
from shared_protocol.messages import Cancel, Cancelled, Done, Jobs, Notice, Progress
from tests.backend import orders
from tests.backend.harness import ENDS, greet, pid_of, running
from tests.backend.server.test_scheduler import ME, Stage

YEAR = 365 * 86_400.0
JUMPS = (YEAR, -3 * YEAR, 10 * YEAR, -YEAR, 2 * YEAR, -2 * YEAR)
"""Where the clock stands at each look, beside the true time."""
A, B, C, D = (letter * 32 for letter in "abcd")


class Jumping:
    """A clock that goes as told, and stands at another year at each look."""

    def __init__(self) -> None:
        self.true = 0.0
        self._jumps = itertools.cycle(JUMPS)

    def __call__(self) -> float:
        return self.true + next(self._jumps)


@pytest.fixture
def jumping() -> Jumping:
    return Jumping()


@pytest.fixture
def stage(tmp_path: Path, jumping: Jumping, monkeypatch: pytest.MonkeyPatch) -> Stage:
    """A scheduler by a clock that jumps; it would take a worker for stuck after 100 s, and end an idle one after 50."""
    clock = AwakeClock(jumping)
    monkeypatch.setattr(Stage, "clock", lambda self: clock())
    return Stage(tmp_path, silence=100, idle=50)


def test_only_time_awake_counts(jumping: Jumping) -> None:
    clock = AwakeClock(jumping)
    seen = [clock() for _ in range(1000)]
    assert seen == sorted(seen)
    assert all(after - before <= LONGEST_STEP for before, after in itertools.pairwise(seen))


def test_time_that_passes_in_small_steps_is_the_true_time() -> None:
    now = [5.0]
    clock = AwakeClock(lambda: now[0])
    for _ in range(100):
        now[0] += 0.25
        clock()
    assert clock() == 25.0


def test_jumps_make_no_worker_stuck_late_or_idle(stage: Stage) -> None:
    stage.submit(A)
    for _ in range(4):
        stage.scheduler.work()
    assert not stage.worker.ended, "it may still be starting"
    stage.say(Ready(device="cpu"))
    for _ in range(4):
        stage.scheduler.work()
    stage.cancel(A)
    for _ in range(4):
        stage.scheduler.work()
    assert not stage.worker.ended, "it may still be about to obey"
    stage.say(Cancelled(job=A))
    for _ in range(4):
        stage.scheduler.work()
    assert not stage.worker.ended, "it has not been idle for long"
    assert stage.ended() == [(Cancelled, A)]
    assert not [message for message in stage.heard if isinstance(message, Notice)]
    assert stage.worker.told[1:] == [Cancel(job=A)]


def test_what_is_stuck_is_still_noticed(stage: Stage, jumping: Jumping) -> None:
    stage.submit(A)
    for _ in range(2 * int(START_SECONDS)):
        jumping.true += 1.0
        stage.scheduler.work()
    assert stage.workers[0].ended


def test_the_order_of_the_queue_does_not_hang_on_the_date(tmp_path: Path) -> None:
    dates = dict(zip((A, B, C, D), (5 * YEAR, 0.0, 50 * YEAR, -YEAR), strict=True))
    store = JobStore(tmp_path / "queue.db")
    for name, date in dates.items():
        store.add(Job(name, ME, orders.order(), submitted=date))
    assert [job.id for job in store.queued()] == [A, B, C, D]
    store.close()
    store = JobStore(tmp_path / "queue.db")
    assert [job.id for job in store.queued()] == [A, B, C, D]
    for name in (C, A, D, B):
        store.move(name, State.LOADING)
        store.finish(orders.done(name), 1)
    assert [job.id for job in store.undelivered(ME)] == [C, A, D, B]
    assert [job.id for job in store.ended("local", 9)] == [B, D, A, C]
    assert [job for job, *_ in store.results()] == [C, A, D, B]


@pytest.fixture
def wall_clock_jumps(tmp_path: Path) -> dict[str, Any]:
    """Variables under which the date is another one each time that a process asks for it."""
    (tmp_path / "jump").mkdir()
    code = (
        "import itertools, time\n"
        f"jumps, real = itertools.cycle({JUMPS}), time.time\n"
        "time.time = lambda: abs(real() + next(jumps))\n"
    )
    (tmp_path / "jump" / "sitecustomize.py").write_text(code, encoding="utf-8")
    return {"PYTHONPATH": str(tmp_path / "jump")}


def test_a_backend_whose_date_jumps_does_its_work(wall_clock_jumps: dict[str, Any]) -> None:
    limits = ("--grace", "12", "--silence", "12", "--idle", "12")
    with running(*limits, step_seconds=0.02, **wall_clock_jumps) as backend:
        with backend.client(client_id="1" * 32) as client:
            jobs = [client.submit(seed=seed) for seed in range(3)]
            client.expect(Progress, lambda message: message.phase == "painting")
            dates = [view.submitted for view in client.jobs().jobs]
            assert any(abs(date - time.time()) > YEAR / 2 for date in dates), "the date did jump"
            assert [view.job for view in client.jobs().jobs] == jobs
            client.until_settled()
            assert [message.job for message, _ in client.heard if isinstance(message, Done)] == jobs
            assert not [message for message, _ in client.heard if isinstance(message, Notice)]
            first = pid_of(client.status())
        time.sleep(3.0)
        assert backend.process.poll() is None, "the grace is not over"
        with backend.client(client_id="1" * 32) as client:
            greet(client)
            assert [view.job for view in client.expect(Jobs).jobs] == jobs[::-1]
            client.status()
            assert [message.job for message, _ in client.heard if isinstance(message, ENDS)] == jobs
            assert pid_of(client.status()) == first, "it was not idle for long"
