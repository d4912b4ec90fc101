"""Pixels to PNG."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from elevator.pixels import Pixels

from .maker import Clip

PREVIEW_HEIGHT = 96
PREVIEW_WIDTH = 4096
"""Largest size of a preview strip, pixels."""
FAST = (cv2.IMWRITE_PNG_COMPRESSION, 3)
UNFILTERED = (*FAST, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
"""Lines are as they are: who has no library for pictures can read them, too."""


def png(pixels: Pixels, how: Sequence[int] = FAST) -> bytes:
    """`pixels` as an 8-bit RGB PNG file."""
    done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)
    if not done:
        raise ValueError(f"a picture of shape {pixels.shape} could not be encoded")
    return data.tobytes()


def side_by_side(clip: Clip) -> bytes:
    """The frames of `clip` beside each other, from the left, as one small PNG."""
    frames, height, width = clip.shape[:3]
    scale = min(1.0, PREVIEW_HEIGHT / height, PREVIEW_WIDTH / (frames * width))
    if scale < 1.0:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        clip = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip])
    return png(np.ascontiguousarray(np.concatenate(list(clip), axis=1)), UNFILTERED)
