"""Logging into rotating files, which their owner alone can read. Keys are never logged; prompts only if asked.

A record is one line, whatever is in it: names of clients, prompts and names of files come from outside. What cannot be
seen stands there as Python writes it, such as `\\n` and `\\x1b`. Below a record may come the lines of a traceback, each
behind `CONTINUED`, with which no record begins.
"""

from __future__ import annotations

import faulthandler
import io
import logging
import os
import sys
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import Final

from shared_protocol.machine.files import make_folder

MAX_BYTES = 1 << 20
KEPT = 3
CONTINUED: Final = "  | "
"""Before each line that belongs to the record above it."""


class _PrivateFiles(RotatingFileHandler):
    """Also the files that come by rotating are their owner's alone."""

    def _open(self) -> io.TextIOWrapper:
        def opener(path: str, flags: int) -> int:
            return os.open(path, flags, 0o600)

        return open(self.baseFilename, "a", encoding=self.encoding, errors=self.errors, opener=opener)


class OneLine(logging.Formatter):
    """A record is one line, and no text can look like another record."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(process)d %(levelname)s %(name)s: %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """The record's line, and below it those of a traceback or a stack, whose ends may repeat what came, too."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        texts = [self.formatException(record.exc_info)] if record.exc_info else []
        if record.stack_info:
            texts.append(self.formatStack(record.stack_info))
        # Split at "\n" alone: whatever else some reader takes for the end of a line becomes visible.
        below = [CONTINUED + visible(line) for text in texts for line in text.split("\n")]
        return "\n".join([visible(self.formatMessage(record)), *below])


def visible(text: str) -> str:
    """The text in one line, in which everything can be seen: control characters, marks of direction and the like stand
    there as Python writes them. Nothing in it is without an encoding."""
    if text.isprintable():
        return text
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode("ascii") for sign in text)


def note_exception(path: Path, name: str, words: str) -> None:
    """Write the exception that is being handled into `path`, its owner's alone to read. Raises OSError.

    For a process that keeps no log: `name` is who says `words`.
    """
    make_folder(path.parent)
    handler = _PrivateFiles(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(OneLine())
    try:
        handler.handle(logging.LogRecord(name, logging.ERROR, "", 0, words, (), sys.exc_info()))
    finally:
        handler.close()


def start(path: Path) -> None:
    """Log this process into `path`, its owner's alone to read. Raises OSError."""
    make_folder(path.parent)
    handler = _PrivateFiles(path, maxBytes=MAX_BYTES, backupCount=KEPT, encoding="utf-8")
    handler.setFormatter(OneLine())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a log that cannot be written, for want of space, stops nothing
    if sys.stderr is not None:
        faulthandler.enable()
