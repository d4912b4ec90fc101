"""A progress bar for people and a few lines for files."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self

from shared_protocol.messages import Progress
from shared_protocol.texts import duration

from .output import shown

WIDTH = 30
CLEAR_LINE = "\r\x1b[K"
MEGA = 1_000_000


class ProgressLine:
    """Shows progress on standard error: one line that changes in a terminal, one line a phase elsewhere."""

    def __init__(self, *, quiet: bool = False) -> None:
        self._quiet = quiet
        self._live = sys.stderr.isatty()
        self._open = False
        """Whether the terminal's cursor stands behind a bar."""
        self._phases: dict[str, str] = {}
        """Last phase that was shown, by label."""

    def show(self, progress: Progress, label: str = "") -> None:
        """Say where a job stands. `label`: which job, where there are several."""
        if self._quiet:
            return
        text = f"{label}  {bar(progress)}" if label else bar(progress)
        phase = f"{progress.phase} {progress.position}"
        if self._live:
            print(CLEAR_LINE + text, end="", file=sys.stderr, flush=True)
            self._open = True
        elif phase != self._phases.get(label):
            print(text, file=sys.stderr, flush=True)
        self._phases[label] = phase

    def say(self, sentence: str) -> None:
        """Print a sentence, which stays, above the bar. Quiet or not."""
        self.clear()
        print(shown(sentence), file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Make room for other lines, until the next `show`."""
        if self._open:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
            self._open = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._open:
            print(file=sys.stderr, flush=True)
            self._open = False


def bar(progress: Progress) -> str:
    """Where a job stands, as one line without its end."""
    left = "" if progress.seconds_left is None else f"  {duration(progress.seconds_left)} left"
    if progress.phase == "waiting":
        before = f"behind {progress.position} jobs" if progress.position > 1 else "behind 1 job"
        return f"waiting {before if progress.position else 'for its start'} …{left}"
    if progress.bytes_total:
        done, total = (count / MEGA for count in (progress.bytes_done, progress.bytes_total))
        return f"{_bar(progress.bytes_done, progress.bytes_total)} {done:.0f}/{total:.0f} MB  {progress.phase}{left}"
    if not progress.steps:
        return f"{progress.phase} …{left}"
    return f"{_bar(progress.step, progress.steps)} {progress.step}/{progress.steps}  {progress.phase}{left}"


def _bar(done: int, total: int) -> str:
    full = min(WIDTH, WIDTH * done // total)
    return f"[{'#' * full}{'.' * (WIDTH - full)}]"
