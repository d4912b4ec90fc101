"""Disks that tests fill: a small one in a mount namespace of its own, or none that a backend may write to any more."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import psutil

from tests.backend.harness import ROOT, Running

SIZE = 4 << 20
"""Of the small disk, bytes."""


class Disk(Protocol):
    """Where the backend's data lie."""

    through: tuple[str, ...]
    """A command that runs a backend on this disk."""
    data: Path
    """The data folder, as the test sees it."""

    def fill(self, backend: Running) -> None:
        """Not one byte more can be written."""

    def clear(self, backend: Running) -> None:
        """There is room again."""


class SmallDisk:
    """A tmpfs that nobody else sees. It lives as long as the process `holder`."""

    def __init__(self, holder: int, folder: Path) -> None:
        self.data = Path(f"/proc/{holder}/root{folder}")
        self.through: tuple[str, ...] = ("nsenter", f"--target={holder}", "--mount", f"--wd={ROOT}")
        self._filler = self.data / "filler"

    def fill(self, backend: Running) -> None:
        with self._filler.open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))

    def clear(self, backend: Running) -> None:
        self._filler.unlink(missing_ok=True)


class LimitedDisk:
    """Every write fails with EFBIG, for as long as the limit stands."""

    def __init__(self, folder: Path) -> None:
        self.data = folder
        self.through: tuple[str, ...] = ()

    def fill(self, backend: Running) -> None:
        limit([backend.process.pid, *(process.pid for process in backend.family)], 0)

    def clear(self, backend: Running) -> None:
        limit([backend.process.pid, *(process.pid for process in backend.family)], resource.RLIM_INFINITY)


def limit(pids: list[int], size: int) -> None:
    """How large a file these processes may write, bytes."""
    for pid in pids:
        psutil.Process(pid).rlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def small_disk(folder: Path, inodes: int = 0) -> Iterator[SmallDisk]:
    """Mount one over `folder`, for so many files; 0: for any number. Raises PermissionError where this user may not."""
    folder.mkdir(parents=True)
    size = 4 * SIZE if inodes else SIZE  # what runs out of names shall have room
    options = f"size={size},nr_inodes={inodes},mode=700"
    script = f'mount -t tmpfs -o {options} tmpfs "$0" && echo mounted && exec sleep 3600'
    with subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", script, str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as holder:
        try:
            assert holder.stdout is not None
            if holder.stdout.readline() != b"mounted\n":
                raise PermissionError("no mount namespace")
            yield SmallDisk(holder.pid, folder)
        finally:
            holder.kill()
