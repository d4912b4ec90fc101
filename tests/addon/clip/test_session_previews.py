"""Previews are asked for where they are wanted, kept while the clip is made, and are no part of it."""

from __future__ import annotations

import msgspec

from blender_addon.clip.actions import Reach, Send
from blender_addon.clip.job import Job, Preview, State
from blender_addon.clip.session import Session
from shared_protocol.client import Lost
from shared_protocol.messages import Accepted, Cancelled, Notice, Progress, Watch
from tests.addon.sessions import PICTURES, PNG, A, B, done, folder, ready, request, running, unknown, welcomed

SHOWN = Progress(job=A, phase="painting", step=1, steps=4, preview_frames=4)
ASKED = msgspec.structs.replace(request(), previews=True)


def previewed() -> tuple[Session, Job]:
    """A session with a clip that is being made, and whose preview has come."""
    session = ready()
    assert session.want_previews(True) == []
    assert session.submit(request(), folder(A)) == [Send(ASKED)]
    assert session.receive(Accepted(job=A, position=0)) == []
    assert session.receive(SHOWN, (PNG,)) == []
    return session, session.jobs[A]


def test_the_newest_preview_is_kept() -> None:
    session, job = previewed()
    assert job.preview == Preview(PNG, 4)
    session.receive(msgspec.structs.replace(SHOWN, step=2, preview_frames=0))
    assert job.preview == Preview(PNG, 4), "most progress brings none"
    session.receive(msgspec.structs.replace(SHOWN, step=3), (b"newer",))
    assert job.preview == Preview(b"newer", 4)


def test_no_ticket_says_that_there_were_previews() -> None:
    assert not previewed()[1].request.previews


def test_unless_they_are_wanted_none_are_asked_for_or_kept() -> None:
    session, job = running()
    session.receive(SHOWN, (PNG,))
    assert job.preview is None


def test_the_switch_holds_for_what_is_being_made() -> None:
    session, job = previewed()
    session.changed = False
    assert session.want_previews(False) == [Send(Watch(job=A, previews=False))]
    assert session.changed
    assert job.preview is None
    assert session.want_previews(False) == []
    session.receive(SHOWN, (PNG,))
    assert job.preview is None, "it was on its way"
    assert session.want_previews(True) == [Send(Watch(job=A, previews=True))]
    session.receive(SHOWN, (PNG,))
    assert job.preview == Preview(PNG, 4)


def test_nothing_is_sent_about_what_no_backend_makes() -> None:
    session = ready()
    session.submit(request(), folder(A), PICTURES)
    assert session.jobs[A].state is State.READING
    assert session.want_previews(True) == []
    (sent,) = session.pictures_read(A, ("e" * 64,) * 4, "")
    assert isinstance(sent, Send)
    assert sent.request.previews, "it is asked for when it is sent"  # type: ignore[union-attr]
    session.cancel(A)
    assert session.want_previews(False) == [], "it is being cancelled"


def test_the_next_backend_is_asked_too() -> None:
    session, job = previewed()
    assert session.receive(Lost(reason="gone"))[1:] == [Reach()]
    assert session.want_previews(False) == [], "nobody is there"
    session.want_previews(True)
    assert welcomed(session) == [Send(Watch(job=A, previews=True))]
    job.accepted = False
    assert session.receive(unknown(A)) == [Send(ASKED)]


def test_a_strip_that_is_found_waiting_has_its_preview() -> None:
    session = ready()
    session.want_previews(True)
    assert session.adopt(request(), folder(A)) == [Send(Watch(job=A, previews=True))]


def test_it_goes_with_what_it_shows() -> None:
    session, job = previewed()
    session.receive(Notice(job=A, message="Again.", again=True))
    assert job.preview is None, "the clip begins anew"
    session.receive(SHOWN, (PNG,))
    session.receive(done(A))
    assert job.preview is not None, "it is shown until the strip shows the clip"
    session, job = previewed()
    session.receive(Cancelled(job=A))
    assert job.preview is None


def test_the_foremost_clip_is_the_one_that_is_made() -> None:
    session = ready()
    assert session.foremost is None
    for job in (A, B):
        session.submit(request(job), folder(job))
        session.receive(Accepted(job=job, position=0))
    assert session.foremost is session.jobs[A]
    session.receive(msgspec.structs.replace(SHOWN, job=B), (PNG,))
    assert session.foremost is session.jobs[B]
    session.receive(done(B))
    session.leave_file()
    assert session.foremost is session.jobs[A], "nothing happens to a clip whose strip is in no open file"
