"""Shortages that come over a running backend and pass again."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest

from tests.backend.disks import small_disk
from tests.backend.faults.switchboard import ROLES, Call, Role, Switchboard
from tests.backend.harness import Running


@dataclass(frozen=True)
class Site:
    """Where a backend runs that shortages come over."""

    board: Switchboard
    disk: Path
    """The home of the backend as the test sees it, which may be a small disk of its own."""
    through: tuple[str, ...] = ()
    """A command that runs the backend there."""
    limits: list[tuple[psutil.Process, int, tuple[int, int]]] = field(default_factory=list)
    """What was lowered: whose, which limit, how it was."""

    def lower(self, process: psutil.Process, limit: int, value: int) -> None:
        """Lower a soft limit of a process until `raise_all`."""
        with suppress(psutil.NoSuchProcess):
            before = process.rlimit(limit)
            self.limits.append((process, limit, before))
            process.rlimit(limit, (value, before[1]))

    def raise_all(self) -> None:
        """Give back what `lower` has taken."""
        while self.limits:
            process, limit, before = self.limits.pop()
            with suppress(psutil.NoSuchProcess):
                process.rlimit(limit, before)


def family(backend: Running) -> list[psutil.Process]:
    """The server, then its workers."""
    return [psutil.Process(backend.process.pid), *backend.family]


class Shortage:
    """Something that is not to be had for a while."""

    says = ""
    """What a reason for which the queue stops says of it: a pattern."""
    never_says = "disk is full"
    """And what it does not say."""

    @contextmanager
    def site(self, home: Path, board: Switchboard) -> Iterator[Site]:
        """Where it can come. Skips the test where it cannot be made."""
        yield Site(board, home)

    def comes(self, site: Site, backend: Running | None) -> None:
        """From now on there is none. `backend`: None before it was started."""
        raise NotImplementedError

    def passes(self, site: Site) -> None:
        """There is enough again."""
        site.raise_all()
        site.board.mend()


class Descriptors(Shortage):
    """Server and workers can open nothing more."""

    says = "file|descriptor|open"

    def comes(self, site: Site, backend: Running | None) -> None:
        if backend is None:
            fail(site.board, ("open", "read"), errno.EMFILE)
            return
        for process in family(backend):
            with suppress(OSError):
                site.lower(process, resource.RLIMIT_NOFILE, lowest_free(process.pid))


def lowest_free(pid: int) -> int:
    """The number that the next descriptor would have. With one less as the limit, poll(2) would fail as well."""
    taken = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    return next(number for number in range(len(taken) + 1) if number not in taken)


def fail(board: Switchboard, calls: tuple[Call, ...], error: int, roles: tuple[Role, ...] = ROLES) -> None:
    """Let these calls fail in all processes of these roles."""
    for role in roles:
        for call in calls:
            board.fail(role, call, error)


class Processes(Shortage):
    """No process and no thread can be begun. RLIMIT_NPROC does not bind root, so the calls themselves fail."""

    says = "process|thread|start"

    def comes(self, site: Site, backend: Running | None) -> None:
        fail(site.board, ("process", "thread"), errno.EAGAIN)


class Errors(Shortage):
    """The disk gives errors when it is written to."""

    says = "nput/output error|disk does not read or write"

    def comes(self, site: Site, backend: Running | None) -> None:
        fail(site.board, ("write", "sync"), errno.EIO)


class OnSmallDisk(Shortage):
    """Something of a disk that holds all of the backend's files."""

    says = "disk is full"
    never_says = "^$"
    inodes = 0

    @contextmanager
    def site(self, home: Path, board: Switchboard) -> Iterator[Site]:
        with ExitStack() as stack:
            try:
                disk = stack.enter_context(small_disk(home, self.inodes))
            except (PermissionError, FileNotFoundError):
                pytest.skip("this user may mount nothing")
            yield Site(board, disk.data, disk.through)

    def passes(self, site: Site) -> None:
        super().passes(site)
        for path in site.disk.glob("filler*"):
            path.unlink()


class Space(OnSmallDisk):
    """Not one byte more can be written."""

    def comes(self, site: Site, backend: Running | None) -> None:
        with (site.disk / "filler").open("ab", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))


class Inodes(OnSmallDisk):
    """No file more can be made, though there is room in those that are there."""

    inodes = 2000

    def comes(self, site: Site, backend: Running | None) -> None:
        with suppress(OSError):
            for number in range(self.inodes):
                (site.disk / f"filler-{number}").touch()


class Memory(Shortage):
    """Workers get no more memory."""

    says = "memory"

    def comes(self, site: Site, backend: Running | None) -> None:
        for worker in backend.family if backend is not None else ():
            with suppress(psutil.NoSuchProcess):
                site.lower(worker, resource.RLIMIT_AS, worker.memory_info().vms)


SHORTAGES: dict[str, Callable[[], Shortage]] = {
    "descriptors": Descriptors,
    "space": Space,
    "inodes": Inodes,
    "memory": Memory,
    "processes": Processes,
    "errors of the disk": Errors,
}
