"""Events → state → actions. Pure: no bpy, no I/O, no clock of its own.

Every method takes one thing that happened and returns what is to be done about it, in order. Whoever does it (`pump`)
tells the outcome by calling another method. A job goes through its states as `job.NEXT` allows and ends exactly once.

The backend keeps jobs and results: a session that loses it reaches for the next one and asks that for its jobs. What
comes about jobs that this session does not know belongs to another Blender, and is left alone.
"""

from __future__ import annotations

from collections.abc import Sequence

from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Done,
    Failed,
    Fetched,
    Frame,
    Goodbye,
    Jobs,
    Message,
    Notice,
    Progress,
    Queue,
    QueueState,
    Refused,
    Resume,
    Shutdown,
    Style,
    Welcome,
)
from shared_protocol.wire import Buffer

from . import losses, news, words
from .actions import Action, HangUp, KeepStyles, Reach, Send
from .job import Job, Place, Problem, State
from .link import Link
from .status import Status, describe
from .wish import Wish, WishError, settle

GREETING_SECONDS = 10.0
"""A backend that runs answers Hello at once; one that swaps may need a while."""
CANCEL_SECONDS = 15.0
"""Cancel is honoured within one step of sampling; this is longer than any step should take."""
ENDED_KEPT = 8
"""Ended jobs that the panel can still show."""


class Session:
    """All jobs of this Blender and the conversation about them."""

    def __init__(self, styles: Sequence[Style] = ()) -> None:
        self.link = Link.NONE
        self.styles = tuple(styles)
        self.device = ""
        self.jobs: dict[str, Job] = {}
        self.queue = QueueState()
        self.problem: Problem | None = None
        self.changed = True
        self._now = 0.0
        self._greeted = 0.0
        self._stopping = False

    # What the panel asks ------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        return [job for job in self.jobs.values() if not job.ended]

    @property
    def busy(self) -> bool:
        """Whether something may happen without the artist's doing."""
        talking = self.link in (Link.REACHING, Link.GREETING) or self._stopping
        return talking or any(not self.waits(job) for job in self.active)

    def waits(self, job: Job) -> bool:
        """Whether the job goes on only when somebody starts the backend again, which was told to end."""
        return job.state is State.REATTACHING and self.link is Link.NONE

    def status(self, job: Job) -> Status:
        """The job's state in plain words."""
        return describe(job, self.link, self.queue, self._now)

    @property
    def complete(self) -> Job | None:
        """The oldest clip whose frames are all on disk. It goes into the edit as soon as that is safe; the answer is
        `added` or `could_not_add`."""
        return next((job for job in self.jobs.values() if job.state is State.ADDING), None)

    # What the artist does -----------------------------------------------------------------------------------

    def submit(self, job: str, wish: Wish, place: Place, folder: str) -> list[Action]:
        """Generate was pressed."""
        self.problem = None
        self._forget_old()
        self.jobs[job] = Job(job, wish, place, folder, heard=self._now)
        if self.link is Link.READY:
            return self._send_held()
        return self.reach()

    def refuse(self, problem: Problem) -> list[Action]:
        """Generate was pressed, and nothing can come of it."""
        self.problem, self.changed = problem, True
        return []

    def cancel(self, job_id: str) -> list[Action]:
        """Cancel was pressed. Honoured at once for what never left, else by the backend's answer."""
        job = self.jobs.get(job_id)
        if job is None or job.ended or job.cancel_asked is not None:
            return []
        self.changed = True
        if job.state in (State.FETCHING, State.ADDING):
            return [*job.end(State.CANCELLED), *news.received(job)]
        if job.state is State.HELD or self.link is not Link.READY:
            return job.end(State.CANCELLED)  # a backend that has it hears of it at the next Welcome
        job.cancel_asked = self._now
        return [Send(Cancel(job=job.id))]

    def give_up(self, job_id: str) -> list[Action]:
        """Wait no longer for the next start of a backend that was told to end."""
        job = self.jobs[job_id]
        return self._fail(job, Problem("The backend was stopped.", words.STAYS)) if self.waits(job) else []

    def start(self) -> list[Action]:
        """Start Backend was pressed."""
        self.problem = None
        return self.reach()

    def stop(self) -> list[Action]:
        """Stop Backend was pressed."""
        self._stopping = self.link is Link.READY
        return [Send(Shutdown())]

    def resume(self) -> list[Action]:
        """Resume Queue was pressed."""
        return [Send(Resume())]

    def reach(self) -> list[Action]:
        """Start the conversation, if there is none."""
        self.changed = True
        if self.link is not Link.NONE:
            return []
        self.link = Link.REACHING
        return [Reach()]

    # What the connection does -------------------------------------------------------------------------------

    def connected(self) -> list[Action]:
        """The connection was opened and Hello said."""
        self.link, self._greeted, self.changed = Link.GREETING, self._now, True
        return []

    def unreachable(self, problem: Problem) -> list[Action]:
        """The backend cannot be found, started or understood."""
        self.link, self.problem, self._stopping, self.changed = Link.NONE, problem, False, True
        return [HangUp(), *(action for job in self._in_need for action in losses.give_up(job, problem))]

    def receive(self, message: Message, buffers: Sequence[Buffer] = ()) -> list[Action]:
        """A message came."""
        match message:
            case Welcome():
                return self._welcome(message)
            case Refused():
                return self.unreachable(Problem(message.message))
            case Lost():
                return self._lost(message.reason)
            case Goodbye():
                return self._lost("The backend has ended.", goodbye=True)
            case Denied(request="Shutdown"):
                self._stopping, self.changed = False, True
                self.problem = Problem(message.message, message.next_step)
            case Queue():
                self.queue, self.changed = message.queue, True
            case Jobs():
                return self._jobs_told(message)
            case (
                Accepted() | Progress() | Notice() | Frame() | Done() | Failed() | Cancelled() | Fetched() | Denied()
            ) if message.job in self.jobs:
                job = self.jobs[message.job]
                job.heard, self.changed = self._now, True
                return news.hear(job, message, buffers)
        return []

    def watch(self, now: float) -> list[Action]:
        """Time passes; `now` are seconds of any clock that only goes forward."""
        self._now = now
        if self.link is Link.GREETING and now - self._greeted > GREETING_SECONDS:
            return self.unreachable(
                Problem("The backend does not answer.", "Wait a minute, then press Generate again.")
            )
        actions: list[Action] = []
        for job in self.active:
            if job.cancel_asked is not None and now - job.cancel_asked > CANCEL_SECONDS:
                job.problem = Problem("The backend did not answer the cancel; the job was left to it.")
                actions += self._end(job, State.CANCELLED)
        return actions

    # What came of our actions -------------------------------------------------------------------------------

    def wrote(self, job_id: str, index: int) -> list[Action]:
        """A frame is on disk."""
        job = self.jobs[job_id]
        job.written.add(index)
        self.changed = True
        return []

    def moved(self, job_id: str, folder: str, sentence: str) -> list[Action]:
        """The frames had to go to another folder."""
        job = self.jobs[job_id]
        job.folder = folder
        job.warn((sentence,))
        self.changed = True
        return []

    def could_not_write(self, job_id: str, sentence: str) -> list[Action]:
        """A frame could be written nowhere."""
        job = self.jobs[job_id]
        if job.ended:
            return []
        seed = job.request.seed if job.request else job.wish.seed
        again = f"Make room and generate it again with seed {seed}."
        return [Send(Cancel(job=job.id)), *self._fail(job, Problem(sentence, again))]

    def added(self, job_id: str, sentence: str, warnings: Sequence[str] = ()) -> list[Action]:
        """The strip is there."""
        job = self.jobs[job_id]
        job.outcome = sentence
        job.warn(tuple(warnings))
        return [*self._end(job, State.DONE), *news.received(job)]

    def could_not_add(self, job_id: str, sentence: str) -> list[Action]:
        """The strip could not be made; the frames are on disk."""
        job = self.jobs[job_id]
        return self._fail(job, Problem(sentence, f"The frames are in {job.folder}."))

    # Inside -------------------------------------------------------------------------------------------------

    @property
    def _in_need(self) -> list[Job]:
        """Jobs that do not end well without the backend: not those whose frames are all here."""
        return [job for job in self.active if job.state is not State.ADDING]

    def _welcome(self, welcome: Welcome) -> list[Action]:
        if self.link is not Link.GREETING:
            return []
        self.link, self.device, self.styles, self.changed = Link.READY, welcome.device, welcome.styles, True
        self.queue = welcome.queue
        again = [action for job in self.jobs.values() for action in losses.ask_again(job, self._now)]
        return [KeepStyles(welcome.styles), *again, *self._send_held()]

    def _send_held(self) -> list[Action]:
        actions: list[Action] = []
        for job in self.active:
            if job.state is not State.HELD:
                continue
            try:
                job.request = settle(job.wish, job.id, self.styles)
            except WishError as error:
                actions += self._fail(job, Problem(error.sentence, error.next_step))
            else:
                job.heard, self.changed = self._now, True
                job.go(State.SENT)
                actions.append(Send(job.request))
        return actions

    def _jobs_told(self, told: Jobs) -> list[Action]:
        self.queue, self.changed = told.queue, True
        for view in told.jobs:
            if view.job in self.jobs:
                news.found(self.jobs[view.job], view)
        return []

    def _lost(self, reason: str, *, goodbye: bool = False) -> list[Action]:
        """The backend is gone; after a goodbye, because somebody wants it so."""
        if self.link is Link.NONE:
            return []
        self.link, self.queue, self._stopping, self.changed = Link.NONE, QueueState(), False, True
        actions: list[Action] = [HangUp()]
        again = False
        for job in self._in_need:
            wanted = not goodbye or not job.accepted  # what was only just asked for starts it anew
            actions += losses.lose(job, reason, counts=wanted)
            again = again or (wanted and not job.ended)
        return [*actions, *self.reach()] if again else actions

    def _fail(self, job: Job, problem: Problem) -> list[Action]:
        self.changed = True
        return job.fail(problem)

    def _end(self, job: Job, state: State) -> list[Action]:
        self.changed = True
        return job.end(state)

    def _forget_old(self) -> None:
        ended = [job.id for job in self.jobs.values() if job.ended]
        for job_id in ended[: max(0, len(ended) - ENDED_KEPT)]:
            del self.jobs[job_id]
