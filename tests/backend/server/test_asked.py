"""Which request an event answers."""

from __future__ import annotations

from typing import TypeVar

import pytest

from backend.server.asked import Asked
from shared_protocol.messages import (
    Accepted,
    AskEstimate,
    Asking,
    AskJobs,
    Cancel,
    Cancelled,
    Conform,
    Denied,
    Done,
    Estimate,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Hello,
    Jobs,
    Message,
    Move,
    Pause,
    Progress,
    Queue,
    QueueState,
    Received,
    Watch,
)
from tests.backend.orders import done

A, B = "a" * 32, "b" * 32
M = TypeVar("M", bound=Message)
CLIP = Generate(request_id="clip", job=A, prompt="x", style="plain", frames=1, width=64, height=64, seed=1)
JOBS = Jobs(queue=QueueState(), jobs=())
QUEUE = Queue(queue=QueueState())


def failed(job: str = A) -> Failed:
    return Failed(job=job, code="internal", message="m", next_step="n")


def denied(request: str, job: str = A) -> Denied:
    return Denied(request=request, job=job, code="unknown_job", message="m", next_step="n")


def name(asked: Asked, message: Message) -> str:
    """The name that the message gets."""
    named = asked.named(message)
    assert type(named) is type(message)
    return getattr(named, "request_id", "")


def test_an_order_is_answered_once_and_its_end_is_news() -> None:
    """As when its picture has gone just when it would have begun."""
    asked = Asked()
    asked.begin(CLIP)
    assert name(asked, failed(B)) == "", "another job's end"
    assert name(asked, QUEUE) == "", "the queue may stop meanwhile"
    assert name(asked, Progress(job=A, phase="loading", step=0, steps=0)) == ""
    assert name(asked, Accepted(job=A, position=0)) == "clip"
    assert name(asked, failed()) == ""
    asked.followed(CLIP)
    assert name(asked, Accepted(job=A, position=0)) == ""


@pytest.mark.parametrize(
    ("request_", "answer"),
    [
        (Hello(request_id="r", client="x"), None),
        (Move(request_id="r", job=A, position=0), JOBS),
        (Move(request_id="r", job=A, position=0), denied("Move")),
        (Pause(request_id="r"), QUEUE),
        (AskJobs(request_id="r"), JOBS),
        (Received(request_id="r", job=A), denied("Received")),
        (Conform(request_id="r", job=A, source=B, fps_numerator=1), failed()),
    ],
)
def test_what_was_followed_is_answered_no_more(request_: Asking, answer: Message | None) -> None:
    asked = Asked()
    asked.begin(request_)
    if answer is not None:
        assert name(asked, answer) == "r"
    asked.followed(request_)
    for unasked in (JOBS, QUEUE, denied(type(request_).__name__), failed(), done(A)):
        assert name(asked, unasked) == ""


def test_what_takes_its_time_is_answered_later() -> None:
    asked = Asked()
    requests = [Cancel(request_id="cancel", job=A), Fetch(request_id="one", job=B), Fetch(request_id="two", job=B)]
    for request in requests:
        asked.begin(request)
        asked.followed(request)
    assert name(asked, Frame(job=A, index=0, frames=1)) == "", "a live one"
    for request_id in ("one", "two"):
        assert name(asked, Frame(job=B, index=0, frames=1)) == request_id
        assert name(asked, Fetched(job=B, first=0, count=1)) == request_id
    assert name(asked, Fetched(job=B, first=0, count=1)) == ""
    assert asked.awaits_end(A)
    assert not asked.awaits_end(B)
    assert name(asked, Cancelled(job=B)) == ""
    assert name(asked, done(A)) == "cancel", "it came too late"
    assert not asked.awaits_end(A)
    assert name(asked, Cancelled(job=A)) == ""


def test_a_denial_is_about_a_request_of_its_kind() -> None:
    asked = Asked()
    cancel = Cancel(request_id="cancel", job=A)
    asked.begin(cancel)
    asked.followed(cancel)
    assert name(asked, denied("Fetch")) == ""
    assert name(asked, denied("Cancel", B)) == ""
    assert name(asked, denied("Cancel")) == "cancel"
    assert not asked.awaits_end(A)


def test_of_two_that_have_one_answer_the_second_is_named() -> None:
    asked = Asked()
    for request in (Cancel(request_id="1", job=A), Cancel(request_id="2", job=A), Cancel(request_id="3", job=B)):
        asked.begin(request)
        asked.followed(request)
    assert name(asked, Cancelled(job=A)) == "2"
    assert name(asked, Cancelled(job=A)) == ""
    assert name(asked, Cancelled(job=B)) == "3"
    for number in ("4", "5"):
        question = AskEstimate(request_id=number, clip=CLIP)
        asked.begin(question)
        assert name(asked, Estimate(job=A, more=True)) == number
        asked.followed(question)
    assert name(asked, Estimate(job=A, memory=1)) == "5"
    assert name(asked, Estimate(job=A, memory=1)) == ""


def test_a_watch_is_answered_by_the_job_and_by_its_end() -> None:
    asked = Asked()
    watch = Watch(request_id="w", job=A)
    asked.begin(watch)
    assert [name(asked, each) for each in (JOBS, done(A), done(B))] == ["w", "w", ""]
    asked.followed(watch)
    assert name(asked, done(A)) == ""


def test_who_gives_no_name_gets_none_and_is_answered_all_the_same() -> None:
    asked = Asked()
    cancel = Cancel(job=A)
    asked.begin(cancel)
    asked.followed(cancel)
    assert asked.awaits_end(A)
    end: Done = done(A)
    assert asked.named(end) is end
    assert not asked.awaits_end(A)
