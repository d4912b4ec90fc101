"""Events → state → actions. Pure: no bpy, no I/O, no clock of its own.

Every method takes one thing that happened and returns what is to be done about it, in order. Whoever does it (`pump`)
tells the outcome by calling another method. A job goes through its states as `job.NEXT` allows and ends exactly once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum

from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Frame,
    Goodbye,
    Message,
    Progress,
    Refused,
    Style,
    Welcome,
)
from shared_protocol.wire import Buffer

from . import words
from .actions import Action, AddStrip, HangUp, KeepStyles, Reach, Send, Tidy, Write
from .job import NEXT, Job, Problem, State
from .wish import Wish, WishError, settle

GREETING_SECONDS = 10.0
"""A backend that runs answers Hello at once; one that swaps may need a while."""
CANCEL_SECONDS = 15.0
"""Cancel is honoured within one step of sampling; this is longer than any step should take."""
SILENCE_SECONDS = 60.0
"""After so long without a word about a job, the panel says so. It is not the end: loading can be slow."""
ENDED_KEPT = 8
"""Ended jobs that the panel can still show."""


class Link(Enum):
    """Where the conversation with the backend is."""

    NONE = "nobody is being talked to"
    REACHING = "the backend is looked for or started"
    GREETING = "Hello was said"
    READY = "Welcome came"


class Session:
    """All jobs of this Blender and the conversation about them."""

    def __init__(self, styles: Sequence[Style] = ()) -> None:
        self.link = Link.NONE
        self.styles = tuple(styles)
        self.device = ""
        self.jobs: dict[str, Job] = {}
        self.problem: Problem | None = None
        self.changed = True
        self._now = 0.0
        self._greeted = 0.0

    # What the panel asks ------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        return [job for job in self.jobs.values() if not job.ended]

    @property
    def busy(self) -> bool:
        """Whether something may happen without the artist's doing."""
        return bool(self.active) or self.link in (Link.REACHING, Link.GREETING)

    def status(self, job: Job) -> str:
        """The job's state in plain words."""
        if job.state is State.DONE:
            return job.outcome
        if job.problem is not None:
            return job.problem.sentence
        if job.state is State.CANCELLED:
            return "Cancelled"
        if job.cancel_asked is not None:
            return "Cancelling"
        if job.state is State.HELD:
            return "Starting the backend" if self.link is Link.REACHING else "Connecting to the backend"
        if job.state is State.ADDING:
            return "Adding the strip"
        if job.state is State.RUNNING and self._now - job.heard > SILENCE_SECONDS:
            return f"{words.PHASES[job.phase]} — no news for {words.duration(self._now - job.heard)}"
        if job.phase == "waiting" and job.position:
            return f"{words.PHASES['waiting']}, {job.position} before it"
        return words.progress(job.phase, job.step, job.steps, job.seconds_left)

    # What the artist does -----------------------------------------------------------------------------------

    def submit(self, job: str, wish: Wish, folder: str) -> list[Action]:
        """Generate was pressed."""
        self.problem = None
        self._forget_old()
        self.jobs[job] = Job(job, wish, folder, heard=self._now)
        if self.link is Link.READY:
            return self._send_held()
        return self.reach()

    def cancel(self, job_id: str) -> list[Action]:
        """Cancel was pressed. Honoured at once for what never left, else by the backend's answer."""
        job = self.jobs.get(job_id)
        if job is None or job.ended or job.cancel_asked is not None:
            return []
        self.changed = True
        if job.state in (State.HELD, State.ADDING):
            return self._end(job, State.CANCELLED)
        job.cancel_asked = self._now
        return [Send(Cancel(job=job.id))]

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
        self.link, self.problem, self.changed = Link.NONE, problem, True
        return [HangUp(), *self._fail_all(problem)]

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
                return self._lost("The backend has ended.")
            case Accepted() | Progress() | Frame() | Done() | Failed() | Cancelled():
                job = self.jobs.get(message.job)
                # What arrives about a job that has ended crossed our own decision on the way.
                return [] if job is None or job.ended else self._about(job, message, buffers)
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
        job.warnings.append(sentence)
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
        job.warnings += warnings
        return self._end(job, State.DONE)

    def could_not_add(self, job_id: str, sentence: str) -> list[Action]:
        """The strip could not be made; the frames are on disk."""
        job = self.jobs[job_id]
        return self._fail(job, Problem(sentence, f"The frames are in {job.folder}."))

    # Inside -------------------------------------------------------------------------------------------------

    def _welcome(self, welcome: Welcome) -> list[Action]:
        if self.link is not Link.GREETING:
            return []
        self.link, self.device, self.styles, self.changed = Link.READY, welcome.device, welcome.styles, True
        return [KeepStyles(welcome.styles), *self._send_held()]

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
                job.heard = self._now
                self._go(job, State.SENT)
                actions.append(Send(job.request))
        return actions

    def _lost(self, reason: str) -> list[Action]:
        if self.link is Link.NONE:
            return []
        self.link, self.changed = Link.NONE, True
        actions: list[Action] = [HangUp()]
        for job in self.active:
            if job.state is State.ADDING:
                continue  # every frame is here: the backend is not needed any more
            kept = ""
            if job.written:
                kept = f" {words.frames(len(job.written))} of the clip are in {job.folder}."
            problem = Problem(reason + kept, "Press Generate again: a new backend starts.")
            actions += self._fail(job, problem)
        return actions

    def _about(self, job: Job, message: Message, buffers: Sequence[Buffer]) -> list[Action]:
        job.heard, self.changed = self._now, True
        match message:
            case Accepted():
                job.position = message.position
                job.warnings += message.warnings
                if job.state is State.SENT:
                    self._go(job, State.RUNNING)
            case Progress():
                job.phase, job.step, job.steps = message.phase, message.step, message.steps
                job.seconds_left = message.seconds_left
                job.position = job.position if message.phase == "waiting" else 0
            case Frame():
                return self._frame(job, message, buffers)
            case Done():
                return self._done(job, message)
            case Failed():
                return self._fail(job, Problem(message.message, message.next_step))
            case Cancelled() if job.state is not State.ADDING:
                return self._end(job, State.CANCELLED)
        return []

    def _frame(self, job: Job, frame: Frame, buffers: Sequence[Buffer]) -> list[Action]:
        if job.request is None or job.state is State.ADDING:
            return []
        if frame.index >= job.request.frames:
            sentence = f"The backend sent frame {frame.index + 1} of a clip of {words.frames(job.request.frames)}."
            return [Send(Cancel(job=job.id)), *self._fail(job, Problem(sentence, "Install the same release again."))]
        return [Write(job.id, frame.index, buffers[0])]

    def _done(self, job: Job, done: Done) -> list[Action]:
        if job.request is None or job.state is State.ADDING:
            return []
        if len(job.written) < job.request.frames:
            sentence = f"Only {len(job.written)} of {words.frames(job.request.frames)} came; they are in {job.folder}."
            return self._fail(job, Problem(sentence, "Press Generate again."))
        job.done = done
        self._go(job, State.ADDING)
        return [AddStrip(job.id)]

    def _fail_all(self, problem: Problem) -> Iterator[Action]:
        for job in self.active:
            if job.state is not State.ADDING:
                yield from self._fail(job, problem)

    def _fail(self, job: Job, problem: Problem) -> list[Action]:
        job.problem = problem
        return self._end(job, State.FAILED)

    def _end(self, job: Job, state: State) -> list[Action]:
        self._go(job, state)
        return [] if state is State.DONE else [Tidy(job.id)]

    def _go(self, job: Job, state: State) -> None:
        if state not in NEXT[job.state]:
            raise AssertionError(f"a job cannot go from {job.state.name} to {state.name}")
        job.state, self.changed = state, True

    def _forget_old(self) -> None:
        ended = [job.id for job in self.jobs.values() if job.ended]
        for job_id in ended[: max(0, len(ended) - ENDED_KEPT)]:
            del self.jobs[job_id]
