"""Places and times of waiting jobs: the same as if all were foreseen, and how few are looked at for it."""

from __future__ import annotations

import heapq
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.server import pace
from backend.server import times as times_module
from backend.server.forecast import Forecast
from backend.server.jobs import Job, Owner, State
from backend.server.peers import Audience
from backend.server.store import JobStore
from backend.server.times import FRESH, LOOKED_AT, STALE_SECONDS, TELL_SECONDS, Times
from shared_protocol.messages import Cancelled, Progress
from tests.backend.orders import done, order

ME, YOU = Owner("local", "1" * 32), Owner("studio", "2" * 32)


class Hall:
    """Times with slots that run what a test says, and a clock that it sets."""

    def __init__(self, workers: int = 1) -> None:
        self.store, self.now = JobStore(None), 500.0
        self.slots: list[Any] = [SimpleNamespace(job=None, progress=None) for _ in range(workers)]
        self.audience: Audience | None = None
        self.times = Times(
            self.store, self.slots, lambda: self.now, lambda: self.audience or Audience(self.store.backlog.owners, ())
        )
        self.number = 0

    def submit(self, owner: Owner = ME, frames: int = 1) -> Job:
        self.number += 1
        job = Job(f"{self.number:032x}", owner, msgspec.structs.replace(order(), frames=frames))
        self.store.add(job)
        self.times.accepted(job)
        return job

    def run(self, worker: int, job: Job, left: float | None = None) -> None:
        self.store.move(job.id, State.LOADING)
        progress = Progress(job=job.id, phase="painting", step=1, steps=2, seconds_left=left)
        self.slots[worker] = SimpleNamespace(job=job.id, progress=progress)

    def rounds(self, count: int) -> list[list[str]]:
        """Whose news there were in each of some rounds."""
        found = []
        for _ in range(count):
            found.append([job.id for job, _ in self.times.news()])
        return found


@pytest.fixture
def hall() -> Hall:
    return Hall()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=20), st.lists(st.floats(0, 60), max_size=3), st.integers(0, 2))
def test_times_are_those_of_giving_each_job_to_the_worker_that_is_free_first(
    frames: list[int], left: list[float], idle: int
) -> None:
    hall = Hall(workers=max(1, len(left) + idle))
    running = [hall.submit() for _ in left]
    for worker, (job, seconds) in enumerate(zip(running, left, strict=True)):
        hall.run(worker, job, seconds)
    waiting = [hall.submit(frames=count) for count in frames]
    hall.store.learn(pace.kind(order()), 1000.0)
    free = [*left, *[0.0] * (len(hall.slots) - len(left))]
    heapq.heapify(free)
    where = hall.times.forecast(waiting)
    for place, job in enumerate(waiting):
        end = heapq.heappop(free) + 1000.0 * pace.units(job.order)
        heapq.heappush(free, end)
        assert where[job.id] == (len(left) + place, round(end, 1), place)


def test_a_job_whose_end_is_not_stored_yet_comes_before_all_and_takes_no_time(hall: Hall) -> None:
    made, waits = hall.submit(), hall.submit()
    hall.store.move(made.id, State.LOADING)
    where = hall.times.forecast(hall.store.unfinished())
    assert where == {made.id: Forecast(0, 0.0), waits.id: Forecast(0, None)}


def test_a_time_is_unknown_until_such_a_clip_was_made(hall: Hall) -> None:
    first, second = hall.submit(), hall.submit()
    assert [one.seconds_left for one in hall.times.forecast([first, second]).values()] == [None, None]


@pytest.fixture
def looked_at(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the jobs whose times were looked at."""
    seen: list[str] = []
    real = Times._expected

    def expected(self: Times, job: Job) -> float | None:
        seen.append(job.id)
        return real(self, job)

    monkeypatch.setattr(Times, "_expected", expected)
    return seen


def test_a_submission_looks_at_few_jobs_however_many_wait(hall: Hall, looked_at: list[str]) -> None:
    hall.store.learn(pace.kind(order()), 1.0)
    for _ in range(5 * FRESH):
        hall.submit()
    looked_at.clear()
    for _ in range(20):
        hall.submit()
    assert len(looked_at) <= 20


def test_the_times_of_a_long_queue_are_foreseen_in_parts_while_somebody_asks(
    hall: Hall, looked_at: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(times_module, "FORESEEN_AT_ONCE", 100)
    count = 5 * FRESH
    for _ in range(count):
        last = hall.submit()
    hall.store.learn(pace.kind(order()), 1000.0)
    assert hall.times.forecast([last])[last.id].seconds_left is None, "as it looked when it was submitted"
    hall.now += TELL_SECONDS
    parts = []
    for _ in range(8):
        looked_at.clear()
        hall.times._look_again()
        parts.append(len(looked_at))
    assert sum(parts) == count
    assert max(parts) == 100
    left = hall.times.forecast([last])[last.id].seconds_left
    assert left == pytest.approx(count * 1000.0 * pace.units(order()), abs=0.1)
    hall.now += TELL_SECONDS
    for _ in range(8):
        hall.times._look_again()
    looked_at.clear()
    hall.now += TELL_SECONDS
    for _ in range(8):
        hall.times._look_again()
    assert not looked_at, "nobody has asked since"
    hall.now += STALE_SECONDS
    assert hall.times.forecast([last])[last.id].seconds_left == left, "as if it was foreseen just now"
    assert len(looked_at) == count


def test_a_page_looks_at_those_that_come_next_and_no_more(hall: Hall, looked_at: list[str]) -> None:
    for _ in range(5 * FRESH):
        hall.submit()
    looked_at.clear()
    hall.times.forecast(hall.store.backlog.part(None, FRESH))
    assert len(looked_at) == FRESH


def test_a_job_behind_a_long_queue_gets_the_time_of_all_before_it(hall: Hall) -> None:
    hall.store.learn(pace.kind(order()), 1000.0)
    takes = 1000.0 * pace.units(order())
    count = 2 * FRESH
    for _ in range(count):
        last = hall.submit()
    assert hall.times.forecast([last])[last.id].seconds_left == pytest.approx(count * takes, abs=0.1)
    hall.now += TELL_SECONDS / 2
    one_more = hall.submit()
    told = hall.times.forecast([one_more])[one_more.id]
    assert told.position == told.place == count
    assert told.seconds_left == pytest.approx((count + 1) * takes - TELL_SECONDS / 2, abs=0.1)


def test_a_long_queue_is_told_in_parts_and_each_change_once(hall: Hall) -> None:
    jobs = [hall.submit() for _ in range(2 * LOOKED_AT + 10)]
    hall.run(0, jobs[0])
    hall.store.finish(Cancelled(job=jobs[0].id))
    hall.slots[0] = SimpleNamespace(job=None, progress=None)
    assert hall.rounds(1) == [[]]
    hall.now += TELL_SECONDS
    rounds = hall.rounds(6)
    assert [len(each) for each in rounds] == [LOOKED_AT, LOOKED_AT, 9, 0, 0, 0]
    assert [name for each in rounds for name in each] == [job.id for job in jobs[1:]]
    hall.now += TELL_SECONDS
    assert hall.rounds(6) == [[]] * 6, "nothing has changed"


def test_what_nobody_hears_is_not_looked_at(hall: Hall) -> None:
    mine = [hall.submit() for _ in range(3)]
    yours = [hall.submit(YOU) for _ in range(3)]
    gone = hall.submit()
    hall.store.put_at(gone.id, 0)
    hall.audience = Audience({ME}, ())
    hall.now += TELL_SECONDS
    assert hall.rounds(3) == [[gone.id, *(job.id for job in mine)], [], []]
    hall.audience = Audience(set(), {yours[1].id})
    hall.now += TELL_SECONDS
    assert hall.rounds(2) == [[yours[1].id], []]
    hall.audience = Audience(set(), {"f" * 32})
    hall.now += TELL_SECONDS
    assert hall.rounds(2) == [[], []]
    hall.audience = Audience({YOU}, {yours[1].id})
    hall.now += TELL_SECONDS
    assert hall.rounds(2) == [[yours[0].id, yours[2].id], []]


def test_jobs_that_leave_the_queue_while_it_is_told_are_passed_over(hall: Hall) -> None:
    jobs = [hall.submit() for _ in range(LOOKED_AT + 5)]
    last = hall.submit()
    hall.store.put_at(last.id, 0)
    hall.now += TELL_SECONDS
    first = hall.rounds(1)[0]
    assert len(first) == LOOKED_AT
    for job in jobs[LOOKED_AT - 1 : LOOKED_AT + 2]:
        hall.store.move(job.id, State.LOADING)
    assert hall.rounds(1) == [[job.id for job in jobs[LOOKED_AT + 2 :]]]


def test_nothing_is_remembered_of_jobs_that_have_ended(hall: Hall) -> None:
    hall.store.learn(pace.kind(order()), 1.0)
    job = hall.submit()
    hall.times.forecast([job])
    assert hall.times._told
    assert hall.times._work
    hall.store.move(job.id, State.LOADING)
    hall.store.finish(done(job.id))
    hall.now += TELL_SECONDS
    hall.rounds(2)
    assert not hall.times._told
    assert not hall.times._work
