"""A session that loses its backend reaches for the next one, and takes its jobs up again."""

from __future__ import annotations

import pytest

from blender_addon.clip import words
from blender_addon.clip.actions import HangUp, Reach, Send, Tidy
from blender_addon.clip.job import FETCH_FRAMES, Problem, State
from blender_addon.clip.losses import MOST_LOSSES
from blender_addon.clip.wish import Wish
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Goodbye,
    Message,
    Notice,
    Progress,
    Received,
    Shutdown,
    Watch,
)
from tests.addon.sessions import PLACE, PNG, A, B, come_back, deliver, done, known, ready, running, unknown


def test_a_lost_backend_is_reached_again_and_asked_for_its_jobs() -> None:
    session, job = running()
    deliver(session, A, range(2))
    session.receive(Progress(job=A, phase="decoding", step=9, steps=10))
    assert session.receive(Lost(reason="The backend has ended.")) == [HangUp(), Reach()]
    assert session.busy
    assert str(session.status(job)) == "The backend was lost. Reaching for it again"
    assert come_back(session) == [Send(Watch(job=A))]
    assert session.receive(known(A, "queued", position=2)) == []
    assert (job.state, job.step, job.written) == (State.RUNNING, 0, set()), "it is made from the start"
    assert str(session.status(job)) == "Waiting for its turn, 2 before it"
    deliver(session, A, range(4))
    assert session.receive(done(A)) == []
    assert session.complete is job
    assert session.added(A, "added") == [Send(Received(job=A))]


def test_frames_of_a_clip_that_was_finished_meanwhile_are_fetched() -> None:
    frames = 2 * FETCH_FRAMES + 3
    session, job = ready(), None
    session.submit(A, Wish("a fox", frames=32), PLACE, "/clips/a")
    job = session.jobs[A]
    assert job.request is not None
    job.request = Generate(
        **{name: getattr(job.request, name) for name in job.request.__struct_fields__} | {"frames": frames}
    )
    session.receive(Accepted(job=A, position=0))
    deliver(session, A, range(2))
    session.receive(Lost(reason="gone"))
    come_back(session)
    session.receive(known(A, "done", has_result=True))
    actions = session.receive(done(A, frames))
    assert session.receive(done(A, frames)) == [], "it is told twice, and counts once"
    asked = []
    while session.complete is None:
        (send,) = actions
        assert isinstance(send, Send)
        assert isinstance(send.request, Fetch)
        assert str(session.status(job)) == "Fetching the frames"
        assert job.fraction == 1.0
        asked.append((send.request.first, send.request.count))
        deliver(session, A, range(send.request.first, send.request.first + send.request.count))
        actions = session.receive(Fetched(job=A, first=send.request.first, count=send.request.count))
    assert asked == [(0, FETCH_FRAMES), (FETCH_FRAMES, FETCH_FRAMES), (2 * FETCH_FRAMES, 3)]
    assert session.added(A, "added") == [Send(Received(job=A))]


def test_a_clip_that_the_next_backend_does_not_know_fails() -> None:
    session, job = running()
    session.receive(Lost(reason="gone"))
    come_back(session)
    assert session.receive(unknown(A)) == [Tidy(A)]
    assert job.problem == Problem("The backend does not know this clip any more.", "Press Generate again.")


def test_a_request_that_never_arrived_is_sent_again() -> None:
    session = ready()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    request = session.jobs[A].request
    assert request is not None
    assert session.receive(Goodbye()) == [HangUp(), Reach()], "a backend that was just ending is started anew"
    assert come_back(session) == [Send(Watch(job=A))]
    assert session.receive(unknown(A)) == [Send(request)]
    session.receive(Accepted(job=A, position=0))
    assert session.jobs[A].state is State.RUNNING


def test_a_clip_that_goes_on_losing_the_backend_is_given_up() -> None:
    session, job = running()
    for _ in range(MOST_LOSSES - 1):
        assert session.receive(Lost(reason="The backend has ended.")) == [HangUp(), Reach()]
        come_back(session)
        session.receive(known(A, "running"))
    assert session.receive(Lost(reason="The backend has ended.")) == [HangUp(), Tidy(A)]
    assert job.problem == Problem("The backend has ended. It was lost 3 times during this clip.", words.STAYS)
    session.reach()
    assert come_back(session) == []
    assert session.receive(done(A)) == [], "its clip stays with the backend"


def test_a_backend_that_cannot_be_had_again_ends_the_wait() -> None:
    session, job = running()
    session.receive(Lost(reason="gone"))
    assert session.unreachable(Problem("No such thing.", "Run this.", "command")) == [HangUp(), Tidy(A)]
    assert job.problem == Problem("No such thing.", f"Run this. {words.STAYS}", "command")
    assert not session.busy


def test_a_backend_that_was_told_to_end_is_not_started_by_itself() -> None:
    session, job = running()
    assert session.stop() == [Send(Shutdown())]
    assert session.receive(Goodbye()) == [HangUp()]
    assert session.waits(job)
    assert not session.busy, "nothing happens until somebody starts it"
    assert str(session.status(job)) == "The backend was stopped. The clip waits for its next start"
    assert session.reach() == [Reach()]
    assert not session.waits(job)
    assert come_back(session) == [Send(Watch(job=A))]
    session.receive(known(A))
    assert job.state is State.RUNNING
    assert job.losses == 0


def test_a_script_does_not_wait_for_the_next_start() -> None:
    session, job = running()
    assert session.give_up(A) == [], "only when there is nothing to wait for"
    session.receive(Goodbye())
    assert session.give_up(A) == [Tidy(A)]
    assert job.problem == Problem("The backend was stopped.", words.STAYS)


def test_a_stop_is_waited_for_and_a_denied_one_is_said() -> None:
    session = ready()
    assert not session.busy
    session.stop()
    assert session.busy
    session.receive(Denied(request="Shutdown", code="not_allowed", message="Only its user may.", next_step="Ask."))
    assert not session.busy
    assert session.problem == Problem("Only its user may.", "Ask.")


def test_a_cancel_that_the_lost_backend_did_not_hear_is_told_to_the_next() -> None:
    session, job = running()
    session.submit(B, Wish("a hare"), PLACE, "/clips/b")
    session.cancel(A)
    assert session.receive(Lost(reason="gone")) == [HangUp(), Tidy(A), Reach()]
    assert job.state is State.CANCELLED
    assert session.cancel(B) == [Tidy(B)], "there is nobody to ask"
    assert come_back(session) == [Send(Cancel(job=A)), Send(Cancel(job=B))]
    assert session.receive(Cancelled(job=A)) == [Send(Received(job=A))]
    assert session.receive(unknown(B, "Cancel")) == []
    session.receive(Lost(reason="gone"))
    session.reach()
    assert come_back(session) == [], "they were answered"


def test_ends_that_were_not_acknowledged_are_acknowledged_when_told_again() -> None:
    session, job = running()
    deliver(session, A, range(4))
    session.receive(done(A))
    session.receive(Lost(reason="gone"))
    session.added(A, "added")
    session.reach()
    come_back(session)
    assert session.receive(done(A)) == [Send(Received(job=A))]
    assert job.state is State.DONE


def test_a_cancelled_job_that_arrived_all_the_same_is_done_with() -> None:
    session = ready()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    session.receive(Lost(reason="gone"))
    assert session.cancel(A) == [Tidy(A)]
    assert come_back(session) == [Send(Cancel(job=A))]
    assert session.receive(Cancelled(job=A)) == [Send(Received(job=A))]


def test_jobs_of_another_blender_are_left_alone() -> None:
    session, job = running()
    for message in (known(B, "done"), done(B), Failed(job=B, code="internal", message="m", next_step="n")):
        assert session.receive(message) == []
    assert session.receive(Frame(job=B, index=0, frames=4), (PNG,)) == []
    assert session.receive(Cancelled(job=B)) == []
    assert list(session.jobs) == [A]
    assert job.state is State.RUNNING


def test_a_lost_backend_does_not_take_a_finished_clip_with_it() -> None:
    session, job = running()
    deliver(session, A, range(4))
    session.receive(done(A))
    assert session.receive(Lost(reason="gone")) == [HangUp()]
    session.added(A, "added")
    assert job.state is State.DONE


def test_silence_of_the_lost_backend_does_not_count_against_the_next() -> None:
    session, job = running()
    session.receive(Lost(reason="gone"))
    session.watch(1000.0)
    come_back(session)
    session.receive(known(A, "running", phase="painting"))
    assert str(session.status(job)) == "Painting"
    session.watch(1100.0)
    assert str(session.status(job)) == "Painting — no news for 2 min"


def test_nor_does_a_next_one_that_cannot_be_reached() -> None:
    session, job = running()
    session.submit(B, Wish("a hare"), PLACE, "/clips/b")
    deliver(session, A, range(4))
    session.receive(done(A))
    session.receive(Lost(reason="gone"))
    assert session.unreachable(Problem("No such thing.")) == [HangUp(), Tidy(B)]
    assert (job.state, session.jobs[B].state) == (State.ADDING, State.FAILED)
    session.added(A, "added")
    assert job.state is State.DONE


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (Accepted(job=A, position=1), State.RUNNING),
        (Progress(job=A, phase="painting", step=1, steps=4), State.RUNNING),
        (Notice(job=A, message="Once more.", again=True), State.RUNNING),
        (Frame(job=A, index=0, frames=4), State.RUNNING),
        (done(A), State.FETCHING),
        (Failed(job=A, code="internal", message="m", next_step="n"), State.FAILED),
        (Cancelled(job=A), State.CANCELLED),
    ],
)
def test_whatever_the_next_backend_says_first_shows_that_it_has_the_job(message: Message, state: State) -> None:
    """Today's says `Jobs` before anything else of the job; it need not."""
    session, job = running()
    deliver(session, A, range(4))
    session.receive(Lost(reason="gone"))
    come_back(session)
    session.receive(message, (PNG,) if isinstance(message, Frame) else ())
    assert job.state is state
    assert not job.written, "frames of the earlier try do not count"
