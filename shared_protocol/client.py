"""The only client: add-on, command line and scripts talk to the backend through it.

    with Client(connection.read(places.connection_file()), name="command line") as client:
        client.send(Generate(job=new_job_id(), prompt="a pumpkin", …))
        while client.lost is None:
            client.wait(1.0)
            for message, buffers in client.poll():
                ...

It has no thread and never blocks, except in `wait`. ZeroMQ's own I/O thread keeps the line alive meanwhile. Of many
requests it sends as many as the backend takes (`window`), and the others from `poll`, as the backend reads on.
"""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Self

import zmq
from zmq.utils.monitor import recv_monitor_message

from .connection import Connection
from .errors import ProtocolError
from .machine.processes import is_running
from .messages import Alive, Answering, AskStatus, Hello, Message, Refused, Request
from .texts import short_name
from .window import Window
from .wire import ENCRYPTION_BYTES, MAX_BUFFER_BYTES, Buffer, Incoming, decode_event, encode

HEARTBEAT_MS = 1_000
HEARTBEAT_TIMEOUT_MS = 10_000
"""Generous: a laptop that swaps must not look like a dead backend. A process that has ended is noticed by its pid."""
HANDSHAKE_MS = 10_000
CONNECT_SECONDS = 5.0
"""How long it may take until the machine of a backend elsewhere is found and takes the connection, the look-up of its
name included, for which ZeroMQ has no limit."""
NEVER_MS = 24 * 3_600_000
LOOK_SECONDS = 1.0
"""How often a wait looks whether the backend's process is there: one that is killed may leave without a word."""
SILENCE_SECONDS = 20.0
"""The backend says `Alive` every two seconds; after this much silence it counts as stuck."""

HOW_FAR = "client: read so far?"
"""Name of the questions that this client asks for itself, whose answers it keeps to itself."""

_LOST = {
    zmq.EVENT_CLOSED: "Nothing listens at the backend's address any more.",
    zmq.EVENT_HANDSHAKE_FAILED_AUTH: "The backend refuses this client: its key is not on the backend's list.",
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL: "What listens there does not speak the protocol's encryption.",
    zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL: "The connection failed while keys were exchanged.",
    zmq.EVENT_DISCONNECTED: "The backend has closed the connection or has ended.",
}


_NOT_THERE = {
    zmq.EVENT_CLOSED: "Nothing answers at {host}, port {port}.",
    # Without an end of a connection before it, which would be said first.
    zmq.EVENT_CONNECT_RETRIED: "The name {host} is not known here, so port {port} there was not reached.",
}
"""What is said of a backend on another machine that was never reached."""


_REACHING = zmq.EVENT_CONNECTED | zmq.EVENT_CONNECT_RETRIED


class Lost(Message, frozen=True, kw_only=True):
    """The connection is gone; nothing more will come. Made by the client, never sent over the wire."""

    reason: str


def new_job_id() -> str:
    """A fresh name for a job."""
    return uuid.uuid4().hex


class Client:
    """One conversation with one backend.

    It says Hello by itself; the first message polled is `Welcome`, `Refused` or `Lost`.
    """

    def __init__(
        self,
        connection: Connection,
        *,
        name: str,
        identity: str | None = None,
        client_id: str = "",
        live_frames: bool = True,
    ) -> None:
        """Open the connection without waiting for it.

        `identity` names this client among all of the backend's; two clients with one identity would steal each
        other's mail, so it is random unless given. `client_id`: under which it was here before, or empty.
        `live_frames`: whether frames come as they are made, and not only when they are fetched.
        """
        self._connection = connection
        self._lost: Lost | None = None
        self._told_lost = False
        self._silence = 0.0
        self._began = self._looked = time.monotonic()
        self._far = not connection.pid  # the process of a backend on another machine cannot be seen from here
        self._reached = False
        self._window = Window()
        self._queue: deque[list[Buffer]] = deque()
        """What has no room in the window yet."""
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = self._socket.rcvhwm = 0
        self._socket.setsockopt(zmq.IDENTITY, (identity or uuid.uuid4().hex).encode())
        # A restarted backend has another port and another key, so dialling again is of no use. But to forbid it (-1)
        # makes ZeroMQ throw away what has arrived and was not read yet, when the other side closes.
        self._socket.setsockopt(zmq.RECONNECT_IVL, NEVER_MS)
        self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
        self._socket.setsockopt(zmq.CONNECT_TIMEOUT, HANDSHAKE_MS)
        self._socket.setsockopt(zmq.IPV6, int("[" in connection.endpoint))
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_BUFFER_BYTES + ENCRYPTION_BYTES)
        self._socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        self._socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._socket.curve_serverkey = connection.server_key.encode()
        self._socket.curve_publickey = connection.client_public.encode()
        self._socket.curve_secretkey = connection.client_secret.encode()
        # A refusal shows nowhere but in the monitor.
        self._monitor = self._socket.get_monitor_socket(sum(_LOST) | _REACHING)
        self._socket.connect(connection.endpoint)
        self.send(Hello(client=short_name(name), client_id=client_id, live_frames=live_frames))

    @property
    def lost(self) -> Lost | None:
        """Why the connection is gone, or None while it stands."""
        return self._lost

    def send(self, request: Request, buffers: Sequence[Buffer] = ()) -> None:
        """Have a request delivered, in order. Does nothing once the connection is lost.

        Raises ValueError if it is too large.
        """
        if self._lost is not None:
            return
        self._queue.append(encode(request, buffers))
        self._send_queued()

    def poll(self, budget: float = 0.005) -> Iterator[Incoming]:
        """What has arrived, oldest first, for at most about `budget` seconds. Never blocks.

        What came before the connection was lost is delivered first; `Lost` comes last, and once.
        """
        if self._socket.closed:
            return
        deadline = time.monotonic() + budget
        self._look_for_loss()
        while True:
            try:
                frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                self._listen_to_silence()
                break
            self._silence = 0.0
            try:
                incoming = decode_event(frames)
            except ProtocolError as error:
                self._lost = self._lost or Lost(reason=str(error))
                break
            if isinstance(incoming.message, Refused):
                self._lost = self._lost or Lost(reason=incoming.message.message)
            if isinstance(incoming.message, Answering) and incoming.message.request_id == HOW_FAR:
                self._window.answered()
                self._send_queued()
            elif not isinstance(incoming.message, Alive):
                yield incoming
            if time.monotonic() >= deadline or self._socket.closed:
                return
        if self._lost is not None and not self._told_lost:
            self._told_lost = True
            yield Incoming(self._lost, ())

    def wait(self, timeout: float) -> bool:
        """Sleep until something has arrived, at most `timeout` seconds. False when time is up, or after `Lost`.

        What arrived may be for the client itself, so that `poll` then yields nothing.
        """
        deadline = time.monotonic() + timeout
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        poller.register(self._monitor, zmq.POLLIN)
        while not self._told_lost:
            left = deadline - time.monotonic()
            ready = dict(poller.poll(int(max(0, min(left, LOOK_SECONDS)) * 1000)))
            self._look_for_loss()
            if self._socket in ready or self._lost is not None:
                return True
            self._listen_to_silence()
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

    def _not_there(self, event: int) -> Lost:
        host, _, port = self._connection.endpoint.removeprefix("tcp://").rpartition(":")
        return Lost(reason=_NOT_THERE[zmq.Event(event)].format(host=host, port=port))

    def _send_queued(self) -> None:
        while self._queue and self._window.takes(size := sum(map(len, self._queue[0]))):
            self._hand_over(self._queue.popleft())
            if self._window.sent(size):
                self._hand_over(encode(AskStatus(request_id=HOW_FAR)))
                self._window.asked()

    def _hand_over(self, frames: list[Buffer]) -> None:
        try:
            self._socket.send_multipart(frames, zmq.NOBLOCK, copy=True)
        except zmq.Again:  # without a high-water mark this means that the connection is gone
            self._lost = self._lost or Lost(reason=_LOST[zmq.EVENT_DISCONNECTED])

    def _listen_to_silence(self) -> None:
        # Only time that this side was awake counts, so a frozen Blender or a laptop that slept blames nobody.
        now = time.monotonic()
        self._silence += min(now - self._looked, 1.0)
        self._looked = now
        if self._silence > SILENCE_SECONDS and self._lost is None:
            self._lost = Lost(reason="The backend runs but has not answered for some time: it seems to be stuck.")

    def _look_for_loss(self) -> None:
        if self._lost is not None:
            return
        while self._monitor.poll(0):
            event = zmq.Event(recv_monitor_message(self._monitor)["event"])
            self._reached = self._reached or event == zmq.EVENT_CONNECTED
            if self._far and not self._reached and event in _NOT_THERE:
                self._lost = self._not_there(event)
                return
            if event in _LOST:
                self._lost = Lost(reason=_LOST[event])
                return
        if self._far and not self._reached and time.monotonic() - self._began > CONNECT_SECONDS:
            self._lost = self._not_there(zmq.EVENT_CLOSED)
        elif not self._far and not is_running(self._connection.pid, self._connection.started):
            self._lost = Lost(reason="The backend has ended.")
