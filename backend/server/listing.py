"""Jobs in parts: pages of the list, and what a client that comes back is told. A part takes as long as it is itself,
however many jobs there are."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from shared_protocol.messages import AskJobs, Jobs, JobView, Message

from .backlog import Backlog, Key
from .jobs import Job
from .peers import Peer
from .scheduler import Scheduler
from .store import JobStore
from .views import pages, view

PART = 50
"""Jobs of which a client that comes back is told before somebody else has a turn."""
BEHIND = "g"
"""In a key: behind all names of jobs."""


class _Mark(NamedTuple):
    """Where a page ends."""

    place: float = 0.0
    """Of the waiting job that it ends with."""
    end_number: int = 0
    """Of the ended job that it ends with; 0: it has none yet."""
    told: int = 0
    """How many ended ones were listed up to there."""

    def text(self) -> str:
        """32 hex digits, which the client gives back without reading them."""
        return struct.pack(_MARK, *self).hex()

    @classmethod
    def read(cls, text: str) -> _Mark:
        """That of a text. One that we have not made marks some place or other."""
        return cls(*struct.unpack(_MARK, bytes.fromhex(text)))


_MARK = ">dIHxx"


class Listing:
    """Tells jobs to clients."""

    def __init__(self, store: JobStore, scheduler: Scheduler) -> None:
        self._store, self._scheduler = store, scheduler

    def page(self, client: Peer, asked: AskJobs) -> Jobs:
        """Jobs of the client's key, from a mark on."""
        principal = client.owner.principal
        mark = _Mark.read(asked.after) if asked.after else _Mark()
        running, waiting, left = self._unfinished(principal, asked, mark)
        before = mark.end_number or None
        ended_left = self._store.ended_count(principal, max(0, asked.ended - mark.told), before)
        ended = self._store.ended(principal, min(ended_left, asked.count - len(waiting)), before)
        jobs = (*running, *waiting, *ended)
        shown = next(pages(self._views(client, jobs)), ())
        left += ended_left - len(shown)
        return Jobs(
            queue=self._scheduler.state,
            jobs=shown,
            others=self._backlog.unfinished(None) - self._backlog.unfinished(principal),
            elsewhere=self._backlog.unfinished(principal) - self._backlog.unfinished(client.owner),
            left_out=left,
            after=asked.after,
            next=self._mark_behind(jobs[: len(shown)], mark).text() if left else "",
        )

    def one(self, client: Peer, job: Job) -> Jobs:
        """One job alone."""
        return Jobs(queue=self._scheduler.state, jobs=tuple(self._views(client, [job])))

    def missed(self, client: Peer, send: Callable[[Message], None]) -> Iterator[None]:
        """Tell a client that has come back of its jobs, in parts: where they stand, and how they ended meanwhile."""
        until = self._store.next_end_number()  # how others end it hears by itself
        told = 0
        for page in pages(self._views_of(client, self._parts(client, until)), PART):
            send(Jobs(queue=self._scheduler.state, jobs=page))
            told += len(page)
            if told >= PART:
                yield
                told = 0
        after = 0
        while ended := self._store.undelivered(client.owner, PART - told, after=after):
            for job in ended:
                after = self._store.end_number(job.id)
                if after >= until:
                    return
                assert job.end is not None
                send(job.end)
            told += len(ended)
            if told >= PART:
                yield
                told = 0

    # Inside -------------------------------------------------------------------------------------------------

    @property
    def _backlog(self) -> Backlog:
        return self._store.backlog

    def _unfinished(self, principal: str, asked: AskJobs, mark: _Mark) -> tuple[tuple[Job, ...], tuple[Job, ...], int]:
        """Running jobs and waiting ones of a page, and how many there are from the mark on."""
        if mark.end_number:
            return (), (), 0
        # Running ones come first, though a job that was moved to the front has an earlier place.
        running = () if asked.after else tuple(job for job in self._backlog.active if job.owner.principal == principal)
        after: Key | None = (mark.place, BEHIND) if asked.after else None
        waiting = self._backlog.part(principal, asked.count, after)
        return running, waiting, len(running) + self._backlog.waiting(principal, after)

    def _mark_behind(self, shown: tuple[Job, ...], mark: _Mark) -> _Mark:
        ended = sum(job.ended for job in shown)
        if ended:
            return _Mark(end_number=self._store.end_number(shown[-1].id), told=mark.told + ended)
        return _Mark(place=self._backlog.key(shown[-1].id)[0])

    def _parts(self, client: Peer, until: int) -> Iterator[tuple[Job, ...]]:
        """The client's own jobs: unfinished ones, then ended ones that it has not confirmed, the last first."""
        yield tuple(job for job in self._backlog.active if job.owner == client.owner)
        after: Key | None = None
        while jobs := self._backlog.part(client.owner, PART, after):
            after = self._backlog.key(jobs[-1].id)
            yield jobs
        while jobs := self._store.undelivered(client.owner, PART, before=until):
            until = self._store.end_number(jobs[-1].id)
            yield jobs

    def _views_of(self, client: Peer, parts: Iterable[tuple[Job, ...]]) -> Iterator[JobView]:
        for jobs in parts:
            yield from self._views(client, jobs)

    def _views(self, client: Peer, jobs: Iterable[Job]) -> Iterator[JobView]:
        jobs = tuple(jobs)
        where = self._scheduler.forecast(job for job in jobs if not job.ended)
        for job in jobs:
            yield view(job, client.owner, where.get(job.id), self._scheduler.progress(job.id))
