"""Models from the hub or from folders, by the backend's command `models`. No bpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from .told_commands import Error, ToldCommands

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


class Added(msgspec.Struct, frozen=True, tag=True):
    """A style was made of models."""

    name: str


class Fetching(msgspec.Struct, frozen=True, tag=True):
    """How far a download is."""

    bytes_done: int
    bytes_total: int
    seconds_left: float | None = None


_Line: TypeAlias = ModelSet | FoundPair | Fetching | Added | Error
_LINE = msgspec.json.Decoder(_Line)


class ModelCommands(ToldCommands):
    """`models`."""

    GROUP = "models"

    def __init__(self) -> None:
        super().__init__()
        self.sets: tuple[ModelSet, ...] | None = None
        """What there is to get; None: it was not asked yet."""
        self.pairs: tuple[FoundPair, ...] | None = None
        """What the folder that was looked through last would make; None: none was."""
        self.progress: Fetching | None = None
        """Of the download that runs."""
        self.added = ""
        """The style that was made of models last and is not yet offered."""
        self._heard: list[ModelSet | FoundPair] = []
        self._added = ""

    def list(self) -> None:
        """Ask what there is."""
        self._begin("list")

    def get(self, name: str, *, offline: bool) -> None:
        """Download a set. offline: whether Blender's user wants no connections: then only what is missing is said."""
        self._begin("get", name, options=["--offline"] if offline else [])

    def scan(self, folder: str) -> None:
        """Look which models lie in a folder."""
        self._begin("scan", folder)

    def add(self, pair: FoundPair) -> None:
        """Make a style of two models, where they lie."""
        self._begin("add", pair.t2i, pair.t2v, *([pair.t2v_lora] if pair.t2v_lora else []))

    def _begin(self, name: str, *values: str, options: Sequence[str] = ()) -> None:
        if self._start(name, *values, options=options):
            self._heard, self._added = [], ""

    def _hear(self, line: bytes) -> None:
        try:
            told = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if isinstance(told, Fetching):
            self.progress = told
        elif isinstance(told, Added):
            self._added = told.name
        elif isinstance(told, Error):
            self._error = told
        else:
            self._heard.append(told)

    def _took(self, name: str) -> None:
        if name == "list":
            self.sets = tuple(each for each in self._heard if isinstance(each, ModelSet))
        elif name == "scan":
            self.pairs = tuple(each for each in self._heard if isinstance(each, FoundPair))[:MOST_PAIRS]
        else:
            self.made += 1
            self.added = self._added
        if name == "get":
            self.list()

    def _ended(self) -> None:
        self.progress = None
