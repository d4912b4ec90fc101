"""Keys: who may talk to the backend, and how both sides prove who they are.

Each start makes a fresh key pair for the clients on this machine, which reach it through the connection file. Public
keys in `config_folder()/authorized/*.pub`, and in the files that `serve --authorize` names, are let in besides; a key
that is taken away there is shut out at once.

CURVE keys alone would admit any key pair. The list is what closes the door.
"""

from __future__ import annotations

import hashlib
import logging
import os
import struct
import threading
import time
from collections.abc import Iterable, Sequence
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
        for path in files:
            try:
                read_public_key(path)
            except (OSError, ValueError) as error:
                detail = error.strerror if isinstance(error, OSError) else error
                raise StartFailure("key_file_unfit", file=path, detail=detail) from error
        self._local = local_public
        self._folder = folder
        self._files = tuple(files)
        self._lock = threading.Lock()
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
        paths = [*_public_files(self._folder), *self._files]
        seen = tuple(_state_of(path) for path in paths)
        if seen == self._seen:
            return
        keys = frozenset(key for path in paths if (key := _public_key_of(path)) is not None)
        for key in keys - self._keys:
            log.info("The key %s may come in.", fingerprint(key))
            self._refused.discard(key)
        for key in self._keys - keys:
            log.warning("The key %s is revoked.", fingerprint(key))
        self._keys, self._seen = keys, seen

    def _log_refusal(self, key: str) -> None:
        """Once for each key."""
        sentence = "A connection was refused: its key is not on the list of clients (key %s)."
        if key not in self._refused and self._warn(sentence, fingerprint(key)):
            self._refused.add(key)


def read_public_key(path: Path) -> str:
    """The one Z85 key that the file holds. Raises OSError, and ValueError with the reason."""
    if os.name == "posix" and path.stat().st_mode & 0o022:
        raise ValueError("others can write it")
    with path.open("rb") as file:
        key = file.read(1024).decode("ascii", "replace").strip()
    check_public_key(key)
    return key


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
    return read_pair(path)


def write_pair(path: Path, pair: KeyPair) -> None:
    """Write a pair that is not there yet, readable by its owner alone, and beside it its public key as `*.pub`.

    Raises FileExistsError and OSError.
    """
    files.make_folder(path.parent)
    files.write(path, msgspec.json.encode(pair), replace=False)
    path.with_suffix(".pub").write_text(pair.public + "\n", encoding="ascii")


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


def _public_files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.pub"))


def _state_of(path: Path) -> tuple[object, ...]:
    """Differs when the file has changed."""
    try:
        state = path.stat()
    except OSError:
        return (path, None)
    return (path, state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_mode)


def _public_key_of(path: Path) -> str | None:
    try:
        return read_public_key(path)
    except (OSError, ValueError) as error:
        log.warning("The key file %s is skipped: %s.", path.name, error)
        return None
