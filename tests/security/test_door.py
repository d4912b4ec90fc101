"""Who gets in: real sockets against a real backend. Whoever is refused learns it soon; nobody else notices."""

from __future__ import annotations

import threading
import time
from contextlib import suppress
from pathlib import Path

import msgspec
import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from backend.server.door import CLIENTS, Door, bind_guarded, user_of
from backend.server.handshake_log import log_handshakes
from backend.server.keys import KeyPair, fingerprint
from shared_protocol import wire
from shared_protocol.client import Client, Lost
from shared_protocol.connection import Connection
from shared_protocol.machine import places
from shared_protocol.messages import AskStatus, Done, Hello, Progress, Refused, Shutdown, Welcome
from tests.backend.harness import Conversation, Running, greet, running, until
from tests.security.guests import guest, key_file, list_key, with_key

pytestmark = pytest.mark.timeout(120)

REFUSED_SECONDS = 5.0


def fresh_keys(connection: Connection) -> Connection:
    return with_key(connection, KeyPair.fresh())


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
    assert "refused: its key is not on the list" in log_text()


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
        assert monitor.poll(round(REFUSED_SECONDS * 1000)), "it was not sent away"
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
    pair = list_key()
    (key_file("broken")).write_text("not a key", encoding="ascii")
    (key_file("latin")).write_bytes("clé".encode("latin-1") * 10)
    with running() as backend:
        with guest(backend.connection, pair) as client:
            assert isinstance(next(client.arrivals()).message, Welcome)
            assert serves(client)
        assert "not on the backend's list" in reason_of_loss(fresh_keys(backend.connection))
    assert "broken.pub is skipped" in log_text()


def test_a_key_may_be_listed_while_the_backend_runs(backend: Running) -> None:
    pair = KeyPair.fresh()
    assert "not on the backend's list" in reason_of_loss(with_key(backend.connection, pair))
    list_key("later", pair)
    time.sleep(0.5)  # the list is looked at every 0.2 s
    with guest(backend.connection, pair) as client:
        assert serves(client)


def test_a_file_on_the_command_line_lists_a_key(tmp_path: Path) -> None:
    pair = KeyPair.fresh()
    named = tmp_path / "named.pub"
    named.write_text(pair.public, encoding="ascii")
    with running("--authorize", str(named)) as backend, guest(backend.connection, pair) as client:
        assert serves(client)
        named.unlink()
        assert refused(client) < REFUSED_SECONDS


def refused(client: Conversation) -> float:
    """How long it takes until a client that stands there is sent away, seconds."""
    began = time.monotonic()
    assert client.expect(Refused).code == "not_authorized"
    return time.monotonic() - began


@pytest.mark.parametrize("speaks", [False, True])
def test_a_revoked_key_is_refused_at_once_though_its_connection_stands(speaks: bool) -> None:
    pair = list_key()
    with running(step_seconds=0.05) as backend, backend.client() as honest:
        greet(honest)
        with guest(backend.connection, pair) as client:
            job = client.submit()
            client.expect(Progress, lambda message: message.job == job)
            key_file().unlink()
            if speaks:
                time.sleep(0.5)  # the list is looked at every 0.2 s
                client.client.send(AskStatus())
            assert refused(client) < REFUSED_SECONDS
            assert client.client.lost is not None
            came = len(client.of(job))
            for _ in range(20):
                client.client.wait(0.05)
                client.heard += client.client.poll()
            assert len(client.of(job)) == came, "it hears no more"
        assert "not on the backend's list" in reason_of_loss(with_key(backend.connection, pair))
        assert serves(honest)
        assert honest.status().clients == 1
    assert f"key {fingerprint(pair.public)} is revoked" in log_text()


def test_every_refusal_is_logged(backend: Running) -> None:
    assert until(lambda: "Ready at" in log_text())
    with zmq.Context() as context, context.socket(zmq.DEALER) as plain:
        plain.linger = 0
        plain.connect(backend.connection.endpoint)
        # Which of the two it is depends on which side sees first that the other speaks another mechanism.
        reasons = ("refused: it does not speak our encryption", "refused: it broke off while keys")
        assert until(lambda: any(reason in log_text() for reason in reasons), 30)
    reason_of_loss(msgspec.structs.replace(backend.connection, server_key=KeyPair.fresh().public))
    assert until(lambda: "refused: it expects another backend, or has not the secret" in log_text(), 30)
    stranger = KeyPair.fresh()
    reason_of_loss(with_key(backend.connection, stranger))
    assert until(lambda: f"not on the list of clients (key {fingerprint(stranger.public)})" in log_text(), 30)


def log_text() -> str:
    return places.log_file().read_text(encoding="utf-8")


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
            assert monitor.poll(round(REFUSED_SECONDS * 1000))
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


def test_a_line_is_not_opened_where_its_watcher_cannot_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    """libzmq tells a monitor of its end and waits until it has heard: it must be there then."""

    def start(thread: threading.Thread) -> None:
        if thread.name == "handshakes":
            raise RuntimeError("can't start new thread")
        begin(thread)

    def open_lines() -> None:
        with zmq.Context() as context:
            for _ in range(50):
                with context.socket(zmq.DEALER) as socket, pytest.raises(OSError, match="no further thread"):
                    log_handshakes(socket)
        opened.set()

    opened, begin = threading.Event(), threading.Thread.start
    monkeypatch.setattr(threading.Thread, "start", start)
    threading.Thread(target=open_lines, daemon=True).start()
    assert opened.wait(60.0), "it waits for a monitor that is gone"


def test_a_door_that_cannot_be_watched_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    context = zmq.Context()
    with monkeypatch.context() as short:
        short.setattr(threading.Thread, "start", start)
        with pytest.raises(OSError, match="no further thread"):
            Door(context)
    end = threading.Thread(target=context.term, daemon=True)  # which waits for every socket
    end.start()
    end.join(20.0)
    assert not end.is_alive(), "it has left a socket open"


def test_a_door_at_which_nobody_answers_any_more_is_noticed() -> None:
    with zmq.Context() as context:
        door = Door(context)
        door._bell.send(b"")
        door._thread.join(60)
        with pytest.raises(RuntimeError, match="has ended"):
            door.look()
        door.stop()


def test_an_address_in_brackets_is_of_the_newer_kind() -> None:
    import socket

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has none")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as line:
        line.linger = 0
        assert bind_guarded(line, KeyPair.fresh(), CLIENTS, "tcp://[::1]:0").startswith("tcp://[::1]:")


def test_nobody_is_known_on_a_line_without_keys() -> None:
    with zmq.Context() as context, context.socket(zmq.PAIR) as here, context.socket(zmq.PAIR) as there:
        here.bind("inproc://line")
        there.connect("inproc://line")
        there.send(b"x")
        assert user_of(here.recv(copy=False)) == ""
