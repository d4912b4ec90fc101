"""A client sends no more than the backend takes, and all of it in the end."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from shared_protocol import window
from shared_protocol.client import HOW_FAR, Client
from shared_protocol.messages import AskJobs, AskStatus, Chunk, Denied, Hello, Jobs, Message, Received, Status
from shared_protocol.wire import CHUNK_BYTES
from tests.backend.harness import Running, greet
from tests.protocol.test_client import JOB, WELCOME, Backend, first


@pytest.fixture
def other_end() -> Iterator[Backend]:
    backend = Backend()
    yield backend
    backend.close()


def test_so_many_are_under_way_at_most_and_a_question_stands_after_each_half() -> None:
    its = window.Window()
    sent = marks = 0
    while its.takes(10):
        sent += 1
        if its.sent(10):
            its.asked()
            marks += 1
    assert (sent, marks) == (window.REQUESTS, 2)
    its.answered()
    assert its.takes(10)
    large = window.Window()
    while large.takes(CHUNK_BYTES):
        if large.sent(CHUNK_BYTES):
            large.asked()
    assert not large.takes(CHUNK_BYTES)
    large.answered()
    assert large.takes(CHUNK_BYTES)


def test_one_that_is_larger_than_the_window_goes_alone() -> None:
    its = window.Window()
    assert its.takes(window.BYTES + 1)
    if its.sent(window.BYTES + 1):
        its.asked()
    assert not its.takes(1)
    its.answered()
    assert its.takes(1)


def test_an_answer_to_no_question_gives_no_room() -> None:
    its = window.Window()
    its.answered()
    its.sent(window.BYTES)
    its.answered()
    assert not its.takes(1)


def arrived(backend: Backend) -> list[Message]:
    """What has come within a moment."""
    found: list[Message] = []
    while backend.socket.poll(300):
        found.append(backend.hear())
    return found


def test_what_has_no_room_waits_until_the_backend_has_read(other_end: Backend) -> None:
    """The other end answers nothing but the client's own questions."""
    with Client(other_end.connection, name="test") as client:
        assert isinstance(other_end.hear(), Hello)
        other_end.say(WELCOME)
        assert first(client) == WELCOME
        began = time.monotonic()
        for number in range(3 * window.REQUESTS):
            client.send(AskJobs(request_id=str(number)))
        assert time.monotonic() - began < 5, "it never waits"
        heard = arrived(other_end)
        asked = [message for message in heard if message == AskStatus(request_id=HOW_FAR)]
        assert len(heard) - len(asked) <= window.REQUESTS
        total = list(heard)
        for _ in range(20):
            for _ in asked:
                other_end.say(Status(request_id=HOW_FAR, loads=0, clients=1))
            client.wait(1.0)
            assert not list(client.poll(1.0)), "the answers are its own"
            heard = arrived(other_end)
            asked = [message for message in heard if message == AskStatus(request_id=HOW_FAR)]
            total += heard
            if not heard:
                break
        names = [message.request_id for message in total if isinstance(message, AskJobs)]
        assert names == [str(number) for number in range(3 * window.REQUESTS)], "all, in their order"


def test_a_question_that_is_denied_is_answered_too(other_end: Backend) -> None:
    with Client(other_end.connection, name="test") as client:
        other_end.hear()
        other_end.say(WELCOME)
        assert first(client) == WELCOME
        for _ in range(window.REQUESTS + 10):
            client.send(AskJobs())
        before = len(arrived(other_end))
        for _ in range(2):
            other_end.say(Denied(request_id=HOW_FAR, request="AskStatus", code="disk_full", message="m", next_step="n"))
        client.wait(1.0)
        assert not list(client.poll(1.0))
        assert len(arrived(other_end)) + before > window.REQUESTS + 10


@pytest.mark.parametrize("count", [2500])
def test_many_requests_of_a_hasty_client_are_all_answered(shared: Running, count: int) -> None:
    """Also those that have no answer: `Received`, of jobs that never were, is denied."""
    with shared.client() as client:
        greet(client)
        for number in range(count):
            client.client.send(AskJobs(request_id=f"jobs {number}"))
            client.client.send(Received(request_id=f"received {number}", job=JOB))
        client.expect(Denied, lambda denied: denied.request_id == f"received {count - 1}")
        told = [message for message, _ in client.heard if isinstance(message, Jobs)]
        assert [message.request_id for message in told] == [f"jobs {number}" for number in range(count)]
        assert not [message for message, _ in client.heard if isinstance(message, Status)]


def test_large_ones_are_counted_by_their_bytes(shared: Running) -> None:
    """60 MiB that the backend refuses one by one, as nothing was offered."""
    part = bytes(CHUNK_BYTES)
    with shared.client() as client:
        greet(client)
        for number in range(120):
            client.client.send(Chunk(request_id=str(number), sha256="0" * 64, offset=0), (part,))
        client.expect(Denied, lambda denied: denied.request_id == "119")
