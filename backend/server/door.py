"""The door of the backend's sockets: who has no key of a list does not come in.

CURVE keys alone would admit any key pair. libzmq asks about each new connection (ZAP, RFC 27 of ZeroMQ), and the answer
comes from a thread of ours. pyzmq's own thread for it waits with asyncio, whose usual loop on Windows can wait for no
socket of ZeroMQ: there it would end at once, and nobody would get in.
"""

from __future__ import annotations

import errno
import logging
import threading
import uuid
from collections.abc import Iterable
from contextlib import suppress
from typing import TypeAlias

import zmq
from zmq.auth.base import Authenticator

from .guests import Guests
from .handshake_log import log_handshakes
from .keys import KeyPair

log = logging.getLogger(__name__)

CLIENTS = "clients"
"""Authentication domain of the clients: none of their keys opens a worker's line, nor the other way round."""


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


Keys: TypeAlias = Iterable[str] | Guests


class Door:
    """Guards all CURVE sockets of a context, until it is stopped."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]]) -> None:
        """Raises zmq.ZMQError, and OSError where no thread can be started."""
        # pyzmq writes keys into its log when that is set to DEBUG; ours stays silent below WARNING.
        quiet = logging.getLogger("backend.authenticator")
        quiet.setLevel(logging.WARNING)
        self._asked = Authenticator(context, log=quiet)
        self._lock = threading.Lock()
        """pyzmq looks twice at its list for one answer."""
        self._asked.start()
        address = f"inproc://door-{uuid.uuid4().hex}"
        self._bell, bell = context.socket(zmq.PAIR), context.socket(zmq.PAIR)
        self._bell.linger = bell.linger = 0
        self._bell.bind(address)
        bell.connect(address)
        self._thread = threading.Thread(target=self._answer, args=(bell,), name="door", daemon=True)
        try:
            self._thread.start()
        except RuntimeError as error:  # Python's word for a system that has none left
            bell.close()
            self._close()
            raise OSError(errno.EAGAIN, "no further thread can be started") from error

    def admit(self, domain: str, keys: Keys) -> None:
        """Let these keys or guests, and no others, in through the sockets of `domain`."""
        with self._lock:
            self._asked.configure_curve_callback(domain, keys if isinstance(keys, Guests) else AllowList(keys))

    def close(self, domain: str) -> None:
        """Let nobody in through the sockets of `domain` any more."""
        with self._lock:
            del self._asked.credentials_providers[domain]

    @property
    def domains(self) -> frozenset[str]:
        """Those through whose sockets somebody may come in."""
        return frozenset(self._asked.credentials_providers)

    def look(self) -> None:
        """Raises RuntimeError if nobody answers any more: such a server is of no use to anybody."""
        if not self._thread.is_alive():
            raise RuntimeError("The thread that lets clients in has ended.")

    def stop(self) -> None:
        """Answer nobody any more."""
        if self._thread.is_alive():
            with suppress(zmq.Again):  # it has ended in this moment
                self._bell.send(b"", zmq.NOBLOCK)
            self._thread.join()
        self._close()

    def _close(self) -> None:
        self._bell.close()
        self._asked.stop()

    def _answer(self, bell: zmq.Socket[bytes]) -> None:
        questions = self._asked.zap_socket
        poller = zmq.Poller()
        poller.register(bell, zmq.POLLIN)
        poller.register(questions, zmq.POLLIN)
        try:
            while bell not in dict(poller.poll()):
                self._decide(questions.recv_multipart())
        finally:
            bell.close()

    def _decide(self, question: list[bytes]) -> None:
        """pyzmq's answer is a coroutine for the sake of those whose lists are. Ours wait for nothing."""
        with self._lock:
            try:
                self._asked.handle_zap_message(question).send(None)
            except StopIteration:
                return
        raise AssertionError("the answer must come at once")


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
