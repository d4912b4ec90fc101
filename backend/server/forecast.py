"""When will each job be finished? No I/O, no clock."""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable
from typing import NamedTuple


class Forecast(NamedTuple):
    """Where a job stands."""

    position: int
    """Jobs that come before it, those that run included; 0 for those that run."""
    seconds_left: float | None
    """Until it is finished; None while unknown."""
    place: int = 0
    """Waiting jobs that come before it."""


class Outlook:
    """Workers, and when each will have made what it was given; seconds from one moment on."""

    def __init__(self, left: Iterable[float | None], workers: int) -> None:
        """`left`: seconds until the running jobs end, as far as known."""
        self._free = [math.inf if seconds is None else seconds for seconds in left]
        self._free += [0.0] * (workers - len(self._free))
        heapq.heapify(self._free)

    def give(self, takes: float | None) -> float | None:
        """The worker that is free first gets a job that takes so many seconds. When it is finished; None: unknown."""
        end = math.inf if takes is None else self._free[0] + takes
        heapq.heapreplace(self._free, end)
        return None if math.isinf(end) else end
