"""Is that process still the one that we know? Standard library only."""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path
from typing import Any

_ZOMBIE_ON_MACOS = 5
_MACOS_INFO = struct.Struct("=II112xQQ")
"""proc_bsdinfo of Darwin's sys/proc_info.h: its second word is the state, its last two when the process began."""
_MACOS_INFO_FLAVOR = 3
_MAY_ASK, _MAY_WAIT, _STILL_RUNS = 0x1000, 0x00100000, 0x102
"""PROCESS_QUERY_LIMITED_INFORMATION, SYNCHRONIZE, WAIT_TIMEOUT of Windows."""


def start_time(pid: int) -> int | None:
    """When process `pid` began, in the system's own count, or None where it does not tell: clock ticks since boot on
    Linux, tenths of a microsecond on Windows, microseconds on macOS.

    A pid is reused some day, on Windows soon; a pid together with its start time is not.
    """
    if sys.platform == "win32":
        return _start_time_windows(pid)
    if sys.platform == "darwin":
        info = _macos_info(pid)
        return None if info is None else info[2] * 1_000_000 + info[3]
    fields = _linux_stat(pid)
    return None if fields is None else int(fields[19])


def is_running(pid: int, started: int | None = None) -> bool:
    """Whether process `pid` runs (a zombie does not), and, if `started` is given, is the same process."""
    if pid <= 0:
        return False
    if not _is_there(pid):
        return False
    now = start_time(pid)
    if now is not None and started is not None and now != started:
        return False
    return not _is_zombie(pid)


def _is_there(pid: int) -> bool:
    if sys.platform == "win32":
        return _is_there_windows(pid)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it is another user's
        pass
    return True


def _is_zombie(pid: int) -> bool:
    if sys.platform == "darwin":
        info = _macos_info(pid)
        return info is not None and info[1] == _ZOMBIE_ON_MACOS
    fields = None if sys.platform == "win32" else _linux_stat(pid)
    return fields is not None and fields[0] == "Z"


def _linux_stat(pid: int) -> list[str] | None:
    """What /proc says of a process, from its state on."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    # The second field is the command in parentheses and may hold spaces: count from its end.
    return stat.rpartition(")")[2].split()


def _macos_info(pid: int) -> tuple[int, ...] | None:
    import ctypes  # by these few alone: it takes time that Blender's start does not have

    info = ctypes.create_string_buffer(_MACOS_INFO.size)
    told = ctypes.CDLL("/usr/lib/libproc.dylib").proc_pidinfo(
        ctypes.c_int(pid), ctypes.c_int(_MACOS_INFO_FLAVOR), ctypes.c_uint64(0), info, ctypes.c_int(len(info))
    )
    return _MACOS_INFO.unpack(info.raw) if told == len(info) else None


def _is_there_windows(pid: int) -> bool:
    # os.kill would end the process here, whatever the signal.
    kernel32, handle = _opened_windows(pid, _MAY_WAIT)
    if not handle:
        return False
    try:
        return bool(kernel32.WaitForSingleObject(handle, 0) == _STILL_RUNS)
    finally:
        kernel32.CloseHandle(handle)


def _start_time_windows(pid: int) -> int | None:
    import ctypes

    kernel32, handle = _opened_windows(pid, _MAY_ASK)
    if not handle:
        return None
    try:
        times = [ctypes.c_uint64() for _ in range(4)]  # FILETIMEs: made, ended, in the system, in the program
        told = kernel32.GetProcessTimes(handle, *map(ctypes.byref, times))
        return int(times[0].value) if told else None
    finally:
        kernel32.CloseHandle(handle)


def _opened_windows(pid: int, right: int) -> tuple[Any, Any]:
    """The system's functions, and a handle of the process, or None."""
    import ctypes

    kernel32 = ctypes.WinDLL("kernel32")  # type: ignore[attr-defined,unused-ignore]
    kernel32.OpenProcess.restype = ctypes.c_void_p
    return kernel32, ctypes.c_void_p(kernel32.OpenProcess(right, False, pid))
