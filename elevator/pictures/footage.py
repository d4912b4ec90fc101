"""Pictures read from their files. Importing this imports OpenCV and no torch."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ..errors import RequestError
from ..pixels import Pixels


def read_picture(file: Path) -> Pixels:
    """A picture file in 8 bits. Raises RequestError if there is none, or it is none."""
    try:
        pixels = decoded(file.read_bytes())
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); choose another picture.") from error
    if pixels is None:
        raise RequestError(f"{file} is not a readable picture; choose a PNG.")
    return pixels


def decoded(data: bytes) -> Pixels | None:
    """A file's bytes as a picture of 8 bits; None if they are none, or one of more pixels than OpenCV takes."""
    try:
        # From memory, for OpenCV's own reading of files knows no names outside of the code page on Windows.
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
    except cv2.error:
        return None
    return None if pixels is None else np.asarray(pixels, np.uint8)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at (width, height); itself if it has that size."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
