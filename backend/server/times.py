"""How long jobs take and when they will be finished, learned from those that were made."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from shared_protocol.messages import Progress

from ..orders import Order
from . import pace
from .forecast import Forecast, forecast
from .jobs import Job
from .slot import Slot
from .store import JobStore

TELL_SECONDS = 2.0
"""How often waiting jobs are told their place and time."""


class Times:
    """Places and times of unfinished jobs."""

    def __init__(self, store: JobStore, slots: Sequence[Slot], clock: Callable[[], float]) -> None:
        self._store, self._slots, self._clock = store, slots, clock
        self._told: dict[str, int] = {}
        """The place that each waiting job was told last."""
        self._told_at = clock()

    def forecast(self) -> dict[str, Forecast]:
        """Place and time of every unfinished job."""
        running = {slot.job: slot.progress for slot in self._slots if slot.job is not None}
        return forecast(self._store.unfinished(), running, len(self._slots), self._expected)

    def accepted(self, job: Job) -> Forecast:
        """Place and time of a new job."""
        where = self.forecast()[job.id]
        self._told[job.id] = where.position
        return where

    def news(self) -> Iterator[tuple[Job, Progress]]:
        """What waiting jobs are to be told now: those whose place has changed."""
        now = self._clock()
        if now - self._told_at < TELL_SECONDS:
            return
        self._told_at = now
        waiting = self._store.queued()
        where = self.forecast() if waiting else {}
        told, self._told = self._told, {job.id: where[job.id].position for job in waiting}
        for job in waiting:
            position, left, _ = where[job.id]
            if told.get(job.id) != position:
                yield (
                    job,
                    Progress(job=job.id, phase="waiting", step=0, steps=0, position=position, seconds_left=left),
                )

    def learn(self, slot: Slot, job: Job) -> None:
        """A slot has made a job: remember how fast that was. Raises StoreRefuses."""
        if slot.sampling_since is not None:
            seconds = (self._clock() - slot.sampling_since) / pace.units(job.order)
            self._store.learn(pace.kind(job.order), seconds)

    def of(self, order: Order) -> float | None:
        """Seconds that an order takes when its models are loaded, or None while nothing like it was made."""
        known = self._store.pace(pace.kind(order))
        return None if known is None else known * pace.units(order)

    def _expected(self, job: Job) -> float | None:
        return self.of(job.order)
