"""Files that hold secrets: their owner's alone to read, written in one step. Standard library only."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path

from ..errors import ExposedFile

MAX_BYTES = 64 << 10


def write(path: Path, data: bytes, *, replace: bool = True) -> None:
    """Write the file whole, readable by its owner alone.

    Raises FileExistsError if there is one and it shall not be replaced, and OSError.
    """
    make_folder(path.parent)
    # mkstemp creates with mode 0600, so the secret is at no moment readable by others.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if replace:
            os.replace(temporary, path)
        else:
            os.link(temporary, path)
            os.unlink(temporary)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def make_folder(folder: Path) -> None:
    """Make `folder`, and those above it that are missing, for their owner alone. Raises OSError."""
    missing = [folder, *folder.parents]
    for each in reversed(missing[: next(place for place, each in enumerate(missing) if each.exists())]):
        each.mkdir(mode=0o700, exist_ok=True)


def read(path: Path) -> bytes:
    """The file, or its first bytes if it is larger than any of ours.

    Raises ExposedFile if others can read it, and OSError.
    """
    with path.open("rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        data = file.read(MAX_BYTES + 1)
    if os.name == "posix" and mode & 0o077:
        raise ExposedFile(f"Others can read {path}.")
    return data
