"""Sessions in the states that their tests begin with, and what a backend says to them."""

from __future__ import annotations

from typing import Any

from blender_addon.clip.actions import Action, Copy, KeepStyles, Reach, Send, Write
from blender_addon.clip.job import Job
from blender_addon.clip.link import Link
from blender_addon.clip.pictures import Picture, Pictures
from blender_addon.clip.session import Session
from shared_protocol.messages import (
    Accepted,
    Denied,
    Done,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Jobs,
    JobState,
    JobView,
    QueueState,
    Style,
    Welcome,
)

A, B = "a" * 32, "b" * 32
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
PICTURES = Pictures(footage=tuple(Picture("/movie.mp4", frame) for frame in (3, 4, 5, 6)))
WELCOME = Welcome(major=1, minor=0, backend="0.1.0", session="s", device="cpu", styles=(STYLE,))


def request(job: str = A, **more: Any) -> Generate:
    """What a strip waits for."""
    told = {"prompt": "a fox", "style": "plain", "frames": 4, "width": 64, "height": 64, "seed": 1, **more}
    return Generate(job=job, **told)


def folder(job: str) -> str:
    """Where a job's frames shall go."""
    return f"/clips/{job[0]}"


def waiting(*jobs: str) -> dict[str, str]:
    """What is told of an edit whose strips wait for these."""
    return {job: folder(job) for job in jobs}


def result(job: str) -> str:
    """Where the backend has a job's frames."""
    return f"/results/{job}"


def done(job: str, frames: int = 4) -> Done:
    return Done(job=job, frames=frames, width=64, height=64, fps_numerator=8, seed=1, seconds=1.0, folder=result(job))


def known(job: str, state: JobState = "queued", **more: Any) -> Jobs:
    """What a backend answers about a job that it has."""
    view = JobView(job=job, state=state, mine=True, frames=4, width=64, height=64, **more)
    return Jobs(queue=QueueState(), jobs=(view,))


def unknown(job: str, request: str = "Watch") -> Denied:
    """What it answers about one that it has not."""
    return Denied(request=request, job=job, code="unknown_job", message="There is no such job.", next_step="None.")


def welcomed(session: Session) -> list[Action]:
    """Another backend is there."""
    assert session.link is Link.REACHING
    assert session.connected() == []
    keep, *actions = session.receive(WELCOME)
    assert keep == KeepStyles((STYLE,))
    return actions


def ready(*, local: bool = True) -> Session:
    """A session that was welcomed. local: the backend's files can be read."""
    session = Session()
    session.local = local
    assert session.reach() == [Reach()]
    assert welcomed(session) == []
    return session


def submitted(*, local: bool = True, **more: Any) -> tuple[Session, Job]:
    """A session with one job that was sent."""
    session = ready(local=local)
    assert session.submit(request(**more), folder(A)) == [Send(request(**more))]
    return session, session.jobs[A]


def running(*, local: bool = True, **more: Any) -> tuple[Session, Job]:
    """A session with one accepted job."""
    session, job = submitted(local=local, **more)
    assert session.receive(Accepted(job=A, position=0)) == []
    return session, job


def made(*, local: bool = True, frames: int = 4) -> tuple[Session, Job]:
    """A session with one job that the backend has finished; nobody has looked at the edit since."""
    session, job = running(local=local, frames=frames)
    assert session.receive(done(A, frames)) == []
    return session, job


def copying() -> tuple[Session, Job]:
    """A session that has one clip copied."""
    session, job = made()
    assert session.see(waiting(A)) == [Copy(A, result(A))]
    return session, job


def fetching(frames: int = 4) -> tuple[Session, Job]:
    """A session that fetches one clip from another machine."""
    session, job = made(local=False, frames=frames)
    assert session.see(waiting(A)) == [Send(Fetch(job=A, first=0, count=min(frames, 4)))]
    return session, job


def here() -> tuple[Session, Job]:
    """A session with one clip that has come, and that its strip does not show yet."""
    session, job = copying()
    assert session.copied(A) == []
    return session, job


def deliver(session: Session, job: str, indices: range) -> None:
    """Let frames arrive and be written."""
    for index in indices:
        (write,) = session.receive(Frame(job=job, index=index, frames=4), (PNG,))
        assert write == Write(job, index, PNG)
        assert session.wrote(job, index) == []


def fetched(job: str, indices: range) -> Fetched:
    """What is told when they were sent."""
    return Fetched(job=job, first=indices.start, count=len(indices))
