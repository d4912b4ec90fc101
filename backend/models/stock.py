"""What was got: a list in the folder of models, and the lock of whoever changes anything there."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec

from shared_protocol.machine import locks, places
from shared_protocol.machine.files import make_folder, write

from .catalogue import is_plain_path
from .download import cannot_write, hashes
from .failures import ModelFailure


class Got(msgspec.Struct, frozen=True, kw_only=True):
    """One file that was got, and how it was when it came."""

    model: str
    """Its name in the catalogue, and that of its folder."""
    path: str
    """Below that folder, and in the repository."""
    repo: str
    revision: str
    """The commit where the hub said it, so that the same file can be got again."""
    size: int
    """Bytes."""
    sha256: str
    published: bool
    """Whether the hash was known before the file came, from the catalogue or the hub, or was learned from it."""
    changed_ns: int
    """When the file was last changed, as the disk says; the same as long as nobody writes it."""

    @property
    def place(self) -> Path:
        """Where it lies."""
        return place_of(self.model, self.path)


class _List(msgspec.Struct, frozen=True):
    files: tuple[Got, ...] = ()


def place_of(model: str, path: str = "") -> Path:
    """Where a model's file, or the model's folder, lies or shall lie."""
    return places.models_folder().joinpath(model, *path.split("/")) if path else places.models_folder() / model


def read_stock() -> tuple[Got, ...]:
    """All that was got. A list that cannot be read is none: what it named is found again by its hashes."""
    try:
        files = msgspec.json.decode(_list_file().read_bytes(), type=_List).files
    except (OSError, msgspec.DecodeError):
        return ()
    return tuple(got for got in files if is_plain_path(f"{got.model}/{got.path}"))


def add_to_stock(*new: Got) -> None:
    """Note files; of two notes of one place the later one holds. Raises ModelFailure."""
    kept = {(got.model, got.path): got for got in (*read_stock(), *new)}
    _write(kept.values())


def take_from_stock(gone: Iterable[Got]) -> None:
    """Forget files. Raises ModelFailure."""
    names = {(got.model, got.path) for got in gone}
    _write(got for got in read_stock() if (got.model, got.path) not in names)


def is_as_it_came(got: Got) -> bool:
    """Whether the file is there and nobody has written it since, by its size and time: nothing is read."""
    try:
        now = got.place.stat()
    except OSError:
        return False
    return (now.st_size, now.st_mtime_ns) == (got.size, got.changed_ns)


def fault(got: Got, told: Callable[[int], None] | None = None) -> str:
    """What is wrong with the file, as a few words, or "". Reads all of it; `told` hears how many bytes."""
    try:
        if got.place.stat().st_size != got.size:
            return "it has another size"
        return "" if hashes(got.place, told)[0] == got.sha256 else "its content is damaged"
    except FileNotFoundError:
        return "it is missing"
    except OSError as error:
        return f"it cannot be read ({error.strerror})"


def by_model(stock: Iterable[Got]) -> Mapping[str, list[Got]]:
    """The files of each model."""
    found: dict[str, list[Got]] = {}
    for got in stock:
        found.setdefault(got.model, []).append(got)
    return found


@contextmanager
def changing() -> Iterator[Path]:
    """Hold the folder of models, which is made if it is not there. Raises ModelFailure if another process does."""
    folder = places.models_folder()
    lock = folder / ".lock"
    try:
        make_folder(folder)
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise cannot_write(lock, error) from error
    with os.fdopen(descriptor, "r+b") as file:
        if not locks.take(file.fileno()):
            raise ModelFailure("models_busy", pid=locks.holder(lock) or "unknown")
        locks.sign(file.fileno())
        yield folder


def _list_file() -> Path:
    return places.models_folder() / "got.json"


def _write(files: Iterable[Got]) -> None:
    ordered = sorted(files, key=lambda got: (got.model, got.path))
    try:
        make_folder(places.models_folder())
        write(_list_file(), msgspec.json.format(msgspec.json.encode(_List(tuple(ordered)))), private=False)
    except OSError as error:
        raise cannot_write(_list_file(), error) from error
