"""A file that one process holds; a process that dies lets go of it. Standard library only."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from .processes import is_running, start_time

_BEHIND = 1 << 16
"""Windows lets nobody read a byte that is held: this one lies behind what a holder may write about itself."""


def take(descriptor: int) -> bool:
    """Hold the open file until it is closed. False if another holds it. Raises OSError where files cannot be held."""
    try:
        if sys.platform == "win32":
            import msvcrt

            here = os.lseek(descriptor, 0, os.SEEK_CUR)
            os.lseek(descriptor, _BEHIND, os.SEEK_SET)
            try:
                msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
            finally:
                os.lseek(descriptor, here, os.SEEK_SET)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def sign(descriptor: int) -> None:
    """Write into the open file, which this process holds, who that is. Raises OSError."""
    pid = os.getpid()
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    os.write(descriptor, json.dumps({"pid": pid, "started": start_time(pid)}).encode("ascii"))


def holder(path: Path) -> int | None:
    """The process that holds the file and has signed it, or None. Touches the lock only if such a process runs."""
    try:
        told = json.loads(path.read_bytes())
        pid, started = int(told["pid"]), told["started"]
        if not is_running(pid, started):
            return None
        with os.fdopen(os.open(path, os.O_RDWR), "r+b") as file:
            # A process that was killed leaves its name, and where the system tells no start another may bear it now.
            return None if take(file.fileno()) else pid
    except (OSError, ValueError, KeyError, TypeError, OverflowError):
        return None
