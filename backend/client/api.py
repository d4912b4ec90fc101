"""The backend from Python: what the command line uses, and scripts may.

    from pathlib import Path
    from backend.client import connect

    with connect(start=True) as backend:
        job = backend.submit("a red fox", style="plain", frames=16, seed=3)
        for event in job.events():
            print(event)  # the protocol's messages: Progress, Notice, Frame; last Done, Failed or Cancelled
        for path in job.fetch(Path("fox")):
            print(path)

A job goes on in the backend whatever becomes of the script: keep `job.id`, and `backend.job(id)` takes it up again.
Everything that fails raises `BackendError`, whose text is a sentence and a next step. Nothing here starts a thread.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self, TypeAlias

import msgspec

from shared_protocol import connection
from shared_protocol.client import new_job_id
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.messages import (
    Accepted,
    AskEstimate,
    AskJobs,
    AskStatus,
    Conform,
    Estimate,
    Failed,
    Forget,
    Free,
    Generate,
    Goodbye,
    Have,
    Jobs,
    JobView,
    Move,
    Pause,
    Queue,
    QueueState,
    Resume,
    Shutdown,
    Status,
    Style,
    Terminal,
    Watch,
    Welcome,
)
from shared_protocol.wire import Incoming

from ..failures import BackendError, Failure
from .conversation import ENDS, Conversation
from .failures import ClientFailure, SaidByBackend
from .job import Job
from .launch import START_GRACE, find_running, start_backend
from .profiles import find_profile
from .uploading import Piece, read_picture, send_file
from .wish import Wish

__all__ = ["Backend", "BackendError", "Job", "Wish", "connect"]

ATTEMPTS = 3
"""How many backends are started at most until one lets us in."""
LISTED = 500
"""How many ended jobs are looked through for a name that was shortened."""
JOB_DIGITS = 32
_DIGITS = re.compile(r"[0-9a-f]{4,32}")
Rate: TypeAlias = Fraction | int | str
"""Frames a second: 24, "30000/1001"."""


def connect(
    *,
    start: bool = False,
    profile: str | Path | None = None,
    client_id: str = "",
    name: str = "script",
    fake: bool = False,
    device: str = "auto",
    grace: float = START_GRACE,
) -> Backend:
    """A conversation with the backend of this machine, or with the one that a profile names: by its name, or its file.

    start: whether to start a backend if none runs: with models or `fake`, on `device`. It ends `grace` seconds after
        its last client has gone and its last job has ended.
    client_id: under which this script was here before (`Backend.client_id`); its jobs' events then come to it again.
    name: what is asking, for the backend's log.

    Raises BackendError.
    """
    if profile is not None:
        elsewhere = find_profile(profile) if isinstance(profile, str) else _read_profile(profile)
        return Backend(elsewhere, name=name, client_id=client_id)
    for attempt in range(ATTEMPTS):
        found = find_running()
        if found is None:
            if not start:
                raise ClientFailure("no_backend")
            found = start_backend(fake=fake, device=device, grace=grace)
        try:
            return Backend(found, name=name, client_id=client_id)
        except BackendError:
            # A backend whose time is over lets nobody in any more; the next one will.
            if not start or find_running() == found or attempt == ATTEMPTS - 1:
                raise
    raise AssertionError("the last attempt returns or raises")


def _read_profile(file: Path) -> Connection:
    try:
        return connection.read_profile(file)
    except ConnectionFileError as error:
        raise ClientFailure("no_profile", detail=error) from error


class Backend:
    """A conversation with one backend; made by `connect`. All methods raise BackendError if the connection is lost."""

    def __init__(self, connection: Connection, *, name: str, client_id: str) -> None:
        """Connect and wait for the greeting. Raises BackendError."""
        self.pid = connection.pid
        """Its process; 0 if it runs on another machine."""
        self._jobs: dict[str, Job] = {}
        """Those of which events come."""
        self._talk = Conversation(connection, name=name, client_id=client_id)
        try:
            self._talk.greeting()
        except BackendError:
            self._talk.close()
            raise

    @property
    def welcome(self) -> Welcome:
        """What the backend is and offers; its styles are those that it told last."""
        return self._talk.greeting()

    @property
    def client_id(self) -> str:
        """Under which this client can come back."""
        return self.welcome.client_id

    @property
    def styles(self) -> Mapping[str, Style]:
        """All styles, by name."""
        return {style.name: style for style in self.welcome.styles}

    def submit(self, prompt: str | Wish, *, previews: bool = False, **fields: Any) -> Job:
        """Ask for a clip, and wait until it is in the queue.

        fields: those of `Wish` beside the prompt, such as `style="sketch"`, `frames=16`, `seed=3`,
        `footage=Path("shots")`; or a whole Wish instead of the prompt. previews: whether `Progress` shall bring them.

        Raises BackendError if the request cannot be used.
        """
        wish = prompt if isinstance(prompt, Wish) else Wish(prompt, **fields)
        return self._order(wish.request(self.styles.get(wish.style), self._upload, previews=previews))

    def conform(self, source: Job | str, fps: Rate, method: Literal["hold", "flow"] = "hold") -> Job:
        """Ask for a finished clip at another frame rate, and wait until it is in the queue.

        method: repeat frames ("hold"), or move pixels along the optical flow. Raises BackendError.
        """
        rate = Fraction(fps)
        return self._order(
            Conform(
                job=new_job_id(),
                source=source.id if isinstance(source, Job) else source,
                fps_numerator=rate.numerator,
                fps_denominator=rate.denominator,
                method=method,
            )
        )

    def estimate(self, prompt: str | Wish, **fields: Any) -> Estimate:
        """What a clip would take, or why it cannot be made; nothing is submitted. Its memory is 0 while it is not
        known: ask again. Raises BackendError if the connection is lost."""
        wish = prompt if isinstance(prompt, Wish) else Wish(prompt, **fields)
        request = wish.request(self.styles.get(wish.style), self._upload)
        return self._talk.ask(AskEstimate(clip=request), Estimate)

    def job(self, job_id: str, *, previews: bool = False) -> Job:
        """Take up a job again, whoever submitted it with the same key. Raises BackendError if there is none.

        Events that came before are not told again, but how it has ended is.
        """
        job = self._follow(job_id)
        try:
            self._talk.ask(Watch(job=job_id, previews=previews), Jobs)
        except BackendError:
            self._unfollow(job)
            raise
        return job

    def find(self, start: str) -> JobView:
        """The job whose name begins with these digits, at least four. Raises BackendError.

        A job that has ended longer ago than the last 500 is found by its whole name alone.
        """
        start = start.lower()
        if not _DIGITS.fullmatch(start):
            raise ClientFailure("no_such_job", detail=start)
        if len(start) == JOB_DIGITS:
            return self._talk.ask(Watch(job=start), Jobs).jobs[0]
        listed = [view for view in self.jobs(LISTED).jobs if view.job.startswith(start)]
        if len(listed) != 1:
            raise ClientFailure("ambiguous_job" if listed else "no_such_job", detail=start)
        return listed[0]

    def jobs(self, ended: int = 0) -> Jobs:
        """All running and waiting jobs of this key, and the last `ended` ones that have ended."""
        told = self._page(ended)
        views = {view.job: view for view in told.jobs}
        while told.next:
            told = self._page(ended, told.next)
            views |= {view.job: view for view in told.jobs}  # one that has ended meanwhile is told twice
        return msgspec.structs.replace(told, after="", jobs=tuple(views.values()))

    def _page(self, ended: int, after: str = "") -> Jobs:
        return self._talk.ask(AskJobs(ended=ended, count=LISTED, after=after), Jobs)

    def cancel(self, job_id: str) -> Terminal:
        """End a job, and say how it has ended. Raises BackendError if there is none."""
        job = self.job(job_id)
        job.cancel()
        for _ in job.events():
            pass
        assert job.end is not None
        return job.end

    def move(self, job_id: str, position: int) -> Jobs:
        """Give a waiting job another place; 0: it comes next. Raises BackendError if it does not wait."""
        return self._talk.ask(Move(job=job_id, position=position), Jobs)

    def pause(self) -> QueueState:
        """Start no further jobs."""
        return self._talk.ask(Pause(), Queue).queue

    def resume(self) -> QueueState:
        """Start jobs again."""
        return self._talk.ask(Resume(), Queue).queue

    def free(self) -> Status:
        """Have the memory given back that models take, where no job runs."""
        return self._talk.ask(Free(), Status)

    def forget(self, job_id: str) -> Jobs:
        """Delete the result of an ended job. Raises BackendError if there is none."""
        return self._talk.ask(Forget(job=job_id), Jobs)

    def status(self) -> Status:
        """What the backend does now."""
        return self._talk.ask(AskStatus(), Status)

    def shut_down(self) -> None:
        """End the backend. Unfinished jobs wait for its next start."""
        self._talk.ask(Shutdown(), Goodbye)

    def next_event(self, jobs: Collection[Job]) -> tuple[Job | None, Incoming]:
        """Wait for the next event of any of these jobs, with its buffers; or of none, when the queue has changed.

        For whoever follows several jobs at once; of one, `Job.events` tells. Jobs that have ended have no more events.
        """
        job_id, incoming = self._talk.next_event([job.id for job in jobs if job.end is None])
        job = self._jobs[job_id] if job_id else None
        if job is not None and isinstance(incoming.message, ENDS):
            job.end = incoming.message
            self._unfollow(job)
        return job, incoming

    def close(self) -> None:
        """End the conversation. Jobs go on."""
        self._talk.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _follow(self, job_id: str) -> Job:
        self._talk.follow(job_id)
        return self._jobs.setdefault(job_id, Job(job_id, self._talk, lambda job: self.next_event([job])[1]))

    def _unfollow(self, job: Job) -> None:
        self._talk.unfollow(job.id)
        del self._jobs[job.id]

    def _order(self, request: Generate | Conform) -> Job:
        job = self._follow(request.job)
        try:
            name = self._talk.send(request)
        except ValueError as error:  # too long, or no Unicode
            self._unfollow(job)
            raise Failure("bad_request", detail=str(error).rstrip(".")) from error
        answer = self._talk.answer(name).message
        if isinstance(answer, Failed):
            self._unfollow(job)
            raise SaidByBackend(answer)
        assert isinstance(answer, Accepted)
        job.accepted = answer
        return job

    def upload(self, png: bytes) -> str:
        """Bring a picture to the backend, if it has not got it. Its SHA-256, by which requests name it. Raises
        BackendError."""
        return send_file(png, self._send_pieces)

    def _upload(self, path: Path) -> str:
        return self.upload(read_picture(path))

    def _send_pieces(self, pieces: Sequence[Piece]) -> int:
        """Send parts of a file, one after another, and then hear the answers: how much of it the backend has now."""
        names = [self._talk.send(piece, buffers) for piece, buffers in pieces]
        answers = [self._talk.answer(name).message for name in names]
        return max(answer.offset for answer in answers if isinstance(answer, Have))
