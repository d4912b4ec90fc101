"""What the database cannot do, in words: locked is not full, and a disk that fails is neither."""

from __future__ import annotations

import sqlite3
import tempfile
from pathlib import Path

from ..failures import FULL, StorageFailure

PAGE_BYTES = 4096


class StoreRefuses(Exception):
    """The database did not take a change, which then has not happened, or did not answer a question."""

    def __init__(self, reason: str, failure: StorageFailure) -> None:
        super().__init__(reason)
        self.failure = failure
        """What to tell whoever asked for it."""

    @property
    def is_full(self) -> bool:
        """Whether there was no room for it. All else may pass at any moment, and nothing shows when."""
        return self.failure.code == "disk_full"


REASONS = {
    sqlite3.SQLITE_BUSY: "another program holds it",
    sqlite3.SQLITE_LOCKED: "another program holds it",
    sqlite3.SQLITE_READONLY: "it must not be written",
    sqlite3.SQLITE_PERM: "it must not be written",
    sqlite3.SQLITE_IOERR: "the disk does not read or write it",
    sqlite3.SQLITE_CORRUPT: "it is damaged, which the next start mends",
    sqlite3.SQLITE_NOTADB: "it is damaged, which the next start mends",
    sqlite3.SQLITE_NOMEM: "the memory of the machine is not enough",
    sqlite3.SQLITE_CANTOPEN: "it cannot be opened",
}


def refusal(error: sqlite3.Error, path: Path | None) -> StoreRefuses:
    """`path`: of the database."""
    whole = getattr(error, "sqlite_errorcode", 0)
    code = whole & 0xFF  # the lowest byte is the kind, the others say more
    if code == sqlite3.SQLITE_FULL or (whole == sqlite3.SQLITE_IOERR_WRITE and path is not None and _is_full(path)):
        return StoreRefuses(str(error), StorageFailure("disk_full"))
    detail = REASONS.get(code, str(error))
    return StoreRefuses(str(error), StorageFailure("queue_unusable", file=path or "in memory", detail=detail))


def _is_full(path: Path) -> bool:
    """Whether the disk takes no more behind the end of a file. SQLite knows one kind of that only, not a quota or a
    limit of the system."""
    try:
        with tempfile.TemporaryFile(dir=path.parent, buffering=0) as probe:
            probe.seek(path.stat().st_size)
            probe.write(bytes(PAGE_BYTES))
    except OSError as error:
        return error.errno in FULL
    return False
