"""File descriptors: every connection takes one, a stranger's too. Some are kept back, so that work goes on without."""

from __future__ import annotations

import errno
import logging
import os
import sys

log = logging.getLogger(__name__)

MOST_RESERVED = 64
"""Kept back for workers, results and the database; fewer where the limit is low."""
SHARE = 8
"""The part of all that is kept back, at most."""
WANTED = 65_536
"""How many a process may open, if the system allows it."""


def raise_limit() -> None:
    """Let this process open as many as it may: the usual limit of 1024 is for programs that use `select`."""
    if sys.platform == "win32":
        return  # it has no such limit
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = WANTED if hard == resource.RLIM_INFINITY else min(hard, WANTED)
    if soft != resource.RLIM_INFINITY and soft < most:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
        except (OSError, ValueError) as error:  # macOS allows less than it says
            log.info("The limit of %d descriptors could not be raised: %s.", soft, error)


def can_open() -> bool:
    """Whether a file can be opened now. Where none can, nothing is said of files that could not be looked at."""
    return bool(_close(_take(1)))


def need(count: int) -> None:
    """Raise OSError if not so many are free. libzmq ends the process where it misses one while it opens a socket."""
    if not _close(_take(count)):
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


class Reserve:
    """Descriptors that are kept back, and given free when no others are left."""

    def __init__(self) -> None:
        self._count = max(1, min(MOST_RESERVED, most_descriptors() // SHARE))
        self._held: list[int] = []
        self._hold()

    def is_needed(self) -> bool:
        """Whether hardly any are left besides: then these are given free, and kept back again when there are twice as
        many. To be asked often."""
        if not self._held:
            self._hold()
        elif not _close(_take(max(1, self._count // 8))):
            self.release()
        return not self._held

    def release(self) -> None:
        """Give them free."""
        _close(self._held)
        self._held = []

    def _hold(self) -> None:
        held = _take(2 * self._count)
        _close(held[self._count :])
        self._held = held[: self._count]


def most_descriptors() -> int:
    """How many this process may open."""
    if sys.platform == "win32":
        return WANTED
    import resource

    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return WANTED if soft == resource.RLIM_INFINITY else soft


def _close(numbers: list[int]) -> int:
    for number in numbers:
        os.close(number)
    return len(numbers)


def _take(count: int) -> list[int]:
    """So many descriptors of nothing in particular; none if there are not that many."""
    taken: list[int] = []
    try:
        taken.append(os.open(os.devnull, os.O_RDONLY))
        taken.extend(os.dup(taken[0]) for _ in range(count - 1))
    except OSError:
        _close(taken)
        return []
    return taken
