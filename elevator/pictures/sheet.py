"""A contact sheet: all frames of a clip in one picture."""

from __future__ import annotations

import io
import math

import numpy as np
from numpy.typing import NDArray
from PIL import Image

LONGEST = 256
"""Longer side of a frame on the sheet, pixels; smaller frames keep their size."""


def contact_sheet(clip: NDArray[np.uint8]) -> Image.Image:
    """The frames of a clip (F, H, W, 3) in rows from the top left, about as many rows as columns; black where none is.

    Frames are made smaller where their longer side exceeds `LONGEST`, and never larger.
    """
    frames, height, width = clip.shape[:3]
    shrink = max(max(height, width) / LONGEST, 1)
    size = (max(round(width / shrink), 1), max(round(height / shrink), 1))
    columns = math.ceil(math.sqrt(frames))
    rows = math.ceil(frames / columns)
    sheet = Image.new("RGB", (columns * size[0], rows * size[1]))
    for k, frame in enumerate(clip):
        row, column = divmod(k, columns)
        small = Image.fromarray(frame).resize(size, Image.Resampling.BOX)
        sheet.paste(small, (column * size[0], row * size[1]))
    return sheet


def encoded_sheet(clip: NDArray[np.uint8]) -> bytes:
    """The contact sheet of a clip (F, H, W, 3) as a JPEG file."""
    file = io.BytesIO()
    contact_sheet(clip).save(file, "jpeg", quality=95, subsampling=0)
    return file.getvalue()
