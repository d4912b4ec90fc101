"""What the commands about model files print for scripts, and their progress for both."""

from __future__ import annotations

import sys
import time

from shared_protocol.texts import duration

from ..models.getting import Step
from .output import JsonLine, Output, shown, size_text
from .terminal import CLEAR_LINE, WIDTH

EVERY = 0.2
"""Seconds between two lines or bars."""


class ModelSet(JsonLine, frozen=True, kw_only=True, tag=True):
    """Models that are enough for a style."""

    name: str
    title: str
    about: str
    size: int
    """Bytes, as well as they are known."""
    missing: int
    """Bytes of what is not here."""
    memory_gb: float
    """Of a graphics card that should be enough, 10⁹ bytes; estimated."""
    t2i: str
    """Names of models."""
    t2v: str
    presets: str


class Model(JsonLine, frozen=True, kw_only=True, tag=True):
    """Files that are got together."""

    name: str
    title: str
    kind: str
    repo: str
    revision: str
    size: int
    """Bytes, as well as they are known."""
    missing: int
    """Bytes of what is not here."""
    licence: str
    needs: str
    folder: str
    """Where its files lie or shall lie."""


class Fetching(JsonLine, frozen=True, kw_only=True, tag=True):
    """How far it is."""

    file: str
    bytes_done: int
    """Of all files."""
    bytes_total: int
    seconds_left: float | None


class GotFile(JsonLine, frozen=True, kw_only=True, tag=True):
    """A file that is new here."""

    model: str
    path: str
    """Where it lies."""
    size: int
    """Bytes."""
    sha256: str
    published: bool
    """Whether its hash was known before it came."""


class FoundModel(JsonLine, frozen=True, kw_only=True, tag=True):
    """A model that lies in a folder that was looked through."""

    path: str
    kind: str
    family: str
    title: str
    size: int
    """Bytes."""
    trigger_words: tuple[str, ...]
    problem: str
    """Why it cannot be used; empty: nothing is known against it."""


class FoundPair(JsonLine, frozen=True, kw_only=True, tag=True):
    """Two models that would make a style."""

    t2i: str
    """Paths."""
    t2v: str
    t2v_lora: str
    """That belongs on the motion modules; empty: none."""
    presets: str


class CheckedFile(JsonLine, frozen=True, kw_only=True, tag=True):
    """A file whose content was read."""

    path: str
    problem: str
    """Empty: it is as it came."""


class RemovedFile(JsonLine, frozen=True, kw_only=True, tag=True):
    """A file that is gone."""

    path: str
    size: int
    """Bytes."""


class Bundle(JsonLine, frozen=True, kw_only=True, tag=True):
    """What was exported or imported."""

    path: str
    files: int
    size: int
    """Bytes."""
    notes: tuple[str, ...]


class FileProgress:
    """Shows a `Step`: on standard error a bar in a terminal and a line a file elsewhere, or lines for scripts."""

    def __init__(self, output: Output, *, quiet: bool) -> None:
        self._output, self._quiet = output, quiet
        self._live = sys.stderr.isatty() and not output.json
        self._open = False
        self._file, self._last = "", 0.0

    def __call__(self, step: Step) -> None:
        """Show it, unless another was shown just now."""
        now, new = time.monotonic(), step.file != self._file
        if self._quiet or not (new or step.done == step.total or now - self._last >= EVERY):
            return
        self._file, self._last = step.file, now
        self._output.line(
            Fetching(file=step.file, bytes_done=step.done, bytes_total=step.total, seconds_left=step.seconds_left)
        )
        if self._live:
            print(CLEAR_LINE + shown(bar(step)), end="", file=sys.stderr, flush=True)
            self._open = True
        elif new and not self._output.json:
            print(shown(bar(step)), file=sys.stderr, flush=True)

    def end(self) -> None:
        """Make room for other lines."""
        if self._open:
            print(CLEAR_LINE, end="", file=sys.stderr, flush=True)
            self._open = False


def bar(step: Step) -> str:
    """How far it is, as one line without its end."""
    done, total = max(0, min(step.done, step.total)), max(1, step.total)
    full = WIDTH * done // total
    left = "" if step.seconds_left is None else f"  {duration(step.seconds_left)} left"
    return f"[{'#' * full}{'.' * (WIDTH - full)}] {size_text(done)} of {size_text(step.total)}  {step.file}{left}"
