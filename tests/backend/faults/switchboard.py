"""Faults of the system in a running backend, switched on and off by a test: see switchboard.c.

with running(**board.environment) as backend:
    board.fail("worker", "write", errno.ENOSPC)     # every write of the worker, until
    board.mend()
    board.kill("server", "sync", 3, "before")       # and the server never comes to its third fsync from now
"""

from __future__ import annotations

import atexit
import functools
import mmap
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, TypeAlias, get_args

import pytest

from tests.backend.harness import until

Role: TypeAlias = Literal["server", "worker"]
Call: TypeAlias = Literal["open", "read", "write", "sync", "rename", "mkdir", "unlink", "process", "thread"]
"""Kinds of calls: `sync` is fsync and fdatasync, `unlink` is rmdir, too; `process` and `thread` begin one."""
Moment: TypeAlias = Literal["before", "half", "after"]
ROLES: tuple[Role, ...] = get_args(Role)
CALLS: tuple[Call, ...] = get_args(Call)
MOMENTS: dict[str, int] = {"never": 0, "before": 1, "half": 2, "after": 3, "wait": 4}
LINE = struct.Struct("=5i44s")
SOURCE = Path(__file__).with_name("switchboard.c")


class Switchboard:
    """The switches of one backend, which its processes see at once."""

    def __init__(self, shared: mmap.mmap, environment: dict[str, str]) -> None:
        self._shared = shared
        self.environment = environment
        """What the backend must be started with."""

    def fail(self, role: Role, call: Call, error: int, needle: str = "") -> None:
        """Let every such call fail with this error of `errno`, if its path holds `needle`."""
        self._put(role, call, error=error, needle=needle)

    def kill(self, role: Role, call: Call, count: int, moment: Moment, needle: str = "") -> None:
        """Kill the process of this role that comes to the `count`-th such call from now; once."""
        self._put(role, call, moment=MOMENTS[moment], left=count, needle=needle)

    def stop_at(self, role: Role, call: Call, count: int = 1, needle: str = "") -> None:
        """Let the process of this role wait before its `count`-th such call from now, until the switch is thrown
        anew."""
        self._put(role, call, moment=MOMENTS["wait"], left=count, needle=needle)

    def mend(self) -> None:
        """Everything goes as it should, and what waits goes on."""
        for role in ROLES:
            for call in CALLS:
                self._put(role, call)

    def release(self, role: Role, call: Call) -> None:
        """What waits at this call goes on; a fault that it has got meanwhile stays."""
        if self._line(role, call)[1] == MOMENTS["wait"]:
            self._put(role, call)

    def failed(self, role: Role, call: Call) -> int:
        """How many calls have failed since the switch was thrown."""
        return int(self._line(role, call)[3])

    def befell(self, role: Role, call: Call) -> bool:
        """Whether the kill has happened, or somebody has come to where it must wait."""
        return bool(self._line(role, call)[4])

    def await_at(self, role: Role, call: Call) -> None:
        """Wait until somebody waits there."""
        assert until(lambda: self.befell(role, call)), f"the {role} came to no {call}"

    def _line(self, role: Role, call: Call) -> tuple[int, ...]:
        return LINE.unpack_from(self._shared, self._place(role, call))

    def _put(self, role: Role, call: Call, *, error: int = 0, moment: int = 0, left: int = 0, needle: str = "") -> None:
        assert len(needle.encode()) < 44, "the line takes no more, and C wants a zero behind it"
        place, line = self._place(role, call), LINE.pack(error, moment, left, 0, 0, needle.encode())
        # What a reader looks at first comes last: it sees no switch that is half thrown.
        self._shared[place : place + 8] = LINE.pack(0, 0, 0, 0, 0, b"")[:8]
        self._shared[place + 8 : place + LINE.size] = line[8:]
        self._shared[place : place + 8] = line[:8]

    @staticmethod
    def _place(role: Role, call: Call) -> int:
        return (ROLES.index(role) * len(CALLS) + CALLS.index(call)) * LINE.size


@contextmanager
def switchboard(home: Path, folder: Path) -> Iterator[Switchboard]:
    """Switches for the backend of `home`; `folder` takes what is needed for that and lies elsewhere.

    Skips the test where they cannot be had.
    """
    library = preloaded()
    board = folder / "switchboard"
    board.write_bytes(bytes(LINE.size * len(ROLES) * len(CALLS)))
    with board.open("r+b") as file, mmap.mmap(file.fileno(), 0) as shared:
        environment = {
            "LD_PRELOAD": str(library),
            "FAULTS_BOARD": str(board),
            "FAULTS_FOLDER": str(home.resolve()),
        }
        yield Switchboard(shared, environment)


@functools.cache
def preloaded() -> Path:
    """The shared object, built once. Skips the test where that is not possible."""
    if sys.platform != "linux":
        pytest.skip("objects are preloaded as on Linux")
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("there is no C compiler to build the switchboard with")
    folder = tempfile.mkdtemp(prefix="switchboard-")
    atexit.register(shutil.rmtree, folder)
    library = Path(folder) / "switchboard.so"
    flags = ("-O2", "-Wall", "-Wextra", "-fno-builtin", "-shared", "-fPIC")
    built = subprocess.run(
        [compiler, *flags, "-o", str(library), str(SOURCE), "-ldl", "-pthread"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return library
