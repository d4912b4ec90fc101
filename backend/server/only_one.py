"""One backend for one state folder, held by the operating system: a process that dies lets go of it."""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from shared_protocol.machine import files, locks

from .failures import StartFailure

log = logging.getLogger(__name__)

TRIES = 10
TRY_SECONDS = 0.02


class OnlyOne:
    """The right to be the only backend, which one process at a time has.

    The folder of the file is held, too, where the system does that: somebody may delete the file, and then nothing
    would keep a second backend from holding a new one.
    """

    def __init__(self, path: Path) -> None:
        """Hold `path`, if nobody else does. Raises OSError."""
        files.make_folder(path.parent)
        self._path = path
        self._file = _open(path)
        self._folder: int | None = None
        self.alone = self._take_folder() and locks.take(self._file)
        """Whether this process has it."""
        if self.alone:
            self._sign()

    def look(self) -> None:
        """Hold the file anew if somebody has deleted or replaced it. Raises OSError, and BackendError if another
        process holds the new one."""
        try:
            state = self._path.stat()
        except FileNotFoundError:
            pass
        else:
            if os.path.samestat(state, os.fstat(self._file)):
                return
        log.error("The lock file was deleted or replaced under the backend and is held anew.")
        anew = _open(self._path)
        if not _taken(anew):
            os.close(anew)
            raise StartFailure("lock_taken", file=self._path)
        os.close(self._file)
        self._file = anew
        self._sign()

    def close(self) -> None:
        """Let go of it."""
        if self.alone:
            with suppress(OSError):
                os.ftruncate(self._file, 0)
        os.close(self._file)
        if self._folder is not None:
            os.close(self._folder)

    def _take_folder(self) -> bool:
        """False if another process holds the folder."""
        if sys.platform == "win32":
            return True  # no file that is open is deleted there
        self._folder = os.open(self._path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            return locks.take(self._folder)
        except OSError:  # some file systems hold files alone
            return True

    def _sign(self) -> None:
        """Say in the file which process it is: whoever finds no connection file can still name it."""
        with suppress(OSError):  # a full disk: it is held all the same
            locks.sign(self._file)


@contextmanager
def only_one(path: Path) -> Iterator[OnlyOne]:
    """Try to be the only backend until the block ends. Raises OSError."""
    held = OnlyOne(path)
    try:
        yield held
    finally:
        held.close()


def _taken(descriptor: int) -> bool:
    """Whether an open file is held now. Whoever asks for its holder has it for a moment, too."""
    for _ in range(TRIES):
        if locks.take(descriptor):
            return True
        time.sleep(TRY_SECONDS)
    return False


def _open(path: Path) -> int:
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
