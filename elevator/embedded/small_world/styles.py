"""Picture styles, as filters over finished frames. One LoRA is trained for each."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .world import FRAME_PX, Frame

Filter = Callable[[Frame], Frame]


def _edges(frame: Frame) -> NDArray[np.float32]:
    """(64, 64): the steepest gradient of the three channels."""
    edges = np.zeros(frame.shape[:2], np.float32)
    for channel in cv2.split(frame):
        dx = cv2.Sobel(channel, cv2.CV_32F, 1, 0)
        dy = cv2.Sobel(channel, cv2.CV_32F, 0, 1)
        edges = np.maximum(edges, cv2.magnitude(dx, dy))
    return edges


def sketch(frame: Frame) -> Frame:
    """Dark pencil lines on cream paper, with a wash of the colours."""
    gray = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    lines = 0.8 * np.clip((_edges(frame) - 60) / 320, 0, 1)[..., None]
    paper = np.array((250, 244, 228), np.float32)
    shade = 0.72 + 0.28 * (gray[..., None] / 255)
    tinted = paper * shade * 0.6 + frame * 0.4
    drawn = tinted * (1 - lines) + np.array((46, 42, 52), np.float32) * lines
    return np.asarray(np.clip(drawn, 0, 255), np.uint8)


def pixel_art(frame: Frame) -> Frame:
    """Blocks of 4 x 4 pixels in a palette of six levels a channel."""
    small = cv2.resize(frame, (FRAME_PX // 4, FRAME_PX // 4), interpolation=cv2.INTER_AREA)
    levels = np.round(small / 51.0) * 51
    blocks = cv2.resize(levels, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_NEAREST)
    return np.asarray(blocks, np.uint8)


def neon(frame: Frame) -> Frame:
    """Glowing outlines in the subject's own bright colours on a dark ground."""
    colours = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
    colours[..., 1] = np.clip(colours[..., 1] * 1.4 + 50, 0, 255)
    colours[..., 2] = 255
    bright = cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_HSV2RGB).astype(np.float32)
    lines = np.clip((_edges(frame) - 50) / 260, 0, 1)
    glow = np.clip(lines + 0.9 * cv2.GaussianBlur(lines, (0, 0), 2.0), 0, 1)[..., None]
    dark = frame * 0.22 + np.array((10, 4, 26), np.float32)
    return np.asarray(np.clip(dark * (1 - glow) + bright * glow, 0, 255).round(), np.uint8)


def washed_out(frame: Frame) -> Frame:
    """How the T2V sees the world: half resolution, soft, a little pale. A worse painter."""
    half = cv2.resize(frame, (FRAME_PX // 2, FRAME_PX // 2), interpolation=cv2.INTER_AREA)
    soft = cv2.resize(half, (FRAME_PX, FRAME_PX), interpolation=cv2.INTER_LINEAR)
    pale = soft * 0.88 + 0.12 * 150.0
    return np.asarray(pale.round(), np.uint8)


STYLES: dict[str, Filter] = {"sketch": sketch, "pixel_art": pixel_art, "neon": neon}

WEIGHTS = {"sketch": 0.8, "pixel_art": 1.0, "neon": 0.9}
"""Of each style's LoRA: at full weight, sketches lose their subjects."""


def filter_clip(frames: NDArray[np.uint8], style: Filter) -> NDArray[np.uint8]:
    """Apply a style to each frame of (f, 64, 64, 3)."""
    return np.stack([style(frame) for frame in frames])
