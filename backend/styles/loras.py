"""Which LoRAs can be named with a style, and what their files say of the words that they were trained on."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate
from pathlib import Path
from typing import TypeAlias, TypeVar

import msgspec

from elevator import Lora
from elevator.checkpoints.header import read_header
from elevator.checkpoints.identity import FILE_NAMES
from elevator.checkpoints.lora_files import lora_files
from elevator.errors import ModelError
from shared_protocol.messages import FILE_NAME_LENGTH, MOST_LORAS, LoraView
from shared_protocol.texts import sentence

log = logging.getLogger(__name__)

SUFFIXES = (".safetensors", ".ckpt", ".pt", ".bin")
View = TypeVar("View", bound=msgspec.Struct)
MOST_LOOKED_AT = 10_000
"""Files and folders: somebody may have named a folder that holds a whole disk."""
MOST_WORDS = 120
"""Characters of the trigger words that are told."""
MOST_TAGS = 3
"""Tags of a training that are told, the commonest first."""


Listed: TypeAlias = tuple[LoraView, ...]


def listed(
    own: Iterable[Lora],
    folders: Iterable[Path],
    in_folder: Callable[[Path], Listed] | None = None,
    spare: Iterable[Lora] = (),
) -> Listed:
    """The style's own LoRAs, those that it has switched off, then those in the folders, by name; a name that is in two
    is the first folder's.

    in_folder: says what a folder holds, as `list_folder` does, which it is without it.
    """
    own, folders, look = tuple(own), tuple(folders), in_folder or list_folder
    found: dict[str, LoraView] = {}
    for number, (name, lora) in enumerate(by_name((*own, *spare), folders).items()):
        if len(found) < MOST_LORAS and _can_be_sent(name):
            found[name] = _view(Path(lora.path), name, lora.weight, own=number < len(own))
    for view in (view for folder in folders for view in look(folder)):
        if len(found) < MOST_LORAS:
            found.setdefault(view.name, view)
    return tuple(found.values())


def list_folder(
    folder: Path,
    look_at: Callable[[Path], None] = lambda path: None,
    missed: Callable[[OSError], None] = lambda error: None,
) -> Listed:
    """LoRAs below a folder that can be named, by name. `look_at` is told of each folder and file before it is read,
    `missed` of what could not be."""
    views: list[LoraView] = []
    for path in sorted(_in(folder, look_at, missed)):
        name = path.relative_to(folder).as_posix()
        if len(views) < 2 * MOST_LORAS and _can_be_sent(name):  # some may be styles' own
            for file in lora_files(path):
                look_at(file)
            views.append(_view(path, name))
    return tuple(views)


def _can_be_sent(name: str) -> bool:
    """Whether a message can carry it, so that a request can name it."""
    return 0 < len(name) <= FILE_NAME_LENGTH and name == sentence(name)


def by_name(own: Iterable[Lora], folders: Iterable[Path]) -> dict[str, Lora]:
    """A style's own LoRAs under the names by which a request changes them: as in their folder, else the file's."""
    folders, found = tuple(folders), dict[str, Lora]()
    for lora in own:
        name, count = _name(Path(lora.path), folders), 1
        while name in found:  # of two files of one name in two folders, each has its own
            count += 1
            name = f"{_name(Path(lora.path), folders)} ({count})"
        found[name] = lora
    return found


def fitting(views: Sequence[View], room: int) -> tuple[View, ...]:
    """The first of them, as many as take so many bytes in a message."""
    ends = accumulate(len(msgspec.json.encode(view)) + 1 for view in views)
    return tuple(view for view, end in zip(views, ends, strict=True) if end <= room)


def _name(path: Path, folders: tuple[Path, ...]) -> str:
    """As in its folder of LoRAs, else its own."""
    folder = next((folder for folder in folders if path.is_relative_to(folder)), None)
    return own_name(path) if folder is None else path.relative_to(folder).as_posix()


def own_name(path: Path) -> str:
    """Of a file or folder; of its folder, if every model's file is called as it is."""
    return path.parent.name if path.stem in FILE_NAMES else path.name


def _in(folder: Path, look_at: Callable[[Path], None], missed: Callable[[OSError], None]) -> Iterator[Path]:
    """LoRAs below a folder: files, and folders as diffusers or peft writes them. Links are followed, and no folder is
    looked at twice."""
    looked = 0
    todo, seen = [folder], {os.path.realpath(folder)}
    while todo and looked < MOST_LOOKED_AT:
        try:
            look_at(here := todo.pop())
            for path in sorted(here.iterdir()):
                looked += 1
                if path.is_dir():
                    if (real := os.path.realpath(path)) in seen:
                        continue
                    seen.add(real)
                    if lora_files(path):
                        yield path
                    else:
                        todo.append(path)
                elif path.suffix in SUFFIXES:
                    yield path
        except OSError as error:
            missed(error)
            if folder.exists():
                log.warning("A folder of LoRAs cannot be read: %s.", error)


def _view(path: Path, name: str, weight: float = 1.0, *, own: bool = False) -> LoraView:
    file = next(iter(lora_files(path)), path)
    words = _words(file, file.stat().st_mtime_ns) if file.is_file() else ""
    return LoraView(name=name, weight=weight, own=own, words=words)


@lru_cache(maxsize=4096)
def _words(file: Path, _changed: int) -> str:
    """The words that a file says to use: its trigger phrase, or else the tags that it was trained on most."""
    if file.suffix != ".safetensors":
        return ""
    try:
        told = read_header(file).metadata
    except ModelError:
        return ""  # that it is broken is said when it is used
    if phrase := told.get("modelspec.trigger_phrase", "").strip():
        return sentence(phrase, MOST_WORDS)
    try:  # kohya's scripts: a JSON text of folder → tag → how often
        counts = msgspec.json.decode(told.get("ss_tag_frequency", "{}"), type=dict[str, dict[str, int]])
    except msgspec.DecodeError:
        return ""
    tags = sorted(((count, tag.strip()) for tags in counts.values() for tag, count in tags.items()), reverse=True)
    return sentence(", ".join(dict.fromkeys(tag for _, tag in tags[:MOST_TAGS])), MOST_WORDS)
