"""Pictures read from their files. Importing this imports OpenCV and no torch."""

from __future__ import annotations

import io
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RequestError
from ..pixels import Pixels
from . import png
from .encoding import shortage_told


def check_pictures(files: Iterable[Path]) -> None:
    """Raises RequestError for the first PNG file that cannot be read or is not whole. What other formats hold is known
    when they are read."""
    for file in files:
        data = _data(file)
        why = png.fault(data)
        if why is not None and (not data or data.startswith(png.SIGNATURE)):
            raise RequestError(f"{file} {why}.")


def read_picture(file: Path) -> Pixels:
    """A picture file in 8 bits; what is transparent lies on black.

    Raises RequestError if there is none, or it is none.
    """
    pixels = decoded(_data(file))
    if pixels is None:
        raise RequestError(f"{file} is not a readable picture; choose a PNG.")
    return pixels


def _data(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); choose another picture.") from error


def decoded(data: bytes) -> Pixels | None:
    """A file's bytes as a picture of 8 bits; None if they are none, or one of more pixels than OpenCV takes.

    What is transparent in a PNG lies on black: the colours below it are whatever a program has left there. Raises
    MemoryError.
    """
    try:
        with shortage_told():
            # From memory, for OpenCV's own reading of files knows no names outside of the code page on Windows.
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB) if data else None
            if pixels is None:
                _ask_for_memory(data)
                return None
            if not png.has_alpha(data):
                return np.asarray(pixels, np.uint8)
            whole = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    return _on_black(np.asarray(pixels, np.uint8), whole)


def _ask_for_memory(data: bytes) -> None:
    """Raises MemoryError if that is why OpenCV gives no picture of whole data: it says nothing of it."""
    if png.fault(data) is None:
        with (
            suppress(OSError, SyntaxError, ValueError, Image.DecompressionBombError),
            Image.open(io.BytesIO(data)) as it,
        ):
            it.load()


def _on_black(pixels: Pixels, whole: NDArray[Any] | None) -> Pixels:
    """Pixels (H, W, 3) times the alpha of the same picture, which is its last channel."""
    if whole is None or whole.ndim != 3 or whole.shape[2] not in (2, 4):
        return pixels
    alpha = whole[..., -1:].astype(np.float32) / np.iinfo(whole.dtype).max
    return np.rint(pixels * alpha).astype(np.uint8)


def resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    """The picture at (width, height); itself if it has that size."""
    if pixels.shape[1::-1] == size:
        return pixels
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
