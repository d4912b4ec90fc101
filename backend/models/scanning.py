"""What models lie in a folder: headers and configs are read, once for each file, and nothing is written there.

What a file is, is remembered by its path, size and time, so that a second look reads nothing. Safetensors files need
no torch; files of PyTorch do, for their structure. Whoever must not have torch, as the server, leaves them out: they
are known from an earlier look, or told as not looked at yet.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from elevator.checkpoints import Algorithm, Family, Kind, Layout, identify
from elevator.checkpoints.folders import weight_files
from elevator.checkpoints.header import NeedsTorch
from elevator.checkpoints.lora_files import LORA_NAMES, LORA_PARTS, lora_files
from elevator.checkpoints.training import Distilled, FewSteps
from elevator.errors import ModelError
from shared_protocol.machine import places
from shared_protocol.machine.files import make_folder, write

from .catalogue import is_weights
from .failures import ModelFailure
from .layouts import HUB_MODEL, Place, places_of

FOLDER_MARKS = ("model_index.json", "unet/config.json", "motion_adapter/config.json", "config.json")
"""Any of these makes a folder one model, in diffusers' layout."""
_PARTS = ("diffusion_pytorch_model", "pytorch_model", "model.", "pytorch_lora", "adapter_model")
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "site-packages", "blobs"})
MOST_ENTRIES = 2_000_000
"""Files and folders that are looked at: somebody may name a whole disk, or a folder that leads into itself."""
NOT_YET = "not looked at yet"
"""Of a PyTorch file, where torch may not be read."""


class Found(msgspec.Struct, frozen=True, kw_only=True):
    """A model that lies somewhere, or what may have been one."""

    path: str
    size: int
    """Bytes."""
    changed_ns: int
    """Of its newest file, as the disk says."""
    kind: Kind | None = None
    family: Family = Family.UNKNOWN
    layout: Layout = Layout.OTHER
    title: str = ""
    channels: int | None = None
    """That the UNet takes: 4, or 9 if it fills in parts of pictures."""
    algorithm: Algorithm | None = None
    """Of a LoRA."""
    distilled: Distilled | FewSteps | None = None
    """How a motion module was made fast."""
    base_model: str | None = None
    trigger_words: tuple[str, ...] = ()
    problem: str = ""
    """Why it cannot be used, a sentence; empty: nothing is known against it."""


@dataclass(frozen=True)
class Scan:
    """What a look has shown."""

    found: tuple[Found, ...]
    places: tuple[Place, ...]
    """That were looked through."""
    read: int
    """Files and folders whose headers and configs were read; the others were remembered."""
    notes: tuple[str, ...]
    """Sentences about what could not be looked at."""


class _Memory(msgspec.Struct, frozen=True):
    version: int = 2
    seen: dict[str, Found] = {}


@dataclass(frozen=True)
class _Candidate:
    path: Path
    size: int
    changed_ns: int


def look_through(folders: Iterable[Path], *, torch: bool, told: Callable[[int], None] | None = None) -> Scan:
    """Say what models are in these folders, in those of the tools that they belong to, or in these files.

    torch: whether files of PyTorch may be read, for which torch is imported. `told` hears how many were looked at.
    Raises ModelFailure if a folder is not there.
    """
    remembered = _recall()
    seen = dict(remembered)
    found: dict[str, Found] = {}
    where: list[Place] = []
    notes: list[str] = []
    read = 0
    try:
        for folder in folders:
            if not folder.exists():
                raise ModelFailure("no_folder", folder=folder)
            for place in places_of(Path(os.path.abspath(folder))):
                where.append(place)
                for candidate in _candidates(place.path, notes):
                    name = os.fspath(candidate.path)
                    known = seen.get(name)
                    if known is None or (known.size, known.changed_ns) != (candidate.size, candidate.changed_ns):
                        known, is_new = _identified(candidate, torch=torch)
                        read += is_new
                        if is_new:
                            seen[name] = known
                    found.setdefault(os.path.realpath(name), known)
                    if told is not None:
                        told(len(found))
    finally:  # whoever interrupts a long look has not waited in vain
        if seen != remembered:
            _remember(seen)
    return Scan(tuple(found.values()), tuple(where), read, tuple(notes))


def own_models(*, torch: bool = False) -> Scan:
    """What lies in the folder `models` of the user's data folder, whoever put it there. Nothing if there is none."""
    folder = places.models_folder()
    return look_through([folder], torch=torch) if folder.is_dir() else Scan((), (), 0, ())


def _identified(candidate: _Candidate, *, torch: bool) -> tuple[Found, bool]:
    """What it is, and whether it was read for that."""
    path = candidate.path
    found = Found(path=os.fspath(path), size=candidate.size, changed_ns=candidate.changed_ns, title=path.stem)
    try:
        told = identify(path, torch=torch)
    except NeedsTorch:
        return msgspec.structs.replace(found, problem=NOT_YET), False
    except ModelError as error:
        return msgspec.structs.replace(found, problem=str(error)), True
    except OSError as error:
        return msgspec.structs.replace(found, problem=f"{path} cannot be read ({error.strerror})."), True
    problem = ""
    if path.is_dir():
        problem = _lack(path, told.kind)
    found = Found(
        path=found.path,
        size=found.size,
        changed_ns=found.changed_ns,
        kind=told.kind,
        family=told.family,
        layout=told.layout,
        title=_hub_title(path, told.title),
        channels=told.channels,
        algorithm=told.algorithm,
        distilled=told.distilled,
        base_model=told.base_model,
        trigger_words=told.trigger_words,
        problem=problem,
    )
    return found, True


def _hub_title(path: Path, title: str) -> str:
    """The model's name where Hugging Face's cache has only hashes for names."""
    if title == "blobs" or re.fullmatch(r"[0-9a-f]{40}", title):
        names = [part.split("--")[-1] for part in path.parts if part.startswith(HUB_MODEL)]
        return names[-1] if names else title
    return title


def _lack(folder: Path, kind: Kind) -> str:
    """A sentence if a part that makes the model what it is has no weights that are read; else nothing."""
    parts = {
        Kind.T2I: ("unet", "vae", "text_encoder"),
        Kind.T2V: ("unet",),
        Kind.MOTION_MODULE: ("motion_adapter",) if (folder / "motion_adapter").is_dir() else ("",),
    }.get(kind, ())
    for part in parts:
        if not (folder / part).is_dir():
            return f"{folder} has no folder {part}; put it there, or choose a whole model."
        try:
            weight_files(folder / part)
        except ModelError as error:
            return str(error)
    return ""


def _candidates(root: Path, notes: list[str]) -> Iterator[_Candidate]:
    """Files and folders that may be models, below a folder, or the file itself."""
    if root.is_file():
        yield _of_file(root, root.stat())
        return
    todo, been, looked = [root], set[tuple[int, int]](), 0
    while todo:
        folder = todo.pop()
        try:
            stat = folder.stat()
            if (stat.st_dev, stat.st_ino) in been and stat.st_ino:
                continue  # a link has led here before
            been.add((stat.st_dev, stat.st_ino))
            with os.scandir(folder) as opened:
                entries = sorted(opened, key=lambda entry: entry.name)
        except OSError as error:
            notes.append(f"{folder} cannot be looked at ({error.strerror}).")
            continue
        looked += len(entries)
        if looked > MOST_ENTRIES:
            notes.append(f"{root} holds more than {MOST_ENTRIES} files: only a part was looked at.")
            return
        if is_one_model(folder, {entry.name for entry in entries}):
            yield _of_folder(folder)
            # Beside the parts, whole checkpoints may lie; the parts themselves are no models of their own.
            entries = [entry for entry in entries if not entry.is_dir() and not _is_part(entry.name)]
        for entry in entries:
            try:
                if entry.is_dir():
                    if entry.name not in _LEFT_OUT and not entry.name.startswith("."):
                        todo.append(Path(entry.path))
                elif is_weights(entry.name) and not entry.name.startswith(".") and entry.is_file():
                    yield _of_file(Path(entry.path), entry.stat())
            except OSError as error:
                notes.append(f"{entry.path} cannot be looked at ({error.strerror}).")


def is_one_model(folder: Path, names: set[str]) -> bool:
    """Whether a folder with these names in it is a model in diffusers' layout."""
    for mark in FOLDER_MARKS:
        first, _, rest = mark.partition("/")
        if first in names and (not rest or (folder / first / rest).is_file()):
            return first != "config.json" or any(_is_part(name) for name in names)
    return not names.isdisjoint(LORA_NAMES) or (not names.isdisjoint(LORA_PARTS) and bool(lora_files(folder)))


def _is_part(name: str) -> bool:
    """Whether a file's name is that of a folder's weights in diffusers' layout."""
    return is_weights(name) and name.startswith(_PARTS)


def _of_file(path: Path, stat: os.stat_result) -> _Candidate:
    return _Candidate(path, stat.st_size, stat.st_mtime_ns)


def _of_folder(folder: Path) -> _Candidate:
    """With size and time of all that is in it."""
    size = changed = 0
    for base, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if name not in _LEFT_OUT]
        for name in files:
            with suppress(OSError):
                stat = os.stat(os.path.join(base, name))
                size += stat.st_size
                changed = max(changed, stat.st_mtime_ns)
    return _Candidate(folder, size, changed)


def memory_file() -> Path:
    """What earlier looks have shown. It may be deleted at any time."""
    return places.state_folder() / "models_seen.json"


def _recall() -> dict[str, Found]:
    try:
        memory = msgspec.json.decode(memory_file().read_bytes(), type=_Memory)
    except (OSError, msgspec.DecodeError):
        return {}
    return memory.seen if memory.version == 2 else {}


def _remember(seen: dict[str, Found]) -> None:
    """Write it down, without what is gone. A disk that takes nothing costs only time at the next look."""
    kept = {name: found for name, found in seen.items() if os.path.lexists(name)}
    with suppress(OSError, UnicodeEncodeError):
        make_folder(memory_file().parent)
        write(memory_file(), msgspec.json.encode(_Memory(seen=kept)), durable=False)
