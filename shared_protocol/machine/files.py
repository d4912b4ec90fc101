"""Files that are there whole or not at all, and folders that are their owner's alone. Standard library only."""

from __future__ import annotations

import os
import stat
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TypeVar

from ..errors import ExposedFile

MAX_BYTES = 64 << 10
UNFINISHED = ".part"
"""Ends the names of files that are being written."""
PATIENCE_SECONDS = 5.0
"""How long a file may be held by somebody who looks at it, such as a virus scanner."""
LOOK_SECONDS = 0.5
"""How long it may be held by somebody who writes it."""
_T = TypeVar("_T")
_WRITE_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)


def write(
    path: Path,
    data: bytes | bytearray | memoryview,
    *,
    private: bool = True,
    durable: bool = True,
    replace: bool = True,
) -> None:
    """Write the file in one step: whoever opens it sees the old bytes or the new ones, and after an error the old.

    A `private` file is at no moment readable by others. A `durable` one is on the disk when this returns;
    `sync_folder` does the same for its name. Raises FileExistsError if there is one and it shall not be replaced, and
    OSError.
    """
    # A name of its own: two processes that write the same file do not mix their bytes.
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}{UNFINISHED}")
    try:
        with os.fdopen(os.open(temporary, _WRITE_NEW, 0o600 if private else 0o666), "wb") as file:
            file.write(data)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        if replace:
            move(temporary, path)
        else:
            _give_name(temporary, path)
    except OSError:
        with suppress(OSError):  # the first error says more
            temporary.unlink(missing_ok=True)
        raise


def move(old: Path, new: Path) -> None:
    """`os.replace` of a file or folder of ours, with patience: see `patiently`. Raises OSError."""
    patiently(lambda: os.replace(old, new))


def patiently(act: Callable[[], _T], seconds: float = PATIENCE_SECONDS) -> _T:
    """Do something with a name where we may, again and again while another program has the file open.

    Windows refuses that with a PermissionError, and so do some network disks. Raises what `act` raises, a
    PermissionError not before it was tried for `seconds`.
    """
    deadline, pause = time.monotonic() + seconds, 0.01
    while True:
        try:
            return act()
        except PermissionError:
            if time.monotonic() + pause > deadline:
                raise
            time.sleep(pause)
            pause *= 2


def _give_name(temporary: Path, path: Path) -> None:
    """Give a file a name that none has. Raises FileExistsError and OSError."""
    if sys.platform == "win32":
        patiently(lambda: os.rename(temporary, path))  # which replaces nothing there
        return
    try:
        os.link(temporary, path)
    except FileExistsError:
        raise
    except OSError:  # a disk without links, such as exFAT
        os.close(os.open(path, _WRITE_NEW, 0o600))  # raises FileExistsError
        os.replace(temporary, path)
    else:
        os.unlink(temporary)


def sweep(path: Path) -> None:
    """Delete what processes that were killed while they wrote this file have left. Not while another may write it."""
    for left in path.parent.glob(f".{path.name}.*{UNFINISHED}"):
        with suppress(OSError):
            left.unlink(missing_ok=True)


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


def make_folder(folder: Path) -> None:
    """Make `folder`, and those above it that are missing, for their owner alone; one that is there stays as it is.
    Raises OSError."""
    if not folder.parent.exists():
        make_folder(folder.parent)  # mkdir(parents=True) would open these to all
    folder.mkdir(mode=0o700, exist_ok=True)


def keeps_modes(folder: Path) -> bool:
    """Whether the disk of a folder keeps files their owner's alone: exFAT and FAT do not, nor do Windows' disks under
    WSL and many shares, and there `chmod` changes nothing. Tried with a file only where others can read the folder.

    Raises OSError.
    """
    if os.name != "posix" or not stat.S_IMODE(folder.stat().st_mode) & 0o077:
        return True
    with _tried_in(folder) as descriptor:
        return not stat.S_IMODE(os.fstat(descriptor).st_mode) & 0o077


@contextmanager
def _tried_in(folder: Path) -> Iterator[int]:
    """A file of our own that is gone afterwards. Where it needs a name, the folder gets its old time back: who only
    looks changes nothing."""
    try:
        descriptor = os.open(folder, os.O_WRONLY | getattr(os, "O_TMPFILE", 0), 0o600)
    except OSError:  # not Linux, or a disk that cannot do it
        before = folder.stat()
        tried = folder / f".{uuid.uuid4().hex}{UNFINISHED}"
        descriptor = os.open(tried, _WRITE_NEW, 0o600)
        os.unlink(tried)
        os.utime(folder, ns=(before.st_atime_ns, before.st_mtime_ns))
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(path: Path) -> bytes:
    """The file, or its first bytes if it is larger than any of ours.

    Raises ExposedFile if others can read it, and OSError.
    """
    with patiently(lambda: path.open("rb"), LOOK_SECONDS if sys.platform == "win32" else 0.0) as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        data = file.read(MAX_BYTES + 1)
    if os.name == "posix" and mode & 0o077:
        raise ExposedFile(f"Others can read {path}.")
    return data
