"""Frame rates as exact fractions: how many frames a clip has at another rate, and when. Imports no numpy."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction

from .errors import RequestError


def length(frames: int, source: Fraction, target: Fraction) -> int:
    """How many frames a clip has at another rate: its duration is kept, to the nearest frame, halves upwards; at least 1.

    source, target: frames a second. Raises RequestError for no frames or rates that are not above 0.
    """
    if frames < 1:
        raise RequestError(f"The clip has {frames} frames; choose one with 1 or more.")
    if source <= 0 or target <= 0:
        raise RequestError(f"The rates are {source} and {target} frames a second; choose rates above 0.")
    return max(1, int(frames * target / source + Fraction(1, 2)))


def times(frames: int, source: Fraction, target: Fraction) -> Iterator[Fraction]:
    """When each frame of the clip at the other rate is shown, in frames of the source from 0; at most its last frame.

    Raises RequestError as `length` does.
    """
    count = length(frames, source, target)
    return (min(n * source / target, Fraction(frames - 1)) for n in range(count))
