"""Which way something moves in a clip: centroid and area of what is not background.

Needs the bare background, so it only works on this world; check it on true clips before
trusting it on generated ones.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .pictures import PICTURE_PX
from .world import FRAME_PX, MOTIONS, SUBJECTS, Background, Frame, Scene, render

_TRAVEL_PX = 10.0
"""Least displacement of the centroid for a directed motion; true clips travel 31 pixels."""
_GROWTH = 0.5
"""Least change of the area's natural logarithm; true clips change it by 2."""


class _Nothing:
    def picture(self, name: str, symbol: str) -> NDArray[np.uint8]:
        return np.zeros((PICTURE_PX, PICTURE_PX, 4), np.uint8)


def bare(background: Background) -> Frame:
    """The background without a subject, (64, 64, 3)."""
    return render(Scene(SUBJECTS[0], background, MOTIONS[0]), 0.0, _Nothing())


def track(clip: NDArray[np.uint8], backdrop: Frame) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Centroids (f, 2) as (x, y) and areas (f,), in pixels, of clip (f, 64, 64, 3)."""
    rows, columns = np.mgrid[:FRAME_PX, :FRAME_PX]
    centroids, areas = [], []
    for frame in clip:
        difference = np.abs(frame.astype(np.float32) - backdrop).max(-1)
        mask = cv2.medianBlur((difference > 45).astype(np.uint8), 5).astype(np.float64)
        area = mask.sum() + 1e-6
        centroids.append(((mask * columns).sum() / area, (mask * rows).sum() / area))
        areas.append(area)
    return np.array(centroids), np.array(areas)


def motion_of(clip: NDArray[np.uint8], background: Background, style: Callable[[Frame], Frame] | None = None) -> str:
    """The name of the motion that a clip (f, 64, 64, 3) shows: "left", ..., "still", or "lost"."""
    backdrop = bare(background) if style is None else style(bare(background))
    centroids, areas = track(clip, backdrop)
    if np.median(areas) < 25:
        return "lost"
    third = max(1, len(clip) // 5)
    dx, dy = centroids[-third:].mean(0) - centroids[:third].mean(0)
    growth = float(np.log(areas[-third:].mean() / areas[:third].mean()))
    if max(abs(dx), abs(dy)) > _TRAVEL_PX:
        if abs(dx) > abs(dy):
            return "right" if dx > 0 else "left"
        return "down" if dy > 0 else "up"
    if abs(growth) > _GROWTH:
        return "grow" if growth > 0 else "shrink"
    return "still"
