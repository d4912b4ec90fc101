"""Is that process still the one that we know? Standard library only."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def start_time(pid: int) -> int | None:
    """Start of process `pid` in clock ticks since boot (Linux), or None where the system does not tell.

    A pid is reused some day; a pid together with its start time is not.
    """
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses and may hold spaces: count from its end.
    fields = stat.rpartition(")")[2].split()
    return int(fields[19])


def is_running(pid: int, started: int | None = None) -> bool:
    """Whether process `pid` runs (a zombie does not), and, if `started` is given, is the same process."""
    if pid <= 0:
        return False
    if sys.platform == "win32":
        return _is_running_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    now = start_time(pid)
    if now is not None and started is not None and now != started:
        return False
    return not _is_zombie(pid)


def _is_zombie(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] == "Z"


def _is_running_windows(pid: int) -> bool:
    # os.kill would end the process here, whatever the signal.
    import ctypes

    synchronize, wait_timeout = 0x00100000, 0x102
    kernel32 = ctypes.windll.kernel32  # type: ignore[attr-defined,unused-ignore]
    handle = kernel32.OpenProcess(synchronize, False, pid)
    if not handle:
        return False
    try:
        return bool(kernel32.WaitForSingleObject(handle, 0) == wait_timeout)
    finally:
        kernel32.CloseHandle(handle)
