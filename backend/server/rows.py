"""Jobs as rows of the table `jobs`, and back."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from elevator import ElevatorError, Plan, Sources
from shared_protocol.messages import Terminal

from ..orders import Order, Sample
from .jobs import Job, Owner, State

COLUMNS = "id, principal, client_id, work, prompt, state, submitted, losses, interruptions, ending, received, bytes"
"""What a row has of a job. Its place and when it ended are the store's own."""
ILLEGIBLE = Sample(
    prompt="",
    negative_prompt="",
    sources=Sources("", ""),
    plan=Plan(),
    frames=1,
    width=8,
    height=8,
    fps=8,
    seed=0,
)
"""Stands for what another version was to do; nobody will do it."""
_orders: msgspec.json.Decoder[Order] = msgspec.json.Decoder(Order)
_ends: msgspec.json.Decoder[Terminal] = msgspec.json.Decoder(Terminal)


def values_of(job: Job) -> tuple[Any, ...]:
    """The values of a job's row, in the order of COLUMNS."""
    return (
        job.id,
        job.owner.principal,
        job.owner.client_id,
        msgspec.json.encode(job.order),
        job.prompt,
        job.state.value,
        job.submitted,
        job.losses,
        job.interruptions,
        ending_of(job),
        job.received,
        job.bytes,
    )


def ending_of(job: Job) -> bytes | None:
    """The value of the column `ending`."""
    return None if job.end is None else msgspec.json.encode(job.end)


def job_of(row: Sequence[Any]) -> Job:
    """The job of a row; its order is ILLEGIBLE if this version does not know what is to be done."""
    job, principal, client_id, work, prompt, state, submitted, losses, interruptions, ending, received, size = row
    return Job(
        id=job,
        owner=Owner(principal, client_id),
        order=_order(work),
        prompt=prompt,
        state=State(state),
        submitted=submitted,
        losses=losses,
        interruptions=interruptions,
        end=None if ending is None else _ends.decode(ending),
        received=bool(received),
        bytes=size,
    )


def _order(work: bytes) -> Order:
    try:
        return _orders.decode(work)
    except (msgspec.DecodeError, UnicodeDecodeError, ElevatorError):  # the last one of a plan that is impossible
        return ILLEGIBLE
