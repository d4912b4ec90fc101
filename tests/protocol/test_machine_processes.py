"""Which process it is, as each system tells it. Windows and macOS are played here."""

from __future__ import annotations

import ctypes
import os
import struct
import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from shared_protocol.machine import processes

BEGAN = 133_700_000_000_000_000


class Kernel32:
    """The functions of Windows that are called, with one process."""

    PID, HANDLE = 42, (1 << 40) + 4
    """A handle that an int of 32 bits would cut."""

    def __init__(self) -> None:
        self.rights: list[int] = []
        self.open = 0
        self.runs = True
        self.OpenProcess: Any = None

    def _open(self, right: int, pid: int) -> int | None:
        if pid != self.PID:
            return None
        self.rights.append(right)
        self.open += 1
        return self.HANDLE

    def WaitForSingleObject(self, handle: Any, milliseconds: int) -> int:  # noqa: N802
        assert (handle.value, milliseconds) == (self.HANDLE, 0)
        return 0x102 if self.runs else 0

    def GetProcessTimes(self, handle: Any, made: Any, *others: Any) -> int:  # noqa: N802
        assert handle.value == self.HANDLE
        assert len(others) == 3
        made._obj.value = BEGAN
        return 1

    def CloseHandle(self, handle: Any) -> int:  # noqa: N802
        assert handle.value == self.HANDLE
        self.open -= 1
        return 1


@pytest.fixture
def kernel32(monkeypatch: pytest.MonkeyPatch) -> Kernel32:
    kernel = Kernel32()

    # A function with attributes, as those of ctypes are.
    class Opening:
        restype: Any = ctypes.c_int

        def __call__(self, right: int, inherit: bool, pid: int) -> int | None:
            handle = kernel._open(right, pid)
            return handle if handle is None or self.restype is ctypes.c_void_p else ctypes.c_int(handle).value

    kernel.OpenProcess = Opening()
    monkeypatch.setattr(processes, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(ctypes, "WinDLL", lambda name: kernel, raising=False)
    return kernel


def test_windows_tells_a_reused_pid_by_when_its_process_began(kernel32: Kernel32) -> None:
    assert processes.start_time(kernel32.PID) == BEGAN
    assert processes.start_time(kernel32.PID + 1) is None
    assert processes.is_running(kernel32.PID)
    assert processes.is_running(kernel32.PID, BEGAN)
    assert not processes.is_running(kernel32.PID, BEGAN - 1)
    assert not processes.is_running(kernel32.PID + 1, BEGAN)
    kernel32.runs = False
    assert not processes.is_running(kernel32.PID, BEGAN)
    assert kernel32.open == 0, "every handle is closed"
    assert set(kernel32.rights) == {0x1000, 0x00100000}


def test_macos_tells_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {"state": 2}
    mine = os.getpid()

    def info(pid: Any, flavor: Any, argument: Any, buffer: Any, size: Any) -> int:
        """As Darwin's sys/proc_info.h lays it out."""
        assert (flavor.value, argument.value, size.value) == (3, 0, 136)
        if pid.value != mine:
            return 0
        head = struct.pack("=12I", 0, words["state"], 0, mine, *range(8))
        tail = struct.pack("=5Ii", 9, 1, 1, 0, 1, -20)
        buffer[: size.value] = head + bytes(16) + bytes(32) + tail + struct.pack("=QQ", 1_700_000_000, 5)
        return size.value

    monkeypatch.setattr(processes, "sys", SimpleNamespace(platform="darwin"))
    monkeypatch.setattr(ctypes, "CDLL", lambda name: SimpleNamespace(proc_pidinfo=info))
    began = 1_700_000_000_000_005
    assert processes.start_time(mine) == began
    assert processes.start_time(mine + 1) is None
    assert processes.is_running(mine, began)
    assert not processes.is_running(mine, began + 1)
    words["state"] = 5
    assert not processes.is_running(mine, began), "a zombie does not run"


@pytest.mark.skipif(os.name != "posix", reason="signals are POSIX")
def test_another_users_process_runs_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_pid: int, _signal: int) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "kill", refused)
    assert processes.is_running(os.getpid(), processes.start_time(os.getpid()))


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
def test_linux_tells_when_a_process_began() -> None:
    ticks = processes.start_time(os.getpid())
    assert ticks is not None
    began = psutil.boot_time() + ticks / os.sysconf("SC_CLK_TCK")
    assert began == pytest.approx(psutil.Process().create_time(), abs=2)


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
def test_a_process_that_tells_nothing_of_itself_may_be_the_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where /proc is hidden."""
    monkeypatch.setattr(processes, "_linux_stat", lambda pid: None)
    assert processes.start_time(os.getpid()) is None
    assert processes.is_running(os.getpid(), 1)


@pytest.mark.skipif(sys.platform != "linux", reason="of /proc")
def test_linux_tells_a_zombie_from_a_process_whatever_it_is_called(tmp_path: Any) -> None:
    program = tmp_path / "a) Z 1 ("
    program.symlink_to("/bin/sleep")
    with subprocess.Popen([program, "60"]) as process:
        began = processes.start_time(process.pid)
        assert began is not None
        assert processes.is_running(process.pid, began)
        process.kill()
        os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
        assert not processes.is_running(process.pid, began)
