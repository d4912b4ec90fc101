"""What a message about a job does to it. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from shared_protocol.messages import (
    Accepted,
    Cancelled,
    Denied,
    Done,
    Failed,
    Fetched,
    Frame,
    JobView,
    Notice,
    Progress,
    Received,
)
from shared_protocol.wire import Buffer

from . import words
from .actions import Action, Copy, Send, Write
from .job import Job, Preview, Problem, State
from .words import Phrase, sentences

News: TypeAlias = Accepted | Progress | Notice | Frame | Done | Failed | Cancelled | Fetched | Denied


def hear(job: Job, message: News, buffers: Sequence[Buffer] = ()) -> list[Action]:
    """A message about a job came."""
    if isinstance(message, Failed) and message.code == "duplicate_job" and job.accepted:
        return []  # about a second order: the first, which has the name, goes on
    if isinstance(message, Done | Failed | Cancelled) or (isinstance(message, Denied) and message.request == "Cancel"):
        job.settled = True
    if job.ended:
        return _too_late(job, message)
    if job.state in (State.HELD, State.READING):
        return []
    if isinstance(message, Denied):
        return _denied(job, message)
    if job.state is State.REATTACHING:
        _attach(job)
    match message:
        case Accepted():
            job.accepted = True
            job.position, job.seconds_left = message.position, message.seconds_left
            job.warn(message.warnings)
            if job.state is State.SENT:
                job.go(State.RUNNING)
        case Progress():
            job.phase, job.step, job.steps = message.phase, message.step, message.steps
            job.position, job.seconds_left = message.position, message.seconds_left
            job.bytes_done, job.bytes_total = message.bytes_done, message.bytes_total
            if job.previews and message.preview_frames:
                (png,) = buffers
                job.preview = Preview(bytes(png), message.preview_frames)
        case Notice():
            job.warn((message.message,))
            if message.again and job.state in (State.SENT, State.RUNNING):
                job.begin_anew()
        case Frame():
            return _frame(job, message, buffers)
        case Done() if job.state in (State.SENT, State.RUNNING):
            job.accepted, job.done = True, message
            job.cancel_asked, job.removed = None, False  # it came too late
            job.go(State.MADE)
        case Fetched():
            return _fetched(job)
        case Failed():
            return [*job.fail(Problem(message.message, message.next_step, code=message.code)), *received(job)]
        case Cancelled() if job.state in (State.SENT, State.RUNNING):
            return [*job.end(State.CANCELLED), *received(job)]
    return []


def found(job: Job, view: JobView) -> None:
    """The backend knows a job that we ask for again."""
    if job.state is not State.REATTACHING:
        return
    _attach(job)
    job.phase, job.position, job.seconds_left = view.phase, view.position, view.seconds_left
    job.step, job.steps = view.step, view.steps
    job.removed = job.adopted and view.state == "cancelled"


def bring(job: Job, *, local: bool) -> list[Action]:
    """A strip in the open file waits for the frames of a job that is MADE. local: the backend's files can be read."""
    assert job.done is not None
    if local and job.done.folder:  # no message can tell of a folder whose name is no Unicode
        job.go(State.FETCHING)
        return [Copy(job.id, job.done.folder)]
    job.fetch = job.next_fetch()
    job.go(State.FETCHING if job.fetch is not None else State.FILLING)
    return [Send(job.fetch)] if job.fetch is not None else []


def received(job: Job) -> list[Action]:
    """Tell the backend that nothing more is wanted of a job that it had."""
    return [Send(Received(job=job.id))] if job.accepted else []


def _too_late(job: Job, message: News) -> list[Action]:
    """What arrives about a job that has ended here crossed our own decision on the way, or is told once more."""
    job.accepted = job.accepted or isinstance(message, Done | Cancelled)
    match message:
        case Failed() | Cancelled():
            return received(job)
        case Done() if job.state is State.DONE:  # a clip that is in no edit stays with the backend
            return received(job)
    return []


def _attach(job: Job) -> None:
    job.accepted = True
    job.begin_anew()
    job.go(State.RUNNING)


def _denied(job: Job, denied: Denied) -> list[Action]:
    match denied.request:
        case "Watch" if job.state is State.REATTACHING and job.cancel_asked is not None:
            return job.end(State.CANCELLED)
        case "Watch" if job.state is State.REATTACHING and not job.accepted:
            job.go(State.SENT)  # it never arrived there
            return [job.ask()]
        case "Watch" if job.state is State.REATTACHING:
            return job.fail(
                Problem("The backend does not know this clip any more.", "Press Try Again.", code="unknown_job")
            )
        case "Fetch" if job.state is State.FETCHING:
            sentence = sentences(denied.message, _how_many(job))
            return job.fail(Problem(sentence, denied.next_step, code=denied.code))
        case "Cancel" if job.cancel_asked is not None:
            return job.end(State.CANCELLED)
    return []


def _frame(job: Job, frame: Frame, buffers: Sequence[Buffer]) -> list[Action]:
    if job.state is not State.FETCHING or job.fetch is None:
        return []
    if frame.index >= job.frames:
        sentence = Phrase(
            "The backend sent frame {number} of a clip of {frames}.",
            number=frame.index + 1,
            frames=words.frames(job.frames),
        )
        return job.fail(Problem(sentence, "Install the same release again.", code="frames_missing"))
    (png,) = buffers
    return [Write(job.id, frame.index, png)]


def _fetched(job: Job) -> list[Action]:
    if job.state is not State.FETCHING or job.fetch is None:
        return []
    last, job.fetch = job.fetch, job.next_fetch()
    if job.fetch is None:
        job.go(State.FILLING)
        return []
    if job.fetch.first < last.first + last.count:
        return job.fail(Problem(_how_many(job), "Press Try Again.", code="frames_missing"))
    return [Send(job.fetch)]


def _how_many(job: Job) -> str:
    return Phrase(
        "Only {count} of {frames} came; they are in {folder}.",
        count=len(job.written),
        frames=words.frames(job.frames),
        folder=job.folder,
    )
