"""A file that one process holds; a process that dies lets go of it. Standard library only."""

from __future__ import annotations

import os
import sys

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
