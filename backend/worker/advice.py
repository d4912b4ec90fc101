"""What a clip takes, and which one would fit, for whoever ran out of memory."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator
from dataclasses import replace

import torch

from elevator import Plan, devices, estimate, load_shapes
from elevator.cost.estimating import Estimate
from elevator.cost.shapes import Shapes
from elevator.sources import Sources

from .foresight import Size, peak
from .ladder import PHASES, Way

PATIENCE_SECONDS = 20.0
"""How long to look for a clip that fits; an estimate takes seconds."""
SAFETY = 0.9
"""Of what seems to fit, how much is tried."""


def what_would_fit(sources: Sources, dtype: torch.dtype, device: str, way: Way, size: Size, phase: str) -> str:
    """A clause: what the clip of this size takes at the least, what there is, and what would fit.

    Raises the errors of `load_shapes`.
    """
    shapes = load_shapes(sources, dtype)
    there = devices.memory(device).available
    cost = _estimate(shapes, way.plan, size)
    takes = peak(cost, device)
    clause = f"while {PHASES[phase]}; the clip takes about {_gigabytes(takes)}, and {_gigabytes(there)} are there"
    if takes <= there:
        return f"{clause} now, so that other programs may have had them"
    return clause + _fitting(shapes, way.plan, size, cost, device, there)


def _fitting(shapes: Shapes, plan: Plan, size: Size, cost: Estimate, device: str, there: int) -> str:
    """A shorter and a smaller clip that fit."""
    until = time.monotonic() + PATIENCE_SECONDS
    moving = cost.activations + cost.kept  # grows about as frames and pixels do
    share = min((there - peak(cost, device) + moving) / moving, 1)
    found = []
    for frames, height, width in _candidates(size, share, shapes.models.size_multiple):
        clip = f"{frames} frames of {width} × {height} pixels"
        if time.monotonic() < until and peak(_estimate(shapes, plan, (frames, height, width)), device) <= there:
            found.append(clip)
    return f"; {' or '.join(found)} would fit" if found else "; no clip was found that would fit"


def _candidates(size: Size, share: float, multiple: int) -> Iterator[Size]:
    """Clips of less than this share of frames or pixels, one for each."""
    frames, height, width = size
    if share <= 0:
        return
    if shorter := int(SAFETY * share * frames):
        yield shorter, height, width
    shrink = math.sqrt(SAFETY * share)
    smaller = tuple(int(shrink * side) // multiple * multiple for side in (height, width))
    if min(smaller):
        yield frames, smaller[0], smaller[1]


def _estimate(shapes: Shapes, plan: Plan, size: Size) -> Estimate:
    """What a clip takes. Of many chunks two are looked at, as the others take the same."""
    frames, height, width = size
    whole = estimate(replace(plan, chunk=None), shapes, frames=frames, height=height, width=width)
    if plan.chunk is None or frames <= plan.chunk:
        return whole
    part = estimate(plan, shapes, frames=min(2 * plan.chunk, frames), height=height, width=width)
    return replace(whole, painting=part.painting)


def _gigabytes(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
