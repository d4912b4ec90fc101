"""Frame rates as exact fractions: how many frames a clip has at another rate, and when. Standard library only."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

from ..errors import RequestError


def exact(fps: float) -> Fraction:
    """A rate that was written as a decimal number, such as 23.976, as a fraction."""
    return Fraction(fps).limit_denominator(100_000)


def length(frames: int, source: Fraction, target: Fraction) -> int:
    """How many frames a clip of `frames` frames at `source` frames a second has at `target` frames a second.

    Its duration is kept: frames / source seconds, times target, rounded to the nearest whole number, a half up, and at
    least 1. So the new clip is at most half of its frames' duration longer or shorter, unless it has one frame.
    Raises RequestError for no frames and for rates that are not above 0.
    """
    if frames < 1:
        raise RequestError(f"The clip has {frames} frames; choose one with 1 or more.")
    if source <= 0 or target <= 0:
        raise RequestError(f"The rates are {source} and {target} frames a second; choose rates above 0.")
    return max(math.floor(frames * target / source + Fraction(1, 2)), 1)


def times(frames: int, source: Fraction, target: Fraction) -> Iterator[Fraction]:
    """When each frame of the new clip begins, in frames of the old one: n · source / target, exactly.

    All are at least 0 and less than `frames`, and each is greater than the one before. Raises RequestError as
    `length` does.
    """
    step = source / target
    return (n * step for n in range(length(frames, source, target)))
