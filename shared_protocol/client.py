"""The only client: add-on, command line and scripts talk to the backend through it.

    with Client(connection.read(places.connection_file()), name="command line") as client:
        client.send(Generate(job=new_job_id(), prompt="a pumpkin", style="plain", frames=16, width=64, height=64, seed=1))
        while client.wait(1.0):
            for message, buffers in client.poll():
                ...

It has no thread and never blocks, except in `wait`. ZeroMQ's own I/O thread keeps the line alive meanwhile.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Iterator
from types import TracebackType
from typing import Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from .connection import Connection
from .errors import ProtocolError
from .messages import Hello, Message, Refused, Request
from .processes import is_running
from .wire import Incoming, decode_event, encode

HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 10_000
"""Generous: a laptop that swaps must not look like a dead backend. A process that has ended is noticed by its pid."""

_LOST = {
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "The backend refuses the key of this client: its key is not on the backend's list.",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "What listens there does not speak the protocol's encryption.",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "The connection failed while keys were exchanged.",
    zmq.EVENT_DISCONNECTED: "The backend has closed the connection or has ended.",
}


class Lost(Message, frozen=True, kw_only=True):
    """The connection is gone; nothing more will come. Made by the client, never sent over the wire."""

    reason: str


def new_job_id() -> str:
    """A fresh name for a job."""
    return uuid.uuid4().hex


class Client:
    """One conversation with one backend. Says Hello by itself; the first message polled is `Welcome`, `Refused` or `Lost`."""

    def __init__(self, connection: Connection, *, name: str, identity: str | None = None) -> None:
        """Open the connection without waiting for it.

        `identity` names this client among all of the backend's; two clients with one identity would steal each
        other's mail, so it is random unless given.
        """
        self._connection = connection
        self._lost: Lost | None = None
        self._told_lost = False
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        self._socket.setsockopt(zmq.IDENTITY, (identity or uuid.uuid4().hex).encode())
        self._socket.setsockopt(zmq.RECONNECT_IVL, -1)  # a restarted backend has another port and another key
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._socket.curve_serverkey = connection.server_key.encode()
        self._socket.curve_publickey = connection.client_public.encode()
        self._socket.curve_secretkey = connection.client_secret.encode()
        # A refusal shows nowhere but in the monitor.
        self._monitor = self._socket.get_monitor_socket(sum(_LOST))
        self._monitor.linger = 0
        self._socket.connect(connection.endpoint)
        self.send(Hello(client=name[:64]))

    @property
    def lost(self) -> Lost | None:
        """Why the connection is gone, or None while it stands."""
        return self._lost

    def send(self, request: Request) -> None:
        """Hand a request to ZeroMQ, which delivers it in order. Does nothing once the connection is lost."""
        if self._lost is None:
            self._socket.send_multipart(encode(request), zmq.NOBLOCK, copy=True)

    def poll(self, budget: float = 0.005) -> Iterator[Incoming]:
        """What has arrived, oldest first, for at most about `budget` seconds. Never blocks.

        What came before the connection was lost is delivered first; `Lost` comes last, and once.
        """
        deadline = time.monotonic() + budget
        self._look_for_loss()
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                break
            try:
                incoming = decode_event(frames)
            except ProtocolError as error:
                self._lost = self._lost or Lost(reason=str(error))
                break
            if isinstance(incoming.message, Refused):
                self._lost = self._lost or Lost(reason=incoming.message.message)
            yield incoming
            if time.monotonic() >= deadline:
                return
        if self._lost is not None and not self._told_lost:
            self._told_lost = True
            yield Incoming(self._lost, ())

    def wait(self, timeout: float) -> bool:
        """Sleep until there is something to poll, at most `timeout` seconds. True if there is."""
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not self._told_lost:
            left = deadline - time.monotonic()
            # Slices of one second: a backend killed without a word is noticed by its pid.
            ready = dict(poller.poll(int(max(0, min(left, 1.0)) * 1000)))
            self._look_for_loss()
            if self._socket in ready or self._lost is not None:
                return True
            if left <= 0:
                return False
        return False

    def close(self) -> None:
        """End the conversation and free the sockets. May be called twice."""
        if self._socket.closed:
            return
        self._lost = self._lost or Lost(reason="This client has closed the connection.")
        self._told_lost = True
        self._socket.disable_monitor()
        self._monitor.close()
        self._socket.close()
        self._context.term()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _look_for_loss(self) -> None:
        if self._lost is not None:
            return
        while self._monitor.poll(0):
            event = zmq.Event(recv_monitor_message(self._monitor)["event"])
            if event in _LOST:
                self._lost = Lost(reason=_LOST[event])
                return
        if not is_running(self._connection.pid, self._connection.started):
            self._lost = Lost(reason="The backend has ended.")
