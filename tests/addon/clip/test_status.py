"""What a person reads of a job while it is on its way."""

from __future__ import annotations

from typing import get_args

import msgspec

from blender_addon.clip import words
from blender_addon.clip.actions import Send
from blender_addon.clip.job import Problem, State
from blender_addon.clip.session import Session
from blender_addon.clip.status import Status
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Phase,
    Progress,
    Queue,
    QueueState,
    Resume,
)
from tests.addon.sessions import (
    WELCOME,
    A,
    copying,
    done,
    folder,
    here,
    known,
    made,
    request,
    running,
    submitted,
    waiting,
    welcomed,
)


def test_loading_shows_megabytes_and_every_phase_has_words() -> None:
    session, job = running()
    loading = Progress(job=A, phase="loading", step=0, steps=0, bytes_done=120_400_000, bytes_total=4_265_000_000)
    session.receive(loading)
    assert str(session.status(job)) == "Loading the models, 120 of 4265 MB"
    session.receive(Progress(job=A, phase="decoding", step=30, steps=25))
    assert str(session.status(job)) == "Making the pictures, 25 of 25"
    for phase in get_args(Phase):
        session.receive(Progress(job=A, phase=phase, step=1, steps=2))
        status = session.status(job)
        assert status.line.startswith(words.PHASES[phase])
        assert (status.phase, status.detail) == (phase, "")


def test_place_in_the_queue_is_kept_up_to_date() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0, position=3, seconds_left=200.0))
    assert session.status(job) == Status("Waiting for its turn, 3 before it", "about 3 min left", "waiting")
    session.watch(1000.0)
    assert "no news" not in str(session.status(job)), "who waits is told of changes alone"
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0, position=0))
    assert str(session.status(job)) == "Waiting for its turn"


def test_a_queue_that_stands_still_says_why() -> None:
    session, job = running()
    session.receive(Queue(queue=QueueState(stopped="The disk is full. Make room.")))
    assert session.status(job) == Status("The disk is full. Make room.", "", "stopped")
    assert session.backend.resume() == [Send(Resume())]
    session.receive(Queue(queue=QueueState(paused=True)))
    assert session.status(job) == Status("The queue is paused", "", "paused")
    session.receive(Progress(job=A, phase="painting", step=1, steps=2))
    assert str(session.status(job)) == "Painting, 1 of 2", "what runs goes on"
    session.receive(Queue(queue=QueueState()))
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0))
    assert str(session.status(job)) == "Waiting for its turn"


def test_a_queue_that_stood_still_before_we_came_says_so_too() -> None:
    session = Session()
    session.submit(request(), folder(A))
    session.connected()
    session.receive(msgspec.structs.replace(WELCOME, queue=QueueState(paused=True)))
    session.receive(Accepted(job=A, position=0))
    assert str(session.status(session.jobs[A])) == "The queue is paused"
    session.receive(Lost(reason="gone"))
    welcomed(session)
    session.receive(known(A))
    assert str(session.status(session.jobs[A])) == "Waiting for its turn", "another backend, another queue"


def test_silence_about_a_job_is_said() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="painting", step=1, steps=4))
    session.watch(60.0)
    assert session.status(job) == Status("Painting, 1 of 4", "", "painting"), "loading may be slow"
    session.watch(61.0)
    assert session.status(job) == Status("Painting", "no news for 61 s", "painting")
    assert session.watch(200.0) == []
    assert session.status(job) == Status("Painting", "no news for 3 min", "painting")
    assert job.state is State.RUNNING


def test_a_sent_job_is_not_yet_painted() -> None:
    session, job = submitted()
    assert session.status(job) == Status("Waiting for its turn", "", "sent")
    session.watch(1000.0)
    assert session.status(job).detail == ""


def test_what_happens_after_the_backend_has_finished() -> None:
    session, job = made()
    assert session.status(job) == Status("Finished", "", "made")
    session.leave_file()
    assert session.status(job) == Status("Finished. Its strip is not in this file", "", "made")
    session, job = copying()
    assert session.status(job) == Status("Fetching the frames", "", "fetching")
    session, job = here()
    assert session.status(job) == Status("Finished. It is shown when nothing is being moved or rendered", "", "filling")
    session.filled(A)
    assert session.status(job) == Status("In the edit", "", "done")


def test_a_stopped_queue_does_not_hide_what_is_made() -> None:
    session, job = running()
    session.receive(done(A))
    session.receive(Queue(queue=QueueState(stopped="The disk is full.")))
    session.see(waiting(A))
    assert str(session.status(job)) == "Fetching the frames"


def test_how_a_lost_job_fares() -> None:
    session, job = running()
    session.receive(Lost(reason="gone"))
    assert session.status(job) == Status("Asking the backend for the clip", "", "reattaching")
    session.unreachable(Problem("No such thing."))
    assert session.status(job) == Status("No backend runs. The clip waits for its next start", "", "reattaching")
    session.cancel(A)
    assert session.status(job) == Status("Cancelled", "", "cancelled")
