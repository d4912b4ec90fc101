"""What the loss of the backend does to a job, and the start of the next one. Pure."""

from __future__ import annotations

from shared_protocol.messages import Cancel, Watch

from . import words
from .actions import Action, Send
from .job import Job, Problem, State
from .words import Phrase, phrase, sentences

MOST_LOSSES = 3
"""So often the backend may be lost during a job: the job may be the reason."""


def lose(job: Job, reason: str, *, counts: bool) -> list[Action]:
    """The backend that has the job is gone; `counts`: the job may be the reason."""
    if job.cancel_asked is not None:
        return job.end(State.CANCELLED)
    job.losses += counts
    if job.losses >= MOST_LOSSES:
        sentence = Phrase(
            "{reason} It was lost {count} times during this clip.", reason=phrase(reason), count=job.losses
        )
        next_step = words.STAYS if job.accepted else Phrase("Press Try Again: a new backend starts.")
        return job.fail(Problem(sentence, next_step, code="backend_lost"))
    if job.state is State.READING:
        job.go(State.HELD)  # no backend has it
    elif job.state not in (State.HELD, State.REATTACHING):
        job.go(State.REATTACHING)
    return []


def give_up(job: Job, problem: Problem) -> list[Action]:
    """No backend can be had."""
    next_step = sentences(problem.next_step, words.STAYS) if job.accepted else problem.next_step
    return job.fail(Problem(problem.sentence, next_step, problem.command, problem.code))


def ask_again(job: Job, now: float) -> list[Action]:
    """What the next backend must hear of a job that another one had. It answers about each, also if it has none."""
    if job.state is State.REATTACHING:
        job.heard = now
        return [Send(Watch(job=job.id, previews=job.previews))]
    if job.state is State.CANCELLED and not job.settled:
        return [Send(Cancel(job=job.id))]
    return []
