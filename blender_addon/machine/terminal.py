"""Progress in the terminal, for scripts. Pure but for the stream it is given."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TextIO

from ..clip.status import Status


class ProgressLines:
    """One line that changes in a terminal; in a file one line a phase."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""
        self._phase = ""

    def show(self, status: Status) -> None:
        """The state now."""
        text = str(status)
        if self._live and text != self._shown:
            self._stream.write("\r" + f"Elevator: {text}".ljust(len(self._shown) + 10))
        elif not self._live and status.phase != self._phase and text != self._shown:
            self._stream.write(f"Elevator: {text}\n")
        else:
            return
        self._shown, self._phase = text, status.phase
        self._stream.flush()

    def end(self, warnings: Sequence[str]) -> None:
        """The last line, and what the artist should know."""
        if self._live:
            self._stream.write("\n")
        for warning in warnings:
            self._stream.write(f"Elevator: note: {warning}\n")
        self._stream.flush()


class ClipLines:
    """A line for each of several clips when its part of the work changes; one clip alone has no number."""

    def __init__(self, clips: int, stream: TextIO | None = None) -> None:
        self._clips = clips
        self._stream = stream or sys.stdout
        self._shown: dict[int, str] = {}

    def show(self, number: int, prompt: str, status: Status, *, ended: bool) -> None:
        """The state of a clip now; clips are counted from 1."""
        part = status.line if ended else status.phase
        if self._shown.get(number) == part:
            return
        self._shown[number] = part
        which = f"clip {number} of {self._clips}: " if self._clips > 1 else ""
        words = " ".join(prompt.split())
        self._stream.write(f"Elevator: {which}{words if len(words) <= 40 else words[:39] + '…'}: {status}\n")
        self._stream.flush()
