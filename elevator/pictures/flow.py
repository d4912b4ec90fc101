"""Where each pixel of one frame is in another, and whether the way back says so too.

Flow is found by OpenCV's dense inverse search (Kroeger et al., arXiv 1603.03590) on grey values, the medium preset
carried on to full resolution. Importing this imports OpenCV.
"""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..pixels import Pixels

Field: TypeAlias = NDArray[np.float32]
"""(H, W) or (H, W, 2)."""

MIN_SIDE_PX = 16
"""The search's patches are 8 pixels wide, and it fails on less than 12 pixels a side; smaller frames are continued at
their borders."""


def flow_of(start: Pixels, end: Pixels) -> Field:
    """How far each pixel of `start` moves in x and y, (H, W, 2), pixels."""
    height, width = start.shape[:2]
    down, right = max(MIN_SIDE_PX - height, 0), max(MIN_SIDE_PX - width, 0)
    grey = [
        cv2.copyMakeBorder(cv2.cvtColor(each, cv2.COLOR_RGB2GRAY), 0, down, 0, right, cv2.BORDER_REPLICATE)
        for each in (start, end)
    ]
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    # The preset stops at half resolution, where motions of half a pixel are found 10 % too long.
    search.setFinestScale(0)
    return np.asarray(search.calc(grey[0], grey[1], None)[:height, :width], np.float32)


def confirmed(flow: Field, back: Field) -> NDArray[np.bool_]:
    """Where a pixel stays in the picture and `back`, read where `flow` ends, leads back to it, (H, W).

    It does if |flow + back|² < .01 (|flow|² + |back|²) + .5 (UnFlow, arXiv 1711.07837).
    """
    x, y = places(flow)
    height, width = x.shape
    inside = (x >= -0.5) & (x <= width - 0.5) & (y >= -0.5) & (y <= height - 0.5)
    returned = cv2.remap(back, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    bound = 0.01 * ((flow**2).sum(-1) + (returned**2).sum(-1)) + 0.5
    return np.asarray(inside & (((flow + returned) ** 2).sum(-1) < bound), np.bool_)


def places(flow: Field) -> tuple[Field, Field]:
    """Where the pixels end up: x and y, each (H, W)."""
    height, width = flow.shape[:2]
    x = np.arange(width, dtype=np.float32) + flow[..., 0]
    y = np.arange(height, dtype=np.float32)[:, None] + flow[..., 1]
    return x, y


def warped(picture: Pixels, flow: Field) -> Field:
    """The picture read where `flow` leads, (H, W, 3); outside the border goes on.

    By Lanczos, because the blur of a bilinear reading would count as an error wherever motion is sub-pixel, and would
    come and go between the frames of a clip.
    """
    x, y = places(flow)
    return np.asarray(
        cv2.remap(picture.astype(np.float32), x, y, cv2.INTER_LANCZOS4, borderMode=cv2.BORDER_REPLICATE), np.float32
    )
