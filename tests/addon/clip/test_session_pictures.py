"""A clip that starts from pictures: they are brought to the backend before it is asked for."""

from __future__ import annotations

from fractions import Fraction

import msgspec
import pytest

from backend.client import strip_pictures
from blender_addon.clip.actions import HangUp, Reach, Read, Send, Tidy
from blender_addon.clip.job import State
from blender_addon.clip.pictures import Picture, Pictures, scene_frames
from blender_addon.clip.session import Session
from shared_protocol.client import Lost
from shared_protocol.messages import Accepted, Generate
from tests.addon.sessions import PICTURES, WELCOME, A, folder, request

HASHES = tuple(digit * 64 for digit in "abcd")
READ = Read(A, PICTURES, 64, 64)


@pytest.fixture
def session() -> Session:
    """One that reads the pictures of a job."""
    session = Session()
    assert session.submit(request(strength=0.5), folder(A), PICTURES) == [Reach()]
    session.connected()
    assert READ in session.receive(WELCOME)
    return session


def test_the_job_is_sent_when_the_backend_has_the_pictures(session: Session) -> None:
    job = session.jobs[A]
    assert session.busy
    assert session.status(job).line == "Reading the pictures that it starts from"
    asked = request(strength=0.5, footage=HASHES, anchor="e" * 64)
    assert session.pictures_read(A, HASHES, "e" * 64) == [Send(asked)]
    assert job.state is State.SENT
    session.receive(Accepted(job=A, position=0))
    assert job.request == asked, "to be sent again if the backend is lost"


def test_nothing_is_heard_of_a_job_that_was_not_sent(session: Session) -> None:
    assert session.receive(Accepted(job=A, position=3)) == []
    assert (session.jobs[A].accepted, session.jobs[A].position) == (False, 0)


def test_with_a_backend_that_is_there_they_are_read_at_once() -> None:
    session = Session()
    session.reach()
    session.connected()
    session.receive(WELCOME)
    assert session.submit(request(), folder(A), PICTURES) == [READ]


def test_pictures_that_cannot_be_had_end_the_job(session: Session) -> None:
    assert session.could_not_read(A, "It is no picture.") == [Tidy(A)]
    job = session.jobs[A]
    assert job.state is State.FAILED
    assert job.problem is not None
    assert job.problem.sentence == "It is no picture."
    assert session.pictures_read(A, HASHES, "") == [], "it came too late"


def test_a_cancel_ends_the_reading(session: Session) -> None:
    assert session.cancel(A) == [Tidy(A)]
    assert session.jobs[A].settled, "no backend has it"
    assert session.could_not_read(A, "It was ended.") == []
    assert session.jobs[A].state is State.CANCELLED


def test_after_a_loss_the_next_backend_gets_the_pictures(session: Session) -> None:
    assert session.receive(Lost(reason="gone")) == [HangUp(), Reach()]
    assert session.jobs[A].state is State.HELD
    assert session.pictures_read(A, HASHES, "") == [], "the one that has them is gone"
    session.connected()
    again = session.receive(WELCOME)
    assert READ in again
    assert not any(isinstance(action, Send) and isinstance(action.request, Generate) for action in again)


def test_a_picture_of_no_movie_is_the_file_itself_to_the_backend_too() -> None:
    told = msgspec.json.decode(msgspec.json.encode(Picture("/x.png")), type=strip_pictures.Picture)
    assert (told.file, told.frame) == ("/x.png", -1)
    assert Picture("/x.png") == Picture("/x.png", -1)


def test_an_anchor_alone_is_something_to_read() -> None:
    assert Pictures(anchor=Picture("/x.png"))
    assert not Pictures()


@pytest.mark.parametrize(
    ("rate", "frames"),
    [
        (Fraction(24), [10, 13, 16, 19]),
        (Fraction(30), [10, 14, 18, 22]),
        (Fraction(4), [10, 11, 11, 12]),
        (None, [10, 11, 12, 13]),
    ],
)
def test_pictures_are_taken_where_the_clips_frames_are_seen_first(rate: Fraction | None, frames: list[int]) -> None:
    assert list(scene_frames(4, Fraction(8), rate, 10)) == frames
