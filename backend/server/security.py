"""Keys: who may talk to the backend, and how both sides prove who they are.

Each start makes a fresh key pair for the clients on this machine, which reach it through the connection file. Public
keys in `config_folder()/authorized/*.pub`, and in the files that `serve --authorize` names, are let in besides; a key
that is taken away there is shut out at once.

CURVE keys alone would admit any key pair. The list is what closes the door.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import os
import stat
import struct
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import msgspec
import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

from shared_protocol.errors import ExposedFile
from shared_protocol.machine import files

from .failures import StartFailure
from .handshake_log import StrangerLog, log_handshakes

log = logging.getLogger(__name__)

CLIENTS = "clients"
"""Authentication domain of the clients: none of their keys opens a worker's line, nor the other way round."""
LOCAL: Final = "local"
"""The principal of whoever uses the connection file's pair. All others are named by their public key."""
LOOK_SECONDS = 0.2
"""How often the list of keys is looked at, at most."""
PASSING = {errno.EMFILE, errno.ENFILE, errno.ENOMEM, errno.EIO, errno.EINTR, errno.EAGAIN}
"""Why a file cannot be read in this moment: it says nothing about who may come in."""
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


class AllowList:
    """Public keys that may come in. pyzmq asks it, from the authenticator's thread, about each new connection."""

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = frozenset(key.encode() for key in keys)

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether `key` (Z85) may come in."""
        if key in self._keys:
            return True
        log.warning("A connection was refused: its key is not on the list of %s.", domain)
        return False


class Guests:
    """Who may come in among the clients, and under which name. Safe to use from several threads.

    pyzmq asks about each new connection, in its authenticator's thread. A connection that stands is not closed when its
    key is taken off the list, so the server asks again about each message.
    """

    def __init__(self, local_public: str, folder: Path, files: Sequence[Path] = ()) -> None:
        """`folder` holds `*.pub` files of one public key each, and `files` are more of them.

        Raises BackendError if one of `files` holds no key now: whoever names it wants to let somebody in.
        """
        check_key_files(files)
        self._local = local_public
        self._folder = folder
        self._files = tuple(files)
        self._lock = threading.Lock()
        self._found: dict[Path, str] = {}
        """The key in each file that holds one."""
        self._wrong: dict[Path, str] = {}
        """What is wrong with each of the others, as the log has it."""
        self._keys: frozenset[str] = frozenset()
        self._seen: tuple[object, ...] | None = None
        self._looked = 0.0
        self._refused: set[str] = set()
        self._warn = StrangerLog()

    def principal_of(self, key: str) -> str | None:
        """Who has this public key (Z85): `LOCAL`, the key itself if it is listed, or None for a stranger."""
        if key == self._local:
            return LOCAL
        with self._lock:
            self._look()
            if key in self._keys:
                return key
            self._log_refusal(key)
        return None

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether `key` (Z85) may come in."""
        return self.principal_of(key.decode("ascii", "replace")) is not None

    def _look(self) -> None:
        """Read the list again if it has changed."""
        now = time.monotonic()
        if self._seen is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        paths = [*self._public_files(), *self._files]
        seen = tuple(_state_of(path) for path in paths)
        if seen == self._seen:
            return
        self._seen = seen
        self._found = dict(self._read(paths))
        self._wrong = {path: why for path, why in self._wrong.items() if path in paths or path == self._folder}
        keys = frozenset(self._found.values())
        for key in keys - self._keys:
            log.info("The key %s may come in.", fingerprint(key))
            self._refused.discard(key)
        for key in self._keys - keys:
            log.warning("The key %s is revoked.", fingerprint(key))
        self._keys = keys

    def _public_files(self) -> list[Path]:
        """What lies in the folder; for as long as that cannot be seen, what lay there."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(".pub")]
        except FileNotFoundError:
            names = []
        except OSError as error:
            self._complain(self._folder, error)
            if error.errno in PASSING:
                self._seen = ()
                return [path for path in self._found if path not in self._files]
            names = []
        else:
            self._wrong.pop(self._folder, None)
        return sorted(self._folder / name for name in names)

    def _read(self, paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
        """The key in each file. One that holds none costs nobody else's."""
        for path in paths:
            try:
                yield path, read_public_key(path)
            except (OSError, ValueError) as error:
                self._complain(path, error)
                if isinstance(error, OSError) and error.errno in PASSING:
                    self._seen = ()  # to be read again, and until then the key is what it was
                    if path in self._found:
                        yield path, self._found[path]
            else:
                self._wrong.pop(path, None)

    def _complain(self, path: Path, error: OSError | ValueError) -> None:
        """Once, until it is another fault."""
        why = str(error.strerror if isinstance(error, OSError) else error)
        if self._wrong.get(path) != why:
            self._wrong[path] = why
            log.warning("The key file %s is skipped: %s.", path.name, why)

    def _log_refusal(self, key: str) -> None:
        """Once for each key."""
        sentence = "A connection was refused: its key is not on the list of clients (key %s)."
        if key not in self._refused and self._warn(sentence, fingerprint(key)):
            self._refused.add(key)


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
        key = file.read(1024).decode("ascii", "replace").strip()
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

    Raises FileExistsError and OSError.
    """
    files.make_folder(path.parent)
    files.write(path, msgspec.json.encode(pair), replace=False)
    _write_public(path, pair)


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
        raise StartFailure("key_exposed", file=path) from None
    except (msgspec.DecodeError, ValueError, zmq.ZMQError) as error:
        raise StartFailure("key_damaged", file=path) from error
    return pair


def start_authenticator(context: zmq.Context[zmq.Socket[bytes]]) -> ThreadAuthenticator:
    """Guard all CURVE sockets of `context`. Who may come in is then said with `admit`."""
    # pyzmq writes keys into its log when that is set to DEBUG; ours stays silent below WARNING.
    quiet = logging.getLogger("backend.authenticator")
    quiet.setLevel(logging.WARNING)
    authenticator = ThreadAuthenticator(context, log=quiet)
    authenticator.start()
    return authenticator


def admit(authenticator: ThreadAuthenticator, domain: str, keys: Iterable[str] | Guests) -> None:
    """Let these keys or guests, and no others, in through the sockets of `domain`."""
    authenticator.configure_curve_callback(domain, keys if isinstance(keys, Guests) else AllowList(keys))


def bind_guarded(socket: zmq.Socket[bytes], keys: KeyPair, domain: str, address: str = "tcp://127.0.0.1:0") -> str:
    """Bind `socket`, encrypted and guarded; by default to a free port of this machine. Returns the endpoint.

    The options are set before binding: set after it, they would let a plain client in without any error.
    """
    socket.zap_domain = domain.encode()
    socket.curve_secretkey = keys.secret.encode()
    socket.curve_publickey = keys.public.encode()
    socket.curve_server = True
    socket.setsockopt(zmq.IPV6, int("[" in address))
    log_handshakes(socket)
    socket.bind(address)
    endpoint = socket.last_endpoint
    return endpoint.decode() if isinstance(endpoint, bytes) else str(endpoint)


def user_of(frame: zmq.Frame) -> str:
    """The public key (Z85) of whoever sent this frame, which the handshake has proven; empty on an unguarded socket.

    Only frames of `recv_multipart(copy=False)` know it; `bytes` do not.
    """
    try:
        return str(frame.get("User-Id"))
    except zmq.ZMQError:
        return ""


def _state_of(path: Path) -> tuple[object, ...]:
    """Differs when the file has changed."""
    try:
        state = path.stat()
    except OSError:
        return (path, None)
    return (path, state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_mode)
