"""A job's state in plain words. Pure."""

from __future__ import annotations

from shared_protocol.messages import QueueState

from . import words
from .job import Job, State
from .link import Link

SILENCE_SECONDS = 60.0
"""After so long without a word about a job, the panel says so. It is not the end: loading can be slow."""


def describe(job: Job, link: Link, queue: QueueState, now: float) -> str:
    """One line; after " — " comes what changes often. `now`: seconds of the session's clock."""
    if job.state is State.DONE:
        return job.outcome
    if job.problem is not None:
        return job.problem.sentence
    if job.state is State.CANCELLED:
        return "Cancelled"
    if job.cancel_asked is not None:
        return "Cancelling"
    match job.state:
        case State.HELD:
            return "Starting the backend" if link is Link.REACHING else "Connecting to the backend"
        case State.REATTACHING if link is Link.NONE:
            return "The backend was stopped. The clip waits for its next start"
        case State.REATTACHING:
            return "The backend was lost. Reaching for it again"
        case State.FETCHING:
            return "Fetching the frames"
        case State.ADDING:
            return "Adding the strip"
    return _in_the_backend(job, queue, now)


def _in_the_backend(job: Job, queue: QueueState, now: float) -> str:
    if job.phase == "waiting":
        if queue.stopped:
            return queue.stopped
        if queue.paused:
            return "The queue is paused"
    elif job.state is State.RUNNING and now - job.heard > SILENCE_SECONDS:
        return f"{words.PHASES[job.phase]} — no news for {words.duration(now - job.heard)}"
    amount = ""
    if job.phase == "waiting" and job.position:
        amount = f"{job.position} before it"
    elif job.phase == "loading" and job.bytes_total:
        amount = words.megabytes(job.bytes_done, job.bytes_total)
    elif job.phase not in ("waiting", "loading") and job.steps:
        amount = f"{min(job.step, job.steps)} of {job.steps}"
    return words.progress(job.phase, amount, job.seconds_left)
