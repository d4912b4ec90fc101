"""Progress in the terminal, for scripts. Pure but for the stream it is given."""

from __future__ import annotations

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
