"""What a person reads of models. Pure."""

from __future__ import annotations

from pathlib import PurePath

from shared_protocol.texts import duration

from .words import Phrase


def gigabytes(size: int) -> str:
    """ "5.1 GB", or "35 MB" of what is small."""
    return f"{size / 1e9:.1f} GB" if size >= 1e8 else f"{size / 1e6:.0f} MB"


def of_set(size: int, missing: int, memory_gb: float) -> str:
    """What a set takes."""
    if not missing:
        return Phrase("It is here.")
    whole = Phrase("{size}, for graphics cards of {memory} GB.", size=gigabytes(size), memory=f"{memory_gb:g}")
    if missing < size:
        return Phrase("{missing} of {size} are missing.", missing=gigabytes(missing), size=gigabytes(size))
    return whole


def fetched(done: int, total: int, seconds_left: float | None) -> str:
    """How far a download is."""
    far = {"done": gigabytes(done), "total": gigabytes(total)}
    if seconds_left is None:
        return Phrase("{done} of {total}", **far)
    return Phrase("{done} of {total}, {left} left", **far, left=duration(seconds_left))


def name_of(path: str) -> str:
    """What a model is called: its file's name, or its folder's."""
    place = PurePath(path.replace("\\", "/"))
    return place.stem if place.suffix else place.name


def pair(t2i: str, t2v: str) -> str:
    """Two models that would make a style."""
    return Phrase("{image} with {motion}", image=name_of(t2i), motion=name_of(t2v))


def checked(count: int) -> str:
    """Files that were compared with their hashes, all of which are whole."""
    return Phrase("All files are as they came: {count}.", count=count) if count else Phrase("Nothing was got yet.")


def repaired(count: int) -> str:
    """Files that were downloaded again."""
    return Phrase("Files that were got again: {count}.", count=count)


def removed(size: int) -> str:
    """Files that were deleted."""
    return Phrase("{size} were deleted.", size=gigabytes(size))


def kept() -> str:
    """Nothing was deleted."""
    return Phrase("Another set that is here needs all of these files: nothing was deleted.")


def packed(size: int, path: str) -> str:
    """What was written for another machine."""
    return Phrase("{size} are packed in {path}.", size=gigabytes(size), path=path)


def unpacked(size: int, _path: str) -> str:
    """What was taken in from another machine."""
    return Phrase("{size} are new here.", size=gigabytes(size))
