"""A clip's folder: how its frames are called, what lies beside them, and which of its files are pictures to start from.

A clip's folder has `frame_0001.png` and so on, the record `clip.json` and the contact sheet. Frames are the only PNGs
that are written there; earlier versions of the backend put `contact_sheet.png` beside them, so no reader takes all
PNGs of a clip's folder for frames. Importing this imports the standard library alone.
"""

from __future__ import annotations

import re
from pathlib import Path

RECORD = "clip.json"
SHEET = "contact_sheet.jpg"
FILMS = (".mp4", ".webm", ".gif")
"""How the names of films end: a clip may be one of these instead of a folder."""
_FRAME = re.compile(r"frame_([0-9]{4,})\.png")
_DIGITS = re.compile(r"([0-9]{1,400})")


def frame_name(index: int) -> str:
    """Name of the file of frame `index`, counted from 0: 0 → "frame_0001.png"."""
    return f"frame_{index + 1:04d}.png"


def is_film(path: Path) -> bool:
    """Whether a path is called as a film is, so that a clip goes there as one file."""
    return path.suffix.lower() in FILMS


def record_path(out: Path) -> Path:
    """Where the record of a clip lies: in its folder, or beside its film."""
    return out.with_name(f"{out.name}.json") if is_film(out) else out / RECORD


def frames_in(folder: Path) -> tuple[Path, ...]:
    """The frames that lie in a folder, in order; none if there is no such folder. Raises OSError."""
    if not folder.is_dir():
        return ()
    found = {path: match for path in folder.iterdir() if (match := _FRAME.fullmatch(path.name))}
    return tuple(sorted(found, key=lambda path: (int(found[path][1]), path.name)))


def pictures_in(folder: Path) -> tuple[Path, ...]:
    """The PNGs of a folder of pictures, in the order of their names, in which numbers count as numbers: f2 comes before
    f10. Hidden files are left out, also those that macOS puts beside each file on other disks (`._f2.png`). Of a clip's
    folder, its frames alone.

    None if there is no such folder. Raises OSError.
    """
    # A clip has a first frame; the names of other people's pictures may look like ours from the thousandth on.
    if (folder / frame_name(0)).exists():
        return frames_in(folder)
    files = folder.iterdir() if folder.is_dir() else ()
    found = (path for path in files if path.suffix.lower() == ".png" and not path.name.startswith("."))
    return tuple(sorted((path for path in found if not path.is_dir()), key=lambda path: natural(path.name)))


def natural(name: str) -> tuple[object, ...]:
    """A key that sorts names as people count: runs of digits by their number, the rest by its letters in any case."""
    parts = _DIGITS.split(name.casefold())
    return (tuple((int(part), "") if part.isdecimal() else (-1, part) for part in parts if part), name)
