"""Who gets in: real sockets against a real backend. Whoever is refused learns it soon; nobody else notices."""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from shared_protocol import places, wire
from shared_protocol.client import Client, Lost
from shared_protocol.connection import Connection
from shared_protocol.messages import AskStatus, Done, Hello, Shutdown, Welcome
from tests.backend.harness import Conversation, Running, greet, running

pytestmark = pytest.mark.timeout(120)

REFUSED_SECONDS = 5.0


def fresh_keys(connection: Connection) -> Connection:
    public, secret = zmq.curve_keypair()
    return msgspec.structs.replace(connection, client_public=public.decode(), client_secret=secret.decode())


def reason_of_loss(connection: Connection) -> str:
    """Why a client with this connection file does not get in."""
    began = time.monotonic()
    with Conversation(Client(connection, name="stranger")) as stranger:
        first, _ = next(stranger.arrivals())
        assert isinstance(first, Lost), first
    assert time.monotonic() - began < REFUSED_SECONDS
    return first.reason


def serves(conversation: Conversation) -> bool:
    return isinstance(conversation.end_of(conversation.submit()), Done)


def test_an_unlisted_key_is_refused(backend: Running) -> None:
    with backend.client() as honest:
        greet(honest)
        assert "not on the backend's list" in reason_of_loss(fresh_keys(backend.connection))
        assert serves(honest)
        assert honest.status().clients == 1
    assert "refused: its key is not on the list" in places.log_file().read_text(encoding="utf-8")


def test_a_wrong_server_key_is_refused(shared: Running) -> None:
    """A client that expects another backend must not talk to this one."""
    with shared.client() as honest:
        wrong = zmq.curve_keypair()[0].decode()
        assert reason_of_loss(msgspec.structs.replace(shared.connection, server_key=wrong))
        assert serves(honest)


def test_a_public_key_without_its_secret_is_refused(shared: Running) -> None:
    secret = zmq.curve_keypair()[1].decode()
    assert reason_of_loss(msgspec.structs.replace(shared.connection, client_secret=secret))


@pytest.mark.parametrize("mechanism", ["none", "plain"])
def test_a_client_without_encryption_is_refused(shared: Running, mechanism: str) -> None:
    failures = zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED
    with shared.client() as honest, zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        greet(honest)
        socket.linger = 0
        if mechanism == "plain":
            socket.plain_username, socket.plain_password = b"admin", b"admin"
        socket.setsockopt(zmq.RECONNECT_IVL, -1)
        monitor = socket.get_monitor_socket(failures)
        socket.connect(shared.connection.endpoint)
        with suppress(zmq.Again):  # it may have been sent away already
            socket.send_multipart(wire.encode(Hello(client="plain")), zmq.NOBLOCK)
            socket.send_multipart(wire.encode(Shutdown()), zmq.NOBLOCK)
        assert monitor.poll(REFUSED_SECONDS * 1000), "it was not sent away"
        recv_monitor_message(monitor)
        assert not socket.poll(0), "it was answered"
        socket.disable_monitor()
        monitor.close()
        assert serves(honest)


def test_bytes_that_are_not_zeromq_hurt_nobody(shared: Running) -> None:
    import socket

    host, _, port = shared.connection.endpoint.removeprefix("tcp://").partition(":")
    with shared.client() as honest:
        for noise in (b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 5000, b"\xff\x00\x00\x00\x00\x00\x00\x00\x01\x7f", b""):
            with socket.create_connection((host, int(port)), timeout=5) as raw:
                raw.sendall(noise)
        assert serves(honest)


def test_it_listens_on_this_machine_only(shared: Running) -> None:
    assert shared.connection.endpoint.startswith("tcp://127.0.0.1:")


def test_a_listed_key_gets_in(home: Path) -> None:
    folder = home / "config" / "authorized"
    folder.mkdir(parents=True)
    public, secret = zmq.curve_keypair()
    (folder / "studio.pub").write_text(public.decode() + "\n", encoding="ascii")
    (folder / "broken.pub").write_text("not a key", encoding="ascii")
    (folder / "latin.pub").write_bytes("clé".encode("latin-1") * 10)
    with running() as backend:
        listed = msgspec.structs.replace(
            backend.connection, client_public=public.decode(), client_secret=secret.decode()
        )
        with Conversation(Client(listed, name="studio")) as client:
            assert isinstance(next(client.arrivals()).message, Welcome)
            assert serves(client)
        assert "not on the backend's list" in reason_of_loss(fresh_keys(backend.connection))
    assert "broken.pub is skipped" in places.log_file().read_text(encoding="utf-8")


def test_keys_are_fresh_at_every_start() -> None:
    with running() as backend:
        before = backend.connection
    with running() as backend:
        after = backend.connection
        assert reason_of_loss(msgspec.structs.replace(before, endpoint=after.endpoint, pid=after.pid, started=None))
    assert before.server_key != after.server_key
    assert before.client_secret != after.client_secret
    assert before.session != after.session


def test_a_clients_key_does_not_open_the_workers_door(shared: Running) -> None:
    """The worker's line is guarded by keys of its own, and other local programs find it closed."""
    import psutil

    with shared.client() as client:
        assert serves(client)
        ports = {
            entry.laddr.port
            for entry in psutil.Process(shared.process.pid).net_connections("tcp")
            if entry.status == psutil.CONN_LISTEN
        }
        own = int(shared.connection.endpoint.rpartition(":")[2])
        (line,) = ports - {own}
        with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
            socket.linger = 0
            socket.setsockopt(zmq.RECONNECT_IVL, -1)
            monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
            socket.connect(f"tcp://127.0.0.1:{line}")
            assert monitor.poll(REFUSED_SECONDS * 1000)
            assert recv_monitor_message(monitor)["event"] == zmq.EVENT_DISCONNECTED
            socket.disable_monitor()
            monitor.close()
        assert serves(client)


def test_a_flood_of_strangers_does_not_keep_the_honest_out(backend: Running) -> None:
    strangers = [Client(fresh_keys(backend.connection), name="stranger") for _ in range(30)]
    try:
        with backend.client() as honest:
            assert serves(honest)
            honest.client.send(AskStatus())
            assert honest.status().clients == 1
    finally:
        for stranger in strangers:
            stranger.close()
