"""A session that loses its backend reaches for the next one, and takes its jobs up again."""

from __future__ import annotations

import pytest

from blender_addon.clip import words
from blender_addon.clip.actions import Copy, HangUp, Reach, Send, Tidy
from blender_addon.clip.job import Problem, State
from blender_addon.clip.losses import MOST_LOSSES
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Failed,
    Fetch,
    Frame,
    Goodbye,
    Message,
    Notice,
    Progress,
    Received,
    Shutdown,
    Watch,
)
from tests.addon.sessions import (
    PNG,
    A,
    B,
    copying,
    deliver,
    done,
    fetched,
    fetching,
    folder,
    here,
    known,
    made,
    ready,
    request,
    result,
    running,
    submitted,
    unknown,
    waiting,
    welcomed,
)

LOST = Lost(reason="The backend has ended.")


def test_a_lost_backend_is_reached_again_and_asked_for_its_jobs() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="decoding", step=9, steps=10))
    assert session.receive(LOST) == [HangUp(), Reach()]
    assert session.busy
    assert str(session.status(job)) == "Asking the backend for the clip"
    assert welcomed(session) == [Send(Watch(job=A))]
    assert session.receive(known(A, "queued", position=2)) == []
    assert (job.state, job.step) == (State.RUNNING, 0), "it is made from the start"
    assert str(session.status(job)) == "Waiting for its turn, 2 before it"
    assert session.receive(done(A)) == []
    assert session.see(waiting(A)) == [Copy(A, result(A))]


def test_how_far_the_next_backend_is_is_told_with_the_job() -> None:
    session, job = running()
    session.receive(LOST)
    welcomed(session)
    session.receive(known(A, "running", phase="painting", step=3, steps=9, seconds_left=40.0))
    assert str(session.status(job)) == "Painting, 3 of 9 — about 40 s left"


def test_a_clip_that_was_finished_meanwhile_is_told_twice_and_counts_once() -> None:
    session, job = running()
    session.receive(LOST)
    welcomed(session)
    session.receive(known(A, "done", has_result=True))
    assert session.receive(done(A)) == []
    assert session.see(waiting(A)) == [Copy(A, result(A))]
    assert session.receive(done(A)) == []
    assert session.see(waiting(A)) == []
    session.copied(A)
    assert session.receive(done(A)) == []
    assert session.filled(A) == [Send(Received(job=A))]
    assert job.state is State.DONE


def test_only_the_frames_that_had_not_come_are_fetched_from_the_next() -> None:
    session, job = fetching(frames=6)
    deliver(session, A, range(3))
    assert session.receive(LOST) == [HangUp(), Reach()]
    assert welcomed(session) == [Send(Watch(job=A))]
    session.receive(known(A, "done", has_result=True))
    session.receive(done(A, 6))
    assert session.see(waiting(A)) == [Send(Fetch(job=A, first=3, count=3))]
    deliver(session, A, range(3, 6))
    session.receive(fetched(A, range(3, 6)))
    assert job.state.name == "FILLING"


def test_when_all_frames_had_come_none_is_fetched() -> None:
    session, job = fetching()
    deliver(session, A, range(4))
    session.receive(LOST)
    welcomed(session)
    session.receive(done(A))
    assert session.see(waiting(A)) == []
    assert job.state is State.FILLING


def test_a_job_whose_acceptance_was_lost_on_the_way_is_done_with_all_the_same() -> None:
    session, _ = submitted()
    session.receive(LOST)
    assert welcomed(session) == [Send(Watch(job=A))]
    session.receive(known(A))
    failed = Failed(job=A, code="internal", message="It failed.", next_step="Try again.")
    assert session.receive(failed) == [Tidy(A), Send(Received(job=A))]


def test_a_clip_that_the_next_backend_does_not_know_fails() -> None:
    session, job = running()
    session.receive(LOST)
    welcomed(session)
    assert session.receive(unknown(A)) == [Tidy(A)]
    assert job.problem == Problem(
        "The backend does not know this clip any more.", "Press Try Again.", code="unknown_job"
    )


def test_a_request_that_never_arrived_is_sent_again() -> None:
    session, job = submitted()
    assert session.receive(Goodbye()) == [HangUp(), Reach()], "a backend that was just ending is started anew"
    assert welcomed(session) == [Send(Watch(job=A))]
    assert session.receive(unknown(A)) == [Send(request())]
    assert job.state.name == "SENT"
    session.receive(Accepted(job=A, position=0))
    assert job.state is State.RUNNING


def test_a_clip_that_goes_on_losing_the_backend_is_given_up() -> None:
    session, job = running()
    for _ in range(MOST_LOSSES - 1):
        assert session.receive(LOST) == [HangUp(), Reach()]
        welcomed(session)
        session.receive(known(A, "running"))
    assert session.receive(LOST) == [HangUp(), Tidy(A)]
    assert job.problem == Problem(
        "The backend has ended. It was lost 3 times during this clip.", words.STAYS, code="backend_lost"
    )
    session.reach()
    assert welcomed(session) == []
    assert session.receive(done(A)) == [], "its clip stays with the backend"


def test_one_that_was_never_accepted_is_given_up_without_hope() -> None:
    session, job = submitted()
    for _ in range(MOST_LOSSES):
        session.receive(LOST)
        if not job.ended:
            welcomed(session)
    assert job.problem == Problem(
        "The backend has ended. It was lost 3 times during this clip.",
        "Press Try Again: a new backend starts.",
        code="backend_lost",
    )


def test_an_accepted_clip_waits_when_no_backend_can_be_had() -> None:
    session, job = running()
    session.submit(request(B), folder(B))
    session.receive(LOST)
    problem = Problem("No such thing.", "Run this.", "command")
    assert session.unreachable(problem) == [HangUp(), Tidy(B)], "nobody has the second one"
    assert session.jobs[B].problem == problem
    assert session.problem == problem
    assert (job.state, job.problem) == (State.REATTACHING, None)
    assert session.waits(job)
    assert not session.busy
    session.reach()
    assert welcomed(session) == [Send(Watch(job=A))]
    assert session.problem is None


def test_a_backend_that_was_told_to_end_is_not_started_by_itself() -> None:
    session, job = running()
    assert session.stop() == [Send(Shutdown())]
    assert session.receive(Goodbye()) == [HangUp()]
    assert session.waits(job)
    assert session.waiting
    assert not session.busy, "nothing happens until somebody starts it"
    assert str(session.status(job)) == "No backend runs. The clip waits for its next start"
    assert session.reach() == [Reach()]
    assert not session.waits(job)
    assert welcomed(session) == [Send(Watch(job=A))]
    session.receive(known(A))
    assert job.state is State.RUNNING
    assert job.losses == 0


def test_a_script_does_not_wait_for_the_next_start() -> None:
    session, job = running()
    assert session.give_up(A) == [], "only when there is nothing to wait for"
    session.receive(Goodbye())
    assert session.give_up(A) == [Tidy(A)]
    assert job.problem == Problem("The backend was stopped.", words.STAYS, code="backend_lost")


def test_a_script_is_told_why_there_is_no_backend() -> None:
    session, job = running()
    session.receive(LOST)
    session.unreachable(Problem("The backend is not installed.", "Run this.", "command"))
    assert session.give_up(A) == [Tidy(A)]
    assert job.problem == Problem("The backend is not installed.", words.STAYS)


def test_a_stop_is_waited_for_and_a_denied_one_is_said() -> None:
    session = ready()
    assert not session.busy
    session.stop()
    assert session.busy
    session.receive(Denied(request="Shutdown", code="not_allowed", message="Only its user may.", next_step="Ask."))
    assert not session.busy
    assert session.problem == Problem("Only its user may.", "Ask.", code="not_allowed")


def test_a_cancel_that_the_lost_backend_did_not_hear_is_told_to_the_next() -> None:
    session, job = running()
    session.submit(request(B), folder(B))
    session.cancel(A)
    assert session.receive(LOST) == [HangUp(), Tidy(A), Reach()]
    assert job.state is State.CANCELLED
    assert session.cancel(B) == [Tidy(B)], "there is nobody to ask"
    assert welcomed(session) == [Send(Cancel(job=A)), Send(Cancel(job=B))]
    assert session.receive(Cancelled(job=A)) == [Send(Received(job=A))]
    assert session.receive(unknown(B, "Cancel")) == []
    session.receive(LOST)
    session.reach()
    assert welcomed(session) == [], "they were answered"


def test_ends_that_were_not_acknowledged_are_acknowledged_when_told_again() -> None:
    session, job = here()
    session.receive(LOST)
    session.filled(A)
    session.reach()
    welcomed(session)
    assert session.receive(done(A)) == [Send(Received(job=A))]
    assert job.state is State.DONE


def test_a_cancelled_job_that_arrived_all_the_same_is_done_with() -> None:
    session, _job = submitted()
    session.receive(LOST)
    assert session.cancel(A) == [Tidy(A)]
    assert welcomed(session) == [Send(Cancel(job=A))]
    assert session.receive(Cancelled(job=A)) == [Send(Received(job=A))]


def test_jobs_of_another_blender_are_left_alone() -> None:
    session, job = running()
    for message in (known(B, "done"), done(B), Failed(job=B, code="internal", message="m", next_step="n")):
        assert session.receive(message) == []
    assert session.receive(Frame(job=B, index=0, frames=4), (PNG,)) == []
    assert session.receive(Cancelled(job=B)) == []
    assert list(session.jobs) == [A]
    assert job.state is State.RUNNING


@pytest.mark.parametrize("start", [made, copying, here])
def test_a_finished_clip_needs_no_backend(start: object) -> None:
    """Its files are on this computer."""
    assert callable(start)
    session, job = start()
    state = job.state
    assert session.receive(LOST) == [HangUp()]
    session.reach()
    assert session.unreachable(Problem("No such thing.")) == [HangUp()]
    assert job.state is state
    session.see(waiting(A))
    session.copied(A)
    session.filled(A)
    assert job.state is State.DONE


def test_silence_of_the_lost_backend_does_not_count_against_the_next() -> None:
    session, job = running()
    session.receive(LOST)
    session.watch(1000.0)
    welcomed(session)
    session.receive(known(A, "running", phase="painting"))
    assert str(session.status(job)) == "Painting"
    session.watch(1100.0)
    assert str(session.status(job)) == "Painting — no news for 2 min"


@pytest.mark.parametrize(
    ("message", "state"),
    [
        (Accepted(job=A, position=1), State.RUNNING),
        (Progress(job=A, phase="painting", step=1, steps=4), State.RUNNING),
        (Notice(job=A, message="Once more.", again=True), State.RUNNING),
        (done(A), State.MADE),
        (Failed(job=A, code="internal", message="m", next_step="n"), State.FAILED),
        (Cancelled(job=A), State.CANCELLED),
    ],
)
def test_whatever_the_next_backend_says_first_shows_that_it_has_the_job(message: Message, state: State) -> None:
    """Today's says `Jobs` before anything else of the job; it need not."""
    session, job = running()
    session.receive(Progress(job=A, phase="decoding", step=9, steps=10))
    session.receive(LOST)
    welcomed(session)
    session.receive(message)
    assert job.state is state
    assert job.step in (0, 1), "what the lost one had made counts no more"


def test_a_clip_that_an_earlier_blender_cancelled_with_its_strip_is_asked_for_again() -> None:
    session = ready()
    session.adopt(request(), folder(A))
    assert session.receive(known(A, "cancelled")) == []
    session.receive(Cancelled(job=A))
    assert session.jobs[A].state is State.CANCELLED
    assert session.come_back([A]) == [A], "the file that was saved before shows its strip"


def test_a_clip_that_somebody_cancelled_while_the_backend_was_away_is_not() -> None:
    session, _ = running()
    session.receive(LOST)
    welcomed(session)
    session.receive(known(A, "cancelled"))
    session.receive(Cancelled(job=A))
    assert session.come_back([A]) == []
