"""Lines for the person at the terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType


def say(line: str) -> None:
    print(line, flush=True)


class Ticker:
    """One line that says what goes on and for how long. In a file or pipe: only its beginning and end.

    with Ticker("Installing packages") as ticker:
        ticker.tell("numpy")
    """

    def __init__(self, what: str) -> None:
        self._what = what
        self._start = time.monotonic()
        self._live = sys.stdout.isatty()
        self._width = 0

    def __enter__(self) -> Ticker:  # noqa: PYI034 - Self is younger than Python 3.10
        if self._live:
            self.tell("")
        else:
            say(f"{self._what} …")
        return self

    def tell(self, detail: str) -> None:
        """Show what it is busy with."""
        if not self._live:
            return
        line = f"{self._what} … {self.seconds:.0f} s  {detail}"[:110]
        print("\r" + line.ljust(self._width), end="", flush=True)
        self._width = len(line)

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outcome = f"done in {self.seconds:.0f} s" if kind is None else "stopped"
        if self._live:
            print("\r" + f"{self._what}: {outcome}".ljust(self._width), flush=True)
        elif kind is None:
            say(f"{self._what}: {outcome}")
