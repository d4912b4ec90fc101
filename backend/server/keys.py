"""Keys with which a backend and those who talk to it prove who they are, and the files that hold them."""

from __future__ import annotations

import hashlib
import os
import stat
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import zmq
from zmq.utils import z85

from shared_protocol.edited import text_of
from shared_protocol.errors import ExposedFile
from shared_protocol.machine import files

from .failures import StartFailure

_READ_AT_ONCE = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


@dataclass(frozen=True)
class KeyPair:
    """A CURVE key pair as Z85 text. The secret is left out of `repr`, so that it cannot end in a log."""

    public: str
    secret: str = field(repr=False)

    @classmethod
    def fresh(cls) -> KeyPair:
        """A new random pair."""
        public, secret = zmq.curve_keypair()
        return cls(public.decode(), secret.decode())


def fingerprint(key: str | bytes) -> str:
    """What the log calls a public key: the first 8 hex digits of its sha256."""
    return hashlib.sha256(key.encode(errors="replace") if isinstance(key, str) else key).hexdigest()[:8]


class OpenToOthers(ValueError):
    """Others can write the file, so what it says is not believed."""


def check_key_files(paths: Iterable[Path]) -> None:
    """Raises BackendError if one of these files holds no key."""
    for path in paths:
        try:
            read_public_key(path)
        except OpenToOthers:
            raise StartFailure("key_file_open", file=path) from None
        except (OSError, ValueError) as error:
            detail = error.strerror if isinstance(error, OSError) else error
            raise StartFailure("key_file_unfit", file=path, detail=detail) from error


def read_public_key(path: Path) -> str:
    """The one Z85 key that the file holds. Never waits, whatever lies there under that name.

    Raises OSError, OpenToOthers, and ValueError with the reason.
    """
    _check_key_file(path.stat())  # before it is opened, for to open a device may do something
    with os.fdopen(os.open(path, _READ_AT_ONCE), "rb") as file:
        _check_key_file(os.fstat(file.fileno()))  # it may be another by now
        key = text_of(file.read(1024), wide=True).strip()  # PowerShell's > writes UTF-16
    check_public_key(key)
    return key


def _check_key_file(state: os.stat_result) -> None:
    """Raises ValueError with the reason why this can be no key's file."""
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no file")
    if os.name == "posix" and state.st_mode & 0o022:
        raise OpenToOthers("others can write it, which chmod go-w mends")


def check_public_key(key: str) -> None:
    """Raises ValueError with the reason why this is no Z85 key."""
    if len(key) != 40:
        raise ValueError("a Z85 key has 40 characters")
    if not key.isascii():
        raise ValueError("a character in it is not of Z85")
    try:
        z85.decode(key)
    except KeyError:
        raise ValueError("a character in it is not of Z85") from None
    except struct.error:
        raise ValueError("five characters in it are more than four bytes can hold") from None


def server_keys(folder: Path) -> KeyPair:
    """The backend's lasting pair, which remote clients know it by: `server.key` in `folder`, made on first use.

    `server.pub` beside it holds the public key, for profiles. Raises OSError, and BackendError if others can read the
    pair or the file is damaged.
    """
    path = folder / "server.key"
    if not path.exists():
        write_pair(path, KeyPair.fresh())
    pair = read_pair(path)
    if not path.with_suffix(".pub").exists():  # the first start was killed in between
        _write_public(path, pair)
    return pair


def write_pair(path: Path, pair: KeyPair) -> None:
    """Write a pair that is not there yet, readable by its owner alone, and beside it its public key as `*.pub`, which
    nobody else can write: else it would not be believed, here or where it is copied to.

    Raises FileExistsError and OSError, and BackendError where no file is its owner's alone.
    """
    files.make_folder(path.parent)
    check_disk(path.parent)
    files.write(path, msgspec.json.encode(pair), replace=False)
    _write_public(path, pair)


def check_disk(folder: Path) -> None:
    """Raises BackendError if others can read whatever is written into a folder, and OSError."""
    if not files.keeps_modes(folder):
        raise StartFailure("disk_open", folder=folder)


def _write_public(path: Path, pair: KeyPair) -> None:
    public = path.with_suffix(".pub")
    public.unlink(missing_ok=True)  # one that is there would keep its mode
    with os.fdopen(os.open(public, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644), "w", encoding="ascii") as file:
        file.write(pair.public + "\n")


def read_pair(path: Path) -> KeyPair:
    """The pair in a file. Raises OSError, and BackendError if others can read it or it is damaged."""
    try:
        pair = msgspec.json.decode(files.read(path), type=KeyPair)
        if zmq.curve_public(pair.secret.encode()).decode() != pair.public:
            raise ValueError("the keys are no pair")
    except ExposedFile:
        check_disk(path.parent)
        raise StartFailure("key_exposed", file=path) from None
    except (msgspec.DecodeError, ValueError, zmq.ZMQError) as error:
        raise StartFailure("key_damaged", file=path) from error
    return pair
