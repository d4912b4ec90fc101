"""Keys on the list, and clients that come in with them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import msgspec
import zmq

from backend.server.keys import KeyPair
from shared_protocol.client import Client
from shared_protocol.connection import Connection
from shared_protocol.messages import Message
from shared_protocol.wire import decode_event
from tests.backend.harness import Conversation


def list_key(name: str = "studio", pair: KeyPair | None = None) -> KeyPair:
    """Put a key, or a new one, on the list of the present ELEVATOR_HOME."""
    pair = pair or KeyPair.fresh()
    path = key_file(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(pair.public + "\n", encoding="ascii")
    path.chmod(0o644)
    return pair


def key_file(name: str = "studio") -> Path:
    return Path(os.environ["ELEVATOR_HOME"]) / "config" / "authorized" / f"{name}.pub"


def with_key(connection: Connection, pair: KeyPair) -> Connection:
    """The same backend, reached with another key."""
    return msgspec.structs.replace(connection, client_public=pair.public, client_secret=pair.secret)


def guest(connection: Connection, pair: KeyPair, **options: Any) -> Conversation:
    return Conversation(Client(with_key(connection, pair), **{"name": "guest", **options}))


def open_line(
    context: zmq.Context[zmq.Socket[bytes]], connection: Connection, identity: bytes = b""
) -> zmq.Socket[bytes]:
    """A connection without our client, which would say Hello first and send nothing spoiled."""
    socket = context.socket(zmq.DEALER)
    socket.linger = 0
    socket.sndhwm = socket.rcvhwm = 0
    if identity:
        socket.setsockopt(zmq.IDENTITY, identity)
    socket.setsockopt(zmq.RECONNECT_IVL, 60_000)  # longer than any test waits: what ends has ended
    socket.curve_serverkey = connection.server_key.encode()
    socket.curve_publickey = connection.client_public.encode()
    socket.curve_secretkey = connection.client_secret.encode()
    socket.connect(connection.endpoint)
    return socket


def answer_on(line: zmq.Socket[bytes]) -> Message:
    """The next thing that the backend says there."""
    assert line.poll(60_000), "it says nothing any more"
    return decode_event(line.recv_multipart()).message
