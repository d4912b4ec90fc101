"""One file from the hub to its place: gone on with after any interruption, checked, there whole or not at all."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import TypeVar

import msgspec

from shared_protocol.machine.files import UNFINISHED, make_folder, move, sync_folder, write

from ..failures import FULL
from .failures import ModelFailure
from .hub import BUSY, Broken, Hub, Remote, reason

CHUNK = 1 << 20
TRIES = 6
"""One after the other that bring nothing new."""
LONGEST_WAIT = 60.0
"""Seconds before another try; who is asked to wait longer is told so instead."""
SLOW_SECONDS, SLOW_BYTES = 60.0, 16_000
"""A connection that brings so little in so long counts as stalled."""
T = TypeVar("T")
Told = Callable[[int], None]
"""Hears how many bytes more there are; fewer than none where they were of no use."""


@dataclass(frozen=True)
class Wanted:
    """A file of the hub, and where it shall lie."""

    repo: str
    revision: str
    file: str
    target: Path
    size: int | None = None
    """As published, bytes."""
    sha256: str | None = None
    """As published."""


@dataclass(frozen=True)
class Patience:
    """How often and how long after each other something is tried."""

    tries: int = TRIES
    tries_to_reach: int = 3
    """Where nobody answers at all."""
    first_wait: float = 1.0
    """Seconds; each further wait is twice as long."""
    sleep: Callable[[float], None] = time.sleep


class _Note(msgspec.Struct, frozen=True):
    """What an unfinished file is the beginning of."""

    etag: str
    size: int


def look(hub: Hub, wanted: Wanted, patience: Patience) -> Remote:
    """What the hub has. Raises ModelFailure, also if that is not what was published."""
    remote = _tried(lambda: hub.look(wanted.repo, wanted.revision, wanted.file), hub, patience)
    for what, published, there in (
        ("size", wanted.size, remote.size),
        ("hash", wanted.sha256, remote.sha256 or wanted.sha256),
    ):
        if published is not None and published != there:
            raise ModelFailure("file_changed", host=hub.host, file=wanted.file, what=what)
    return remote


def begun(target: Path) -> int:
    """Bytes of the file that an earlier try has left."""
    try:
        return _part(target).stat().st_size
    except OSError:
        return 0


def fetch(hub: Hub, wanted: Wanted, remote: Remote, patience: Patience, told: Told) -> str:
    """Bring the file to its place. Returns its SHA-256. Raises ModelFailure; what came so far is kept for next time,
    unless it is damaged."""
    try:
        make_folder(wanted.target.parent)
        for _ in range(2):
            _fill(hub, wanted, remote, patience, told)
            sha256, git_sha1 = hashes(_part(wanted.target))
            expected = wanted.sha256 or remote.sha256
            if sha256 == (expected or sha256) and git_sha1 == (remote.git_sha1 or git_sha1):
                _finish(wanted.target)
                return sha256
            told(-remote.size)
            _discard(wanted.target)
    except OSError as error:
        raise cannot_write(wanted.target, error) from error
    raise ModelFailure("file_damaged", host=hub.host, file=wanted.file)


def cannot_write(path: Path, error: OSError) -> ModelFailure:
    """What to say of an error of the disk."""
    if error.errno in FULL:
        return ModelFailure("no_room", folder=path.parent, needed="more bytes", free="none")
    return ModelFailure("models_unwritable", path=path, detail=error.strerror or type(error).__name__)


def hashes(path: Path, told: Told | None = None) -> tuple[str, str]:
    """SHA-256 of a file, and the hash that git gives it. Raises OSError."""
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        sha256, git = hashlib.sha256(), hashlib.sha1(b"blob %d\0" % size, usedforsecurity=False)
        small = size <= 16 << 20  # git's hash is told of small files alone
        while chunk := file.read(CHUNK):
            sha256.update(chunk)
            if small:
                git.update(chunk)
            if told is not None:
                told(len(chunk))
    return sha256.hexdigest(), git.hexdigest() if small else ""


def _fill(hub: Hub, wanted: Wanted, remote: Remote, patience: Patience, told: Told) -> None:
    """Bring the unfinished file to its full size. Raises ModelFailure and OSError."""
    part = _part(wanted.target)
    if _read_note(wanted.target) != _Note(remote.etag, remote.size) or begun(wanted.target) > remote.size:
        _discard(wanted.target)
        write(_note(wanted.target), msgspec.json.encode(_Note(remote.etag, remote.size)), private=False)
    told(begun(wanted.target))
    failed, detail = 0, ""
    while (have := begun(wanted.target)) < remote.size or not part.exists():
        if failed == patience.tries:
            raise ModelFailure("transfer_broken", file=wanted.file, tries=failed, detail=detail)
        try:
            _stream(hub, wanted, remote, have, told)
        except Broken as error:
            more = begun(wanted.target) > have
            failed, detail = 1 if more else failed + 1, str(error)
            if error.status == 416:  # what lies here is no beginning of what is there
                told(-begun(wanted.target))
                _part(wanted.target).unlink(missing_ok=True)
            if error.status in BUSY and (failed == patience.tries or (error.wait or 0) > LONGEST_WAIT):
                raise _busy(hub, error, failed) from error
            if failed < patience.tries:
                patience.sleep(_pause(patience, failed, error))


def _stream(hub: Hub, wanted: Wanted, remote: Remote, have: int, told: Told) -> None:
    """One answer's bytes, put behind those that are there. Raises Broken, ModelFailure and OSError."""
    answer, start = hub.opened(wanted.repo, wanted.revision, wanted.file, have)
    with answer, _part(wanted.target).open("r+b" if start else "wb") as file:
        if start != have:
            told(start - have)
        file.seek(start)
        since, came = time.monotonic(), 0
        while (left := remote.size - file.tell()) > 0:
            try:
                chunk = answer.read1(min(CHUNK, left))
            except (OSError, HTTPException) as error:
                raise Broken(reason(error)) from error
            if not chunk:
                raise Broken("the other side sent less than it had promised")
            file.write(chunk)
            told(len(chunk))
            came += len(chunk)
            if time.monotonic() - since > SLOW_SECONDS:
                if came < SLOW_BYTES:
                    raise Broken("hardly anything came")
                since, came = time.monotonic(), 0


def _tried(ask: Callable[[], T], hub: Hub, patience: Patience) -> T:
    """What `ask` returns, after as many tries as it takes. Raises ModelFailure."""
    failed = 0
    while True:
        try:
            return ask()
        except Broken as error:
            failed += 1
            if error.status in BUSY and (failed == patience.tries or (error.wait or 0) > LONGEST_WAIT):
                raise _busy(hub, error, failed) from error
            if error.status not in BUSY and failed >= patience.tries_to_reach:
                raise ModelFailure("hub_unreachable", host=hub.host, detail=error) from error
            patience.sleep(_pause(patience, failed, error))


def _busy(hub: Hub, error: Broken, tries: int) -> ModelFailure:
    if error.wait is None or error.wait <= 0:
        return ModelFailure("hub_busy", host=hub.host, status=error.status, tries=tries)
    minutes = max(1, round(error.wait / 60))
    return ModelFailure("hub_busy", host=hub.host, status=error.status, tries=tries, when=f"in {minutes} min")


def _pause(patience: Patience, failed: int, error: Broken) -> float:
    """Seconds to wait before the next try."""
    return min(LONGEST_WAIT, max(patience.first_wait * 2.0 ** (failed - 1), error.wait or 0.0))


def _part(target: Path) -> Path:
    """Where the file grows: hidden, and with an ending that no model has."""
    return target.with_name(f".{target.name}{UNFINISHED}")


def _note(target: Path) -> Path:
    return target.with_name(f".{target.name}{UNFINISHED}.json")


def _read_note(target: Path) -> _Note | None:
    try:
        return msgspec.json.decode(_note(target).read_bytes(), type=_Note)
    except (OSError, msgspec.DecodeError):
        return None


def _discard(target: Path) -> None:
    for path in (_part(target), _note(target)):
        path.unlink(missing_ok=True)


def _finish(target: Path) -> None:
    """Give the whole file its name. Raises OSError."""
    descriptor = os.open(_part(target), os.O_RDWR | getattr(os, "O_BINARY", 0))
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    move(_part(target), target)
    with suppress(OSError):
        sync_folder(target.parent)
        _note(target).unlink(missing_ok=True)
