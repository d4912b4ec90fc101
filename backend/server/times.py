"""How long jobs take and when they will be finished, learned from those that were made.

Places are counted whenever they are asked for. The time of a job takes a look at all that come before it: those that
come next are foreseen whenever they are asked for, all of them in parts, beside all else, as long as somebody asks for
them. What is submitted meanwhile is put behind the last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import NamedTuple, TypeAlias

from shared_protocol.messages import Progress

from ..orders import Order
from . import pace
from .forecast import Forecast, Outlook
from .jobs import Job, State
from .peers import Audience
from .slot import Slot
from .store import JobStore

TELL_SECONDS = 2.0
"""How often waiting jobs are told their place and time, and the times of those far behind are foreseen anew."""
STALE_SECONDS = 10.0
"""After so long these say nothing any more, for nobody has asked for them: all are foreseen at once."""
FRESH = 50
"""So many of the waiting jobs come next: their times are foreseen whenever they are asked for."""
FORESEEN_AT_ONCE = 500
"""Waiting jobs whose times are foreseen in one round."""
LOOKED_AT = 200
"""Waiting jobs that are looked at in one round, whether there is something to tell of them."""

News: TypeAlias = tuple[Job, Progress]


class Times:
    """Places and times of unfinished jobs."""

    def __init__(
        self,
        store: JobStore,
        slots: Sequence[Slot],
        clock: Callable[[], float],
        audience: Callable[[], Audience] | None = None,
    ) -> None:
        """`audience`: who hears of jobs now; if not given, everybody is there."""
        self._store, self._backlog, self._slots, self._clock = store, store.backlog, slots, clock
        self._audience = audience or (lambda: Audience(self._backlog.owners, ()))
        self._told: dict[str, int] = {}
        """The place that each waiting job was told last."""
        self._told_at = clock()
        self._telling: Iterator[list[News]] = iter(())
        self._seen: _Seen | None = None
        self._looking: Iterator[None] = iter(())
        self._far_asked = False
        """Whether somebody wanted to know the times of those far behind, since they were foreseen."""
        self._work: dict[str, tuple[str, float]] = {}
        """Kind and units of each unfinished job's work, as far as they were counted."""

    def forecast(self, jobs: Iterable[Job]) -> dict[str, Forecast]:
        """Place and time of these unfinished jobs, by their names."""
        slots = {slot.job: slot for slot in self._slots if slot.job is not None}
        ends, now = _Ends(self._near, self._far), self._clock()
        found = {}
        for job in jobs:
            if job.id in slots:
                found[job.id] = Forecast(0, self._left(slots[job.id]))
            elif job.state is not State.QUEUED:
                found[job.id] = Forecast(0, 0.0)  # its end the disk has not taken yet
            else:
                place = self._backlog.rank(job.id)
                end = ends.of(job.id, place)
                left = None if end is None else max(0.0, round(end - now, 1))
                found[job.id] = Forecast(len(slots) + place, left, place)
        return found

    def accepted(self, job: Job) -> Forecast:
        """Place and time of a job that has just come to the end of the queue."""
        if self._seen is not None:
            self._seen.put_last(job.id, self._expected(job))
        where = self.forecast([job])[job.id]
        self._told[job.id] = where.position
        return where

    def news(self) -> list[News]:
        """What waiting jobs are to be told now: those whose place has changed, and somebody hears of. To be called
        often: a long queue is told in parts."""
        self._look_again()
        now = self._clock()
        part = next(self._telling, None)
        if part is None and now - self._told_at >= TELL_SECONDS:
            self._told_at = now
            self._telling = self._parts()
            part = next(self._telling, None)
        return part or []

    def learn(self, slot: Slot, job: Job) -> None:
        """A slot has made a job: remember how fast that was. Raises StoreRefuses."""
        if slot.sampling_since is not None:
            seconds = (self._clock() - slot.sampling_since) / pace.units(job.order)
            self._store.learn(pace.kind(job.order), seconds)

    def of(self, order: Order) -> float | None:
        """Seconds that an order takes when its models are loaded, or None while nothing like it was made."""
        known = self._store.pace(pace.kind(order))
        return None if known is None else known * pace.units(order)

    # Inside -------------------------------------------------------------------------------------------------

    def _expected(self, job: Job) -> float | None:
        work = self._work.get(job.id)
        if work is None:
            work = self._work[job.id] = (pace.kind(job.order), pace.units(job.order))
        known = self._store.pace(work[0])
        return None if known is None else known * work[1]

    def _left(self, slot: Slot) -> float | None:
        """Seconds until a slot's job is finished."""
        if slot.progress is not None and slot.progress.seconds_left is not None:
            return slot.progress.seconds_left
        job = self._backlog.get(slot.job or "")
        return None if job is None else self._expected(job)

    def _near(self) -> _Seen:
        """When those will be finished that come next."""
        return self._look(self._backlog.part(None, FRESH))

    def _far(self) -> _Seen:
        """When all waiting jobs will be finished, as it looked lately."""
        self._far_asked = True
        if self._seen is None or self._clock() - self._seen.at >= STALE_SECONDS:
            self._seen, self._looking = self._look(self._store.queued()), iter(())
        return self._seen

    def _look(self, waiting: Iterable[Job]) -> _Seen:
        left = [self._left(slot) for slot in self._slots if slot.job is not None]
        seen = _Seen(self._clock(), Outlook(left, len(self._slots)), {})
        self._put_last(seen, waiting)
        return seen

    def _put_last(self, seen: _Seen, jobs: Iterable[Job]) -> None:
        for job in jobs:
            seen.put_last(job.id, self._expected(job))

    def _look_again(self) -> None:
        """Foresee another part of those far behind, if that was long ago."""
        done = object()
        if next(self._looking, done) is not done or self._seen is None or not self._far_asked:
            return
        if self._clock() - self._seen.at >= TELL_SECONDS:
            self._far_asked = False
            self._looking = self._look_in_parts()

    def _look_in_parts(self) -> Iterator[None]:
        seen, after = self._look(()), None
        while jobs := self._backlog.part(None, FORESEEN_AT_ONCE, after):
            after = self._backlog.key(jobs[-1].id)
            self._put_last(seen, jobs)
            yield
        self._seen = seen

    def _parts(self) -> Iterator[list[News]]:
        """All that is to be told, in parts."""
        owners, watched = self._audience()
        for owner in owners:
            after = None
            while jobs := self._backlog.part(owner, LOOKED_AT, after):
                after = self._backlog.key(jobs[-1].id)
                yield self._changed(jobs)
        rest = list(watched)
        for begin in range(0, len(rest), LOOKED_AT):
            found = map(self._backlog.get, rest[begin : begin + LOOKED_AT])
            yield self._changed([job for job in found if job is not None and job.state is State.QUEUED])
        self._told = {job_id: place for job_id, place in self._told.items() if self._waits(job_id)}
        self._work = {job_id: work for job_id, work in self._work.items() if job_id in self._backlog}

    def _waits(self, job_id: str) -> bool:
        job = self._backlog.get(job_id)
        return job is not None and job.state is State.QUEUED

    def _changed(self, jobs: Sequence[Job]) -> list[News]:
        where = self.forecast(jobs)
        changed = [job for job in jobs if self._told.get(job.id) != where[job.id].position]
        self._told.update((job.id, where[job.id].position) for job in changed)
        return [(job, _waiting(job, where[job.id])) for job in changed]


class _Seen(NamedTuple):
    """When waiting jobs will be finished, as it looked at one moment."""

    at: float
    """On the clock."""
    outlook: Outlook
    ends: dict[str, float]
    """On the clock, of the jobs of which it is known."""

    def put_last(self, job_id: str, takes: float | None) -> None:
        """A job comes behind all others."""
        end = self.outlook.give(takes)
        if end is not None:
            self.ends[job_id] = self.at + end


class _Ends:
    """When jobs will be finished. Foreseen when the first is asked about that needs it."""

    def __init__(self, near: Callable[[], _Seen], far: Callable[[], _Seen]) -> None:
        self._near, self._far = cache(near), cache(far)

    def of(self, job_id: str, place: int) -> float | None:
        """On the clock, of a waiting job at a place; None: unknown."""
        return (self._near if place < FRESH else self._far)().ends.get(job_id)


def _waiting(job: Job, where: Forecast) -> Progress:
    return Progress(
        job=job.id, phase="waiting", step=0, steps=0, position=where.position, seconds_left=where.seconds_left
    )
