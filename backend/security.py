"""Keys: who may talk to the backend, and how both sides prove who they are.

Each start makes a fresh key pair for the backend and one for the clients on this machine, which reach them through
the connection file. Public keys in `config_folder()/authorized/*.pub` are let in besides.

CURVE keys alone would admit any key pair. The allow-list is what closes the door.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import zmq
from zmq.auth.thread import ThreadAuthenticator
from zmq.utils import z85

log = logging.getLogger(__name__)

CLIENTS = "clients"
WORKER = "worker"
"""Authentication domains: a client's key does not open the worker's door, nor the other way round."""


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


def authorized_keys(folder: Path) -> tuple[str, ...]:
    """Public keys from `folder/*.pub`, one Z85 key a file. A file that holds none is logged and skipped."""
    keys = []
    for path in sorted(folder.glob("*.pub")):
        try:
            key = path.read_text(encoding="ascii").strip()
            if len(key) != 40:
                raise ValueError("a Z85 key has 40 characters")
            z85.decode(key)
        except (OSError, ValueError, KeyError) as error:
            log.warning("The key file %s is skipped: %s.", path.name, error)
        else:
            keys.append(key)
    return tuple(keys)


def start_authenticator(context: zmq.Context[zmq.Socket[bytes]]) -> ThreadAuthenticator:
    """Guard all CURVE sockets of `context`. Who may come in is then said with `admit`."""
    # pyzmq writes keys into its log when that is set to DEBUG; ours stays silent below WARNING.
    quiet = logging.getLogger("backend.authenticator")
    quiet.setLevel(logging.WARNING)
    authenticator = ThreadAuthenticator(context, log=quiet)
    authenticator.start()
    return authenticator


def admit(authenticator: ThreadAuthenticator, domain: str, keys: Iterable[str]) -> None:
    """Let `keys`, and no others, in through the sockets of `domain`."""
    authenticator.configure_curve_callback(domain, AllowList(keys))


def bind_guarded(socket: zmq.Socket[bytes], keys: KeyPair, domain: str) -> str:
    """Bind `socket` to a free port of this machine, encrypted and guarded. Returns the endpoint.

    The options are set before binding: set after it, they would let a plain client in without any error.
    """
    socket.zap_domain = domain.encode()
    socket.curve_secretkey = keys.secret.encode()
    socket.curve_publickey = keys.public.encode()
    socket.curve_server = True
    socket.bind("tcp://127.0.0.1:0")
    endpoint = socket.last_endpoint
    return endpoint.decode() if isinstance(endpoint, bytes) else str(endpoint)
