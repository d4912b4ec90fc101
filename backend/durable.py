"""Files that are there whole or not at all, whatever is killed and whenever the power goes."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0)


def make_folder(folder: Path) -> None:
    """Make `folder`, and those above it, for its owner alone; nothing happens if it is there. Raises OSError."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)


def write_file(path: Path, data: bytes) -> None:
    """Write a file that its owner alone may read. When this returns, the file is on the disk; `sync_folder` does the
    same for its name. Raises OSError, and then `path` is what it was before."""
    temporary = path.with_name(f".{path.name}.part")
    try:
        with os.fdopen(os.open(temporary, _WRITE_NEW, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        with suppress(OSError):  # the first error says more
            temporary.unlink(missing_ok=True)
        raise


def sync_folder(folder: Path) -> None:
    """Bring the names in `folder` to the disk. Raises OSError. Windows can do this for no folder and needs no help:
    NTFS has a journal of names."""
    if sys.platform == "win32":
        return
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
