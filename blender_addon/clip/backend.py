"""What this Blender knows of the backend itself, and how it asks: styles, memory, the queue, all jobs. Pure.

What it knows of its own clips is in `job`, and both come together in `session`.
"""

from __future__ import annotations

from collections.abc import Sequence

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
    Welcome,
)
from shared_protocol.messages import Status as BackendStatus

from .actions import Action, Send
from .foreseen import Foreseen

MOST_FOUND = 500
"""How many ended jobs the backend is asked for: as many as the protocol has it tell."""

ALL = "all jobs"
"""Name of the question for all jobs. What answers a Watch, a Move, or comes with the greeting, tells of some."""

Told = Welcome | BackendStatus | Queue | Jobs | Estimate
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
        """How often it has told of all jobs that it has."""
        self.foreseen = Foreseen()
        self._preferred = ""
        self._shifts: list[tuple[str, int]] = []
        """Jobs that shall go up or down once it has told where they are."""

    # Questions and requests ---------------------------------------------------------------------------------

    def look_around(self, ended: int = 0) -> list[Action]:
        """What does it do, and for whom? `ended`: how many jobs that have ended it shall tell, too."""
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
        self._shifts = []

    # Inside -------------------------------------------------------------------------------------------------

    def _in_order(self, styles: Sequence[Style]) -> tuple[Style, ...]:
        return tuple(sorted(styles, key=lambda style: style.name != self._preferred))

    def _hear_of_jobs(self, told: Jobs) -> list[Action]:
        self.queue = told.queue
        self.finished |= {view.job: view for view in told.jobs if view.kind == "clip" and view.has_result}
        if told.request_id != ALL:
            return []
        self.times_told += 1
        self.others = told.others + sum(not view.mine for view in unfinished(told))
        shifts, self._shifts = self._shifts, []
        waiting = places(told)
        return [action for job, by in shifts if job in waiting for action in self.move(job, waiting[job] + by)]


def unfinished(told: Jobs) -> list[JobView]:
    """Those of the jobs that have not ended."""
    return [view for view in told.jobs if view.state not in ("done", "failed", "cancelled")]


def places(told: Jobs) -> dict[str, int]:
    """Where in the queue each job stands that waits, from 0."""
    return {view.job: view.position for view in unfinished(told) if view.phase == "waiting"}
