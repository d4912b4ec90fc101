"""A job's state in plain words. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared_protocol.messages import QueueState
from shared_protocol.texts import duration

from . import words
from .job import Job, State
from .link import Link
from .words import Phrase

SILENCE_SECONDS = 60.0
"""After so long without a word about a job, the panel says so. It is not the end: loading can be slow."""


@dataclass(frozen=True)
class Status:
    """Where a job is, for a person to read."""

    line: str
    """What is being done: "Painting, 12 of 25"."""
    detail: str
    """What changes often: "about 9 s left". May be empty."""
    phase: str
    """The part of the work. It stays the same while the line counts."""

    def __str__(self) -> str:
        return f"{self.line} — {self.detail}" if self.detail else self.line


def describe(job: Job, link: Link, queue: QueueState, now: float) -> Status:
    """The state of a job. `now`: seconds of the session's clock."""
    state = job.state.name.lower()
    if (line := _here(job, link)) is not None:
        return Status(line, "", state)
    if job.phase == "waiting" and queue.stopped:
        return Status(queue.stopped, "", "stopped")
    if job.phase == "waiting" and queue.paused:
        return Status("The queue is paused", "", "paused")
    phase = job.phase if job.state is State.RUNNING else state
    silence = now - job.heard
    if job.state is State.RUNNING and job.phase != "waiting" and silence > SILENCE_SECONDS:
        return Status(words.PHASES[job.phase], Phrase("no news for {time}", time=duration(silence)), phase)
    left = "" if job.seconds_left is None else Phrase("about {time} left", time=duration(job.seconds_left))
    line, amount = words.PHASES[job.phase], _amount(job)
    return Status(Phrase("{phase}, {amount}", phase=line, amount=amount) if amount else line, left, phase)


def _here(job: Job, link: Link) -> str | None:
    """What to say of a job that is not in the backend's hands."""
    if job.state is State.DONE:
        return "In the edit"
    if job.problem is not None:
        return job.problem.sentence
    if job.state is State.CANCELLED:
        return "Cancelled"
    if job.cancel_asked is not None:
        return "Cancelling"
    match job.state:
        case State.HELD:
            return "Starting the backend" if link is Link.REACHING else "Connecting to the backend"
        case State.READING:
            return "Reading the pictures that it starts from"
        case State.REATTACHING if link is Link.NONE:
            return "No backend runs. The clip waits for its next start"
        case State.REATTACHING:
            return "Asking the backend for the clip"
        case State.MADE if job.seen is None:
            return "Finished. Its strip is not in this file"
        case State.MADE:
            return "Finished"
        case State.FETCHING:
            return "Fetching the frames"
        case State.FILLING:
            return "Finished. It is shown when nothing is being moved or rendered"
    return None


def _amount(job: Job) -> str:
    """How far the phase is."""
    if job.phase == "waiting":
        return Phrase("{count} before it", count=job.position) if job.position else ""
    if job.phase == "loading":
        return words.megabytes(job.bytes_done, job.bytes_total) if job.bytes_total else ""
    return Phrase("{step} of {steps}", step=min(job.step, job.steps), steps=job.steps) if job.steps else ""
