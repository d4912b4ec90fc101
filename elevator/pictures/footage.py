"""Pictures to start a clip from. Importing this imports OpenCV and no torch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import RequestError

Pixels = NDArray[np.uint8]
"""(H, W, 3), the last axis R, G, B."""


def read_picture(file: Path) -> Pixels:
    """A picture file in 8 bits. Raises RequestError if there is none, or it is none."""
    try:
        data = np.frombuffer(file.read_bytes(), np.uint8)
        # OpenCV's own reading of files knows no names outside of the code page on Windows.
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR_RGB) if data.size else None
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); choose another picture.") from error
    except cv2.error as error:  # more pixels than OpenCV takes
        raise RequestError(f"{file} is not a readable picture; choose a PNG.") from error
    if pixels is None:
        raise RequestError(f"{file} is not a readable picture; choose a PNG.")
    return np.asarray(pixels, np.uint8)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at (width, height); itself if it has that size."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
