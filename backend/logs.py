"""Logging into rotating files, which their owner alone can read. Keys are never logged; prompts only if asked."""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path

from shared_protocol.machine.files import make_folder

MAX_BYTES = 1 << 20
KEPT = 3


class _PrivateFiles(RotatingFileHandler):
    """Also the files that come by rotating are their owner's alone."""

    def _open(self) -> io.TextIOWrapper:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=opener)


def start(path: Path) -> None:
    """Log this process into `path`, its owner's alone to read. Raises OSError."""
    make_folder(path.parent)
    handler = _PrivateFiles(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written, for want of space, stops nothing
    if sys.stderr is not None:
        faulthandler.enable()
