"""Unfinished jobs in their order. No question looks at more of them than its answer has."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections import Counter
from collections.abc import Collection, Container, Iterable, Iterator
from typing import TypeAlias, TypeVar

from ..orders import Sample
from .jobs import Job, Owner, State

Key: TypeAlias = tuple[float, str]
"""Where a job stands: its place, and its name where two have the same."""
Whose: TypeAlias = Owner | str | None
"""Jobs of an owner, of a principal, or all."""


_T = TypeVar("_T")


class Backlog:
    """Jobs that have not ended, each with a place; those that wait stand in line."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}
        self._keys: dict[str, Key] = {}
        self._active: dict[str, Job] = {}
        """Those that do not wait: about as many as there are workers."""
        self._lines: dict[Whose, list[Key]] = {}
        """Those that wait, in order: all, and of each principal and owner that has any."""
        self._unfinished: Counter[Whose] = Counter()
        self._pictures: Counter[str] = Counter()

    def __len__(self) -> int:
        return len(self._jobs)

    def __contains__(self, job_id: str) -> bool:
        return job_id in self._jobs

    def __iter__(self) -> Iterator[Job]:
        """All, by their places."""
        return iter([self._jobs[job_id] for job_id in sorted(self._keys, key=self._keys.__getitem__)])

    # Changes ------------------------------------------------------------------------------------------------

    def add(self, job: Job, place: float) -> None:
        """A job that was not there."""
        self._jobs[job.id], self._keys[job.id] = job, (place, job.id)
        self._unfinished.update(_lines_of(job))
        self._pictures.update(_pictures_of(job))
        self._enter(job)

    def change(self, job: Job) -> None:
        """A job that was there in another state."""
        self._leave(self._jobs[job.id])
        self._jobs[job.id] = job
        self._enter(job)

    def put(self, job_id: str, place: float) -> None:
        """Give a job another place."""
        job = self._jobs[job_id]
        self._leave(job)
        self._keys[job_id] = (place, job_id)
        self._enter(job)

    def remove(self, job_id: str) -> None:
        """A job has ended. Raises KeyError."""
        job = self._jobs[job_id]
        self._leave(job)
        del self._jobs[job_id], self._keys[job_id]
        _take_from(self._unfinished, _lines_of(job))
        _take_from(self._pictures, _pictures_of(job))

    # Questions ----------------------------------------------------------------------------------------------

    def get(self, job_id: str) -> Job | None:
        """The unfinished job of this name."""
        return self._jobs.get(job_id)

    def key(self, job_id: str) -> Key:
        """Where a job stands. Raises KeyError."""
        return self._keys[job_id]

    def unfinished(self, whose: Whose) -> int:
        """How many have not ended, those that do not wait included."""
        return self._unfinished[whose]

    @property
    def active(self) -> tuple[Job, ...]:
        """Those that do not wait, by their places."""
        return tuple(sorted(self._active.values(), key=lambda job: self._keys[job.id]))

    @property
    def pictures(self) -> Collection[str]:
        """Hashes of the pictures that they will read."""
        return self._pictures.keys()

    @property
    def owners(self) -> tuple[Owner, ...]:
        """Whose jobs wait."""
        return tuple(whose for whose in self._lines if isinstance(whose, Owner))

    def waiting(self, whose: Whose = None, after: Key | None = None) -> int:
        """How many wait, behind a place or at all."""
        line = self._lines.get(whose, [])
        return len(line) - _begin(line, after)

    def part(self, whose: Whose, count: int, after: Key | None = None) -> tuple[Job, ...]:
        """The first of those that wait, behind a place or at all."""
        line = self._lines.get(whose, [])
        begin = _begin(line, after)
        return tuple(self._jobs[job_id] for _, job_id in line[begin : begin + count])

    def first(self, but: Container[str] = ()) -> Job | None:
        """The job that comes next, but for these."""
        return next((self._jobs[job_id] for _, job_id in self._lines.get(None, ()) if job_id not in but), None)

    def rank(self, job_id: str) -> int:
        """How many wait before a job that waits. Raises KeyError."""
        return bisect_left(self._lines.get(None, []), self._keys[job_id])

    def neighbours(
        self, job_id: str, position: int, width: int = 0
    ) -> tuple[tuple[Job, ...], float | None, float | None]:
        """Where a waiting job would stand behind `position` others: the `width` next of these, and the places before
        the first of them and behind the last. None: nobody stands there. Raises KeyError."""
        line = self._lines.get(None, [])
        itself = self.rank(job_id)

        def at(index: int) -> Key | None:  # counted without the job itself
            index += index >= itself
            return line[index] if index < len(line) else None

        position = min(position, len(line) - 1)
        between = [key for key in map(at, range(position, position + width)) if key is not None]
        before = at(position - 1) if position else None
        behind = at(position + width)
        return (
            tuple(self._jobs[job_id] for _, job_id in between),
            None if before is None else before[0],
            None if behind is None else behind[0],
        )

    # Inside -------------------------------------------------------------------------------------------------

    def _enter(self, job: Job) -> None:
        if job.state is not State.QUEUED:
            self._active[job.id] = job
            return
        for whose in _lines_of(job):
            insort(self._lines.setdefault(whose, []), self._keys[job.id])

    def _leave(self, job: Job) -> None:
        if job.state is not State.QUEUED:
            del self._active[job.id]
            return
        key = self._keys[job.id]
        for whose in _lines_of(job):
            line = self._lines[whose]
            del line[bisect_left(line, key)]
            if not line:
                del self._lines[whose]


def _lines_of(job: Job) -> tuple[Whose, Whose, Whose]:
    return None, job.owner.principal, job.owner


def _begin(line: list[Key], after: Key | None) -> int:
    return 0 if after is None else bisect_right(line, after)


def _pictures_of(job: Job) -> tuple[str, ...]:
    return job.order.pictures if isinstance(job.order, Sample) else ()


def _take_from(counter: Counter[_T], names: Iterable[_T]) -> None:
    for name in names:
        counter[name] -= 1
        if not counter[name]:
            del counter[name]
