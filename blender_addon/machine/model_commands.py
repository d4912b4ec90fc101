"""Models from the hub or from folders, by the backend's command `models`. No bpy.

The command runs as a process of its own, so that a download of gigabytes holds up nothing and goes on where it was
when it is asked for again.
"""

from __future__ import annotations

from typing import TypeAlias

import msgspec

from ..clip.job import Problem
from ..clip.words import Phrase, sentences
from .backend_commands import failed, it_said, started
from .command_process import CommandProcess

MOST_PAIRS = 50
"""Of what a folder holds, so much is shown."""


class ModelSet(msgspec.Struct, frozen=True, tag=True):
    """Models that are enough for a style, as `models list` tells of them."""

    name: str
    title: str
    about: str
    size: int
    """Bytes."""
    missing: int
    """Bytes of what is not here."""
    memory_gb: float
    """Of a graphics card that should be enough."""

    @property
    def is_here(self) -> bool:
        """Whether nothing of it is to be downloaded."""
        return self.missing == 0


class FoundPair(msgspec.Struct, frozen=True, tag=True):
    """Two models in somebody's folders that would make a style, as `models scan` tells of them."""

    t2i: str
    """Paths."""
    t2v: str
    t2v_lora: str = ""


class Fetching(msgspec.Struct, frozen=True, tag=True):
    """How far a download is."""

    bytes_done: int
    bytes_total: int
    seconds_left: float | None = None


class Error(msgspec.Struct, frozen=True, tag=True):
    """Why a command failed."""

    message: str
    next_step: str = ""


_Line: TypeAlias = ModelSet | FoundPair | Fetching | Error
_LINE = msgspec.json.Decoder(_Line)


class ModelCommands:
    """`models`. One command runs at a time."""

    def __init__(self) -> None:
        self.sets: tuple[ModelSet, ...] | None = None
        """What there is to get; None: it was not asked yet."""
        self.pairs: tuple[FoundPair, ...] | None = None
        """What the folder that was looked through last would make; None: none was."""
        self.progress: Fetching | None = None
        """Of the download that runs."""
        self.problem: Problem | None = None
        """Why the last command brought nothing."""
        self.made = 0
        """How many styles came by these commands since Blender's start."""
        self._name = ""
        self._target = ""
        self._process: CommandProcess | None = None
        self._heard: list[ModelSet | FoundPair] = []
        self._error: Error | None = None
        self._stopped = False

    @property
    def running(self) -> str:
        """The command that runs: list, get, scan, add; or nothing."""
        return self._name

    @property
    def target(self) -> str:
        """The set that is got, or the model that is added."""
        return self._target

    def list(self) -> None:
        """Ask what there is."""
        self._start("list")

    def get(self, name: str, *, offline: bool) -> None:
        """Download a set. offline: whether Blender's user wants no connections: then only what is missing is said."""
        self._start("get", name, *(["--offline"] if offline else []))

    def scan(self, folder: str) -> None:
        """Look which models lie in a folder."""
        self._start("scan", folder)

    def add(self, pair: FoundPair) -> None:
        """Make a style of two models, where they lie."""
        self._start("add", pair.t2i, pair.t2v, *([pair.t2v_lora] if pair.t2v_lora else []))

    def stop(self) -> None:
        """End what runs. A download goes on from there another time."""
        if self._process is not None:
            self._stopped = True
            self._process.stop()

    def look(self) -> bool:
        """Take in what the command says. Whether there is something new. Never blocks."""
        process = self._process
        if process is None:
            return False
        code = process.exit_code
        news = self._hear(process)
        if code is None:
            return news
        last = process.last_line()
        name, self._name, self._process, self.progress = self._name, "", None, None
        process.close()
        if code == 0:
            self._take(name)
        elif not self._stopped:
            self.problem = self._why(name, last)
        return True

    def close(self) -> None:
        """End what runs."""
        if self._process is not None:
            self._process.close()
            self._process, self._name, self.progress = None, "", None

    def _start(self, name: str, *more: str) -> None:
        if self._process is not None:
            return
        self._heard, self._error, self._stopped = [], None, False
        # Behind the options: a folder may be called like one.
        options = [each for each in more if each == "--offline"]
        values = [each for each in more if each != "--offline"]
        self._process, self.problem = started("models", name, "--json", *options, *(["--", *values] if values else []))
        if self._process is not None:
            self._name, self._target = name, values[0] if values else ""

    def _hear(self, process: CommandProcess) -> bool:
        lines = process.new_lines()
        for line in lines:
            try:
                told = _LINE.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError):  # of another kind, or a warning of some library
                continue
            if isinstance(told, Fetching):
                self.progress = told
            elif isinstance(told, Error):
                self._error = told
            else:
                self._heard.append(told)
        return bool(lines)

    def _take(self, name: str) -> None:
        if name == "list":
            self.sets = tuple(each for each in self._heard if isinstance(each, ModelSet))
        elif name == "scan":
            self.pairs = tuple(each for each in self._heard if isinstance(each, FoundPair))[:MOST_PAIRS]
        else:
            self.made += 1
        if name == "get":
            self.list()

    def _why(self, name: str, last: str) -> Problem:
        if self._error is not None:
            return Problem(self._error.message, self._error.next_step)
        return failed(sentences(Phrase("The command {name} failed.", name=f"models {name}"), it_said(last)))
