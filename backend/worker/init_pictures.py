"""The pictures that an order starts from, at the clip's size."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from elevator import RequestError
from elevator.pictures.footage import read_picture, resized
from elevator.pixels import Pixels
from elevator.sidecar import Pictures

from ..failures import Failure
from ..orders import Sample
from .maker import Advance, Clip


@dataclass(frozen=True, eq=False)
class InitPictures:
    """Footage and anchor of one clip, read."""

    frames: Clip | None = None
    anchor: Pixels | None = None
    notes: tuple[str, ...] = ()
    """Sentences on what was changed."""
    files: Pictures = field(default_factory=Pictures)
    """Where it lies."""


def read_init_pictures(order: Sample, pictures: Mapping[str, str]) -> Generator[Advance, None, InitPictures]:
    """Read the pictures that an order names and that lie at `pictures`; it can be ended after each of them. Raises
    BackendError for one that is none."""
    size = (order.width, order.height)
    notes: dict[str, None] = {}

    def read(path: str, which: str) -> Pixels:
        try:
            pixels = read_picture(Path(path))
        except RequestError as error:  # the file is an upload here, whose name tells its owner nothing
            detail = str(error).partition(";")[0].replace(path, which)
            raise Failure("footage_missing", detail=detail) from error
        if pixels.shape[1::-1] != size:
            given = f"{pixels.shape[1]} × {pixels.shape[0]}"
            notes[f"Footage of {given} pixels is resized to the clip's {size[0]} × {size[1]}."] = None
        return resized(pixels, size)

    files = Pictures(
        footage=tuple(pictures[sha256] for sha256 in order.footage),
        anchor=None if order.anchor is None else pictures[order.anchor],
        fit="stretch",
    )
    footage = []
    for number, path in enumerate(files.footage, 1):
        footage.append(read(path, f"picture {number} of the footage"))
        yield Advance("loading", 0, 0)
    frames = np.stack(footage) if footage else None
    anchor = None if files.anchor is None else read(files.anchor, "the anchor")
    return InitPictures(frames, anchor, tuple(notes), files)
