"""What was measured, kept: one JSON line for each clip, in `clips.jsonl`.

A line is written in one step, and one that a crash has torn is cut off. So the file can be carried to another machine,
or from one session to the next, and the study goes on there.
"""

from __future__ import annotations

import base64
import errno
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import RequestError
from .renders import MOMENTS

FILE = "clips.jsonl"


@dataclass(frozen=True)
class Record:
    """One clip's numbers."""

    key: str
    """Of the recipe: the hash of all settings."""
    arm: str
    t2v: str
    prompt: str
    seed: int
    commit: str
    """Of the code that made it; empty where nobody knows."""
    device: str
    seconds: float
    calls: int
    tflop: float
    numbers: dict[str, float]
    features: str | None = None
    """(4, 128) float16, in base64."""

    @property
    def clip(self) -> tuple[str, str, int]:
        """Which clip it is of."""
        return self.key, self.prompt, self.seed


def packed(features: NDArray[np.float16] | None) -> str | None:
    """Features as text."""
    return None if features is None else base64.b64encode(features.astype("<f2").tobytes()).decode()


def unpacked(text: str) -> NDArray[np.float64]:
    """(4, 128)."""
    return np.frombuffer(base64.b64decode(text), "<f2").reshape(MOMENTS, -1).astype(np.float64)


class Records:
    """The records of a folder."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / FILE

    def read(self) -> dict[tuple[str, str, int], Record]:
        """Clip → record; the first counts where a clip was made twice. Raises RequestError for a line that is none."""
        found: dict[tuple[str, str, int], Record] = {}
        for number, line in enumerate(self._lines(), 1):
            try:
                record = Record(**json.loads(line))
            except (ValueError, TypeError) as error:
                raise RequestError(
                    f"Line {number} of {self.path} is no record of a clip; take it out, and its clip is made again."
                ) from error
            found.setdefault(record.clip, record)
        return found

    def _lines(self) -> Iterator[bytes]:
        if not self.path.exists():
            return
        content = self.path.read_bytes()
        yield from content[: content.rfind(b"\n") + 1].splitlines()

    def mend(self) -> None:
        """Cut off the end of a line that was never finished."""
        if self.path.exists():
            content = self.path.read_bytes()
            if not content.endswith(b"\n"):
                with self.path.open("r+b") as file:
                    file.truncate(content.rfind(b"\n") + 1)

    def add(self, record: Record) -> None:
        """Write a line, in one step, onto the disk. Raises OSError; what was written of it then, `mend` cuts off."""
        line = json.dumps(_short(record), ensure_ascii=False).encode() + b"\n"
        place = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o644)
        try:
            if os.write(place, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            os.fsync(place)
        finally:
            os.close(place)


def _short(record: Record) -> dict[str, Any]:
    fields = asdict(record)
    return {**fields, "seconds": round(record.seconds, 3), "tflop": round(record.tflop, 4)}
