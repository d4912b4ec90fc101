"""Folders of clips that nothing shows any more. No bpy.

Many a .blend may show the clips of one folder: versions and backups that lie beside each other, and copies that were
saved elsewhere. So each of them is read for the ids that the names of clips' folders end with, and a folder that any
of them names is left alone.
"""

from __future__ import annotations

import gzip
import re
import shutil
import time
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from shared_protocol.machine.processes import is_running

from ..clip.words import Phrase

FOLDER_NAME = re.compile(r"\w[\w-]*-([0-9a-f]{8})\Z")
"""As `wish.folder_name` makes them; the end is of the clip's id."""
OURS = re.compile(r"frame_\d{4,}\.png\Z|clip\.json\Z")
"""Files that we put into such a folder."""
PART = re.compile(r"\..+\.(\d+)\.part\Z")
"""Names of folders that are copied into, with the process that does so."""
SHOWN_BY = "shown_by.txt"
"""Beside the clips' folders: the .blend files of other folders that show clips of this one, one a line."""
OLD_SECONDS = 3600.0
"""What somebody may be writing, on whatever computer, is younger."""
_CHUNK, _ID = 8 << 20, 9
_ZSTANDARD, _GZIP = b"\x28\xb5\x2f\xfd", b"\x1f\x8b"


class UnreadableBlendError(Exception):
    """A .blend could not be read. The text is one sentence."""


@dataclass(frozen=True)
class Leftover:
    """The folder of one clip that nothing shows."""

    path: Path
    files: tuple[Path, ...]
    size: int
    """Bytes."""

    def remove(self) -> None:
        """Delete our files, and the folder if nothing else is in it. Raises OSError."""
        for file in self.files:
            file.unlink(missing_ok=True)
        with suppress(OSError):  # somebody else's files are in it
            self.path.rmdir()


def leftovers(parent: Path, used: Collection[str]) -> list[Leftover]:
    """Clips below `parent` whose folders are neither in `used` nor named by a .blend. Raises UnreadableBlendError and
    OSError."""
    found = []
    kept = {name[-8:] for name in used} | _named(parent)
    for path in sorted(_folders(parent)):
        files = tuple(file for file in sorted(path.iterdir()) if OURS.match(file.name) and file.is_file())
        if files and path.name[-8:] not in kept:
            found.append(Leftover(path, files, sum(file.stat().st_size for file in files)))
    return found


def note(parent: Path, blend: Path) -> None:
    """Remember that a .blend of another folder shows clips of this one. Raises OSError."""
    if str(blend) not in _elsewhere(parent):
        with (parent / SHOWN_BY).open("a", encoding="utf-8") as file:
            file.write(f"{blend}\n")


def tidy(parent: Path) -> None:
    """Remove what processes that were killed have left: empty folders, and copies that were not finished."""
    for path in [*_folders(parent), *parent.glob(".*.part")]:
        with suppress(OSError):  # another one does the same, or it cannot be written: it does no harm
            if time.time() - path.stat().st_mtime < OLD_SECONDS:
                continue
            copied = PART.match(path.name)
            if copied is None:
                path.rmdir()
            elif not is_running(int(copied[1])):
                shutil.rmtree(path)


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (path for path in parent.iterdir() if FOLDER_NAME.match(path.name) and path.is_dir())


def _elsewhere(parent: Path) -> list[str]:
    file = parent / SHOWN_BY
    return file.read_text(encoding="utf-8").splitlines() if file.is_file() else []


def _named(parent: Path) -> set[str]:
    """The ids of clips that a .blend beside `parent`, a backup of one, or one that was saved elsewhere names."""
    blends = {*parent.parent.glob("*.blend*"), *(path for line in _elsewhere(parent) if (path := Path(line)).is_file())}
    return {clip for blend in blends if blend.is_file() for clip in _ids(blend)}


def _ids(blend: Path) -> Iterator[str]:
    """What could be the id at the end of a folder's name, wherever it stands in the file."""
    try:
        with blend.open("rb") as plain, _unpacked(plain) as file:
            rest = b""
            while chunk := file.read(_CHUNK):
                text = rest + chunk
                yield from (found.decode() for found in re.findall(rb"(?<=-)[0-9a-f]{8}", text))
                rest = text[-_ID:]
    except (OSError, EOFError, ImportError, ValueError) as error:
        raise UnreadableBlendError(
            Phrase(
                "{file} cannot be read, and may show clips: {error}. Nothing was removed.",
                file=blend.name,
                error=type(error).__name__,
            )
        ) from error


def _unpacked(file: IO[bytes]) -> IO[bytes]:
    """A .blend's bytes, which Blender compresses if it is told to. Raises ImportError."""
    begin = file.read(4)
    file.seek(0)
    if begin == _ZSTANDARD:
        import zstandard  # Blender brings it

        return zstandard.ZstdDecompressor().stream_reader(file, read_across_frames=True)  # type: ignore[no-any-return]
    return gzip.GzipFile(fileobj=file) if begin.startswith(_GZIP) else file  # type: ignore[return-value]
