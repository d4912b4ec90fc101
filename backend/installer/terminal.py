"""Lines for the person at the terminal."""

from __future__ import annotations

import shutil
import sys
import time
from types import TracebackType


def say(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


class Ticker:
    """One line that says what goes on and for how long. In a file or pipe: a line now and then.

    with Ticker("Installing packages", every_s=30) as ticker:
        ticker.tell("numpy")
    """

    def __init__(self, what: str, every_s: float) -> None:
        """`every_s`: seconds between two lines where no line can be drawn anew."""
        self._what = what
        self._every_s = every_s
        self._start = self._said = time.monotonic()
        self._live = sys.stdout.isatty()
        self._width = 0
        self._chapters = {""}

    def __enter__(self) -> Ticker:  # noqa: PYI034 - Self is younger than Python 3.10
        if self._live:
            self.tell("")
        else:
            say(f"{self._what} …")
        return self

    def tell(self, detail: str, chapter: str = "") -> None:
        """Show what it is busy with. A chapter is said at once when it comes for the first time."""
        if self._live:
            line = f"{self._what} … {self.seconds:.0f} s  {detail}"[: shutil.get_terminal_size().columns - 1]
            print("\r" + line.ljust(self._width), end="", flush=True)
            self._width = len(line)
        elif chapter not in self._chapters or time.monotonic() - self._said >= self._every_s:
            self._chapters.add(chapter)
            say(f"  {self.seconds:.0f} s  {detail}"[:120])
            self._said = time.monotonic()

    @property
    def seconds(self) -> float:
        """How long it has been going on."""
        return time.monotonic() - self._start

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = f"done in {self.seconds:.0f} s" if kind is None else "stopped"
        if self._live:
            print("\r" + f"{self._what}: {outcome}".ljust(self._width), flush=True)
        elif kind is None:
            say(f"{self._what}: {outcome}")
