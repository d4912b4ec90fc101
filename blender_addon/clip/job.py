"""One clip on its way, and the ways that it can go. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import msgspec

from shared_protocol.messages import Done, Fetch, Generate, Phase

from .actions import Action, Read, Send, Tidy
from .pictures import NONE as NO_PICTURES
from .pictures import Pictures

FETCH_FRAMES = 4
"""Frames that are asked for at once from another machine: what waits to be read stays small."""


class State(Enum):
    """Where a job is."""

    HELD = "held here until the backend is reached"
    READING = "the pictures that it starts from are on their way to the backend"
    SENT = "sent, not yet accepted"
    RUNNING = "accepted: waiting for its turn or being made"
    REATTACHING = "the backend was lost, or this Blender was; the next one is asked for the job"
    MADE = "the backend has the clip; nothing in the open file has asked for its frames yet"
    FETCHING = "its frames are on their way to the project"
    FILLING = "every frame is on disk, the strips do not show them yet"
    DONE = "the strips show it"
    FAILED = "ended without a clip"
    CANCELLED = "ended because the artist asked, or took its strip away"


NO_BACKEND = "no_backend"
"""The code of a backend that cannot be had."""
ENDED = frozenset({State.DONE, State.FAILED, State.CANCELLED})
NEXT: dict[State, frozenset[State]] = {
    State.HELD: frozenset({State.READING, State.SENT, State.FAILED, State.CANCELLED}),
    State.READING: frozenset({State.HELD, State.SENT, State.FAILED, State.CANCELLED}),
    State.SENT: frozenset({State.RUNNING, State.REATTACHING, State.MADE, State.FAILED, State.CANCELLED}),
    State.RUNNING: frozenset({State.REATTACHING, State.MADE, State.FAILED, State.CANCELLED}),
    State.REATTACHING: frozenset({State.SENT, State.RUNNING, State.FAILED, State.CANCELLED}),
    State.MADE: frozenset({State.REATTACHING, State.FETCHING, State.FILLING, State.FAILED, State.CANCELLED}),
    State.FETCHING: frozenset({State.REATTACHING, State.FILLING, State.FAILED, State.CANCELLED}),
    State.FILLING: frozenset({State.DONE, State.FAILED, State.CANCELLED}),
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
    code: str = ""
    """A word for it, for scripts: the protocol's, or one of docs/SCRIPTS.md where it comes from here."""

    def __str__(self) -> str:
        return " ".join(filter(None, (self.sentence, self.next_step, self.command)))


@dataclass(frozen=True)
class Preview:
    """A clip as it looks while it is made: frames beside each other in one PNG."""

    png: bytes
    frames: int


@dataclass
class Job:
    """One clip on its way."""

    id: str
    request: Generate
    folder: str
    """Where its frames lie, or will."""
    state: State = State.HELD
    pictures: Pictures = NO_PICTURES
    """From the edit, to be read before it is sent."""
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
    previews: bool = False
    """Whether the backend is asked for previews of it."""
    preview: Preview | None = None
    """The newest."""
    written: set[int] = field(default_factory=set)
    """Frames on disk."""
    warnings: list[str] = field(default_factory=list)
    problem: Problem | None = None
    cancel_asked: float | None = None
    heard: float = 0.0
    seen: float | None = None
    """When a strip of it was last in the open file; None: not since that file was opened."""
    adopted: bool = False
    """Whether an earlier Blender has asked for it, or this one before it was forgotten."""
    removed: bool = False
    """Whether it was cancelled because its strip was taken away; undo may bring that back."""

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self.state in ENDED

    @property
    def frames(self) -> int:
        """How many the backend delivers, once it has told; before, how many it samples."""
        return self.request.frames if self.done is None else self.done.frames

    @property
    def has_frames(self) -> bool:
        """Whether frames are in its folder, or on their way there."""
        return bool(self.written) or self.state in (State.FETCHING, State.FILLING)

    @property
    def fraction(self) -> float:
        """How much of the work is done, 0 … 1."""
        if self.state in (State.MADE, State.FETCHING, State.FILLING, State.DONE):
            return 1.0
        return min(1.0, self.step / self.steps) if self.steps else 0.0

    def go(self, state: State) -> None:
        """Change the state, as NEXT allows."""
        if state not in NEXT[self.state]:
            raise AssertionError(f"a job cannot go from {self.state.name} to {state.name}")
        self.state = state

    def send(self) -> list[Action]:
        """The backend is there: send the job, or first the pictures that it starts from."""
        if self.pictures:
            self.go(State.READING)
            return [Read(self.id, self.pictures, self.request.width, self.request.height)]
        self.go(State.SENT)
        return [self.ask()]

    def ask(self) -> Send:
        """The request for it. Whether there shall be previews is no part of the clip, and stands in no ticket."""
        return Send(msgspec.structs.replace(self.request, previews=self.previews))

    def end(self, state: State) -> list[Action]:
        """End in this state."""
        self.go(state)
        self.preview = None
        return [] if state is State.DONE else [Tidy(self.id)]

    def fail(self, problem: Problem) -> list[Action]:
        """End without a clip."""
        self.problem = problem
        return self.end(State.FAILED)

    def warn(self, sentences: tuple[str, ...]) -> None:
        """Keep what the artist should know, each sentence once."""
        self.warnings += [sentence for sentence in dict.fromkeys(sentences) if sentence not in self.warnings]

    def begin_anew(self) -> None:
        """The backend makes it from the start again, or has made it without us."""
        self.phase, self.step, self.steps, self.seconds_left = "waiting", 0, 0, None
        self.bytes_done = self.bytes_total = 0
        self.done, self.fetch, self.preview = None, None, None

    def next_fetch(self) -> Fetch | None:
        """What to ask for next: the first frame that is not here, and what follows; None when all are here."""
        missing = sorted(set(range(self.frames)) - self.written)
        if not missing:
            return None
        return Fetch(job=self.id, first=missing[0], count=min(FETCH_FRAMES, missing[-1] + 1 - missing[0]))
