"""Jobs: their states, and to whom they belong. `store` keeps them.

queued ──► loading ──► running ──► done
 │  ▲         │           │
 │  └─────────┴───────────┤        (its worker or the backend ended: it waits again, at its old place)
 └────────────────────────┴──────► failed, cancelled
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from shared_protocol.messages import Terminal

from ..orders import Order


class State(Enum):
    """Where a job stands."""

    QUEUED = "queued"
    LOADING = "loading"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_ENDS = frozenset({State.DONE, State.FAILED, State.CANCELLED})
ALLOWED: dict[State, frozenset[State]] = {
    State.QUEUED: frozenset({State.LOADING, State.FAILED, State.CANCELLED}),
    State.LOADING: frozenset({State.QUEUED, State.RUNNING}) | _ENDS,
    State.RUNNING: frozenset({State.QUEUED}) | _ENDS,
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
class Owner:
    """To whom a job belongs."""

    principal: str
    """Whose key it came with: "local" for this machine's own user, else the listed public key."""
    client_id: str
    """Under which the client comes back: 32 hex digits."""


@dataclass(frozen=True)
class Job:
    """One accepted request."""

    id: str
    owner: Owner
    order: Order
    prompt: str = ""
    """As the user wrote it."""
    state: State = State.QUEUED
    submitted: float = 0.0
    """Seconds since 1970; for people, nothing is computed from it."""
    losses: int = 0
    """How many workers have ended while they had it."""
    interruptions: int = 0
    """How many times the backend has ended while it was under way."""
    end: Terminal | None = None
    received: bool = False
    """Whether its client has all that it wants of it."""
    bytes: int = 0
    """Size of its result; 0: there is none."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will come of it."""
        return self.state in _ENDS
