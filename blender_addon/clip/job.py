"""One clip on its way, and the ways that it can go. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from shared_protocol.messages import Done, Fetch, Generate, Phase

from .actions import Action, Tidy
from .wish import Wish

FETCH_FRAMES = 16
"""Frames that are asked for at once: what waits to be read stays small."""


class State(Enum):
    """Where a job is."""

    HELD = "held here until the backend is reached"
    SENT = "sent, not yet accepted"
    RUNNING = "accepted: waiting for its turn or being made"
    REATTACHING = "the backend was lost; the next one is asked for the job"
    FETCHING = "made; frames that are not here are fetched"
    ADDING = "every frame is on disk, the strip is not yet there"
    DONE = "the strip is there"
    FAILED = "ended without a strip"
    CANCELLED = "ended because the artist asked"


ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})
NEXT: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.SENT, State.FAILED, State.CANCELLED}),
    State.SENT: frozenset(
        {State.RUNNING, State.REATTACHING, State.FETCHING, State.ADDING, State.FAILED, State.CANCELLED}
    ),
    State.RUNNING: frozenset({State.REATTACHING, State.FETCHING, State.ADDING, State.FAILED, State.CANCELLED}),
    State.REATTACHING: frozenset({State.SENT, State.RUNNING, State.FAILED, State.CANCELLED}),
    State.FETCHING: frozenset({State.REATTACHING, State.ADDING, State.FAILED, State.CANCELLED}),
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


@dataclass(frozen=True)
class Place:
    """Where a clip goes: fixed when it is asked for, whatever the artist does meanwhile."""

    scene: int
    """The scene's session_uid, which a reference would not survive undo and a name no renaming."""
    frame_start: int
    channel: int
    """The wished channel; 0: the lowest free one."""


@dataclass
class Job:
    """One clip on its way."""

    id: str
    wish: Wish
    place: Place
    folder: str
    """Where its frames lie."""
    state: State = State.HELD
    request: Generate | None = None
    accepted: bool = False
    """Whether the backend has it, or had it."""
    losses: int = 0
    """How often the backend was lost meanwhile."""
    done: Done | None = None
    settled: bool = False
    """Whether the backend has told how it ended there."""
    fetch: Fetch | None = None
    """The frames that were asked for last."""
    phase: Phase = "waiting"
    position: int = 0
    step: int = 0
    steps: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    seconds_left: float | None = None
    written: set[int] = field(default_factory=set)
    """Frames on disk, of the present try."""
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
        if self.state in (State.FETCHING, State.ADDING, State.DONE):
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    def go(self, state: State) -> None:
        """Change the state, as NEXT allows."""
        if state not in NEXT[self.state]:
            raise AssertionError(f"a job cannot go from {self.state.name} to {state.name}")
        self.state = state

    def end(self, state: State) -> list[Action]:
        """End in this state."""
        self.go(state)
        return [] if state is State.DONE else [Tidy(self.id)]

    def fail(self, problem: Problem) -> list[Action]:
        """End without a strip."""
        self.problem = problem
        return self.end(State.FAILED)

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Keep what the artist should know, each sentence once."""
        self.warnings += [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.warnings]

    def begin_anew(self) -> None:
        """The backend makes it from the start again, or has made it without us: no frame of before counts."""
        self.written.clear()
        self.phase, self.step, self.steps, self.seconds_left = "waiting", 0, 0, None
        self.bytes_done = self.bytes_total = 0
        self.done, self.fetch = None, None

    def next_fetch(self) -> Fetch | None:
        """What to ask for next: the first frame that is not here, and what follows; None when all are here."""
        assert self.request is not None
        missing = sorted(set(range(self.request.frames)) - self.written)
        if not missing:
            return None
        return Fetch(job=self.id, first=missing[0], count=min(FETCH_FRAMES, missing[-1] + 1 - missing[0]))
