"""Files in a zip or a folder: written one after the other, and read without following anything that leads elsewhere."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import IO, Protocol, Self

from shared_protocol.machine.files import make_folder


class Writer(Protocol):
    """What files are put into."""

    def create(self, name: str) -> IO[bytes]:
        """A new file in it, by its path with `/`. Raises OSError."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


class Reader(Protocol):
    """What files are taken out of."""

    def size(self, name: str) -> int | None:
        """Bytes of a file in it; None: there is none, or it cannot be read, or a link leads to it."""

    def opened(self, name: str) -> IO[bytes]:
        """Its bytes. Raises OSError and BadZipFile."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...


def writer(path: Path, *, as_zip: bool) -> Writer:
    """A new zip or folder at `path`, where nothing is. Raises OSError."""
    return _ZipWriter(path) if as_zip else _FolderWriter(path)


def reader(path: Path) -> Reader:
    """A zip or folder that is there. Raises OSError and BadZipFile."""
    return _FolderReader(path) if path.is_dir() else _ZipReader(path)


class _ZipWriter:
    """A zip that grows; what is in it is as large as before, since weights hardly shrink."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path, "x", zipfile.ZIP_STORED, allowZip64=True)

    def create(self, name: str) -> IO[bytes]:
        """A new file in it."""
        return self._zip.open(name, "w", force_zip64=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


class _FolderWriter:
    """A folder that grows."""

    def __init__(self, path: Path) -> None:
        self._path = path
        make_folder(path)

    def create(self, name: str) -> IO[bytes]:
        """A new file in it."""
        file = self._path.joinpath(*name.split("/"))
        make_folder(file.parent)
        return file.open("xb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None


class _ZipReader:
    """A zip as it came."""

    def __init__(self, path: Path) -> None:
        self._zip = zipfile.ZipFile(path)

    def size(self, name: str) -> int | None:
        """Bytes of a file in it; None: there is none, or it cannot be read."""
        try:
            told = self._zip.getinfo(name)
        except KeyError:
            return None
        return None if told.is_dir() or told.flag_bits & 1 else told.file_size

    def opened(self, name: str) -> IO[bytes]:
        """Its bytes. Raises BadZipFile."""
        return self._zip.open(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()


class _FolderReader:
    """A folder as it came: no link in it is followed."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def size(self, name: str) -> int | None:
        """Bytes of a file in it; None: there is none, or a link leads to it."""
        place = self._path
        for part in name.split("/"):
            place = place / part
            if place.is_symlink():
                return None
        return place.stat().st_size if place.is_file() else None

    def opened(self, name: str) -> IO[bytes]:
        """Its bytes. Raises OSError."""
        return self._path.joinpath(*name.split("/")).open("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None
