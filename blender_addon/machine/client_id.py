"""Under which name the backend knows this Blender from one start to the next. No bpy.

A configuration has a few names. A Blender holds one of them while it runs, so that two Blenders of one configuration
have two names, and neither is sent the other's frames.
"""

from __future__ import annotations

import logging
import os
import re
import uuid
from pathlib import Path
from typing import BinaryIO

from shared_protocol.machine import files, locks

MOST = 16
"""Names that a configuration keeps. A Blender beyond them gets one for the time that it runs."""

log = logging.getLogger(__name__)


class ClientId:
    """A name that is this process's alone until `close`."""

    def __init__(self, folder: Path | None) -> None:
        """Take the first name in `folder` that no other Blender holds; None: one that is not kept."""
        self._held: BinaryIO | None = None
        self.value = uuid.uuid4().hex
        """32 hex digits."""
        if folder is None:
            return
        try:
            self._take_one(folder)
        except OSError as error:  # jobs of this session are found again all the same
            log.warning("The client's id is not kept: %s", error)

    def close(self) -> None:
        """Let others have the name. May be called twice."""
        if self._held is not None:
            self._held.close()
            self._held = None

    def _take_one(self, folder: Path) -> None:
        for number in range(1, MOST + 1):
            file = os.fdopen(os.open(folder / f"client_{number}.lock", os.O_RDWR | os.O_CREAT, 0o600), "r+b")
            try:
                taken = locks.take(file.fileno())
            except OSError:
                file.close()
                raise
            if taken:
                self._held = file
                self.value = _kept(folder / f"client_{number}.id", self.value)
                return
            file.close()


def _kept(path: Path, fresh: str) -> str:
    """The name in the file; one that is missing or damaged is replaced by `fresh`. Raises OSError."""
    try:
        found = path.read_bytes()[:64].decode("ascii", "replace").strip()
    except FileNotFoundError:
        found = ""
    if re.fullmatch(r"[0-9a-f]{32}", found):
        return found
    files.write(path, fresh.encode())
    return fresh
