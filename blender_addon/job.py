"""One clip on its way, and the ways that it can go. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from shared_protocol.messages import Done, Generate, Phase

from .wish import Wish


class State(Enum):
    """Where a job is."""

    HELD = "held here until the backend is reached"
    SENT = "sent, not yet accepted"
    RUNNING = "accepted: waiting for its turn or being made"
    ADDING = "every frame is on disk, the strip is not yet there"
    DONE = "the strip is there"
    FAILED = "ended without a strip"
    CANCELLED = "ended because the artist asked"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})
NEXT: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.SENT, State.FAILED, State.CANCELLED}),
    State.SENT: frozenset({State.RUNNING, State.ADDING, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.ADDING, State.FAILED, State.CANCELLED}),
    State.ADDING: frozenset({State.DONE, State.FAILED, State.CANCELLED}),
    State.DONE: frozenset(),
    State.FAILED: frozenset(),
    State.CANCELLED: frozenset(),
}


@dataclass(frozen=True)
class Problem:
    """What went wrong, for panel and terminal."""

    sentence: str
    next_step: str = ""
    command: str = ""
    """The one command to run, if there is one."""


@dataclass
class Job:
    """One clip on its way."""

    id: str
    wish: Wish
    folder: str
    """Where its frames lie, for people."""
    state: State = State.HELD
    request: Generate | None = None
    done: Done | None = None
    phase: Phase = "waiting"
    position: int = 0
    step: int = 0
    steps: int = 0
    seconds_left: float | None = None
    written: set[int] = field(default_factory=set)
    warnings: list[str] = field(default_factory=list)
    problem: Problem | None = None
    cancel_asked: float | None = None
    heard: float = 0.0
    outcome: str = ""
    """One sentence about how it ended well."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0 … 1."""
        if self.state in (State.ADDING, State.DONE):
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0
