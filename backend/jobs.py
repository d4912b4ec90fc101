"""Jobs: their states, and where they are kept.

    queued ──► loading ──► running ──► done
       │          │           │
       └──────────┴───────────┴──────► failed, cancelled

The store is an interface: the one here forgets everything with the process, a durable one will take its place.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from .orders import Sample


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


ALLOWED: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.LOADING, State.FAILED, State.CANCELLED}),
    State.LOADING: frozenset({State.RUNNING, State.DONE, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}
"""From which state a job may go to which. A state without a way out is an end, so no job ends twice."""


class WrongState(Exception):
    """A job was to go where its state does not lead."""


class DuplicateJob(Exception):
    """A job of this name exists or existed."""


@dataclass(frozen=True)
class Job:
    """One accepted request."""

    id: str
    client: bytes
    """Identity of the client that submitted it, to whom alone it belongs."""
    order: Sample
    state: State = State.QUEUED

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return not ALLOWED[self.state]


class JobStore(Protocol):
    """Where jobs are kept. Every change of a job's state goes through `move`."""

    def add(self, job: Job) -> None:
        """Put a queued job at the end of the queue. Raises DuplicateJob."""

    def get(self, job_id: str) -> Job | None:
        """The job of this name, or None if it never was or is forgotten."""

    def move(self, job_id: str, state: State) -> Job:
        """Change a job's state and return the job as it is then. Raises WrongState, or KeyError."""

    def queued(self) -> tuple[Job, ...]:
        """Jobs that wait, first the one that comes next."""

    def unfinished(self) -> tuple[Job, ...]:
        """Jobs that have not ended, oldest first."""


class MemoryStore:
    """A JobStore that ends with the process. Ended jobs are forgotten, oldest first."""

    def __init__(self, remembered: int = 1000) -> None:
        """`remembered`: how many ended jobs to know still, so that a name is not used twice."""
        self._jobs: dict[str, Job] = {}  # in order of arrival
        self._ended: deque[str] = deque()
        self._remembered = remembered

    def add(self, job: Job) -> None:
        """See JobStore."""
        if job.id in self._jobs:
            raise DuplicateJob(job.id)
        self._jobs[job.id] = job

    def get(self, job_id: str) -> Job | None:
        """See JobStore."""
        return self._jobs.get(job_id)

    def move(self, job_id: str, state: State) -> Job:
        """See JobStore."""
        job = self._jobs[job_id]
        if state not in ALLOWED[job.state]:
            raise WrongState(f"{job.state.value} → {state.value}")
        job = self._jobs[job_id] = replace(job, state=state)
        if job.ended:
            self._ended.append(job_id)
            while len(self._ended) > self._remembered:
                del self._jobs[self._ended.popleft()]
        return job

    def queued(self) -> tuple[Job, ...]:
        """See JobStore."""
        return tuple(job for job in self._jobs.values() if job.state is State.QUEUED)

    def unfinished(self) -> tuple[Job, ...]:
        """See JobStore."""
        return tuple(job for job in self._jobs.values() if not job.ended)
