"""How often to speak, and how long it will still take. No I/O; the clock is given."""

from __future__ import annotations

from collections import deque
from statistics import fmean

from shared_protocol.messages import Progress

from .generator import Advance
from .pictures import side_by_side

PROGRESS_SECONDS = 0.05
PREVIEW_SECONDS = 0.5
"""Shortest time between two of their kind."""
REMEMBERED_STEPS = 12
MEASURED_STEPS = 3
"""Fewer steps than this tell nothing about the pace."""


class Reporter:
    """Turns the generator's items into `Progress` messages, at a pace that a person can follow."""

    def __init__(self, job: str, *, previews: bool) -> None:
        self._job = job
        self._previews = previews
        self._phase = ""
        self._spoke_at = float("-inf")
        self._showed_at = float("-inf")
        self._step_at: float | None = None
        self._step = 0
        self._paces: deque[float] = deque(maxlen=REMEMBERED_STEPS)  # seconds a step

    def report(self, item: Advance, now: float) -> tuple[Progress, tuple[bytes, ...]] | None:
        """What to say about `item` at time `now` (seconds, any origin), with its preview, or None to say nothing."""
        self._measure(item, now)
        if item.phase == self._phase and now - self._spoke_at < PROGRESS_SECONDS:
            return None
        self._phase, self._spoke_at = item.phase, now
        clip = None
        if self._previews and now - self._showed_at >= PREVIEW_SECONDS:
            clip = item.preview()
        if clip is not None:
            self._showed_at = now
        progress = Progress(
            job=self._job,
            phase=item.phase,
            step=item.step,
            steps=item.steps,
            seconds_left=self._seconds_left(item),
            preview_frames=0 if clip is None else len(clip),
        )
        return progress, () if clip is None else (side_by_side(clip),)

    def _measure(self, item: Advance, now: float) -> None:
        if self._step_at is not None and item.step > self._step > 0:
            self._paces.append((now - self._step_at) / (item.step - self._step))
        self._step, self._step_at = item.step, now

    def _seconds_left(self, item: Advance) -> float | None:
        if not item.steps or len(self._paces) < MEASURED_STEPS:
            return None
        return round(fmean(self._paces) * (item.steps - item.step), 1)
