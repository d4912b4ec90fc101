"""Sizes that a style can make. Pure."""

from __future__ import annotations

import math
from fractions import Fraction

from shared_protocol.messages import Style


def legal(style: Style) -> range:
    """Widths and heights that the style makes, pixels."""
    step = style.size_step
    return range(math.ceil(style.min_size / step) * step, style.max_size + 1, step)


def nearest(style: Style, aspect: Fraction) -> tuple[int, int]:
    """The size (width, height) nearest to the aspect, of about as many pixels as the style's own, the fuller one first
    of those that are equally near."""
    sides, own = legal(style), style.width * style.height

    def distance(size: tuple[int, int]) -> float:
        width, height = size
        shape = abs(math.log(width / height / aspect))
        return 4 * shape + abs(math.log(width * height / own))

    heights = ((min(sides, key=lambda side: abs(side - height * aspect)), height) for height in sides)
    return min(heights, key=distance)


def snapped(value: int, before: int, style: Style) -> int:
    """The legal side that a typed or clicked value means: the next one in the direction in which it went."""
    sides = legal(style)
    if value <= sides[0]:
        return sides[0]
    step = math.floor if value < before else math.ceil
    return min(sides[0] + step((value - sides[0]) / style.size_step) * style.size_step, sides[-1])
