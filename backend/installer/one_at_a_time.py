"""Two install.py in one clone must not work on the same folders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from backend.installer.problem import Problem


@contextmanager
def one_at_a_time(file: Path, what: str) -> Iterator[None]:
    """Hold the lock `file` during the block. Raises Problem if another process has it.

    The system gives the lock back when its holder dies, however it dies: a stale lock is not possible.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+b") as handle:
        if not _lock(handle):
            handle.seek(0)
            holder = handle.read(20).decode("ascii", "replace").strip() or "unknown"
            raise Problem(f"Another install.py {what} in this folder (process {holder}): wait until it ends.")
        handle.truncate(0)
        handle.write(f"{os.getpid()}\n".encode())
        handle.flush()
        yield


def _lock(handle: IO[bytes]) -> bool:
    try:
        if sys.platform == "win32":
            import msvcrt

            handle.seek(1 << 16)  # a locked byte cannot be read there, so it lies behind the process number
            msvcrt.locking(handle.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
