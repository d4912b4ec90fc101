"""Jobs as clients see them."""

from __future__ import annotations

from shared_protocol.messages import Done, Failed, JobView, Progress

from .forecast import Forecast
from .jobs import Job, Owner
from .orders import Resample


def view(job: Job, viewer: Owner, where: Forecast | None, progress: Progress | None) -> JobView:
    """`where`: place and time of an unfinished job. `progress`: the last that was heard of a running one."""
    order = job.order
    return JobView(
        job=job.id,
        state=job.state.value,
        mine=job.owner == viewer,
        kind="conform" if isinstance(order, Resample) else "clip",
        prompt=job.prompt,
        style="" if isinstance(order, Resample) else order.style,
        frames=order.frames,
        width=order.width,
        height=order.height,
        seed=order.seed,
        position=0 if where is None else where.position,
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
