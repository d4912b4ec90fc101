"""How often to speak, and how long it will still take. No I/O; the clock is given."""

from __future__ import annotations

from shared_protocol.messages import Progress

from .maker import Advance
from .preview import side_by_side

PROGRESS_SECONDS = 0.05
PREVIEW_SECONDS = 0.5
"""Shortest time between two of their kind."""
MEASURED_STEPS = 3
"""Fewer steps than this tell nothing about the pace."""


class Reporter:
    """Turns the maker's items into `Progress` messages, at a pace that a person can follow."""

    def __init__(self, job: str, *, previews: bool) -> None:
        self._job = job
        self.previews = previews
        """Whether previews are wanted; may change at any time."""
        self._last = Advance("waiting", 0, 0)
        self._phase = ""
        self._spoke_at = float("-inf")
        self._showed_at = float("-inf")
        self._first: tuple[int, float] | None = None
        """Number and time of the first finished step, from which the pace is measured: before it models were read."""

    def report(self, item: Advance, now: float) -> tuple[Progress, tuple[bytes, ...]] | None:
        """What to say about `item` at time `now` (seconds, any origin), with its preview, or None to say nothing."""
        if item.step < self._last.step:
            self._first = None  # another kind of work begins to count
        if self._first is None and item.step:
            self._first = (item.step, now)
        if item.phase == self._phase and now - self._spoke_at < PROGRESS_SECONDS:
            return None
        self._phase, self._spoke_at, self._last = item.phase, now, item
        clip = None
        if self.previews and now - self._showed_at >= PREVIEW_SECONDS:
            clip = item.preview()
        if clip is not None:
            self._showed_at = now
        progress = Progress(
            job=self._job,
            phase=item.phase,
            step=item.step,
            steps=item.steps,
            seconds_left=self._seconds_left(item, now),
            preview_frames=0 if clip is None else len(clip),
            bytes_done=item.bytes_done,
            bytes_total=item.bytes_total,
        )
        return progress, () if clip is None else (side_by_side(clip),)

    def writing(self, now: float) -> tuple[Progress, tuple[bytes, ...]]:
        """What to say while the result's other files are written."""
        self._phase, self._spoke_at = "writing", now
        steps = self._last.steps
        return Progress(job=self._job, phase="writing", step=steps, steps=steps, seconds_left=0.0), ()

    def begin_anew(self) -> None:
        """The clip begins anew, so steps count from 0 again."""
        self._phase, self._first = "", None

    def _seconds_left(self, item: Advance, now: float) -> float | None:
        # The mean over all steps: the kinds of step differ in cost and take turns, so a short memory would leap.
        if self._first is None:
            return None
        step, since = self._first
        if item.step - step < MEASURED_STEPS:
            return None
        left = max(0, item.steps - item.step)  # a count that goes too far is no time that goes back
        return round((now - since) / (item.step - step) * left, 1)
