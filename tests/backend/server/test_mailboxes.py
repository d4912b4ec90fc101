"""What waits for clients, and what waits of them: bounded, in order, each in turn."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator

import pytest
import zmq
from hypothesis import given
from hypothesis import strategies as st

from backend.root import ROOT
from backend.server import outbox as outbox_module
from backend.server.inbox import MOST_BYTES, MOST_REQUESTS, Inbox
from backend.server.mail import MOST_PARTS
from backend.server.outbox import FULL_BYTES, MESSAGE_BYTES, MOST_ANSWERS, Outbox, Parts
from backend.server.requests import MOST_PIXELS
from backend.server.scheduler import MOST_JOBS
from backend.server.views import SHOWN_CHARACTERS


def request(number: int, size: int = 8) -> list[zmq.Frame]:
    return [zmq.Frame(number.to_bytes(8, "big")), zmq.Frame(bytes(size - 8))]


def number(frames: object) -> int:
    return int.from_bytes(frames[0].bytes, "big")  # type: ignore[index]


@given(st.lists(st.sampled_from([b"a", b"b", b"c", None]), max_size=60))
def test_each_clients_requests_come_in_their_order_and_nobodys_are_lost(moves: list[bytes | None]) -> None:
    inbox, sent, heard = Inbox(), defaultdict[bytes, list[int]](list), defaultdict[bytes, list[int]](list)

    def take() -> bool:
        taken = inbox.take(lambda identity: True)
        if taken is not None:
            heard[taken[0]].append(number(taken[1]))
        return taken is not None

    for count, identity in enumerate(moves):
        if identity is None:
            take()
        else:
            assert inbox.put(identity, request(count))
            sent[identity].append(count)
    while take():
        pass
    assert not inbox
    assert heard == sent


def test_clients_are_heard_in_turn_however_much_one_has_sent() -> None:
    inbox = Inbox()
    for count in range(10):
        inbox.put(b"busy", request(count))
    inbox.put(b"calm", request(0))
    order = [taken[0] for _ in range(4) if (taken := inbox.take(lambda identity: True))]
    assert order == [b"busy", b"calm", b"busy", b"busy"]


def test_who_is_not_heard_now_waits_and_holds_up_nobody() -> None:
    inbox = Inbox()
    inbox.put(b"deaf", request(1))
    inbox.put(b"good", request(2))
    taken = inbox.take(lambda identity: identity != b"deaf")
    assert taken is not None
    assert taken[0] == b"good"
    assert inbox.take(lambda identity: identity != b"deaf") is None
    assert inbox
    inbox.forget(b"deaf")
    assert not inbox


def test_one_client_may_have_so_many_requests_here_and_no_more() -> None:
    inbox = Inbox()
    assert all(inbox.put(b"a", request(count)) for count in range(MOST_REQUESTS))
    assert not inbox.put(b"a", request(0))
    assert inbox.put(b"b", request(0))
    inbox.take(lambda identity: identity == b"a")
    assert inbox.put(b"a", request(0))


def test_and_so_many_bytes_but_always_one_request() -> None:
    inbox = Inbox()
    assert inbox.put(b"a", request(0, MOST_BYTES + 1))
    assert not inbox.put(b"a", request(0))
    inbox.take(lambda identity: True)
    assert inbox.put(b"a", request(0, MOST_BYTES))
    assert not inbox.put(b"a", request(0))
    inbox.take(lambda identity: True)
    assert not inbox


def sent(box: Outbox) -> Iterator[Parts]:
    while (message := box.first()) is not None:
        assert box.first() is message  # until it was sent
        box.sent()
        yield message


@given(st.lists(st.integers(0, 5), max_size=20))
def test_messages_leave_in_their_order_those_that_are_made_late_too(shape: list[int]) -> None:
    box, expected = Outbox(), []
    for index, count in enumerate(shape):
        if count == 0:
            box.add([b"%d" % index])
            expected.append([b"%d" % index])
        else:
            made = [[b"%d" % index, b"%d" % each] for each in range(count - 1)]
            box.stream(iter(made))
            expected += made
    assert list(sent(box)) == expected
    assert not box
    assert not box.is_full


def test_what_is_made_late_is_made_when_there_is_room_for_it() -> None:
    made: list[int] = []

    def messages() -> Iterator[Parts]:
        for index in range(3):
            made.append(index)
            yield [bytes(8)]

    box = Outbox()
    box.stream(messages())
    assert made == []
    box.first()
    box.first()
    assert made == [0]
    box.sent()
    box.first()
    assert made == [0, 1]


@pytest.mark.parametrize(("limit", "reached"), [(FULL_BYTES, "is_full"), (outbox_module.MOST_BYTES, "is_neglected")])
def test_it_is_full_and_then_neglected_by_its_bytes(limit: int, reached: str) -> None:
    for size, is_so in ((limit - 1, False), (limit, True)):
        box = Outbox()
        box.add([bytes(size - MESSAGE_BYTES)])
        assert getattr(box, reached) is is_so
        assert box.is_full or not box.is_neglected
        list(sent(box))
        assert not box.is_full
        assert not box.is_neglected


def test_requests_are_followed_until_so_many_answers_wait() -> None:
    box = Outbox()
    for _ in range(MOST_ANSWERS):
        assert box.takes_requests
        box.stream(iter(()))
    assert not box.takes_requests


def test_limits_are_those_that_the_protocol_names() -> None:
    text = (ROOT / "shared_protocol" / "PROTOCOL.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| ([a-z ]+) \| (.+) \|$", text, re.MULTILINE))

    def spaced(number: int) -> str:
        return f"{number:,}".replace(",", " ")

    assert rows["requests under way"].startswith(f"{spaced(MOST_REQUESTS)} and {MOST_BYTES >> 20} MiB for each")
    assert rows["frames of a message to the backend"].startswith(f"{MOST_PARTS};")
    assert rows["one frame of a clip"] == f"{spaced(MOST_PIXELS)} pixels"
    assert rows["unfinished jobs"] == spaced(MOST_JOBS)
    words = " ".join(text.split())
    assert f"once {MOST_ANSWERS} messages wait for it" in words
    assert f"Once {FULL_BYTES >> 20} MiB wait, it gets no more live frames" in words
    assert f"Once {outbox_module.MOST_BYTES >> 20} MiB wait, it counts as gone" in words
    assert f"of a long one its first {SHOWN_CHARACTERS} characters" in words
    assert all(size % (1 << 20) == 0 for size in (MOST_BYTES, FULL_BYTES, outbox_module.MOST_BYTES))
