"""A finished clip at another frame rate: an order goes in, a maker's items come out. Needs no models."""

from __future__ import annotations

import hashlib
from collections.abc import Generator
from fractions import Fraction
from pathlib import Path

import cv2
import msgspec
import numpy as np

from elevator.pictures.clip_folder import RECORD, SHEET, frame_name
from elevator.pictures.conform import conform, length
from elevator.pictures.footage import decoded
from elevator.pictures.sheet import LONGEST, encoded_sheet
from elevator.pixels import Pixels

from ..failures import Failure
from ..orders import Resample
from .maker import Advance, Extra, Item, Picture

SHEET_FRAMES = 64
"""Most that the contact sheet shows; of longer clips as many at equal distances."""


class SourceFrame(msgspec.Struct, frozen=True):
    """A file that the clip was made of."""

    file: str
    sha256: str
    """Of the file."""


class ConformRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What clip.json of such a clip says."""

    kind: str = "conform"
    source: str
    """Name of the source's folder, which is that of its job."""
    source_fps: str
    """Frames a second, as a fraction such as 24000/1001."""
    fps: str
    method: str
    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    seed: int
    """Of the source."""
    source_frames: tuple[SourceFrame, ...]


class SourceFrames:
    """The frames of a finished clip, each read when it is asked for, as `elevator.pictures.conform` wants it."""

    def __init__(self, order: Resample) -> None:
        self._folder = Path(order.source)
        self._count = order.source_frames
        self._shape = (order.height, order.width, 3)
        self._hashes: dict[int, str] = {}

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> Pixels:
        """Read a frame. Raises BackendError if it is missing, damaged or of another size."""
        pixels = decoded(self._read(index))
        if pixels is None or pixels.shape != self._shape:
            raise Failure("source_missing", detail=f"{frame_name(index)} is damaged")
        return pixels

    def check(self) -> None:
        """See whether all files are there. Raises BackendError."""
        for index in range(self._count):
            if not (self._folder / frame_name(index)).is_file():
                raise Failure("source_missing", detail=f"{frame_name(index)} is not there")

    def recorded(self) -> tuple[SourceFrame, ...]:
        """All files with their hashes; those that were not needed are read for it. Raises BackendError."""
        for index in range(self._count):
            if index not in self._hashes:
                self._read(index)
        return tuple(SourceFrame(frame_name(index), self._hashes[index]) for index in range(self._count))

    def _read(self, index: int) -> bytes:
        try:
            data = (self._folder / frame_name(index)).read_bytes()
        except OSError as error:
            detail = f"{frame_name(index)} cannot be read ({error.strerror})"
            raise Failure("source_missing", detail=detail) from error
        self._hashes[index] = hashlib.sha256(data).hexdigest()
        return data


def resample(order: Resample) -> Generator[Item, None, None]:
    """The clip at its new rate: pictures with progress, then the record and the contact sheet.

    No more than a few frames are in memory at once. Raises BackendError while iterated: `source_missing` for a frame
    that is not there or damaged, `bad_request` if the order's count of frames is not that of its rates.
    """
    source, target = Fraction(*order.source_fps), Fraction(*order.fps)
    expected = length(order.source_frames, source, target)
    if order.frames != expected:
        raise Failure("bad_request", detail=f"the clip would have {expected} frames, not {order.frames}")
    frames = SourceFrames(order)
    frames.check()
    yield Advance("conforming", 0, order.frames)
    chosen = {number * order.frames // SHEET_FRAMES for number in range(SHEET_FRAMES)}
    small: list[Pixels] = []
    for index, pixels in enumerate(conform(frames, source, target, order.method)):
        if index in chosen:
            small.append(_shrunk(pixels))
        yield Picture(index, pixels)
        yield Advance("conforming", index + 1, order.frames)
    yield Extra(RECORD, msgspec.json.format(msgspec.json.encode(_record(order, source, target, frames)), indent=1))
    yield Extra(SHEET, encoded_sheet(np.stack(small)))


def _record(order: Resample, source: Fraction, target: Fraction, frames: SourceFrames) -> ConformRecord:
    return ConformRecord(
        source=Path(order.source).name,
        source_fps=str(source),
        fps=str(target),
        method=order.method,
        frames=order.frames,
        width=order.width,
        height=order.height,
        seed=order.seed,
        source_frames=frames.recorded(),
    )


def _shrunk(pixels: Pixels) -> Pixels:
    """A frame as large as on the contact sheet, so that a long clip's sheet takes little memory."""
    height, width = pixels.shape[:2]
    scale = min(LONGEST / max(height, width), 1)
    size = (max(round(width * scale), 1), max(round(height * scale), 1))
    return np.asarray(cv2.resize(pixels, size, interpolation=cv2.INTER_AREA), np.uint8)
