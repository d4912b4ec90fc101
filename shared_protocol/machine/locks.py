"""A file that one process holds; a process that dies lets go of it. Standard library only."""

from __future__ import annotations

import sys


def take(descriptor: int) -> bool:
    """Hold the open file until it is closed. False if another holds it. Raises OSError where files cannot be held."""
    try:
        if sys.platform == "win32":
            import msvcrt

            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True
