"""The client never blocks, and says in one sentence when the backend is gone, whatever the reason."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import msgspec
import pytest
import zmq

from shared_protocol import client as client_module
from shared_protocol import wire
from shared_protocol.client import Client, Lost
from shared_protocol.connection import Connection
from shared_protocol.messages import (
    Alive,
    AskStatus,
    Frame,
    Hello,
    Message,
    Refused,
    Status,
    Welcome,
)

JOB = "0" * 32
WELCOME = Welcome(major=1, minor=0, backend="0", session="0", device="none", styles=())
LONG = 20.0
"""More than anything here takes, seconds."""


SHORT = 0.3
"""A wait that ends on its own, seconds."""


class Backend:
    """The other end of one conversation, in this process."""

    def __init__(self) -> None:
        self.context = zmq.Context()
        self.socket = self.context.socket(zmq.ROUTER)
        self.socket.linger = 0
        public, secret = zmq.curve_keypair()
        self.socket.curve_publickey, self.socket.curve_secretkey = public, secret
        self.socket.curve_server = True
        self.socket.bind("tcp://127.0.0.1:0")
        ours, theirs = zmq.curve_keypair()
        self.connection = Connection(
            endpoint=self.socket.getsockopt_string(zmq.LAST_ENDPOINT),
            server_key=public.decode(),
            client_public=ours.decode(),
            client_secret=theirs.decode(),
            pid=os.getpid(),
            session="one",
            version="0",
        )
        self.peer = b""

    def hear(self) -> Message:
        assert self.socket.poll(round(LONG * 1000)), "nothing came"
        self.peer, *frames = self.socket.recv_multipart()
        return wire.decode_request(frames).message

    def say(self, message: Message, *buffers: bytes) -> None:
        self.socket.send_multipart([self.peer, *wire.encode(message, buffers)])

    def close(self, linger: int = 0) -> None:
        self.socket.close(linger)
        self.context.term()


@pytest.fixture
def backend() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.close()


def everything(client: Client) -> list[Message]:
    """All that arrives until the connection is lost."""
    found: list[Message] = []
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        client.wait(0.2)
        found += [message for message, _ in client.poll()]
        if found and isinstance(found[-1], Lost):
            return found
    raise AssertionError(f"the loss was not noticed; {found}")


def reason(client: Client) -> str:
    last = everything(client)[-1]
    assert isinstance(last, Lost)
    return last.reason


def first(client: Client) -> Message:
    deadline = time.monotonic() + LONG
    while time.monotonic() < deadline:
        client.wait(0.2)
        for message, _ in client.poll():
            return message
    raise AssertionError("nothing came")


def test_hello_comes_first_and_by_itself(backend: Backend) -> None:
    with Client(backend.connection, name="x" * 200) as client:
        client.send(AskStatus())
        assert backend.hear() == Hello(client="x" * 63 + "…")
        assert backend.hear() == AskStatus()
        backend.say(WELCOME)
        assert first(client) == WELCOME


def test_buffers_arrive_with_their_message(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.say(Frame(job=JOB, index=0, frames=1), b"png")
        assert client.wait(LONG)
        assert [(type(message), buffers) for message, buffers in client.poll()] == [(Frame, (b"png",))]


def test_an_identity_can_be_chosen_and_is_random_else(backend: Backend) -> None:
    with Client(backend.connection, name="test", identity="window 1"):
        backend.hear()
        assert backend.peer == b"window 1"
    with Client(backend.connection, name="test"):
        backend.hear()
        assert len(backend.peer) == 32


def test_alive_is_kept_from_the_caller(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.say(Alive())
        backend.say(WELCOME)
        assert first(client) == WELCOME


def test_one_poll_gives_more_than_one_message(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        for index in range(100):
            backend.say(Frame(job=JOB, index=index, frames=100), b"png")
        found: list[int] = []
        while sum(found) < 100:
            assert client.wait(LONG)
            found.append(len(list(client.poll(budget=SHORT))))
        assert max(found) > 1


def test_polling_stops_within_its_budget(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        for _ in range(3):
            backend.say(WELCOME)
        assert client.wait(LONG)
        time.sleep(SHORT)
        assert [len(list(client.poll(budget=0.0))) for _ in range(4)] == [1, 1, 1, 0], "one, for one must be"


def test_a_backend_that_closes_is_noticed_after_its_last_words(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.say(WELCOME)
        backend.socket.close(linger=1000)
        assert [type(message) for message in everything(client)] == [Welcome, Lost]
        assert client.lost is not None
        assert not list(client.poll()), "Lost comes once"
        assert not client.wait(0)
        client.send(AskStatus())


def test_who_only_polls_notices_the_loss_too(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.socket.close()
        deadline, heard = time.monotonic() + LONG, list(client.poll())
        while not heard:
            assert time.monotonic() < deadline
            time.sleep(0.01)
            heard = list(client.poll())
        assert [message for message, _ in heard] == [client.lost]


def test_no_last_words_are_ever_lost() -> None:
    """The loss shows in the monitor at once; all that arrived before must still be readable."""
    for _ in range(60):
        backend = Backend()
        with Client(backend.connection, name="test") as client:
            backend.hear()
            for index in range(4):
                backend.say(Frame(job=JOB, index=index, frames=4), b"png")
            backend.close(linger=5000)
            assert [type(message) for message in everything(client)] == [Frame] * 4 + [Lost]


def test_an_address_where_nobody_listens_is_noticed(backend: Backend) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    empty = msgspec.structs.replace(backend.connection, endpoint=f"tcp://127.0.0.1:{port}")
    with Client(empty, name="test") as client:
        assert "Nothing listens" in reason(client)


def elsewhere(backend: Backend, endpoint: str) -> Connection:
    """A profile: the backend's process is another machine's."""
    return msgspec.structs.replace(backend.connection, endpoint=endpoint, pid=0, started=None)


def test_a_backend_elsewhere_that_is_not_there_is_named(backend: Backend) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(elsewhere(backend, f"tcp://127.0.0.1:{port}"), name="test") as client:
        assert reason(client) == f"Nothing answers at 127.0.0.1, port {port}."


def test_a_name_that_nobody_knows_is_named(backend: Backend) -> None:
    with Client(elsewhere(backend, "tcp://no-such-machine.invalid:5577"), name="test") as client:
        said = reason(client)
        assert "no-such-machine.invalid" in said
        assert "5577" in said


def test_a_machine_that_takes_no_connection_is_named_soon(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full backlog takes the place of a firewall that says nothing."""
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.5)
    with socket.socket() as deaf, ExitStack() as stack:
        deaf.bind(("127.0.0.1", 0))
        deaf.listen(0)
        for _ in range(4):
            other = stack.enter_context(socket.socket())
            other.setblocking(False)
            other.connect_ex(deaf.getsockname())
        with Client(elsewhere(backend, "tcp://{}:{}".format(*deaf.getsockname())), name="test") as client:
            assert reason(client).startswith("Nothing answers at 127.0.0.1, port ")


def test_a_backend_elsewhere_that_was_reached_is_waited_for(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "CONNECT_SECONDS", 0.2)
    with Client(elsewhere(backend, backend.connection.endpoint), name="test") as client:
        backend.hear()
        client.wait(SHORT)
        assert client.lost is None


def test_a_listener_that_says_nothing_is_noticed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "HANDSHAKE_MS", 300)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        other = msgspec.structs.replace(backend.connection, endpoint=f"tcp://127.0.0.1:{port}")
        with Client(other, name="test") as client:
            assert reason(client)


def test_a_wrong_server_key_is_noticed(backend: Backend) -> None:
    wrong = msgspec.structs.replace(backend.connection, server_key=zmq.curve_keypair()[0].decode())
    with Client(wrong, name="test") as client:
        assert reason(client)


def test_a_backend_without_encryption_is_noticed(backend: Backend) -> None:
    with backend.context.socket(zmq.ROUTER) as plain:
        plain.linger = 0
        plain.bind("tcp://127.0.0.1:0")
        other = msgspec.structs.replace(backend.connection, endpoint=plain.getsockopt_string(zmq.LAST_ENDPOINT))
        with Client(other, name="test") as client:
            assert reason(client)


def test_a_backend_whose_process_has_ended_is_noticed(backend: Backend) -> None:
    """Also while the port is held by something else."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    dead = msgspec.structs.replace(backend.connection, pid=process.pid)
    with Client(dead, name="test") as client:
        assert "ended" in reason(client)


@pytest.mark.slow
def test_a_stuck_backend_is_noticed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """ZeroMQ's own thread keeps answering heartbeats for it, so only silence tells."""
    monkeypatch.setattr(client_module, "SILENCE_SECONDS", 0.5)
    with Client(backend.connection, name="test") as client:
        assert "stuck" in reason(client)


def test_a_client_that_slept_blames_nobody(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        for _ in range(5):
            now = time.monotonic()
            with monkeypatch.context() as patched:
                patched.setattr(time, "monotonic", lambda later=now + 3600: later)
                assert not list(client.poll())
        assert client.lost is None


def test_words_end_the_silence(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        backend.say(WELCOME)
        assert client.wait(LONG)
        client._silence = client_module.SILENCE_SECONDS
        assert [message for message, _ in client.poll()] == [WELCOME]
        assert client.lost is None


def test_refused_is_shown_and_then_lost(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        refused = Refused(code="version", message="Update the add-on.")
        backend.say(refused)
        assert everything(client) == [refused, Lost(reason="Update the add-on.")]


def test_an_event_that_cannot_be_read_ends_the_conversation(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.socket.send_multipart([backend.peer, b"elevator/2", b"{}"])
        assert "version 2" in reason(client)


def quiet(backend: Backend, client: Client) -> None:
    """Until the handshake is over and all that it brings is read, so that nothing more will come."""
    backend.hear()
    backend.say(WELCOME)
    assert first(client) == WELCOME
    client.wait(SHORT)
    assert not list(client.poll())


def waited(client: Client, timeout: float) -> tuple[bool, float, float]:
    """What `wait` says, and how long it took: seconds of the clock, and seconds that the processor worked."""
    start, worked = time.monotonic(), time.process_time()
    heard = client.wait(timeout)
    return heard, time.monotonic() - start, time.process_time() - worked


@pytest.mark.slow
@pytest.mark.parametrize("timeout", [0.0, 0.05, SHORT, 1.2])
def test_a_wait_for_nothing_is_false_after_its_time_and_sleeps(backend: Backend, timeout: float) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        heard, took, worked = waited(client, timeout)
        assert not heard
        assert timeout - 0.01 <= took < timeout + 0.5
        assert worked < 0.02 + timeout / 4, "it spins"
        assert client.lost is None


@pytest.mark.slow
def test_a_wait_ends_when_something_comes_and_says_so_until_it_is_read(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        speaker = threading.Timer(SHORT, backend.say, [WELCOME])
        speaker.start()
        heard, took, _ = waited(client, LONG)
        speaker.join()
        assert heard
        assert SHORT / 2 < took < LONG / 2
        assert client.wait(LONG), "it is still there"
        assert [message for message, _ in client.poll()] == [WELCOME]
        assert not client.wait(0.0)


def test_a_connection_that_breaks_ends_a_wait_at_once(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not only when the process is looked for the next time."""
    monkeypatch.setattr(client_module, "LOOK_SECONDS", 2 * LONG)
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        closer = threading.Timer(SHORT, backend.socket.close)
        closer.start()
        heard, took, _ = waited(client, LONG)
        closer.join()
        assert heard
        assert took < LONG / 2
        assert [type(message) for message, _ in client.poll()] == [Lost]


def test_a_process_that_is_killed_during_a_wait_ends_it(backend: Backend) -> None:
    """Its socket may live on for a while, as this one does: only the process tells."""
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        connection = msgspec.structs.replace(backend.connection, pid=process.pid)
        with Client(connection, name="test") as client:
            quiet(backend, client)
            killer = threading.Timer(SHORT, lambda: (process.kill(), process.wait()))
            killer.start()
            heard, took, _ = waited(client, LONG)
            killer.join()
            assert heard
            assert took < 3, "it is looked for once a second"
            assert client.lost is not None
            assert [type(message) for message, _ in client.poll()] == [Lost]
            assert not client.wait(LONG), "nothing comes after the loss"


@pytest.mark.slow
def test_silence_ends_a_wait(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        monkeypatch.setattr(client_module, "SILENCE_SECONDS", 0.5)
        heard, took, _ = waited(client, LONG)
        assert heard
        assert took < LONG / 2
        assert "stuck" in reason(client)


@pytest.mark.slow
def test_a_message_larger_than_any_is_not_taken_into_memory(backend: Backend) -> None:
    """ZeroMQ refuses it by its length; were it read first, its content would be the reason."""
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        backend.socket.send_multipart([backend.peer, bytes(wire.MAX_BUFFER_BYTES + 2 * wire.ENCRYPTION_BYTES)])
        assert reason(client) == client_module._LOST[zmq.EVENT_DISCONNECTED]


@pytest.mark.slow
def test_a_largest_buffer_is_taken(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        backend.say(Frame(job=JOB, index=0, frames=1), bytes(wire.MAX_BUFFER_BYTES))
        assert client.wait(LONG)
        assert [len(buffers[0]) for _, buffers in client.poll()] == [wire.MAX_BUFFER_BYTES]


def test_a_machine_that_does_not_answer_is_given_up_in_time(backend: Backend) -> None:
    """What the system would do for two minutes cannot be shown without a dead line; that ZeroMQ was told can."""
    with Client(backend.connection, name="test") as client:
        for option in (zmq.CONNECT_TIMEOUT, zmq.HANDSHAKE_IVL):
            assert client._socket.getsockopt(option) == client_module.HANDSHAKE_MS
        assert client._socket.getsockopt(zmq.HEARTBEAT_TIMEOUT) == client_module.HEARTBEAT_TIMEOUT_MS
        assert client._socket.getsockopt(zmq.HEARTBEAT_IVL) == client_module.HEARTBEAT_MS


def test_looking_for_a_loss_never_waits(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(backend.connection, name="one")
    backend.hear()
    waits: list[int] = []
    monkeypatch.setattr(client._monitor, "poll", lambda timeout: waits.append(timeout))
    assert list(client.poll()) == []
    assert set(waits) == {0}
    client.close()


def test_closing_does_not_wait_for_what_was_not_sent(backend: Backend) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        client = Client(msgspec.structs.replace(backend.connection, endpoint=f"tcp://127.0.0.1:{port}"), name="test")
        client.send(AskStatus())
        began = time.monotonic()
        client.close()
        assert time.monotonic() - began < LONG / 2
    assert client.lost == Lost(reason="This client has closed the connection.")


@pytest.mark.parametrize(("endpoint", "wide"), [("tcp://127.0.0.1:9", 0), ("tcp://[::1]:9", 1)])
def test_an_address_of_the_sixth_version_is_taken(backend: Backend, endpoint: str, wide: int) -> None:
    with Client(msgspec.structs.replace(backend.connection, endpoint=endpoint), name="test") as client:
        assert client._socket.getsockopt(zmq.IPV6) == wide


def test_what_can_be_handed_to_nobody_is_a_loss(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise zmq.Again

    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        monkeypatch.setattr(client._socket, "send_multipart", refused)
        client.send(AskStatus())
        assert client.lost == Lost(reason="The backend has closed the connection or has ended.")
        assert list(client.poll()) == [(client.lost, ())]


def test_the_first_reason_of_a_loss_stands(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        backend.say(Refused(code="version", message="Update the add-on."))
        backend.socket.send_multipart([backend.peer, b"elevator/2", b"{}"])
        assert [type(message) for message in everything(client)] == [Refused, Lost]
        lost = client.lost
        assert lost == Lost(reason="Update the add-on.")
        client.close()
        assert client.lost == lost


def test_silence_is_counted_by_what_this_side_was_awake(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second for each look at most, and no loss before its time is over."""
    with Client(backend.connection, name="test") as client:
        quiet(backend, client)
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now)
        list(client.poll())
        client._silence = 0.0
        for step in (0.25, 0.5, 7.0):
            now += step
            list(client.poll())
        assert client._silence == pytest.approx(1.75)
        client._silence = client_module.SILENCE_SECONDS
        list(client.poll())
        assert client.lost is None
        now += 0.1
        list(client.poll())
        assert client.lost is not None


def test_closing_twice_does_no_harm(backend: Backend) -> None:
    client = Client(backend.connection, name="test")
    client.close()
    client.close()
    client.send(AskStatus())
    assert not list(client.poll())
    assert not client.wait(1.0)


def test_closing_while_polling_does_no_harm(backend: Backend) -> None:
    with Client(backend.connection, name="test") as client:
        backend.hear()
        backend.say(WELCOME)
        backend.say(Status(loads=0, clients=1))
        assert client.wait(LONG)
        for _ in client.poll(budget=1.0):
            client.close()
