"""Pixels to PNG. Importing this imports OpenCV and no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import cv2

from ..pixels import Pixels

FAST = (cv2.IMWRITE_PNG_COMPRESSION, 3)
UNFILTERED = (*FAST, cv2.IMWRITE_PNG_FILTER, cv2.IMWRITE_PNG_FILTER_NONE)
"""Lines are as they are: who has no library for pictures can read them, too."""


@contextmanager
def shortage_told() -> Iterator[None]:
    """Within it, OpenCV's own error for a shortage of memory is raised as MemoryError."""
    try:
        yield
    except cv2.error as error:
        if error.code == cv2.Error.StsNoMem:
            raise MemoryError("OpenCV had no memory for a picture") from error
        raise


def encoded(pixels: Pixels, how: Sequence[int] = FAST) -> bytes:
    """`pixels` (H, W, 3) as an 8-bit RGB PNG file.

    Raises MemoryError: nothing else hinders libpng, and OpenCV says only that it could not.
    """
    with shortage_told():
        done, data = cv2.imencode(".png", cv2.cvtColor(pixels, cv2.COLOR_RGB2BGR), how)
    if not done:
        raise MemoryError(f"a picture of shape {pixels.shape} could not be encoded")
    return data.tobytes()
