"""Pictures of an edit, on their way to the backend: a process of its own, which Blender's add-on starts.

    python -m backend.client.strip_pictures FOLDER

FOLDER holds `asked.json` (`Asked`), and gets `told.json` (`Told`). A picture is cut to the clip's shape around its
middle and brought to the clip's size. An error is one sentence on standard error, and exit code 1.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import cv2
import msgspec
import numpy as np

from elevator.errors import RequestError
from elevator.pictures.encoding import encoded
from elevator.pictures.footage import read_picture, resized
from elevator.pixels import Pixels

from .api import BackendError, connect

ASKED, TOLD = "asked.json", "told.json"


class Picture(msgspec.Struct, frozen=True, array_like=True):
    """One picture in a file."""

    file: str
    frame: int = -1
    """Of a movie, from 0; −1: the file is the picture."""


class Asked(msgspec.Struct, frozen=True):
    """Which pictures, the clip's size, pixels, and for whom."""

    width: int
    height: int
    footage: tuple[Picture, ...] = ()
    anchor: Picture | None = None
    profile: str = ""
    """Of the backend that shall have them; empty: the one of this computer."""


class Told(msgspec.Struct, frozen=True):
    """Under which hashes the backend has them."""

    footage: tuple[str, ...]
    anchor: str


def bring(folder: Path) -> None:
    """Read what is asked for and bring it to the backend. Raises RequestError or BackendError."""
    asked = msgspec.json.decode((folder / ASKED).read_bytes(), type=Asked)
    every = (*asked.footage, *([asked.anchor] if asked.anchor else []))
    hashes: dict[Picture, str] = {}
    with connect(profile=asked.profile or None) as backend:
        for picture, pixels in read(every):
            hashes[picture] = backend.upload(encoded(fitted(pixels, asked.width, asked.height)))
    told = Told(
        footage=tuple(hashes[picture] for picture in asked.footage),
        anchor=hashes[asked.anchor] if asked.anchor else "",
    )
    (folder / TOLD).write_bytes(msgspec.json.encode(told))


def read(pictures: Iterable[Picture]) -> Iterator[tuple[Picture, Pixels]]:
    """Each picture once, a movie's in their order in it. Raises RequestError."""
    movies: dict[str, set[int]] = {}
    for picture in dict.fromkeys(pictures):
        if picture.frame < 0:
            yield picture, read_picture(Path(picture.file))
        else:
            movies.setdefault(picture.file, set()).add(picture.frame)
    for file, frames in movies.items():
        for frame, pixels in _of_movie(file, sorted(frames)):
            yield Picture(file, frame), pixels


def _of_movie(file: str, frames: list[int]) -> Iterator[tuple[int, Pixels]]:
    movie = cv2.VideoCapture(file)
    try:
        if not movie.isOpened():
            raise RequestError(f"{file} is not a readable movie; choose another strip.")
        movie.set(cv2.CAP_PROP_POS_FRAMES, frames[0])
        now, wanted = frames[0], set(frames)
        while now <= frames[-1]:
            there, pixels = movie.read() if now in wanted else (movie.grab(), None)
            if not there:
                raise RequestError(f"{file} has no frame {now + 1}; shorten the clip or choose another strip.")
            if pixels is not None:
                yield now, np.asarray(cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB), np.uint8)
            now += 1
    finally:
        movie.release()


def fitted(pixels: Pixels, width: int, height: int) -> Pixels:
    """The middle of a picture that has the clip's shape, at the clip's size."""
    high, wide = pixels.shape[:2]
    keep_wide = min(wide, max(1, round(high * width / height)))
    keep_high = min(high, max(1, round(wide * height / width)))
    top, left = (high - keep_high) // 2, (wide - keep_wide) // 2
    return resized(pixels[top : top + keep_high, left : left + keep_wide], (width, height))


def main(folder: str) -> int:
    """Do it, and say what is wrong."""
    try:
        bring(Path(folder))
    except (RequestError, BackendError) as error:
        print(str(error), file=sys.stderr)
        return 1
    except MemoryError:
        print("There is not enough memory for the pictures; close other programs and try again.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.stderr.reconfigure(encoding="utf-8")  # type: ignore[union-attr]
    sys.exit(main(sys.argv[1]))
