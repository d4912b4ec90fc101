"""What a clip would take, before it is asked for."""

from __future__ import annotations

import pytest

from blender_addon.clip.actions import Send
from blender_addon.clip.foreseen import WAIT_SECONDS, Foreseen, sentence
from blender_addon.clip.session import Session
from shared_protocol.client import Lost
from shared_protocol.messages import AskEstimate, Estimate
from tests.addon.sessions import WELCOME, A, B, done, folder, request


@pytest.fixture
def session() -> Session:
    """One that has asked."""
    session = Session()
    assert session.ask_estimate(request()) == [], "nobody is there to be asked"
    session.watch(1000.0)
    session.reach()
    session.connected()
    session.receive(WELCOME)
    assert not session.busy
    assert session.ask_estimate(request()) == [Send(AskEstimate(clip=request()))]
    return session


def test_ticks_go_on_until_all_is_told(session: Session) -> None:
    assert session.busy
    session.receive(Estimate(job=A, calls=10, more=True))
    assert session.busy
    assert session.backend.foreseen.told == Estimate(job=A, calls=10, more=True)
    session.receive(Estimate(job=A, calls=10, memory=5))
    assert not session.busy
    assert session.backend.foreseen.told == Estimate(job=A, calls=10, memory=5)


def test_an_answer_that_does_not_come_is_waited_for_no_longer(session: Session) -> None:
    session.watch(999.0 + WAIT_SECONDS)
    assert session.busy
    session.watch(1000.0 + WAIT_SECONDS)
    assert not session.busy


def test_an_answer_about_an_earlier_clip_is_left_alone(session: Session) -> None:
    session.ask_estimate(request(B, frames=3))
    session.receive(Estimate(job=A, calls=10))
    assert session.backend.foreseen.told is None


def test_a_backend_that_is_lost_told_of_itself_alone(session: Session) -> None:
    session.receive(Estimate(job=A, calls=10, seconds=5))
    session.receive(Lost(reason="gone"))
    assert session.backend.foreseen == Foreseen()


def test_after_a_clip_the_backend_is_asked_anew(session: Session) -> None:
    session.receive(Estimate(job=A, calls=10))
    session.submit(request(B), folder(B))
    session.receive(done(B))
    assert session.backend.foreseen == Foreseen()


def test_name_and_seed_change_nothing() -> None:
    foreseen = Foreseen(request())
    assert foreseen.is_about(request(B, seed=99))
    assert not foreseen.is_about(request(frames=3))
    assert not foreseen.is_about(request(preset="fast"))
    assert not Foreseen().is_about(request())


def test_the_time_of_a_call_is_that_of_clips_as_large() -> None:
    foreseen = Foreseen(request(), told=Estimate(job=A, calls=100, seconds=40))
    assert foreseen.seconds_a_call("plain", 4, (64, 64)) == 0.4
    assert foreseen.seconds_a_call("plain", 4, (64, 32)) is None
    assert foreseen.seconds_a_call("plain", 5, (64, 64)) is None
    assert foreseen.seconds_a_call("neon", 4, (64, 64)) is None
    for unknown in (
        Foreseen(),
        Foreseen(request()),
        Foreseen(request(), told=Estimate(job=A, calls=100)),
        Foreseen(request(), told=Estimate(job=A, seconds=40)),
    ):
        assert unknown.seconds_a_call("plain", 4, (64, 64)) is None


@pytest.mark.parametrize(
    ("told", "words"),
    [
        (Estimate(job=A, seconds=40, memory=3_100_000_000), "It takes about 40 s and 3.1 GB of memory."),
        (Estimate(job=A, seconds=400), "It takes about 7 min."),
        (
            Estimate(job=A, memory=600_000_000),
            "It takes 0.6 GB of memory; how long is known after the first clip.",
        ),
        (Estimate(job=A, more=True), ""),
        (Estimate(job=A), "How long it takes is known after the first clip of these models."),
    ],
)
def test_what_is_known_is_said_in_a_sentence(told: Estimate, words: str) -> None:
    assert sentence(told) == words
