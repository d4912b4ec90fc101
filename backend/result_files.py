"""How files of a result come to the disk; who makes them and who keeps them are different processes."""

from __future__ import annotations

from pathlib import Path

from shared_protocol.machine import files


class ResultWriter:
    """The worker's way into a partial folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the result to the disk. Raises OSError, and then no such file is there."""
        files.write(self._folder / name, data)
