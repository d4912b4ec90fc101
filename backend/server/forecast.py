"""When will each job be finished? No I/O, no clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from shared_protocol.messages import Progress

from .jobs import Job, State


class Forecast(NamedTuple):
    """Where a job stands."""

    position: int
    """Jobs that come before it, those that run included; 0 for those that run."""
    seconds_left: float | None
    """Until it is finished; None while unknown."""
    place: int = 0
    """Waiting jobs that come before it."""


def forecast(
    unfinished: Sequence[Job],
    running: Mapping[str, Progress | None],
    workers: int,
    expected: Callable[[Job], float | None],
) -> dict[str, Forecast]:
    """Place and time of every unfinished job.

    `unfinished`: in the order of the queue. `running`: what was last heard of the jobs that workers have.
    `expected`: seconds that a job takes from its start to its end, or None.
    """
    found: dict[str, Forecast] = {}
    free = []
    for job in unfinished:
        if job.id in running:
            progress = running[job.id]
            left = progress.seconds_left if progress is not None else None
            if left is None:
                left = expected(job)
            found[job.id] = Forecast(0, left)
            free.append(math.inf if left is None else left)
    free += [0.0] * (workers - len(free))
    heapq.heapify(free)
    before = len(running)
    for job in unfinished:
        if job.id in running or job.state is not State.QUEUED:
            continue
        takes = expected(job)
        end = math.inf if takes is None else free[0] + takes
        heapq.heapreplace(free, end)
        found[job.id] = Forecast(before, None if math.isinf(end) else round(end, 1), before - len(running))
        before += 1
    for job in unfinished:  # those whose end the disk has not taken yet
        found.setdefault(job.id, Forecast(0, 0.0))
    return found
