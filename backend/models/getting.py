"""Getting sets and models, getting again what is damaged, and taking away."""

from __future__ import annotations

import os
import shutil
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from shared_protocol.machine import places

from .catalogue import Catalogue, File, Model
from .download import Patience, Wanted, begun, cannot_write, fetch, hashes, look
from .failures import ModelFailure
from .hub import Hub, Remote, offline_because
from .stock import Got, add_to_stock, by_model, changing, fault, is_as_it_came, place_of, read_stock, take_from_stock

SPARE_BYTES = 100_000_000
"""What shall stay free on the disk."""


@dataclass(frozen=True)
class Step:
    """How far it is."""

    file: str
    """That is being got or looked at."""
    done: int
    """Bytes of all files."""
    total: int
    seconds_left: float | None
    """None: not known yet."""


Show = Callable[[Step], None]


class Meter:
    """Counts bytes and foresees the end from the last half minute."""

    WINDOW = 30.0
    """Seconds."""

    def __init__(self, total: int, show: Show, clock: Callable[[], float] = time.monotonic) -> None:
        self._total, self._show, self._clock = total, show, clock
        self._done = 0
        self._file = ""
        self._seen = deque[tuple[float, int]]()

    def begin(self, file: str) -> None:
        """From now on the bytes are of this file."""
        self._file = file
        self._seen.clear()
        self.had(0)

    def had(self, count: int) -> None:
        """So many bytes were there already."""
        self._done += count
        self._show(Step(self._file, self._done, self._total, None))

    def __call__(self, count: int) -> None:
        """So many more."""
        self._done += count
        now = self._clock()
        self._seen.append((now, self._done))
        while now - self._seen[0][0] > self.WINDOW:
            self._seen.popleft()
        (since, before), left = self._seen[0], self._total - self._done
        speed = (self._done - before) / (now - since) if now - since >= 1 else 0.0
        self._show(Step(self._file, self._done, self._total, left / speed if speed > 0 else None))


@dataclass(frozen=True)
class Means:
    """How files are got."""

    hub: Hub = field(default_factory=Hub)
    patience: Patience = field(default_factory=Patience)
    offline: bool = False
    """Whether --offline was given."""


@dataclass(frozen=True)
class _Missing:
    """A file that is to be got."""

    model: str
    wanted: Wanted
    remote: Remote


def missing(models: dict[str, Model], stock: Sequence[Got]) -> list[tuple[str, Model, File]]:
    """Files that are not here as they came."""
    here = {(got.model, got.path) for got in stock if is_as_it_came(got)}
    return [
        (name, model, file) for name, model in models.items() for file in model.files if (name, file.path) not in here
    ]


def get(catalogue: Catalogue, names: Iterable[str], means: Means, show: Show) -> list[Got]:
    """Get sets and models: all files that are not here yet. Returns those that are new. Raises ModelFailure.

    Nothing that came is lost by an end of any kind: the same call goes on.
    """
    models: dict[str, Model] = {}
    for name in names:
        models |= catalogue.named(name)
    with changing():
        wanted = [
            (name, Wanted(model.repo, model.revision, file.path, place_of(name, file.path), file.size, file.sha256))
            for name, model, file in missing(models, read_stock())
        ]
        adopted = [got for name, each in wanted if (got := _adopted(name, each, means, show)) is not None]
        had = {got.place for got in adopted}
        return adopted + _bring([pair for pair in wanted if pair[1].target not in had], means, show)


def repair(faulty: Iterable[Got], means: Means, show: Show) -> list[Got]:
    """Get these files again, as they were: also such as no catalogue names any more. Raises ModelFailure."""
    with changing():
        return _bring(
            [
                (got.model, Wanted(got.repo, got.revision, got.path, got.place, got.size, got.sha256))
                for got in faulty
                if fault(got)
            ],
            means,
            show,
        )


def check(stock: Sequence[Got], show: Show) -> list[tuple[Got, str]]:
    """Read all of these files. Returns each with what is wrong, or "" (see `fault`)."""
    meter = Meter(sum(got.size for got in stock), show)
    found = []
    for got in stock:
        meter.begin(f"{got.model}/{got.path}")
        found.append((got, fault(got, meter)))
    return found


def to_remove(catalogue: Catalogue, names: Iterable[str]) -> list[Got]:
    """The files that go with these sets and models; what another whole set needs stays. Raises ModelFailure."""
    stock = by_model(read_stock())
    asked = list(names)
    whole = {
        name
        for name, made in catalogue.sets.items()
        if name not in asked and all(each in stock for each in made.models)
    }
    needed = {each for name in whole for each in catalogue.sets[name].models}
    gone: dict[tuple[str, str], Got] = {}
    for name in asked:
        if name in catalogue.sets:
            parts = [each for each in catalogue.sets[name].models if each not in needed]
        else:
            parts = [name]
        if not any(each in stock for each in (parts if name not in catalogue.sets else catalogue.sets[name].models)):
            raise ModelFailure("not_got", name=name)
        gone |= {(got.model, got.path): got for each in parts for got in stock.get(each, ())}
    return list(gone.values())


def remove(gone: Sequence[Got]) -> None:
    """Delete these files, and folders that are empty then. Raises ModelFailure."""
    with changing() as folder:
        for got in gone:
            try:
                got.place.unlink(missing_ok=True)
            except OSError as error:
                raise cannot_write(got.place, error) from error
            take_from_stock([got])
            for parent in got.place.parents:
                if parent == folder:
                    break
                with suppress(OSError):  # something else is in it
                    parent.rmdir()


def _adopted(model: str, wanted: Wanted, means: Means, show: Show) -> Got | None:
    """The note for a file that somebody has put in its place, or that a lost list has named. Raises ModelFailure."""
    target = wanted.target
    if not os.path.lexists(target):
        return None
    if not target.is_file():
        raise ModelFailure("name_taken", path=target)
    known = next((got for got in read_stock() if got.place == target), None)
    sha256, git_sha1 = wanted.sha256 or (known.sha256 if known is not None else None), None
    if sha256 is None and not offline_because(asked=means.offline):
        remote = look(means.hub, wanted, means.patience)
        sha256, git_sha1 = remote.sha256, remote.git_sha1
    meter = Meter(target.stat().st_size, show)
    meter.begin(f"{model}/{wanted.file}")
    content, git = hashes(target, meter)
    if content == sha256 or (sha256 is None and git_sha1 is not None and git == git_sha1):
        got = _note(model, wanted, wanted.revision, content, published=True)
        add_to_stock(got)
        return got
    if known is not None:
        return None  # it was ours, and is damaged: it is got again
    raise ModelFailure("name_taken", path=target)


def _bring(wanted: Sequence[tuple[str, Wanted]], means: Means, show: Show) -> list[Got]:
    """Get the files, after the hub has said of all of them what they are, and the disk that they have room."""
    if wanted and (why := offline_because(asked=means.offline)):
        raise ModelFailure("offline", why=why)
    missing = [_Missing(model, each, look(means.hub, each, means.patience)) for model, each in wanted]
    _check_room(missing)
    meter = Meter(sum(each.remote.size for each in missing), show)
    new = []
    for each in missing:
        meter.begin(f"{each.model}/{each.wanted.file}")
        sha256 = fetch(means.hub, each.wanted, each.remote, means.patience, meter)
        published = bool(each.wanted.sha256 or each.remote.sha256 or each.remote.git_sha1)
        got = _note(each.model, each.wanted, each.remote.commit or each.wanted.revision, sha256, published=published)
        add_to_stock(got)  # at once: what came is noted whatever happens to the next
        new.append(got)
    return new


def _note(model: str, wanted: Wanted, revision: str, sha256: str, *, published: bool) -> Got:
    now = wanted.target.stat()
    return Got(
        model=model,
        path=wanted.file,
        repo=wanted.repo,
        revision=revision,
        size=now.st_size,
        sha256=sha256,
        published=published,
        changed_ns=now.st_mtime_ns,
    )


def _check_room(missing: Sequence[_Missing]) -> None:
    """Raises ModelFailure if the files have no room."""
    rest = sum(max(0, each.remote.size - begun(each.wanted.target)) for each in missing)
    if rest:
        check_room(places.models_folder(), rest)


def check_room(folder: Path, count: int) -> None:
    """Raises ModelFailure if so many bytes have no room in a folder that is there."""
    free = shutil.disk_usage(folder).free
    if free < count + SPARE_BYTES:
        needed = f"{(count + SPARE_BYTES) / 1e9:.2f} GB"
        raise ModelFailure("no_room", folder=folder, needed=needed, free=f"{free / 1e9:.2f} GB")
