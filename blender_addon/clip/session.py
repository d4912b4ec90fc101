"""Events → state → actions. Pure: no bpy, no I/O, no clock of its own.

Every method takes one thing that happened and returns what is to be done about it, in order. Whoever does it (`pump`)
tells the outcome by calling another method. A job goes through its states as `job.NEXT` allows and ends exactly once.

The backend keeps jobs and results, and the strips of an edit carry their clips' tickets: a session that loses the
backend reaches for the next one and asks that for its jobs, and one that finds a ticket which it does not know asks
for its job, too. What comes about jobs that nothing here waits for is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec

from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    AskEstimate,
    Cancel,
    Cancelled,
    Denied,
    Done,
    Estimate,
    Failed,
    Fetched,
    Frame,
    Generate,
    Goodbye,
    Jobs,
    Message,
    Notice,
    Progress,
    Queue,
    Refused,
    Shutdown,
    Style,
    Styles,
    Thumbnail,
    Watch,
    Welcome,
)
from shared_protocol.messages import (
    Status as BackendStatus,
)
from shared_protocol.wire import Buffer

from . import losses, news, words
from .actions import Action, HangUp, KeepStyles, KeepThumbnail, LookForBackend, Reach, Send
from .backend import Backend, places
from .foreseen import Foreseen
from .job import NO_BACKEND, Job, Problem, State
from .link import Link
from .pictures import NONE as NO_PICTURES
from .pictures import Pictures
from .status import Status, describe
from .words import Phrase

GREETING_SECONDS = 10.0
"""A backend that runs answers Hello at once; one that swaps may need a while."""
CANCEL_SECONDS = 15.0
"""Cancel is honoured within one step of sampling; this is longer than any step should take."""
UNDO_SECONDS = 3.0
"""So long after its strip was taken away a job is cancelled: undo, or a paste, brings many a strip back at once."""
LOOK_SECONDS = 2.0
"""How often a backend is looked for that somebody else may have started."""
ENDED_KEPT = 50
"""Ended jobs that the panel can still show."""


class Session:
    """All jobs of this Blender and the conversation about them."""

    def __init__(self, styles: Sequence[Style] = ()) -> None:
        self.link = Link.NONE
        self.previews = False
        """Whether the backend is asked for previews of clips."""
        self.local = True
        """Whether the backend runs on this computer, so that its files can be read."""
        self.backend = Backend(styles)
        self.jobs: dict[str, Job] = {}
        self.problem: Problem | None = None
        self.changed = True
        self._shown: frozenset[str] = frozenset()
        """Jobs that the open file's strips wait for."""
        self._now = self._greeted = self._looked = 0.0
        """When it is, when Hello was said, when a backend was looked for."""
        self._stopping = False

    # What the panel asks ------------------------------------------------------------------------------------

    @property
    def active(self) -> list[Job]:
        """Jobs that have not ended, oldest first."""
        return [job for job in self.jobs.values() if not job.ended]

    @property
    def foremost(self) -> Job | None:
        """The clip that is being made, or the first that waits; not one that nothing happens to."""
        moving = self._moving
        return next((job for job in moving if job.phase != "waiting"), moving[0] if moving else None)

    @property
    def lines(self) -> list[Job]:
        """All jobs as a queue shows them: what is made, what waits, in its order, what nothing happens to, and what
        has ended, the last first."""
        waiting = [job for job in self._moving if job.phase == "waiting"]
        made = [job for job in self._moving if job.phase != "waiting"]
        resting = [job for job in self.active if self.rests(job)]
        ended = [job for job in self.jobs.values() if job.ended]
        return [*made, *sorted(waiting, key=lambda job: job.position), *resting, *reversed(ended)]

    @property
    def busy(self) -> bool:
        """Whether something may happen without the artist's doing."""
        talking = self.link in (Link.REACHING, Link.GREETING) or self._stopping
        return talking or bool(self._moving) or self.backend.foreseen.awaits(self._now)

    @property
    def waiting(self) -> bool:
        """Whether a backend that somebody else starts would be of use."""
        return self.link is Link.NONE and any(self.waits(job) for job in self.active)

    def waits(self, job: Job) -> bool:
        """Whether the job goes on only when a backend runs again."""
        return job.state is State.REATTACHING and self.link is Link.NONE

    def rests(self, job: Job) -> bool:
        """Whether nothing happens to the job by itself: no backend runs, or its strip is in another file."""
        return self.waits(job) or self._is_for_another_file(job)

    @property
    def unfinished(self) -> list[Job]:
        """What Cancel All ends: not the finished clips of a file that is not open."""
        return [job for job in self.active if not self._is_for_another_file(job)]

    @staticmethod
    def _is_for_another_file(job: Job) -> bool:
        return job.state in (State.MADE, State.FILLING) and job.seen is None

    def status(self, job: Job) -> Status:
        """The job's state in plain words."""
        return describe(job, self.link, self.backend.queue, self._now)

    # What the artist does -----------------------------------------------------------------------------------

    def submit(self, request: Generate, folder: str, pictures: Pictures = NO_PICTURES) -> list[Action]:
        """Generate was pressed, and a strip is there that waits for the clip. `folder`: for its frames. `pictures`:
        from the edit, that it starts from."""
        self.problem = None
        self._forget_old()
        job = Job(
            request.job, request, folder, pictures=pictures, heard=self._now, seen=self._now, previews=self.previews
        )
        self.jobs[job.id] = job
        if self.link is Link.READY:
            return self._send_held()
        return self.reach()

    def refuse(self, problem: Problem) -> list[Action]:
        """Generate was pressed, and nothing can come of it."""
        self.problem, self.changed = problem, True
        return []

    def dismiss(self) -> list[Action]:
        """What is told of a problem is old: the artist has changed what it was about."""
        self.problem, self.changed = None, True
        return []

    def cancel(self, job_id: str) -> list[Action]:
        """Cancel was pressed. Honoured at once for what never left, else by the backend's answer."""
        job = self.jobs.get(job_id)
        if job is None or job.ended or job.cancel_asked is not None:
            return []
        self.changed = True
        if job.state in (State.MADE, State.FETCHING, State.FILLING):
            return [*job.end(State.CANCELLED), *news.received(job)]
        if job.state in (State.HELD, State.READING):
            job.settled = True  # no backend has it
            return job.end(State.CANCELLED)
        if self.link is not Link.READY:
            return job.end(State.CANCELLED)  # a backend that has it hears of it at the next Welcome
        job.cancel_asked = self._now
        return [Send(Cancel(job=job.id))]

    def give_up(self, job_id: str) -> list[Action]:
        """Wait no longer for a backend."""
        job = self.jobs[job_id]
        problem = self.problem or Problem("The backend was stopped.", code="backend_lost")
        told = Problem(problem.sentence, words.STAYS, code=problem.code)
        return self._fail(job, told) if self.waits(job) else []

    def start(self) -> list[Action]:
        """Start Backend was pressed."""
        self.problem = None
        return self.reach()

    def stop(self) -> list[Action]:
        """Stop Backend was pressed."""
        self._stopping = self.link is Link.READY
        return [Send(Shutdown())]

    def ask_estimate(self, clip: Generate) -> list[Action]:
        """What would this clip take? Its `job` is a name for the question alone."""
        if self.link is not Link.READY:
            return []
        self.backend.foreseen = Foreseen(clip, self._now)
        return [Send(AskEstimate(clip=clip))]

    def want_previews(self, wanted: bool) -> list[Action]:
        """Previews shall come from now on, of what is being made, too; or no more."""
        if wanted is self.previews:
            return []
        self.previews, self.changed = wanted, True
        for job in self.active:
            job.previews, job.preview = wanted, None
        known = {State.SENT, State.RUNNING, State.REATTACHING} if self.link is Link.READY else set()
        asked = (job.id for job in self.active if job.state in known and job.cancel_asked is None)
        return [Send(Watch(job=job_id, previews=wanted)) for job_id in asked]

    def prefer(self, style: str) -> None:
        """The style of this name comes first, which is what a wish without a style means."""
        self.backend.prefer(style)
        self.changed = True

    def part(self) -> list[Action]:
        """Another backend is wanted, and this one makes nothing."""
        self._forget_backend()
        self.problem = None
        return [HangUp()]

    def reach(self) -> list[Action]:
        """Start the conversation, if there is none."""
        self.changed = True
        if self.link is not Link.NONE:
            return []
        self.link = Link.REACHING
        return [Reach()]

    # What the edit shows ------------------------------------------------------------------------------------

    def adopt(self, request: Generate, folder: str) -> list[Action]:
        """A strip waits for a clip that this session knows nothing of: an earlier one has asked for it."""
        self._forget_old()
        job = Job(
            request.job,
            request,
            folder,
            State.REATTACHING,
            accepted=True,
            adopted=True,
            heard=self._now,
            seen=self._now,
            previews=self.previews,
        )
        self.jobs[job.id] = job
        return losses.ask_again(job, self._now) if self.link is Link.READY else self.reach()

    def know(self, request: Generate, folder: str) -> Job:
        """A strip shows a clip that came from elsewhere."""
        self.changed = True
        self._forget_old()
        job = Job(request.job, request, folder, State.DONE, settled=True, written=set(range(request.frames)))
        self.jobs[job.id] = job
        return job

    def see(self, waiting: Mapping[str, str]) -> list[Action]:
        """These jobs' strips in the open file wait for their frames, which shall go into these folders."""
        self._shown = frozenset(waiting)
        actions: list[Action] = []
        for job in self.active:
            if job.id in waiting:
                job.seen = self._now
                if not job.has_frames:
                    job.folder = waiting[job.id]
                if job.state is State.MADE:
                    self.changed = True
                    actions += news.bring(job, local=self.local)
            elif job.seen is not None and self._now - job.seen > UNDO_SECONDS:
                job.seen = None
                if job.state not in (State.MADE, State.FETCHING, State.FILLING):  # those are in the list of clips
                    job.removed = job.cancel_asked is None
                    actions += self.cancel(job.id)
        return actions

    def come_back(self, waiting: Iterable[str]) -> list[str]:
        """Those of the jobs whose strips wait that were cancelled when their strips were taken away: undo has brought
        them back, and the clips must be asked for again."""
        known = (self.jobs.get(job) for job in waiting)
        return [job.id for job in known if job is not None and job.state is State.CANCELLED and job.removed]

    def leave_file(self) -> None:
        """Another file is being opened. Strips that are not seen after it were not taken away."""
        self.problem, self.changed = None, True
        for job in self.jobs.values():
            job.seen = None

    # What the connection does -------------------------------------------------------------------------------

    def connected(self) -> list[Action]:
        """The connection was opened and Hello said."""
        self.link, self._greeted, self.changed = Link.GREETING, self._now, True
        return []

    def unreachable(self, problem: Problem) -> list[Action]:
        """The backend cannot be found, started or understood. What one has accepted waits for the next."""
        self._forget_backend()
        self.problem = problem
        actions: list[Action] = [HangUp()]
        for job in self._in_need:
            if job.cancel_asked is not None:
                actions += self._end(job, State.CANCELLED)
            elif job.accepted:
                if job.state is not State.REATTACHING:
                    job.go(State.REATTACHING)
            else:
                actions += losses.give_up(job, problem)
        return actions

    def receive(self, message: Message, buffers: Sequence[Buffer] = ()) -> list[Action]:
        """A message came."""
        match message:
            case Welcome():
                return self._welcome(message)
            case Refused():
                return self.unreachable(Problem(message.message, code=message.code))
            case Lost():
                return self._lost(message.reason)
            case Goodbye():
                return self._lost(Phrase("The backend has ended."), goodbye=True)
            case Denied(request="Shutdown" | "Pause" | "Resume"):
                self._stopping, self.changed = False, True
                self.problem = Problem(message.message, message.next_step, code=message.code)
            case Styles(styles=styles):
                self.changed = True
                self.backend.hear(message)
                return [KeepStyles(styles)]
            case Queue() | BackendStatus() | Estimate():
                self.changed = True
                return self.backend.hear(message)
            case Jobs():
                return self._jobs_told(message)
            case Thumbnail(sha256=sha256):
                (png,) = buffers
                self.changed = True
                return [KeepThumbnail(sha256, bytes(png))]
            case (
                Accepted() | Progress() | Notice() | Frame() | Done() | Failed() | Cancelled() | Fetched() | Denied()
            ) if message.job in self.jobs:
                job = self.jobs[message.job]
                job.heard, self.changed = self._now, True
                if isinstance(message, Done):
                    self.backend.foreseen = Foreseen()  # the backend knows better now how long such clips take
                return news.hear(job, message, buffers)
        return []

    def watch(self, now: float) -> list[Action]:
        """Time passes; `now` are seconds of any clock that only goes forward."""
        self._now = now
        if self.link is Link.GREETING and now - self._greeted > GREETING_SECONDS:
            return self.unreachable(
                Problem(
                    "The backend does not answer.",
                    "Wait a minute, then press Start in the panel Backend.",
                    code=NO_BACKEND,
                )
            )
        if self.waiting and now - self._looked >= LOOK_SECONDS:
            self._looked = now
            return [LookForBackend()]
        actions: list[Action] = []
        for job in self.active:
            if job.cancel_asked is not None and now - job.cancel_asked > CANCEL_SECONDS:
                job.problem = Problem(
                    "The backend did not answer the cancel; the job was left to it.", code="cancelled"
                )
                actions += self._end(job, State.CANCELLED)
        return actions

    # What came of our actions -------------------------------------------------------------------------------

    def pictures_read(self, job_id: str, footage: Sequence[str], anchor: str) -> list[Action]:
        """The backend has the pictures of a job, under these hashes."""
        job = self.jobs[job_id]
        if job.state is not State.READING:
            return []
        job.request = msgspec.structs.replace(job.request, footage=tuple(footage), anchor=anchor)
        job.pictures, job.heard, self.changed = NO_PICTURES, self._now, True
        return job.send()

    def could_not_read(self, job_id: str, sentence: str) -> list[Action]:
        """A picture cannot be had."""
        job = self.jobs[job_id]
        if job.state is not State.READING:
            return []
        return self._fail(job, Problem(sentence, "Press Try Again when that is mended.", code="footage_missing"))

    def copied(self, job_id: str) -> list[Action]:
        """All frames are on disk."""
        job = self.jobs[job_id]
        if job.state is State.FETCHING:
            job.written.update(range(job.frames))
            job.go(State.FILLING)
            self.changed = True
        return []

    def wrote(self, job_id: str, index: int) -> list[Action]:
        """A frame is on disk."""
        self.jobs[job_id].written.add(index)
        self.changed = True
        return []

    def moved(self, job_id: str, folder: str, *sentences: str) -> list[Action]:
        """The frames go to another folder; `sentences` say why, if they had to."""
        job = self.jobs[job_id]
        job.folder = folder
        job.warn(sentences)
        self.changed = True
        return []

    def could_not_write(self, job_id: str, sentence: str) -> list[Action]:
        """The frames could be written nowhere. The backend keeps the clip."""
        job = self.jobs[job_id]
        return (
            []
            if job.ended
            else self._fail(job, Problem(sentence, "Make room, then press Try Again.", code="folder_unwritable"))
        )

    def filled(self, job_id: str) -> list[Action]:
        """The strips show the clip."""
        job = self.jobs[job_id]
        return [*self._end(job, State.DONE), *news.received(job)]

    def could_not_fill(self, job_id: str, sentence: str) -> list[Action]:
        """Frames are missing that were there. The backend may have them, or makes them anew."""
        job = self.jobs[job_id]
        return [] if job.ended else self._fail(job, Problem(sentence, "Press Try Again.", code="frames_missing"))

    # Inside -------------------------------------------------------------------------------------------------

    @property
    def _moving(self) -> list[Job]:
        return [job for job in self.active if not self.rests(job)]

    @property
    def _in_need(self) -> list[Job]:
        """Jobs that do not end well without the backend: not those whose files are on this computer."""
        done = {State.FILLING} | ({State.MADE, State.FETCHING} if self.local else set())
        return [job for job in self.active if job.state not in done]

    def _welcome(self, welcome: Welcome) -> list[Action]:
        if self.link is not Link.GREETING:
            return []
        self.link, self.problem, self.changed = Link.READY, None, True
        self.backend.hear(welcome)
        again = [action for job in self.jobs.values() for action in losses.ask_again(job, self._now)]
        return [KeepStyles(welcome.styles), *again, *self._send_held()]

    def _send_held(self) -> list[Action]:
        actions: list[Action] = []
        for job in self.active:
            if job.state is State.HELD:
                job.heard, self.changed = self._now, True
                actions += job.send()
        return actions

    def _jobs_told(self, told: Jobs) -> list[Action]:
        self.changed = True
        for view in told.jobs:
            if view.job in self.jobs:
                news.found(self.jobs[view.job], view)
        waiting = places(told)
        for job in self.active:
            if job.id in waiting and job.phase == "waiting":
                job.position = waiting[job.id] + told.queue.running
        return self.backend.hear(told)

    def _lost(self, reason: str, *, goodbye: bool = False) -> list[Action]:
        """The backend is gone; after a goodbye, because somebody wants it so."""
        if self.link is Link.NONE:
            return []
        self._forget_backend()
        actions: list[Action] = [HangUp()]
        again = False
        for job in self._in_need:
            wanted = not goodbye or not job.accepted  # what was only just asked for starts it anew
            actions += losses.lose(job, reason, counts=wanted)
            again = again or (wanted and not job.ended)
        return [*actions, *self.reach()] if again else actions

    def _forget_backend(self) -> None:
        self.link, self._stopping, self.changed = Link.NONE, False, True
        self.backend.forget()

    def _fail(self, job: Job, problem: Problem) -> list[Action]:
        self.changed = True
        return job.fail(problem)

    def _end(self, job: Job, state: State) -> list[Action]:
        self.changed = True
        return job.end(state)

    def _forget_old(self) -> None:
        ended = [job.id for job in self.jobs.values() if job.ended and job.id not in self._shown]
        for job_id in ended[: max(0, len(ended) - ENDED_KEPT)]:
            del self.jobs[job_id]
