"""What this Blender knows of the backend itself, and how it asks: styles, memory, the queue, all jobs. Pure.

What it knows of its own clips is in `job`, and both come together in `session`.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import TypeAlias

from shared_protocol.messages import (
    AskJobs,
    AskStatus,
    Estimate,
    Free,
    Jobs,
    JobView,
    Move,
    Pause,
    Queue,
    QueueState,
    Resume,
    Style,
    Styles,
    Welcome,
)
from shared_protocol.messages import Status as BackendStatus

from .actions import Action, Send
from .foreseen import Foreseen

MOST_FOUND = 500
"""How many ended jobs the backend is asked for: as many as the protocol has it tell."""

ALL = "all jobs"
"""Name of the question for all jobs. What answers a Watch, a Move, or comes with the greeting, tells of some."""

Told: TypeAlias = Welcome | Styles | BackendStatus | Queue | Jobs | Estimate
"""Messages in which a backend tells of itself."""


class Backend:
    """The backend as it has told last. What is asked of it comes back as actions."""

    def __init__(self, styles: Sequence[Style] = ()) -> None:
        self.styles = tuple(styles)
        """As an earlier backend has told them, until this one does."""
        self.notes: tuple[str, ...] = ()
        """What it says about its own files, such as a style that it had to skip."""
        self.device = ""
        self.status: BackendStatus | None = None
        """What it does and holds; None until it was asked."""
        self.queue = QueueState()
        self.others = 0
        """Unfinished jobs of others: of other users, other Blenders, the command line."""
        self.finished: dict[str, JobView] = {}
        """Clips of this user that it has told of, the last first."""
        self.times_told = 0
        """How often it has told of all jobs that were asked about."""
        self.foreseen = Foreseen()
        self._preferred = ""
        self._asked: deque[int] = deque()
        """How many ended jobs it was asked for, each time."""
        self._ended, self._awaited = 0, ""
        """As it was asked the last time that it has answered; and the mark of the page that it was asked for then."""
        self._shifts: list[tuple[str, int]] = []
        """Jobs that shall go up or down once it has told where they are."""

    # Questions and requests ---------------------------------------------------------------------------------

    def look_around(self, ended: int = 0) -> list[Action]:
        """What does it do, and for whom? `ended`: how many jobs that have ended it shall tell, too."""
        self._asked.append(ended)
        return [Send(AskStatus()), Send(AskJobs(request_id=ALL, ended=ended))]

    def find_clips(self, most: int = MOST_FOUND) -> list[Action]:
        """Which clips of this user has it? Whoever asked for them, and in whatever file their strips are."""
        return self.look_around(most)

    def pause(self) -> list[Action]:
        """Pause Queue was pressed."""
        return [Send(Pause())]

    def resume(self) -> list[Action]:
        """Resume Queue was pressed."""
        return [Send(Resume())]

    def free(self) -> list[Action]:
        """Free Memory was pressed."""
        return [Send(Free())]

    def move(self, job_id: str, position: int) -> list[Action]:
        """A waiting job shall have another place in the queue."""
        return [Send(Move(job=job_id, position=max(0, position)))]

    def shift(self, job_id: str, by: int) -> list[Action]:
        """A waiting job shall come so many places later; earlier if negative. Where it is now is asked first."""
        self._shifts.append((job_id, by))
        return self.look_around()

    def prefer(self, style: str) -> None:
        """The style of this name comes first, which is what a wish without a style means."""
        self._preferred = style
        self.styles = self._in_order(self.styles)

    # What it tells ------------------------------------------------------------------------------------------

    def hear(self, told: Told) -> list[Action]:
        """It tells of itself."""
        match told:
            case Welcome():
                self.device, self.queue, self.notes = told.device, told.queue, told.notes
                self.styles = self._in_order(told.styles)
            case Styles():
                self.styles, self.notes = self._in_order(told.styles), told.notes
            case BackendStatus():
                self.status, self.queue, self.notes = told, told.queue, told.notes
            case Queue():
                self.queue = told.queue
            case Estimate() if self.foreseen.clip is not None and self.foreseen.clip.job == told.job:
                self.foreseen.told = told
            case Jobs():
                return self._hear_of_jobs(told)
        return []

    def forget(self) -> None:
        """It is gone. Styles, notes and finished clips stay in sight: the next one most likely has the same."""
        self.status, self.queue, self.others, self.foreseen = None, QueueState(), 0, Foreseen()
        self._shifts, self._awaited = [], ""
        self._asked.clear()

    # Inside -------------------------------------------------------------------------------------------------

    def _in_order(self, styles: Sequence[Style]) -> tuple[Style, ...]:
        return tuple(sorted(styles, key=lambda style: style.name != self._preferred))

    def _hear_of_jobs(self, told: Jobs) -> list[Action]:
        self.queue = told.queue
        self.finished |= {view.job: view for view in told.jobs if view.kind == "clip" and view.has_result}
        if told.request_id == ALL and not told.after:
            self._ended = self._asked.popleft() if self._asked else 0
            self.others = told.others + told.elsewhere
        elif not told.after or told.after != self._awaited:
            return []
        actions, self._awaited = self._shift(places(told)), ""
        if told.next and (self._ended or self._shifts):  # of a long queue no more than what somebody wants to know
            self._awaited = told.next
            return [*actions, Send(AskJobs(request_id=ALL, ended=self._ended, after=told.next))]
        self.times_told += 1
        self._shifts = []
        return actions

    def _shift(self, waiting: dict[str, int]) -> list[Action]:
        """Move those of the jobs that shall go up or down and wait at these places."""
        shifts, self._shifts = self._shifts, []
        actions: list[Action] = []
        for job, by in shifts:
            if job in waiting:
                actions += self.move(job, waiting[job] + by)
            else:
                self._shifts.append((job, by))
        return actions


def unfinished(told: Jobs) -> list[JobView]:
    """Those of the jobs that have not ended."""
    return [view for view in told.jobs if view.state not in ("done", "failed", "cancelled")]


def places(told: Jobs) -> dict[str, int]:
    """Where in the queue each job stands that waits, from 0."""
    return {view.job: view.position for view in unfinished(told) if view.phase == "waiting"}
