"""Sessions in the states that their tests begin with, and what a backend says to them."""

from __future__ import annotations

from typing import Any

from blender_addon.clip.actions import Action, KeepStyles, Reach, Write
from blender_addon.clip.job import Job, Place
from blender_addon.clip.link import Link
from blender_addon.clip.session import Session
from blender_addon.clip.wish import Wish
from shared_protocol.messages import (
    Accepted,
    Denied,
    Done,
    Frame,
    Jobs,
    JobState,
    JobView,
    QueueState,
    Style,
    Welcome,
)

A, B = "a" * 32, "b" * 32
PLACE = Place(scene=1, frame_start=1, channel=0)
PNG = b"\x89PNG\r\n\x1a\n"
STYLE = Style(
    name="plain",
    title="Plain",
    description="As it is.",
    base="embedded",
    width=64,
    height=64,
    frames=4,
    fps_numerator=8,
    size_step=8,
    min_size=32,
    max_size=128,
    max_frames=32,
    example_prompt="a fox",
)
WELCOME = Welcome(major=1, minor=0, backend="0.1.0", session="s", device="cpu", styles=(STYLE,))


def done(job: str, frames: int = 4) -> Done:
    return Done(job=job, frames=frames, width=64, height=64, fps_numerator=8, seed=1, seconds=1.0)


def known(job: str, state: JobState = "queued", **more: Any) -> Jobs:
    """What a backend answers about a job that it has."""
    view = JobView(job=job, state=state, mine=True, frames=4, width=64, height=64, **more)
    return Jobs(queue=QueueState(), jobs=(view,))


def unknown(job: str, request: str = "Watch") -> Denied:
    """What it answers about one that it has not."""
    return Denied(request=request, job=job, code="unknown_job", message="There is no such job.", next_step="None.")


def come_back(session: Session) -> list[Action]:
    """Another backend is there."""
    assert session.link is Link.REACHING
    session.connected()
    keep, *actions = session.receive(WELCOME)
    assert keep == KeepStyles((STYLE,))
    return actions


def ready() -> Session:
    """A session that was welcomed."""
    session = Session()
    assert session.reach() == [Reach()]
    session.connected()
    assert session.receive(WELCOME) == [KeepStyles((STYLE,))]
    return session


def running(frames: int = 4) -> tuple[Session, Job]:
    """A session with one accepted job."""
    session = ready()
    session.submit(A, Wish("a fox", frames=frames), PLACE, "/clips/a")
    session.receive(Accepted(job=A, position=0))
    return session, session.jobs[A]


def deliver(session: Session, job: str, indices: range) -> None:
    """Let frames arrive and be written."""
    for index in indices:
        (write,) = session.receive(Frame(job=job, index=index, frames=4), (PNG,))
        assert write == Write(job, index, PNG)
        assert session.wrote(job, index) == []
