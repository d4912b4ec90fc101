"""Progress in the terminal, for scripts. Pure but for the stream it is given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TextIO


class ProgressLines:
    """One line that changes in a terminal; in a file one line a phase."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()
        self._shown = ""
        self._phase = ""

    def show(self, text: str, phase: str) -> None:
        """The state now. `phase` says which part of the work it belongs to."""
        if self._live and text != self._shown:
            self._stream.write("\r" + f"Elevator: {text}".ljust(len(self._shown) + 10))
        elif not self._live and phase != self._phase and text != self._shown:
            self._stream.write(f"Elevator: {text}\n")
        else:
            return
        self._shown, self._phase = text, phase
        self._stream.flush()

    def end(self, warnings: Sequence[str]) -> None:
        """The last line, and what the artist should know."""
        if self._live:
            self._stream.write("\n")
        for warning in warnings:
            self._stream.write(f"Elevator: note: {warning}\n")
        self._stream.flush()
