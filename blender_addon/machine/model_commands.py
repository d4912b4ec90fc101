"""Models from the hub or from folders, by the backend's command `models`. No bpy."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import msgspec

from ..clip import model_words
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


class CheckedFile(msgspec.Struct, frozen=True, tag=True):
    """A model file that was compared with its hash."""

    path: str
    problem: str = ""
    """What is wrong with it; empty: nothing."""


class GotFile(msgspec.Struct, frozen=True, tag=True):
    """A model file that was downloaded."""

    path: str


class RemovedFile(msgspec.Struct, frozen=True, tag=True):
    """A model file that was deleted."""

    size: int
    """Bytes."""


class Bundle(msgspec.Struct, frozen=True, tag=True):
    """Models, bases and styles that were written for another machine, or taken in from one."""

    path: str
    size: int
    """Bytes."""


class Fetching(msgspec.Struct, frozen=True, tag=True):
    """How far a download is."""

    bytes_done: int
    bytes_total: int
    seconds_left: float | None = None


_Heard: TypeAlias = ModelSet | FoundPair | CheckedFile | GotFile | RemovedFile | Bundle
_Line: TypeAlias = _Heard | Fetching | Added | Error
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
        self.added = self._added = ""
        """The style that was made of models last and is not yet offered; and the one of the command that runs."""
        self.result = ""
        """What the last command has done, where nothing else shows it."""
        self._heard: list[_Heard] = []

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

    def verify(self) -> None:
        """Compare all files that were got with their hashes."""
        self._begin("verify")

    def repair(self, *, offline: bool) -> None:
        """Download again what is damaged or missing."""
        self._begin("repair", options=["--offline"] if offline else [])

    def remove(self, name: str) -> None:
        """Delete the files of a set, but for what another set that is here needs."""
        self._begin("remove", name, options=["--yes"])

    def pack(self, path: str) -> None:
        """Write all models, bases and styles of the user's into a file, for another machine."""
        self._begin("export", path)

    def unpack(self, path: str) -> None:
        """Take in what another machine has packed."""
        self._begin("import", path)

    def _begin(self, name: str, *values: str, options: Sequence[str] = ()) -> None:
        if self._start(name, *values, options=options):
            self._heard, self._added, self.result = [], "", ""

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
        heard = self._heard
        match name:
            case "list":
                self.sets = tuple(each for each in heard if isinstance(each, ModelSet))
            case "scan":
                self.pairs = tuple(each for each in heard if isinstance(each, FoundPair))[:MOST_PAIRS]
            case "verify" | "export":
                self.result = _result(name, heard)
            case _:
                self.made += 1
                self.added = self._added
        if name in ("get", "repair", "remove", "import"):
            self.list()
            self.result = _result(name, heard)

    def _ended(self) -> None:
        self.progress = None


def _result(name: str, heard: Sequence[_Heard]) -> str:
    """What a command has done, by what it has said."""
    got = sum(isinstance(each, GotFile) for each in heard)
    checked = sum(isinstance(each, CheckedFile) for each in heard)
    gone = [each.size for each in heard if isinstance(each, RemovedFile)]
    bundle = next((each for each in heard if isinstance(each, Bundle)), None)
    if name == "verify" or (name == "repair" and not got):
        return model_words.checked(checked)
    if name == "repair":
        return model_words.repaired(got)
    if name == "remove":
        return model_words.removed(sum(gone)) if gone else model_words.kept()
    if bundle is not None:
        return (model_words.packed if name == "export" else model_words.unpacked)(bundle.size, bundle.path)
    return ""
