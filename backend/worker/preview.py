"""A clip as one small picture."""

from __future__ import annotations

import cv2
import numpy as np

from elevator.pictures.encoding import UNFILTERED, encoded

from .maker import Clip

PREVIEW_HEIGHT = 96
PREVIEW_WIDTH = 4096
"""Largest size of a preview strip, pixels."""


def side_by_side(clip: Clip) -> bytes:
    """The frames of `clip` beside each other, from the left, as one small PNG."""
    frames, height, width = clip.shape[:3]
    scale = min(1.0, PREVIEW_HEIGHT / height, PREVIEW_WIDTH / (frames * width))
    if scale < 1.0:
        size = (max(1, int(width * scale)), max(1, int(height * scale)))
        clip = np.stack([cv2.resize(frame, size, interpolation=cv2.INTER_AREA) for frame in clip])
    return encoded(np.ascontiguousarray(np.concatenate(list(clip), axis=1)), UNFILTERED)
