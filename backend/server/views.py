"""Jobs as clients see them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from shared_protocol import wire
from shared_protocol.messages import Done, Failed, JobView, Progress

from ..orders import Resample, Sample
from .forecast import Forecast
from .jobs import Job, Owner

SHOWN_CHARACTERS = 300
"""Of a prompt. The whole one stands in the result's record."""
PAGE_BYTES = wire.MAX_HEADER_BYTES * 3 // 4
"""How large the jobs of one message may be, so that all of it stays below the limit of a header."""


def pages(views: Iterable[JobView], most: int | None = None) -> Iterator[tuple[JobView, ...]]:
    """The views in as many parts as messages are needed. `most`: how many of them a message may have."""
    page: list[JobView] = []
    size = 0
    for one in views:
        its_size = len(msgspec.json.encode(one))
        if page and (size + its_size > PAGE_BYTES or len(page) == most):
            yield tuple(page)
            page, size = [], 0
        page.append(one)
        size += its_size
    if page:
        yield tuple(page)


def shortened(prompt: str) -> str:
    """A prompt, or its beginning."""
    return prompt if len(prompt) <= SHOWN_CHARACTERS else prompt[: SHOWN_CHARACTERS - 1] + "…"


def view(job: Job, viewer: Owner, where: Forecast | None, progress: Progress | None) -> JobView:
    """`where`: place and time of an unfinished job. `progress`: the last that was heard of a running one."""
    order = job.order
    flow = order.flow_fps if isinstance(order, Sample) else None
    return JobView(
        job=job.id,
        state=job.state.value,
        mine=job.owner == viewer,
        kind="conform" if isinstance(order, Resample) else "clip",
        prompt=shortened(job.prompt),
        style="" if isinstance(order, Resample) else order.style,
        frames=order.frames,
        width=order.width,
        height=order.height,
        flow_fps_numerator=0 if flow is None else flow[0],
        flow_fps_denominator=1 if flow is None else flow[1],
        seed=order.seed,
        position=0 if where is None else where.place,
        phase="waiting" if progress is None else progress.phase,
        step=0 if progress is None else progress.step,
        steps=0 if progress is None else progress.steps,
        seconds_left=None if where is None else where.seconds_left,
        submitted=job.submitted,
        has_result=job.bytes > 0,
        bytes=job.bytes,
        received=job.received,
        folder=job.end.folder if isinstance(job.end, Done) and job.bytes else "",
        message=job.end.message if isinstance(job.end, Failed) else "",
    )
