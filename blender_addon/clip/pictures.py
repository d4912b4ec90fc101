"""Pictures that a clip starts from: which files hold them, and which frames of a strip they are. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction

import msgspec


class Picture(msgspec.Struct, frozen=True, array_like=True, omit_defaults=True):
    """One picture in a file."""

    file: str
    frame: int = -1
    """Of a movie, from 0; −1: the file is the picture."""


class Pictures(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a clip starts from; none, unless said."""

    footage: tuple[Picture, ...] = ()
    """One for each frame of the clip, or none."""
    anchor: Picture | None = None
    """What frame 0 is."""

    def __bool__(self) -> bool:
        return bool(self.footage) or self.anchor is not None


NONE = Pictures()


def scene_frames(frames: int, fps: Fraction, rate: Fraction | None, start: int) -> Iterator[int]:
    """Where in the scene each frame of a clip is seen first. `rate` None: each frame of the clip is one of the
    scene's."""
    for index in range(frames):
        yield start + (index if rate is None else math.ceil(index * rate / fps))
