"""The line to the clients, with real sockets: who is heard, who waits, who is closed out."""

from __future__ import annotations

import socket as network
import time
from collections.abc import Callable, Iterator

import pytest
import zmq
from zmq.utils.monitor import recv_monitor_message

from backend.server import inbox as inbox_module
from backend.server import mail as mail_module
from backend.server import outbox as outbox_module
from backend.server.keys import KeyPair
from backend.server.mail import KEPT_PARTS, MOST_PARTS, Mail
from shared_protocol.messages import Alive, Frame, Message
from shared_protocol.wire import decode_event
from tests.backend.harness import until

JOB = "0" * 32
MIB = 1 << 20
Line = zmq.Socket[bytes]
Dial = Callable[..., Line]


@pytest.fixture
def context() -> Iterator[zmq.Context[Line]]:
    with zmq.Context() as context:
        yield context


@pytest.fixture
def keys() -> KeyPair:
    return KeyPair.fresh()


@pytest.fixture
def mail(context: zmq.Context[Line], keys: KeyPair) -> Iterator[Mail]:
    mail = Mail(context, keys, "tcp://127.0.0.1:0")
    yield mail
    mail.close(0)


@pytest.fixture
def dial(context: zmq.Context[Line], mail: Mail, keys: KeyPair) -> Iterator[Dial]:
    """Opens a client's line; `hwm`: so many messages it takes in before it reads them."""
    lines: list[Line] = []

    def dial(identity: bytes, hwm: int = 0) -> Line:
        line = context.socket(zmq.DEALER)
        lines.append(line)
        line.linger = 0
        line.rcvhwm, line.sndhwm = hwm, 0
        line.setsockopt(zmq.RECONNECT_IVL, -1)
        line.setsockopt(zmq.IDENTITY, identity)
        own = KeyPair.fresh()
        line.curve_serverkey = keys.public.encode()
        line.curve_publickey, line.curve_secretkey = own.public.encode(), own.secret.encode()
        line.connect(mail.endpoint)
        return line

    yield dial
    for line in lines:
        line.close()


def heard(mail: Mail, count: int) -> tuple[list[tuple[bytes, list[bytes]]], list[bytes]]:
    """So many requests, and those who have sent too much by then."""
    requests: list[tuple[bytes, list[bytes]]] = []
    too_much: list[bytes] = []
    deadline = time.monotonic() + 60
    while len(requests) + len(too_much) < count:
        assert time.monotonic() < deadline
        mail.socket.poll(100)
        too_much += mail.read()
        requests += [(identity, [frame.bytes for frame in frames]) for identity, frames in mail.hear()]
    return requests, too_much


def came(line: Line) -> Message:
    """What a client is told next."""
    assert line.poll(60_000)
    return decode_event(line.recv_multipart()).message


def test_requests_come_whole_and_in_their_order(mail: Mail, dial: Dial) -> None:
    line = dial(b"one")
    for number in range(3):
        line.send_multipart([b"elevator", b"%d" % number])
    assert heard(mail, 3) == ([(b"one", [b"elevator", b"%d" % number]) for number in range(3)], [])
    assert not mail.waits


@pytest.mark.parametrize("parts", [1, KEPT_PARTS, KEPT_PARTS + 1, MOST_PARTS, MOST_PARTS + 1])
def test_of_a_message_of_many_parts_no_more_are_kept_than_show_that_it_is_none_of_ours(
    parts: int, mail: Mail, dial: Dial
) -> None:
    line = dial(b"one")
    line.send_multipart([b"%d" % number for number in range(parts)])
    requests, too_much = heard(mail, 1)
    if parts <= MOST_PARTS:
        assert requests == [(b"one", [b"%d" % number for number in range(min(parts, KEPT_PARTS))])]
    else:
        assert (requests, too_much) == ([], [b"one"])
    other = dial(b"two")
    other.send(b"next")
    assert heard(mail, 1) == ([(b"two", [b"next"])], [])


def test_who_sends_too_much_hears_why_and_is_closed_out_for_a_while(
    mail: Mail, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inbox_module, "MOST_REQUESTS", 3)
    monkeypatch.setattr(mail_module, "LAST_WORDS_SECONDS", 3600.0)
    line, honest = dial(b"rude"), dial(b"calm")
    for number in range(6):
        line.send(b"%d" % number)
    honest.send(b"hello")
    too_much: list[bytes] = []
    requests: list[tuple[bytes, int]] = []

    def arrived() -> bool:
        too_much.extend(mail.read())
        if too_much:  # until then nothing is taken, however slowly its messages come
            requests.extend((identity, len(frames)) for identity, frames in mail.hear())
        return bool(too_much) and (b"calm", 1) in requests

    while not mail.socket.poll(100):
        pass
    assert until(arrived, 60)
    assert too_much == [b"rude"], "once"
    assert set(requests) == {(b"calm", 1)}, "what it had sent before is not followed either"
    watch = line.get_monitor_socket(zmq.EVENT_DISCONNECTED)
    mail.send(b"rude", Alive())
    mail.flush()
    assert not watch.poll(0), "its last words are on the line"
    assert came(line) == Alive()
    monkeypatch.setattr(mail_module, "LAST_WORDS_SECONDS", 0.0)
    assert until(lambda: mail.flush() or bool(watch.poll(10)), 60)
    assert recv_monitor_message(watch)["event"] == zmq.EVENT_DISCONNECTED
    line.disable_monitor()
    watch.close()
    mail.send(b"calm", Alive())
    assert came(honest) == Alive()
    again = line

    def came_back() -> bool:
        """ZeroMQ takes a moment to free the name; a line that comes before is never read."""
        nonlocal again
        again = dial(b"rude")
        again.send(b"sorry")
        return bool(mail.socket.poll(500))

    assert until(came_back, 60)
    time.sleep(0.1)
    assert list(mail.read()) == []
    assert list(mail.hear()) == [], "nobody of this name is heard"
    monkeypatch.setattr(mail, "_banned", dict.fromkeys(mail._banned, time.monotonic()))
    mail.flush()
    again.send(b"sorry")
    assert heard(mail, 1)[0] == [(b"rude", [b"sorry"])]


def test_who_cannot_be_reached_is_gone(mail: Mail, dial: Dial) -> None:
    mail.send(b"nobody", Alive())
    assert list(mail.gone()) == [b"nobody"]
    assert list(mail.gone()) == [], "once"
    assert not mail.waits
    assert not mail.is_behind(b"nobody")


def test_who_does_not_read_is_behind_and_then_neglected_and_misses_nothing(
    mail: Mail, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(outbox_module, "FULL_BYTES", 4 * MIB)
    monkeypatch.setattr(outbox_module, "MOST_BYTES", 8 * MIB)
    line, reader = dial(b"slow", hwm=1), dial(b"quick")
    for client in (line, reader):
        client.send(b"hello")
    assert len(heard(mail, 2)[0]) == 2
    told = 0
    states: list[tuple[bool, bool]] = [(False, False)]
    while not states[-1][1]:
        assert told < 1000
        mail.send(b"slow", Frame(job=JOB, index=told, frames=1000), [bytes(MIB)])
        told += 1
        state = mail.is_behind(b"slow"), list(mail.neglected()) == [b"slow"]
        if state != states[-1]:
            states.append(state)
    assert states == [(False, False), (True, False), (True, True)]
    assert mail.waits
    made: list[int] = []

    def later() -> Iterator[tuple[Message, list[bytes]]]:
        made.append(told)
        yield Frame(job=JOB, index=told, frames=1000), [b"x"]

    mail.stream(b"slow", later())
    mail.send(b"quick", Alive())
    assert came(reader) == Alive(), "nobody waits for another"
    assert made == []
    indices: list[int] = []
    deadline = time.monotonic() + 60
    while len(indices) <= told:
        assert time.monotonic() < deadline
        mail.flush()
        while line.poll(10):
            message = decode_event(line.recv_multipart()).message
            assert isinstance(message, Frame)
            indices.append(message.index)
    assert indices == list(range(told + 1))
    mail.flush()
    assert not mail.waits
    assert list(mail.neglected()) == []


def test_what_waits_for_whoever_is_forgotten_is_forgotten(
    mail: Mail, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = dial(b"one", hwm=1)
    line.send(b"hello")
    assert mail.socket.poll(60_000)
    list(mail.read())
    assert mail.waits, "its request"
    mail.forget(b"one")
    assert not mail.waits
    while not mail.waits:
        mail.send(b"one", Frame(job=JOB, index=0, frames=1), [bytes(MIB)])
    mail.forget(b"one")
    assert not mail.waits


def test_connections_without_a_word_are_closed_when_they_have_lasted(
    mail: Mail, dial: Dial, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mail_module, "most_descriptors", lambda: 1024)
    line = dial(b"one")
    line.send(b"hello")
    heard(mail, 1)
    ports = [int(place.rpartition(":")[2]) for place in (mail.endpoint, mail.remote)]
    with (
        network.create_connection(("127.0.0.1", ports[0])) as near,
        network.create_connection(("127.0.0.1", ports[1])) as far,
    ):
        for stranger in (near, far):
            stranger.settimeout(60)
            assert stranger.recv(10), "ZeroMQ's greeting: it is there"
        assert mail.close_out_strangers() == 0, "they may be about to say who they are"
        assert mail.close_out_strangers() == 2
        for stranger in (near, far):
            while stranger.recv(100):
                pass
    mail.send(b"one", Alive())
    assert came(line) == Alive()
    assert until(lambda: mail.close_out_strangers() == 0, 60)
    mail.disown(b"one")
    assert mail.close_out_strangers() == 0
    assert mail.close_out_strangers() == 1
    assert until(lambda: mail.send(b"one", Alive()) or b"one" in mail.gone(), 60)
