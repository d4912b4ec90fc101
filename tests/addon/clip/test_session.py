"""The session: events → state → actions, without Blender, without a backend."""

from __future__ import annotations

import pytest

from blender_addon.clip.actions import HangUp, KeepStyles, Reach, Send, Tidy
from blender_addon.clip.job import ENDED, NEXT, Job, Problem, State
from blender_addon.clip.session import CANCEL_SECONDS, ENDED_KEPT, GREETING_SECONDS, Session
from blender_addon.clip.status import Status
from blender_addon.clip.wish import Wish
from shared_protocol import messages
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
    Notice,
    Progress,
    Received,
    Refused,
)
from tests.addon.sessions import (
    PLACE,
    PNG,
    STYLE,
    WELCOME,
    A,
    B,
    deliver,
    done,
    ready,
    running,
    unknown,
)


def test_a_prompt_becomes_a_strip() -> None:
    session = Session()
    assert session.submit(A, Wish("a fox", seed=5), PLACE, "/clips/a") == [Reach()]
    job = session.jobs[A]
    assert session.status(job) == Status("Starting the backend", "", "held")
    assert session.connected() == []
    assert str(session.status(job)) == "Connecting to the backend"
    request = Generate(job=A, prompt="a fox", style="plain", frames=4, width=64, height=64, seed=5)
    assert session.receive(WELCOME) == [KeepStyles((STYLE,)), Send(request)]
    session.receive(Accepted(job=A, position=2, warnings=("The models do not know “zebra”.",)))
    assert str(session.status(job)) == "Waiting for its turn, 2 before it"
    session.receive(Progress(job=A, phase="loading", step=0, steps=0))
    assert str(session.status(job)) == "Loading the models"
    session.receive(Progress(job=A, phase="painting", step=12, steps=25, seconds_left=9.2))
    assert str(session.status(job)) == "Painting, 12 of 25 — about 9 s left"
    assert job.fraction == 12 / 25
    deliver(session, A, range(4))
    assert session.receive(done(A)) == []
    assert session.complete is job
    assert job.state is State.ADDING
    assert session.busy
    assert session.added(A, "4 frames added.", ["It plays 3 times as fast."]) == [Send(Received(job=A))]
    assert session.jobs[A].state is State.DONE
    assert not session.busy
    assert session.status(job) == Status("4 frames added.", "", "done")
    assert job.warnings == ["The models do not know “zebra”.", "It plays 3 times as fast."]


def test_a_second_job_goes_out_at_once() -> None:
    session, _ = running()
    (send,) = session.submit(B, Wish("a hare"), PLACE, "/clips/b")
    assert isinstance(send, Send)
    assert [job.id for job in session.active] == [A, B]


def test_a_style_that_the_backend_has_not_is_not_asked_for() -> None:
    session = ready()
    assert session.submit(A, Wish("a fox", style="nope"), PLACE, "/clips/a") == [Tidy(A)]
    problem = session.jobs[A].problem
    assert problem is not None
    assert problem.sentence == 'There is no style "nope".'
    assert problem.next_step


def test_what_a_style_cannot_do_is_for_the_backend_to_say() -> None:
    session = ready()
    (send,) = session.submit(A, Wish("a fox", frames=33, width=36), PLACE, "/clips/a")
    assert isinstance(send, Send)
    assert send.request == session.jobs[A].request
    failed = Failed(job=A, code="frames_out_of_range", message="Too many.", next_step="Choose fewer.")
    assert session.receive(failed) == [Tidy(A)]
    assert session.jobs[A].problem == Problem("Too many.", "Choose fewer.")


def test_cancel_before_anything_was_sent_is_immediate() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    assert session.cancel(A) == [Tidy(A)]
    session.connected()
    assert session.receive(WELCOME) == [KeepStyles((STYLE,))], "the cancelled job is not sent"


def test_cancel_waits_for_the_backends_word() -> None:
    session, job = running()
    assert session.cancel(A) == [Send(Cancel(job=A))]
    assert session.cancel(A) == [], "once is enough"
    assert str(session.status(job)) == "Cancelling"
    assert session.receive(Cancelled(job=A)) == [Tidy(A), Send(Received(job=A))]
    assert job.state is State.CANCELLED


def test_a_cancel_of_what_the_backend_does_not_have_ends_the_job() -> None:
    session, job = running()
    session.cancel(A)
    assert session.receive(unknown(A, "Cancel")) == [Tidy(A)]
    assert (job.state, job.problem) == (State.CANCELLED, None)
    assert session.watch(CANCEL_SECONDS + 1) == [], "nothing is waited for any more"


def test_cancel_without_an_answer_ends_all_the_same() -> None:
    session, job = running()
    session.watch(100.0)
    session.cancel(A)
    assert session.watch(100.0 + CANCEL_SECONDS - 1) == []
    assert session.watch(101.0 + CANCEL_SECONDS) == [Tidy(A)]
    assert job.state is State.CANCELLED
    assert "did not answer" in str(session.status(job))
    assert session.receive(done(A)) == [Send(Received(job=A))], "what comes later does not count, and is not wanted"
    assert job.state is State.CANCELLED


def test_a_clip_that_was_faster_than_its_cancel_is_added() -> None:
    session, job = running()
    deliver(session, A, range(4))
    session.cancel(A)
    assert session.receive(done(A)) == []
    assert session.complete is job
    assert session.receive(Cancelled(job=A)) == []
    session.added(A, "added")
    assert job.state is State.DONE


def test_a_try_anew_counts_its_frames_and_steps_from_nothing() -> None:
    session, job = running()
    progress = Progress(job=A, phase="decoding", step=9, steps=10, seconds_left=1.0, bytes_done=7, bytes_total=8)
    session.receive(progress)
    deliver(session, A, range(3))
    notice = Notice(job=A, message="It is tried again.", again=True)
    assert session.receive(notice) == []
    for nothing_yet in (job, Job(B, Wish("a hare"), PLACE, "/clips/b")):
        assert (nothing_yet.step, nothing_yet.steps, nothing_yet.written, nothing_yet.fraction) == (0, 0, set(), 0.0)
        assert (nothing_yet.bytes_done, nothing_yet.bytes_total, nothing_yet.seconds_left) == (0, 0, None)
        assert (nothing_yet.phase, nothing_yet.position) == ("waiting", 0)
    session.receive(notice)
    session.receive(Notice(job=A, message="With less memory."))
    assert job.warnings == ["It is tried again.", "With less memory."]
    deliver(session, A, range(4))
    assert session.receive(done(A)) == []
    assert session.complete is job


def test_the_unreachable_backend_is_a_problem_with_a_command() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    problem = Problem("The backend is not installed.", "Run this.", "python3 install.py setup")
    assert session.unreachable(problem) == [HangUp(), Tidy(A)]
    assert session.problem == session.jobs[A].problem == problem
    session.submit(B, Wish("a hare"), PLACE, "/clips/b")
    assert session.problem is None, "another try clears it"


def test_the_button_starts_the_backend_and_clears_the_problem() -> None:
    session = Session()
    session.unreachable(Problem("The backend is not installed."))
    assert session.start() == [Reach()]
    assert session.problem is None


def test_a_backend_that_refuses_is_a_problem() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    session.connected()
    assert session.receive(Refused(code="version", message="Update the add-on.")) == [HangUp(), Tidy(A)]
    assert session.problem == Problem("Update the add-on.")
    assert session.receive(Lost(reason="Update the add-on.")) == []


def test_a_backend_that_says_nothing_is_a_problem() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), PLACE, "/clips/a")
    session.watch(50.0)
    session.connected()
    assert session.watch(50.0 + GREETING_SECONDS) == []
    assert session.watch(51.0 + GREETING_SECONDS) == [HangUp(), Tidy(A)]
    assert session.problem is not None


def test_missing_frames_are_asked_for_and_not_passed_over() -> None:
    session, job = running()
    deliver(session, A, range(3))
    assert session.receive(done(A)) == [Send(Fetch(job=A, first=3, count=1))]
    assert session.receive(Fetched(job=A, first=3, count=1)) == [Tidy(A)]
    assert job.problem == Problem("Only 3 of 4 frames came; they are in /clips/a.", "Press Generate again.")


def test_a_result_that_has_gone_is_said() -> None:
    session, job = running()
    session.receive(done(A))
    denied = Denied(request="Fetch", job=A, code="no_result", message="The job has no result.", next_step="Again.")
    assert session.receive(denied) == [Tidy(A)]
    assert job.problem == Problem("The job has no result. Only 0 of 4 frames came; they are in /clips/a.", "Again.")


def test_a_frame_too_many_ends_the_job() -> None:
    session, job = running()
    actions = session.receive(Frame(job=A, index=4, frames=5), (PNG,))
    assert actions == [Send(Cancel(job=A)), Tidy(A)]
    assert job.state is State.FAILED


def test_a_frame_that_cannot_be_written_ends_the_job_with_its_seed() -> None:
    session = ready()
    session.submit(A, Wish("a fox", seed=77), PLACE, "/clips/a")
    actions = session.could_not_write(A, "The disk is full.")
    assert actions == [Send(Cancel(job=A)), Tidy(A)]
    assert session.jobs[A].problem == Problem("The disk is full.", "Make room and generate it again with seed 77.")


def test_frames_that_had_to_move_are_said() -> None:
    session, job = running()
    session.moved(A, "/spare/a", "The frames are in /spare/a instead.")
    assert (job.folder, job.warnings) == ("/spare/a", ["The frames are in /spare/a instead."])


def test_a_strip_that_cannot_be_made_leaves_the_frames() -> None:
    session, job = running()
    deliver(session, A, range(4))
    session.receive(done(A))
    session.changed = False
    assert session.could_not_add(A, "The scene is gone.") == [Tidy(A)]
    assert session.changed, "the panel shows it at once"
    assert job.problem == Problem("The scene is gone.", "The frames are in /clips/a.")


def test_strange_mail_is_ignored() -> None:
    session, job = running()
    for message in (
        done(B),
        Failed(job=B, code="internal", message="m", next_step="n"),
        messages.Status(loads=0, clients=1),
        WELCOME,
    ):
        assert session.receive(message) == []
    assert job.state is State.RUNNING


def test_old_jobs_are_forgotten_and_active_ones_never() -> None:
    session = ready()
    session.submit("c" * 32, Wish("stays"), PLACE, "/clips/c")
    for number in range(3 * ENDED_KEPT):
        session.submit(f"{number:032x}", Wish("a fox", style="nope"), PLACE, "/clips")
    assert len(session.jobs) <= ENDED_KEPT + 2
    assert "c" * 32 in session.jobs


def test_the_table_of_states_has_no_way_out_of_an_end() -> None:
    assert set(NEXT) == set(State)
    assert all(not NEXT[state] for state in ENDED)
    assert all(NEXT[state] & ENDED for state in set(State) - ENDED), "every job can end"
    job = Job(A, Wish("a fox"), PLACE, "/clips/a", state=State.DONE)
    with pytest.raises(AssertionError, match="a job cannot go from DONE to RUNNING"):
        job.go(State.RUNNING)


def test_a_refusal_stands_until_the_next_wish() -> None:
    session, problem = ready(), Problem("The prompt is empty.")
    for again in (session.start, lambda: session.submit(A, Wish("a fox"), PLACE, "/clips/a")):
        session.changed = False
        assert session.refuse(problem) == []
        assert (session.problem, session.changed) == (problem, True)
        again()
        assert session.problem is None


def test_strips_are_added_oldest_first() -> None:
    session, first = running()
    session.submit(B, Wish("a hare", frames=4), PLACE, "/clips/b")
    for job in (B, A):
        deliver(session, job, range(4))
        session.receive(done(job))
    assert session.complete is first
    session.added(A, "added")
    assert session.complete is session.jobs[B]
    session.could_not_add(B, "no")
    assert session.complete is None
