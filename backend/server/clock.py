"""Time that this process was awake, for deadlines."""

from __future__ import annotations

import time
from collections.abc import Callable

LONGEST_STEP = 1.0
"""Seconds that count at most between two looks: a machine that slept, or a clock that jumped, blames nobody."""


class AwakeClock:
    """Seconds that only go forward, and by at most LONGEST_STEP from one look to the next."""

    def __init__(self, source: Callable[[], float] = time.monotonic) -> None:
        self._source = source
        self._seen = source()
        self._now = 0.0

    def __call__(self) -> float:
        """Seconds since the first look."""
        seen = self._source()
        self._now += min(max(seen - self._seen, 0.0), LONGEST_STEP)
        self._seen = seen
        return self._now
