"""Looks for damage in a database. All of a small one at the start; a large one beside its use, which may take seconds.

When damage is found late, the backend ends and leaves a mark, so that its next start looks at all of the file, and puts
it aside.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from pathlib import Path

log = logging.getLogger(__name__)

SMALL_BYTES = 16 << 20
"""A database of this size is looked through in a tenth of a second."""
SUSPECT = "-suspect"
"""Ending of the mark's name."""


class DamagedStore(Exception):
    """The file is no usable database."""


class Checkup:
    """One look through one database: at once, or beside its use."""

    def __init__(self, base: sqlite3.Connection, path: Path | None) -> None:
        """`base`: a connection to it. Raises DamagedStore, and sqlite3.Error if it cannot be read."""
        self._path, self._harm = path, ""
        self._mark = None if path is None else path.with_name(path.name + SUSPECT)
        self._beside: sqlite3.Connection | None = None
        (size,) = base.execute("SELECT page_count * page_size FROM pragma_page_count, pragma_page_size").fetchone()
        self._large = size > SMALL_BYTES and self._mark is not None and not self._mark.exists()
        if self._large:
            return
        if harm := _harm_of(base):
            raise DamagedStore(harm)
        if self._mark is not None:
            self._mark.unlink(missing_ok=True)

    def begin(self) -> None:
        """Look through a large one from now on, in a thread. Raises sqlite3.Error."""
        if not self._large:
            return
        assert self._path is not None
        self._beside = sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=ro", uri=True, check_same_thread=False)
        self._thread = threading.Thread(target=self._look, args=(self._beside,), name="checkup", daemon=True)
        self._thread.start()

    def ask(self) -> None:
        """To be called often. Raises DamagedStore once damage was found, and leaves the mark."""
        if self._beside is None or self._thread.is_alive():
            return
        self.stop()
        if not self._harm:
            return
        assert self._mark is not None
        try:
            self._mark.touch(0o600)
        except OSError as error:  # the next start finds out anew
            log.warning("The mark %s could not be made: %s.", self._mark.name, error)
        raise DamagedStore(self._harm)

    def stop(self) -> None:
        """Look no further."""
        if self._beside is not None:
            while self._thread.is_alive():  # an interruption that comes before the question is lost
                self._beside.interrupt()
                self._thread.join(0.05)
            self._beside.close()
            self._beside = None

    def _look(self, base: sqlite3.Connection) -> None:
        try:
            self._harm = _harm_of(base)
        except sqlite3.OperationalError as error:  # stopped, or not to be read now, which says nothing about damage
            log.info("The database was not looked through: %s.", error)
        except sqlite3.DatabaseError as error:
            self._harm = str(error)


def _harm_of(base: sqlite3.Connection) -> str:
    """What is wrong with a database, or empty. Raises sqlite3.Error."""
    (said,) = base.execute("PRAGMA quick_check(1)").fetchone()
    return "" if said == "ok" else f"the check of the database found damage: {said}"
