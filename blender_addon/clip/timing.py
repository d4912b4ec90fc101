"""A clip's frames in a scene of another frame rate. Pure.

The same arithmetic as the backend's `hold`: no new picture is made, frames are shown for longer or left out.
"""

from __future__ import annotations

import math
from fractions import Fraction

from . import limits


def length(frames: int, fps: Fraction, rate: Fraction) -> int:
    """How many scene frames a clip takes: its seconds are kept, to the nearest whole frame, a half up; at least 1."""
    return max(math.floor(frames * rate / fps + Fraction(1, 2)), 1)


def shown(frames: int, fps: Fraction, rate: Fraction | None) -> tuple[int, ...]:
    """Which frame of the clip each scene frame shows, from 0. `rate` None: each frame of the clip once."""
    if rate is None:
        return tuple(range(frames))
    return tuple(min(math.floor(n * fps / rate), frames - 1) for n in range(length(frames, fps, rate)))


def flow_rate(rate: Fraction) -> Fraction:
    """A scene's rate as a request can carry it: the nearest with a numerator of at most a million."""
    return rate.limit_denominator(max(1, int(limits.FLOW_RATE.most / rate)))


def frames_in(seconds: Fraction, fps: Fraction) -> int:
    """How many frames a clip needs to last so long: the nearest whole number, at least 1."""
    return max(math.floor(seconds * fps + Fraction(1, 2)), 1)
