"""A progress bar for people and a few lines for files."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from shared_protocol.messages import Progress

WIDTH = 30
CLEAR_LINE = "\r\x1b[K"


class ProgressLine:
    """Shows progress on standard error: one line that changes in a terminal, one line a phase elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._phase = ""

    def show(self, progress: Progress) -> None:
        """Say where the job stands."""
        if self._quiet:
            return
        if self._live:
            print(CLEAR_LINE + _line(progress), end="", file=sys.stderr, flush=True)
        elif progress.phase != self._phase:
            print(_line(progress), file=sys.stderr, flush=True)
        self._phase = progress.phase

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live and self._phase:
            print(file=sys.stderr, flush=True)


def _line(progress: Progress) -> str:
    if not progress.steps:
        return f"{progress.phase} …"
    done = WIDTH * progress.step // progress.steps
    left = "" if progress.seconds_left is None else f"  {progress.seconds_left:.0f} s left"
    return f"[{'#' * done}{'.' * (WIDTH - done)}] {progress.step}/{progress.steps}  {progress.phase}{left}"
