"""The pictures that an order starts from, at the clip's size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from elevator import RequestError
from elevator.pictures.footage import read_picture, resized

from ..failures import BackendError
from ..orders import Sample
from .maker import Clip, Pixels


@dataclass(frozen=True, eq=False)
class Footage:
    """What a clip starts from."""

    frames: Clip | None = None
    anchor: Pixels | None = None
    notes: tuple[str, ...] = ()
    """Sentences on what was changed."""


def read_footage(order: Sample) -> Footage:
    """Read all pictures of an order. Raises BackendError for one that is missing or none."""
    size = (order.width, order.height)
    notes: dict[str, None] = {}

    def read(path: str) -> Pixels:
        try:
            pixels = read_picture(Path(path))
        except RequestError as error:
            raise BackendError("footage_missing", detail=str(error).partition(";")[0]) from error
        if pixels.shape[1::-1] != size:
            given = f"{pixels.shape[1]} × {pixels.shape[0]}"
            notes[f"Footage of {given} pixels is resized to the clip's {size[0]} × {size[1]}."] = None
        return resized(pixels, size)

    frames = np.stack([read(path) for path in order.footage]) if order.footage else None
    anchor = None if order.anchor is None else read(order.anchor)
    return Footage(frames, anchor, tuple(notes))
