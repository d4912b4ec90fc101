"""Files into which other processes print for weeks: they stay small."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

MAX_OUTPUT = 1 << 20
"""Bytes of a file, after which only its end stays."""
KEPT_OUTPUT = 64 << 10
"""Bytes of that end: where a stack of a crash stands."""
LOOK_SECONDS = 1.0
"""How often a file is looked at."""


class Trimmer:
    """Looks after files that other processes append to."""

    def __init__(self, *paths: Path) -> None:
        self._paths = paths
        self._looked = 0.0

    def look(self) -> None:
        """Cut what has become too long. Cheap: to be called often."""
        now = time.monotonic()
        if now - self._looked >= LOOK_SECONDS:
            self._looked = now
            for path in self._paths:
                trim(path)


def trim(path: Path) -> None:
    """Cut a file that is too long down to its end, in place, for whoever writes it has it open.

    What is printed in that moment may be lost. Whoever writes must append (O_APPEND): else the file would grow on from
    where it was. A file that cannot be cut stays.
    """
    with suppress(OSError):
        if path.stat().st_size <= MAX_OUTPUT:
            return
        with path.open("r+b") as file:
            file.seek(-KEPT_OUTPUT, os.SEEK_END)
            end = file.read(KEPT_OUTPUT)
            end = end[end.find(b"\n") + 1 :]  # from the beginning of a line, if there is one
            file.seek(0)
            file.truncate()
        with path.open("ab") as file:
            file.write(end)
