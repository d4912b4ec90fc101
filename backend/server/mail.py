"""The line to the clients: the only socket that they reach. Bounded towards each of them, and none can block another.

libzmq's own bound of what a client may send (RCVHWM) is off: a connection that has reached it and then breaks ends the
whole process, by an assertion in libzmq's heartbeats (4.3.5, stream_engine_base_t::out_event). So all that arrives is
taken off the socket at once, and `inbox` bounds it. Its bound of what waits for a client (SNDHWM) is low, and `outbox`
keeps the rest: what can be made or fetched later is made when there is room.
"""

from __future__ import annotations

import logging
import os
import socket as network
import stat
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress

import zmq

from shared_protocol import wire
from shared_protocol.client import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from shared_protocol.messages import Message
from shared_protocol.wire import Buffer

from .descriptors import most_descriptors
from .door import CLIENTS, bind_guarded
from .inbox import Inbox
from .keys import KeyPair
from .outbox import Outbox

log = logging.getLogger(__name__)

ON_THE_LINE = 16
"""Messages that libzmq holds for a client, besides what the network does."""
KEPT_PARTS = 4
"""A request has the protocol's name, a header and a buffer. One part more shows that the message is none of ours."""
MOST_PARTS = 64
"""A message of more is no mistake but a flood: libzmq holds all of it before anybody can look at its first part."""
HANDSHAKE_MS = 5_000
"""A connection that has not proven its key after so long is closed."""
READ_SECONDS = 0.05
"""How long the socket is read at once while more and more arrives."""
LAST_WORDS_SECONDS = 0.5
"""How long the last words to a client that is thrown out have on the line."""
PATIENCE_SECONDS = 5.0
"""How long it may take to hear what it was told before, and them."""
BANNED_SECONDS = 10.0
"""How long nothing more is heard of it, until all that it has sent is read away."""


class Mail:
    """Requests in, answers and events out, by the identities of the clients' connections."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], keys: KeyPair, bind: str) -> None:
        """Open and guard the socket; `bind`: an address for other machines besides, or empty. Raises zmq.ZMQError."""
        self._keys = keys
        self._inbox = Inbox()
        self._outboxes: dict[bytes, Outbox] = {}
        """Only of clients for whom something waits."""
        self._gone: set[bytes] = set()
        self._banned: dict[bytes, float] = {}
        """Clients that are not listened to any more, and until when."""
        self._closing: dict[bytes, tuple[float, network.socket]] = {}
        """Connections of theirs, and since when they are to be closed."""
        self._known: dict[bytes, int] = {}
        """The descriptors of the connections of which requests have come."""
        self._strangers: set[tuple[int, tuple[object, ...]]] = set()
        """Connections of which none had come when somebody looked last."""
        self._reading: list[zmq.Frame] = []
        """The first parts of the message whose last part has not been read yet."""
        self._parts = 0
        """How many of it were read, the identity included."""
        self._socket = _open(context)
        self.endpoint = bind_guarded(self._socket, keys, CLIENTS)
        """Where clients on this machine reach it."""
        self.remote = bind_guarded(self._socket, keys, CLIENTS, bind) if bind else ""
        """Where those on other machines do; empty: nowhere."""

    @property
    def socket(self) -> zmq.Socket[bytes]:
        """To be waited for."""
        return self._socket

    @property
    def waits(self) -> bool:
        """Whether something waits until a client reads, or until a client's turn comes."""
        return bool(self._outboxes) or bool(self._inbox)

    # In -----------------------------------------------------------------------------------------------------

    def read(self) -> Iterator[bytes]:
        """Take in all that has arrived. Yields the identities of those who have sent more than they may."""
        until = time.monotonic() + READ_SECONDS
        while time.monotonic() < until:
            try:
                frame = self._socket.recv(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._parts += 1
            if len(self._reading) <= KEPT_PARTS:  # and the identity
                self._reading.append(frame)
            if frame.more:
                continue
            (identity, *request), self._reading = self._reading, []
            too_many, self._parts = self._parts > 1 + MOST_PARTS, 0
            if identity.bytes not in self._banned and (too_many or not self._take(identity.bytes, request)):
                self._ban(identity.bytes, request)
                yield identity.bytes

    def hear(self) -> Iterator[tuple[bytes, Sequence[zmq.Frame]]]:
        """Requests, each client's in their order, the clients in turn. To be broken off when other work waits."""
        while (request := self._inbox.take(self._is_heard)) is not None:
            yield request

    def _take(self, identity: bytes, request: Sequence[zmq.Frame]) -> bool:
        if identity not in self._known and request:
            self._known[identity] = _descriptor(request)
        return self._inbox.put(identity, request)

    def _is_heard(self, identity: bytes) -> bool:
        box = self._outboxes.get(identity)
        return box is None or box.takes_requests

    # Out ----------------------------------------------------------------------------------------------------

    def send(self, identity: bytes, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        """Tell a client something."""
        self._outboxes.setdefault(identity, Outbox()).add(wire.encode(message, buffers))
        self._flush(identity)

    def is_behind(self, identity: bytes) -> bool:
        """Whether so much waits for a client that it is not to be told what it can do without, or fetch."""
        box = self._outboxes.get(identity)
        return box is not None and box.is_full

    def stream(self, identity: bytes, messages: Iterator[tuple[Message, Sequence[Buffer]]]) -> None:
        """Tell a client what is made one by one, when there is room for it."""
        box = self._outboxes.setdefault(identity, Outbox())
        box.stream(wire.encode(message, buffers) for message, buffers in messages)
        self._flush(identity)

    def flush(self) -> None:
        """Send what has found no room before, as far as there is some now. To be called often."""
        for identity in tuple(self._outboxes):
            self._flush(identity)
        self._end_bans()

    def neglected(self) -> Iterator[bytes]:
        """Clients that do not read what they are told."""
        return (identity for identity, box in tuple(self._outboxes.items()) if box.is_neglected)

    def gone(self) -> Iterator[bytes]:
        """Clients that were found out of reach since they were asked for last."""
        while self._gone:
            yield self._gone.pop()

    def forget(self, identity: bytes) -> None:
        """Nothing of this client waits any more, and nothing for it."""
        self._inbox.forget(identity)
        self._outboxes.pop(identity, None)
        self._known.pop(identity, None)

    def disown(self, identity: bytes) -> None:
        """The client is a stranger from now on, until it says something again."""
        self._known.pop(identity, None)

    def close(self, milliseconds: int) -> None:
        """Close the socket. `milliseconds`: how long the last messages may take to leave."""
        for _, connection in self._closing.values():
            connection.close()
        self._socket.close(linger=milliseconds)

    def _flush(self, identity: bytes) -> None:
        box = self._outboxes[identity]
        try:
            while (message := box.first()) is not None:
                self._socket.send_multipart([identity, *message], zmq.NOBLOCK)
                box.sent()
        except zmq.Again:
            return
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._gone.add(identity)
            self.forget(identity)
            return
        del self._outboxes[identity]

    # Who sends too much -------------------------------------------------------------------------------------

    def _ban(self, identity: bytes, request: Sequence[zmq.Frame]) -> None:
        now = time.monotonic()
        self._banned[identity] = now + BANNED_SECONDS
        self._inbox.forget(identity)
        with suppress(OSError):  # it has closed the connection itself
            # ZeroMQ has no way to close one connection. A second descriptor keeps its number from being another's.
            self._closing[identity] = now, network.socket(fileno=os.dup(_descriptor(request)))

    def close_out_strangers(self) -> int:
        """Close the connections of which no request has come, neither now nor when this was called last. How many.

        For when no descriptors are left. To close the door instead, by `unbind`, would end all connections.
        """
        ports = {int(place.rpartition(":")[2]) for place in (self.endpoint, self.remote) if place}
        known = set(self._known.values())
        before = self._strangers
        found = ((number, _peer_of(number, ports)) for number in range(3, most_descriptors()) if number not in known)
        self._strangers = {(number, peer) for number, peer in found if peer is not None}
        lasting = self._strangers & before  # others may be about to prove their keys
        for number, _ in lasting:
            _shut_down(number)
        return len(lasting)

    def _end_bans(self) -> None:
        now = time.monotonic()
        for identity, (since, connection) in list(self._closing.items()):
            hears = identity in self._outboxes and now - since < PATIENCE_SECONDS
            if hears or now - since < LAST_WORDS_SECONDS:
                continue
            del self._closing[identity]
            with connection, suppress(OSError):
                connection.shutdown(network.SHUT_RDWR)
        for identity in [identity for identity, until in self._banned.items() if until <= now]:
            del self._banned[identity]


def _descriptor(request: Sequence[zmq.Frame]) -> int:
    """Of the connection that a request has come by; -1 if that is not known."""
    try:
        return int(request[-1].get(zmq.SRCFD))
    except zmq.ZMQError:
        return -1


def _peer_of(number: int, ports: Collection[int]) -> tuple[object, ...] | None:
    """At the other end of the connection that this descriptor is of; None if it is of none that leads to our ports."""
    try:
        if not stat.S_ISSOCK(os.fstat(number).st_mode):
            return None
        connection = network.socket(fileno=number)
    except OSError:
        return None
    try:
        peer = connection.getpeername()  # a socket that only listens has none
        is_ours = connection.family in (network.AF_INET, network.AF_INET6) and connection.getsockname()[1] in ports
        return tuple(peer) if is_ours else None
    except OSError:
        return None
    finally:
        connection.detach()


def _shut_down(number: int) -> None:
    """End a connection. ZeroMQ sees that, and closes the descriptor."""
    connection = network.socket(fileno=number)
    with suppress(OSError):
        connection.shutdown(network.SHUT_RDWR)
    connection.detach()


def _open(context: zmq.Context[zmq.Socket[bytes]]) -> zmq.Socket[bytes]:
    socket = context.socket(zmq.ROUTER)
    socket.linger = 0
    socket.rcvhwm = 0
    socket.sndhwm = ON_THE_LINE
    socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # mail to a client that is gone is an error, not lost in silence
    socket.setsockopt(zmq.ROUTER_HANDOVER, 0)  # nobody gets another's mail by taking its identity
    socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_HEADER_BYTES + wire.ENCRYPTION_BYTES)
    socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
    socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
    socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
    return socket
