"""`result.json` beside a result's frames: what the queue knew of the job, from which a lost queue is made again."""

from __future__ import annotations

import msgspec

from elevator import ElevatorError
from shared_protocol.messages import Done

from ..orders import Order
from .jobs import Job, Owner, State


class ResultRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One finished job."""

    frames: int
    principal: str
    client_id: str
    prompt: str
    submitted: float
    work: Order
    done: Done


_decoder: msgspec.json.Decoder[ResultRecord] = msgspec.json.Decoder(ResultRecord)


def record(job: Job, done: Done) -> bytes:
    """The record of a job that ends so."""
    return msgspec.json.encode(
        ResultRecord(
            frames=done.frames,
            principal=job.owner.principal,
            client_id=job.owner.client_id,
            prompt=job.prompt,
            submitted=job.submitted,
            work=job.order,
            done=done,
        )
    )


def job_of(data: bytes, size: int) -> Job | None:
    """The job of a record, or None if it is none. `size`: of the result, bytes."""
    try:
        found = _decoder.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, ElevatorError):
        return None
    return Job(
        id=found.done.job,
        owner=Owner(found.principal, found.client_id),
        order=found.work,
        prompt=found.prompt,
        state=State.DONE,
        submitted=found.submitted,
        end=found.done,
        bytes=size,
    )
