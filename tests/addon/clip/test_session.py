"""The session: events → state → actions, without Blender, without a backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from blender_addon.clip.actions import (
    Action,
    Copy,
    HangUp,
    KeepStyles,
    KeepThumbnail,
    LookForBackend,
    Reach,
    Send,
    Tidy,
)
from blender_addon.clip.backend import ALL, MOST_FOUND
from blender_addon.clip.foreseen import Foreseen
from blender_addon.clip.job import ENDED, NEXT, Job, Problem, State
from blender_addon.clip.link import Link
from blender_addon.clip.session import (
    CANCEL_SECONDS,
    ENDED_KEPT,
    GREETING_SECONDS,
    LOOK_SECONDS,
    UNDO_SECONDS,
    Session,
)
from blender_addon.clip.status import Status
from blender_addon.clip.wish import request_of
from shared_protocol import messages, wire
from shared_protocol.client import Lost
from shared_protocol.errors import ProtocolError
from shared_protocol.messages import (
    Accepted,
    AskJobs,
    AskStatus,
    Cancel,
    Cancelled,
    Denied,
    Failed,
    Fetch,
    Frame,
    Free,
    Jobs,
    JobView,
    Move,
    Notice,
    Pause,
    Progress,
    QueueState,
    Received,
    Refused,
    Resume,
    Thumbnail,
    Watch,
)
from tests.addon.sessions import (
    PNG,
    STYLE,
    WELCOME,
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


def test_a_strip_gets_its_clip() -> None:
    session = Session()
    assert session.submit(request(), folder(A)) == [Reach()]
    job = session.jobs[A]
    assert session.status(job) == Status("Starting the backend", "", "held")
    assert session.connected() == []
    assert str(session.status(job)) == "Connecting to the backend"
    assert session.receive(WELCOME) == [KeepStyles((STYLE,)), Send(request())]
    session.receive(Accepted(job=A, position=2, warnings=("The models do not know “zebra”.",)))
    assert str(session.status(job)) == "Waiting for its turn, 2 before it"
    session.receive(Progress(job=A, phase="loading", step=0, steps=0))
    assert str(session.status(job)) == "Loading the models"
    session.receive(Progress(job=A, phase="painting", step=12, steps=25, seconds_left=9.2))
    assert str(session.status(job)) == "Painting, 12 of 25 — about 9 s left"
    assert job.fraction == 12 / 25
    assert session.receive(done(A)) == []
    assert session.status(job) == Status("Finished", "", "made")
    assert session.see(waiting(A)) == [Copy(A, result(A))]
    assert session.status(job) == Status("Fetching the frames", "", "fetching")
    assert session.see(waiting(A)) == [], "once is enough"
    assert session.copied(A) == []
    assert (job.state, job.written, job.fraction) == (State.FILLING, {0, 1, 2, 3}, 1.0)
    assert session.busy
    assert session.filled(A) == [Send(Received(job=A))]
    assert job.state is State.DONE
    assert not session.busy
    assert session.status(job) == Status("In the edit", "", "done")
    assert job.warnings == ["The models do not know “zebra”."]


def test_frames_of_another_machine_are_fetched_a_few_at_a_time() -> None:
    session, job = fetching(frames=6)
    assert session.see(waiting(A)) == []
    deliver(session, A, range(4))
    assert session.receive(fetched(A, range(4))) == [Send(Fetch(job=A, first=4, count=2))]
    deliver(session, A, range(4, 6))
    assert str(session.status(job)) == "Fetching the frames"
    assert session.receive(fetched(A, range(4, 6))) == []
    assert job.state.name == "FILLING"
    assert session.filled(A) == [Send(Received(job=A))]


def test_frames_that_nobody_has_asked_for_are_not_written() -> None:
    session, job = running()
    assert session.receive(Frame(job=A, index=0, frames=4), (PNG,)) == []
    session.receive(done(A))
    assert session.receive(Frame(job=A, index=0, frames=4), (PNG,)) == []
    assert session.see(waiting(A)) == [Copy(A, result(A))]
    assert session.receive(Frame(job=A, index=0, frames=4), (PNG,)) == []
    assert session.receive(fetched(A, range(4))) == []
    assert (job.state, job.written) == (State.FETCHING, set())


def test_a_second_job_goes_out_at_once() -> None:
    session, _ = running()
    assert session.submit(request(B), folder(B)) == [Send(request(B))]
    assert [job.id for job in session.active] == [A, B]


def test_what_the_backend_refuses_fails_in_its_words() -> None:
    session, job = submitted()
    failed = Failed(job=A, code="queue_full", message="The queue is full.", next_step="Wait.")
    assert session.receive(failed) == [Tidy(A)]
    assert job.problem == Problem("The queue is full.", "Wait.", code="queue_full")
    assert str(session.status(job)) == "The queue is full."


def test_an_accepted_job_that_fails_is_done_with() -> None:
    session, job = running()
    failed = Failed(job=A, code="worker_died", message="m", next_step="n")
    assert session.receive(failed) == [Tidy(A), Send(Received(job=A))]
    assert session.receive(failed) == [Send(Received(job=A))], "it is told once more, and answered once more"
    assert job.state is State.FAILED


def test_a_denial_of_something_else_ends_no_job() -> None:
    session, job = running()
    for asked in ("Move", "Fetch", "Watch", "Cancel"):
        assert session.receive(unknown(A, asked)) == [], asked
    assert (job.state, job.problem) == (State.RUNNING, None)


# Strips --------------------------------------------------------------------------------------------------------


def test_a_clip_whose_strip_is_in_another_file_waits_for_it() -> None:
    session, job = running()
    session.leave_file()
    session.watch(UNDO_SECONDS + 1)
    assert session.see({}) == [], "it was not taken away: another file is open"
    session.receive(done(A))
    assert session.status(job) == Status("Finished. Its strip is not in this file", "", "made")
    assert not session.busy, "nothing happens by itself"
    session.watch(1000.0)
    assert session.see({}) == []
    assert session.see(waiting(A)) == [Copy(A, result(A))]
    assert session.busy


def test_where_the_strip_is_now_the_frames_go() -> None:
    session, job = made()
    assert session.see({A: "/elsewhere/a"}) == [Copy(A, result(A))]
    assert job.folder == "/elsewhere/a"


@pytest.mark.parametrize("to_spare", [False, True])
def test_frames_that_are_on_their_way_are_not_looked_for_elsewhere(to_spare: bool) -> None:
    """The strip cannot know where they went; it is turned there once all have come."""
    session, job = copying()
    if to_spare:
        session.moved(A, "/spare/a", "The frames are in /spare/a instead.")
    where = job.folder
    session.see({A: "/elsewhere/a"})
    assert job.folder == where
    session.copied(A)
    session.see({A: "/elsewhere/a"})
    assert job.folder == where


def test_frames_that_came_before_the_backend_was_lost_are_not_left_behind() -> None:
    session, job = fetching()
    deliver(session, A, range(2))
    session.receive(Lost(reason="gone"))
    session.see({A: "/elsewhere/a"})
    assert welcomed(session) == [Send(Watch(job=A))]
    session.receive(done(A))
    assert session.see({A: "/elsewhere/a"}) == [Send(Fetch(job=A, first=2, count=2))]
    assert job.folder == folder(A)


def test_a_strip_that_was_taken_away_ends_its_job() -> None:
    session, job = running()
    session.see(waiting(A))
    session.watch(UNDO_SECONDS)
    assert session.see({}) == [], "undo may bring it back"
    session.watch(UNDO_SECONDS + 0.1)
    assert session.see({}) == [Send(Cancel(job=A))]
    assert session.see({}) == []
    session.receive(Cancelled(job=A))
    assert job.state is State.CANCELLED


def test_a_strip_that_comes_back_soon_goes_on_waiting() -> None:
    session, job = running()
    session.watch(UNDO_SECONDS)
    session.see({})
    session.see(waiting(A))
    session.watch(2 * UNDO_SECONDS)
    assert session.see({}) == []
    assert job.state is State.RUNNING


def test_a_strip_that_comes_back_late_asks_anew() -> None:
    session, _job = running()
    session.submit(request(B), folder(B))
    session.receive(Accepted(job=B, position=0))
    session.watch(UNDO_SECONDS + 1)
    session.see({})
    assert session.come_back([A, B]) == [], "not before they have ended"
    session.receive(Cancelled(job=A))
    session.receive(Cancelled(job=B))
    assert session.come_back([A, "c" * 32]) == [A]


def test_what_the_artist_has_cancelled_is_not_asked_for_again() -> None:
    session, _job = running()
    session.cancel(A)
    session.watch(UNDO_SECONDS + 1)
    session.see({})
    session.receive(Cancelled(job=A))
    assert session.come_back([A]) == []


@pytest.mark.parametrize("start", [made, copying, here])
def test_a_finished_clip_outlives_its_strip(start: object) -> None:
    assert callable(start)
    session, job = start()
    session.watch(UNDO_SECONDS + 1)
    state = job.state
    assert session.see({}) == []
    assert (job.state, job.seen, job.removed) == (state, None, False)


def test_the_ticket_of_an_earlier_blender_is_taken_up() -> None:
    session = Session()
    assert session.adopt(request(), folder(A)) == [Reach()]
    job = session.jobs[A]
    assert str(session.status(job)) == "Asking the backend for the clip"
    assert welcomed(session) == [Send(Watch(job=A))]
    assert session.adopt(request(B), folder(B)) == [Send(Watch(job=B))]
    session.receive(known(A, "running"))
    assert job.state is State.RUNNING
    assert session.receive(unknown(B)) == [Tidy(B)]
    assert session.jobs[B].problem == Problem(
        "The backend does not know this clip any more.", "Press Try Again.", code="unknown_job"
    )


def test_an_adopted_clip_that_was_made_long_ago_comes_at_once() -> None:
    session = ready()
    session.adopt(request(), folder(A))
    session.receive(known(A, "done", has_result=True))
    session.receive(done(A))
    assert session.see(waiting(A)) == [Copy(A, result(A))]


# Cancel --------------------------------------------------------------------------------------------------------


def test_cancel_before_anything_was_sent_is_immediate() -> None:
    session = Session()
    session.submit(request(), folder(A))
    assert session.cancel(A) == [Tidy(A)]
    assert welcomed(session) == [], "the cancelled job is not sent"


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
    assert session.watch(100.0 + CANCEL_SECONDS) == []
    assert session.watch(101.0 + CANCEL_SECONDS) == [Tidy(A)]
    assert job.state is State.CANCELLED
    assert "did not answer" in str(session.status(job))
    assert session.receive(done(A)) == [], "what comes later does not count; the clip stays with the backend"
    assert job.state is State.CANCELLED


def test_a_clip_that_was_faster_than_its_cancel_is_shown() -> None:
    session, job = running()
    session.cancel(A)
    assert session.receive(done(A)) == []
    assert session.receive(Cancelled(job=A)) == []
    assert str(session.status(job)) == "Finished", "the cancel came too late"
    assert session.watch(CANCEL_SECONDS + 1) == []
    session.see(waiting(A))
    session.copied(A)
    session.filled(A)
    assert job.state is State.DONE


def test_a_clip_that_was_faster_than_the_end_of_its_strip_stays_and_can_be_cancelled() -> None:
    session, job = running()
    session.watch(UNDO_SECONDS + 1)
    session.see({})
    session.receive(done(A))
    session.see(waiting(A))
    assert session.cancel(A) == [Tidy(A), Send(Received(job=A))]
    assert job.state is State.CANCELLED
    assert session.come_back([A]) == [], "it was cancelled by hand"


@pytest.mark.parametrize("start", [made, copying, fetching, here])
def test_a_clip_that_is_made_is_cancelled_at_once(start: object) -> None:
    assert callable(start)
    session, job = start()
    assert session.cancel(A) == [Tidy(A), Send(Received(job=A))]
    assert job.state is State.CANCELLED
    assert session.copied(A) == [], "what was on its way arrives"
    assert session.could_not_write(A, "full") == []
    assert (job.state, job.problem) == (State.CANCELLED, None)


def test_a_cancel_while_a_lost_job_is_asked_for_is_no_failure() -> None:
    session, job = running()
    session.receive(Lost(reason="gone"))
    welcomed(session)
    assert session.cancel(A) == [Send(Cancel(job=A))]
    assert session.receive(unknown(A)) == [Tidy(A)]
    assert (job.state, job.problem) == (State.CANCELLED, None)
    assert session.receive(unknown(A, "Cancel")) == []


def test_a_cancelled_job_that_never_arrived_is_not_sent_again() -> None:
    session, job = submitted()
    session.receive(Lost(reason="gone"))
    assert welcomed(session) == [Send(Watch(job=A))]
    session.cancel(A)
    assert session.receive(unknown(A)) == [Tidy(A)]
    assert session.receive(unknown(A, "Cancel")) == []
    assert job.state is State.CANCELLED


# The backend ---------------------------------------------------------------------------------------------------


def test_a_try_anew_counts_its_steps_from_nothing() -> None:
    session, job = running()
    progress = Progress(job=A, phase="decoding", step=9, steps=10, seconds_left=1.0, bytes_done=7, bytes_total=8)
    session.receive(progress)
    notice = Notice(job=A, message="It is tried again.", again=True)
    assert session.receive(notice) == []
    for nothing_yet in (job, Job(B, request(B), folder(B))):
        assert (nothing_yet.step, nothing_yet.steps, nothing_yet.written, nothing_yet.fraction) == (0, 0, set(), 0.0)
        assert (nothing_yet.bytes_done, nothing_yet.bytes_total, nothing_yet.seconds_left) == (0, 0, None)
        assert (nothing_yet.phase, nothing_yet.position) == ("waiting", 0)
    session.receive(notice)
    session.receive(Notice(job=A, message="With less memory."))
    assert job.warnings == ["It is tried again.", "With less memory."]


@pytest.mark.parametrize("start", [made, copying, fetching, here])
def test_a_try_anew_that_is_told_too_late_takes_nothing_back(start: object) -> None:
    assert callable(start)
    session, job = start()
    before = (job.state, job.done, job.fetch)
    session.receive(Notice(job=A, message="It is tried again.", again=True))
    assert (job.state, job.done, job.fetch) == before


def test_a_cancel_that_was_not_answered_is_none_the_less_one_when_the_backend_is_let_go() -> None:
    session, job = running()
    assert session.cancel(A) == [Send(messages.Cancel(job=A))]
    assert session.unreachable(Problem("The add-on made a mistake.")) == [HangUp(), Tidy(A)]
    assert job.state is State.CANCELLED
    assert job.problem is None
    assert session.reach() == [Reach()]
    assert welcomed(session) == [Send(messages.Cancel(job=A))], "the next one hears of it"


def test_the_unreachable_backend_is_a_problem_with_a_command() -> None:
    session = Session()
    session.submit(request(), folder(A))
    problem = Problem("The backend is not installed.", "Run this.", "python3 install.py setup")
    assert session.unreachable(problem) == [HangUp(), Tidy(A)]
    assert session.problem == session.jobs[A].problem == problem
    session.submit(request(B), folder(B))
    assert session.problem is None, "another try clears it"


def test_the_button_starts_the_backend_and_clears_the_problem() -> None:
    session = Session()
    session.unreachable(Problem("The backend is not installed."))
    assert session.start() == [Reach()]
    assert session.problem is None
    assert session.start() == [], "it is being reached already"


def test_a_backend_that_refuses_is_a_problem() -> None:
    session = Session()
    session.submit(request(), folder(A))
    session.connected()
    assert session.receive(Refused(code="version", message="Update the add-on.")) == [HangUp(), Tidy(A)]
    assert session.problem == Problem("Update the add-on.", code="version")
    assert session.receive(Lost(reason="Update the add-on.")) == []


def test_a_backend_that_says_nothing_is_a_problem() -> None:
    session = Session()
    session.submit(request(), folder(A))
    session.watch(50.0)
    session.connected()
    assert session.watch(50.0 + GREETING_SECONDS) == []
    assert session.watch(51.0 + GREETING_SECONDS) == [HangUp(), Tidy(A)]
    assert session.problem is not None


def test_what_a_backend_has_accepted_waits_for_the_next() -> None:
    session = Session()
    session.adopt(request(), folder(A))
    job = session.jobs[A]
    session.watch(50.0)
    assert session.unreachable(Problem("The backend is not installed.")) == [HangUp()]
    assert session.status(job) == Status("No backend runs. The clip waits for its next start", "", "reattaching")
    assert (session.busy, session.waiting) == (False, True)
    assert session.watch(100.0) == [LookForBackend()]
    assert session.watch(100.0 + LOOK_SECONDS - 0.1) == []
    assert session.watch(100.0 + LOOK_SECONDS) == [LookForBackend()]
    assert session.reach() == [Reach()]
    assert not session.waiting
    assert session.watch(200.0) == []
    assert welcomed(session) == [Send(Watch(job=A))]


def test_what_a_backend_makes_is_taken_up_again_after_a_mistake_of_ours() -> None:
    session, job = running()
    assert session.unreachable(Problem("The add-on made a mistake.")) == [HangUp()]
    assert (job.state, job.losses) == (State.REATTACHING, 0)
    session.reach()
    assert welcomed(session) == [Send(Watch(job=A))]


def test_styles_that_have_changed_are_known_at_once() -> None:
    session, ink = ready(), msgspec.structs.replace(STYLE, name="ink")
    told = messages.Styles(styles=(ink,), notes=("A style was skipped.",))
    assert session.receive(told) == [KeepStyles((ink,))]
    assert (session.backend.styles, session.backend.notes) == ((ink,), told.notes)


def test_nothing_is_looked_for_when_nothing_waits() -> None:
    session, job = made()
    session.receive(Lost(reason="gone"))
    assert session.link is Link.NONE
    assert session.watch(100.0) == []
    assert job.state is State.MADE


def test_the_queue_is_ordered_about() -> None:
    session = ready()
    assert session.backend.pause() == [Send(Pause())]
    assert session.backend.resume() == [Send(Resume())]
    assert session.backend.move(A, 2) == [Send(Move(job=A, position=2))]
    assert session.backend.move(A, -1) == [Send(Move(job=A, position=0))]


# Files ---------------------------------------------------------------------------------------------------------


def test_frames_that_do_not_come_are_not_passed_over() -> None:
    session, job = fetching()
    deliver(session, A, range(3))
    assert session.receive(fetched(A, range(4))) == [Tidy(A)]
    assert job.problem == Problem(
        "Only 3 of 4 frames came; they are in /clips/a.", "Press Try Again.", code="frames_missing"
    )


def test_a_result_that_has_gone_is_said() -> None:
    session, job = fetching()
    denied = Denied(request="Fetch", job=A, code="no_result", message="The job has no result.", next_step="Again.")
    assert session.receive(denied) == [Tidy(A)]
    assert job.problem == Problem(
        "The job has no result. Only 0 of 4 frames came; they are in /clips/a.", "Again.", code="no_result"
    )


def test_a_frame_too_many_ends_the_job() -> None:
    session, job = fetching()
    assert session.receive(Frame(job=A, index=4, frames=5), (PNG,)) == [Tidy(A)]
    assert job.problem == Problem(
        "The backend sent frame 5 of a clip of 4 frames.", "Install the same release again.", code="frames_missing"
    )


@pytest.mark.parametrize("start", [copying, fetching])
def test_frames_that_can_be_written_nowhere_end_the_job_and_stay_with_the_backend(start: object) -> None:
    assert callable(start)
    session, job = start()
    session.changed = False
    assert session.could_not_write(A, "The disk is full.") == [Tidy(A)]
    assert session.changed, "the panel shows it at once"
    assert job.problem == Problem("The disk is full.", "Make room, then press Try Again.", code="folder_unwritable")
    assert session.receive(done(A)) == [], "the backend keeps the clip"


def test_frames_that_had_to_move_are_said() -> None:
    session, job = copying()
    session.moved(A, "/spare/a", "The frames are in /spare/a instead.")
    assert (job.folder, job.warnings) == ("/spare/a", ["The frames are in /spare/a instead."])


def test_a_strip_that_cannot_be_filled_says_so() -> None:
    session, job = here()
    session.changed = False
    assert session.could_not_fill(A, "Frames are missing in /clips/a.") == [Tidy(A)]
    assert session.changed
    assert job.problem == Problem("Frames are missing in /clips/a.", "Press Try Again.", code="frames_missing")


# The session as a whole ----------------------------------------------------------------------------------------


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


def test_what_is_said_of_a_job_before_it_was_sent_is_ignored() -> None:
    session = Session()
    session.submit(request(), folder(A))
    session.connected()
    for message in (Accepted(job=A, position=0), done(A), Failed(job=A, code="internal", message="m", next_step="n")):
        assert session.receive(message) == []
    assert session.receive(WELCOME) == [KeepStyles((STYLE,)), Send(request())]


def fail(session: Session, number: int) -> str:
    """Let a job fail."""
    job = f"{number:032x}"
    session.submit(request(job), folder(job))
    session.receive(Failed(job=job, code="internal", message="m", next_step="n"))
    return job


def test_old_jobs_are_forgotten_and_active_ones_never() -> None:
    session = ready()
    stays = "c" * 32
    session.submit(request(stays), folder(stays))
    failed = [fail(session, number) for number in range(3 * ENDED_KEPT)]
    assert list(session.jobs) == [stays, *failed[-ENDED_KEPT - 1 :]], "the last ones are kept"


def test_failures_that_the_edit_still_shows_are_not_forgotten() -> None:
    """Else they would be taken for clips of an earlier Blender and asked for again, in turns, for ever."""
    session = ready()
    failed = [fail(session, number) for number in range(ENDED_KEPT)]
    shown = waiting(*failed[:10])
    session.see(shown)
    more = [fail(session, number) for number in range(ENDED_KEPT, 2 * ENDED_KEPT)]
    assert shown.keys() <= session.jobs.keys()
    assert more[0] in session.jobs
    session.see({})
    for number in range(1000, 1010):
        fail(session, number)
    assert not shown.keys() & session.jobs.keys()


def test_the_table_of_states_has_no_way_out_of_an_end() -> None:
    assert set(NEXT) == set(State)
    assert all(not NEXT[state] for state in ENDED)
    assert all(NEXT[state] & {State.FAILED} for state in set(State) - ENDED), "every job can end"
    assert all(NEXT[state] & {State.CANCELLED} for state in set(State) - ENDED), "and be ended"
    job = Job(A, request(), folder(A), state=State.DONE)
    with pytest.raises(AssertionError, match="a job cannot go from DONE to RUNNING"):
        job.go(State.RUNNING)


def test_a_refusal_stands_until_the_next_wish() -> None:
    session, problem = ready(), Problem("The prompt is empty.")
    for again in (session.start, lambda: session.submit(request(), folder(A)), session.dismiss, session.leave_file):
        session.changed = False
        assert session.refuse(problem) == []
        assert (session.problem, session.changed) == (problem, True)
        again()
        assert session.problem is None


def test_finished_clips_are_found_when_asked_for() -> None:
    session = ready()
    assert session.backend.find_clips() == [Send(AskStatus()), Send(AskJobs(request_id=ALL, ended=MOST_FOUND))]
    assert wire.decode_request(wire.encode(AskJobs(ended=MOST_FOUND)))
    with pytest.raises(ProtocolError):
        wire.decode_request(wire.encode(AskJobs(ended=MOST_FOUND + 1)))
    session.receive(known(A, "done", has_result=True, prompt="a fox"))
    session.receive(known(B, "done", has_result=False))
    assert list(session.backend.finished) == [A]
    request = request_of(session.backend.finished[A])
    assert (request.job, request.prompt, request.frames, request.width) == (A, "a fox", 4, 64)


def view(job: str, position: int = 0, **more: Any) -> JobView:
    told = {"state": "queued", "mine": True, "frames": 4, "width": 64, "height": 64, "position": position, **more}
    return JobView(job=job, **told)


def tells_all(session: Session, jobs: Jobs) -> list[Action]:
    """The backend answers what `look_around` asks."""
    assert session.receive(messages.Status(loads=0, clients=1)) == []
    return session.receive(msgspec.structs.replace(jobs, request_id=ALL))


def test_the_answer_about_one_job_says_nothing_of_all_others() -> None:
    """As that to a Watch, which may come between the question for all and its answer."""
    session, job = running()
    everything = Jobs(queue=QueueState(running=1), jobs=(view(B, 0, mine=False), view(A, 1)), others=1, elsewhere=1)
    tells_all(session, everything)
    assert (session.backend.others, session.backend.times_told) == (2, 1)
    session.backend.shift(A, -1)
    session.backend.shift(B, 1)
    assert session.receive(Jobs(queue=QueueState(running=3), jobs=(view(A, 1),))) == []
    assert (session.backend.others, session.backend.times_told, job.position) == (2, 1, 4)
    assert tells_all(session, everything) == [Send(Move(job=A, position=0)), Send(Move(job=B, position=1))]


def test_a_waiting_job_goes_up_or_down_from_where_it_is() -> None:
    session, job = running()
    assert session.backend.shift(A, -1) == [Send(AskStatus()), Send(AskJobs(request_id=ALL))], (
        "where it is now, the backend knows"
    )
    jobs = Jobs(queue=QueueState(running=2), jobs=(view(B, 0), view(A, 3)))
    assert tells_all(session, jobs) == [Send(Move(job=A, position=2))]
    assert job.position == 5, "those that run come before it, too"
    assert tells_all(session, jobs) == [], "once"
    session.backend.shift(A, 1)
    session.backend.shift(A, -9)
    assert tells_all(session, jobs) == [Send(Move(job=A, position=4)), Send(Move(job=A, position=0))]
    session.backend.shift(A, 1)
    assert tells_all(session, Jobs(queue=QueueState(), jobs=(view(A, state="running", phase="painting"),))) == []


def test_the_pages_of_a_list_are_asked_for_one_by_one() -> None:
    session, mark = ready(), "1" * 32
    session.backend.find_clips()
    first = Jobs(queue=QueueState(), jobs=(view(A, state="done", has_result=True),), others=1, elsewhere=2, next=mark)
    assert tells_all(session, first) == [Send(AskJobs(request_id=ALL, ended=MOST_FOUND, after=mark))]
    assert (session.backend.others, session.backend.times_told) == (3, 0)
    session.receive(Jobs(queue=QueueState(), jobs=(view(B),)))  # answers a Watch
    assert session.backend.times_told == 0
    last = Jobs(queue=QueueState(), jobs=(view(B, state="done", has_result=True),), after=mark)
    assert session.receive(last) == []
    assert (list(session.backend.finished), session.backend.times_told) == ([A, B], 1)
    assert session.receive(last) == []
    assert session.backend.times_told == 1


def test_of_a_long_queue_no_more_is_asked_than_somebody_wants_to_know() -> None:
    session, mark = ready(), "1" * 32
    session.backend.look_around()
    long = Jobs(queue=QueueState(), jobs=(view(B),), next=mark)
    assert tells_all(session, long) == []
    assert session.backend.times_told == 1
    session.backend.shift(A, -2)
    assert tells_all(session, long) == [Send(AskJobs(request_id=ALL, after=mark))], "it stands further behind"
    session.backend.look_around()
    assert tells_all(session, long) == [Send(AskJobs(request_id=ALL, after=mark))], (
        "asked anew, while the second page was under way"
    )
    assert session.receive(Jobs(queue=QueueState(), jobs=(view(A, 9),), after=mark)) == [Send(Move(job=A, position=7))]
    session.backend.shift("c" * 32, 1)
    assert tells_all(session, long) == [Send(AskJobs(request_id=ALL, after=mark))]
    assert session.receive(Jobs(queue=QueueState(), jobs=(view(A, 9),), after=mark)) == []
    assert tells_all(session, long) == [], "it waits nowhere, and is not looked for again"


def test_what_was_asked_of_a_lost_backend_is_not_asked_of_the_next() -> None:
    session, _ = running()
    session.backend.shift(A, -1)
    session.unreachable(Problem("It has ended."))
    jobs = Jobs(queue=QueueState(), jobs=(view(A, 3),))
    assert session.backend.hear(jobs) == []
    assert session.backend.times_told == 0, "it comes with the greeting"
    assert session.backend.hear(msgspec.structs.replace(jobs, request_id=ALL)) == []
    assert session.backend.times_told == 1


def test_how_much_was_asked_of_a_lost_backend_is_not_asked_of_the_next() -> None:
    session, mark = ready(), "1" * 32
    session.backend.find_clips()
    session.unreachable(Problem("It has ended."))
    session.reach()
    welcomed(session)
    session.backend.look_around()
    assert tells_all(session, Jobs(queue=QueueState(), jobs=(view(B),), next=mark)) == []


def test_with_its_jobs_the_backend_tells_of_its_queue() -> None:
    session, _ = running()
    session.receive(Jobs(queue=QueueState(paused=True, running=1), jobs=()))
    assert session.backend.queue == QueueState(paused=True, running=1)


def test_what_the_greeting_tells_is_known() -> None:
    session, notes = Session(), ("A style was skipped.",)
    session.reach()
    session.connected()
    session.receive(msgspec.structs.replace(WELCOME, notes=notes, device="cuda", queue=QueueState(waiting=2)))
    backend = session.backend
    assert (backend.styles, backend.notes, backend.device) == ((STYLE,), notes, "cuda")
    assert backend.queue == QueueState(waiting=2)


def test_jobs_of_others_are_counted() -> None:
    """Those of other keys, and those of other Blenders and commands of this user's."""
    session, _ = running()
    assert session.backend.look_around() == [Send(AskStatus()), Send(AskJobs(request_id=ALL))]
    views = (view(A), view(B, 1, mine=False), view("c" * 32, state="done", mine=False, has_result=True))
    tells_all(session, Jobs(queue=QueueState(), jobs=views, others=2, elsewhere=1))
    assert session.backend.others == 3
    session.receive(Lost(reason="gone"))
    assert session.backend.others == 0


def test_what_the_backend_does_is_kept_while_it_runs() -> None:
    session, _ = running()
    told = messages.Status(loads=2, clients=1, notes=("A style was skipped.",), queue=QueueState(paused=True))
    assert session.receive(told) == []
    assert (session.backend.status, session.backend.notes, session.backend.queue.paused) == (told, told.notes, True)
    assert session.backend.free() == [Send(Free())]
    session.receive(Lost(reason="gone"))
    assert session.backend.status is None


def test_what_is_said_of_a_second_order_is_no_end_of_the_first() -> None:
    session, job = running()
    again = Failed(job=A, code="duplicate_job", message="m", next_step="n")
    assert session.receive(again) == []
    assert (job.state, job.problem, job.settled) == (State.RUNNING, None, False)


def test_frames_whose_folder_cannot_be_told_are_fetched() -> None:
    session, _ = running()
    session.see(waiting(A))
    session.receive(msgspec.structs.replace(done(A), folder=""))
    assert session.see(waiting(A)) == [Send(Fetch(job=A, first=0, count=4))]


def test_the_queue_is_shown_in_its_order() -> None:
    session = ready()
    first, second, third, fourth = (f"{number:032x}" for number in range(4))
    for job in (first, second, third, fourth):
        session.submit(request(job), folder(job))
    session.receive(Failed(job=first, code="internal", message="m", next_step="n"))
    session.receive(Accepted(job=second, position=2))
    session.receive(Accepted(job=third, position=1))
    session.receive(Progress(job=fourth, phase="painting", step=1, steps=9))
    assert [job.id for job in session.lines] == [fourth, third, second, first]


def test_a_finished_clip_of_another_file_stands_back_and_is_not_cancelled_with_all() -> None:
    session, job = made()
    assert session.unfinished == [job]
    session.leave_file()
    session.submit(request(B), folder(B))
    assert [each.id for each in session.lines] == [B, A]
    assert (session.foremost, session.unfinished) == (session.jobs[B], [session.jobs[B]])


def test_the_style_that_is_preferred_comes_first() -> None:
    ink = msgspec.structs.replace(STYLE, name="ink")
    session = Session((STYLE, ink))
    session.prefer("ink")
    assert [style.name for style in session.backend.styles] == ["ink", "plain"]
    session.reach()
    session.connected()
    keep = KeepStyles((STYLE, ink))
    assert session.receive(msgspec.structs.replace(WELCOME, styles=(STYLE, ink))) == [keep], (
        "kept as the backend has it"
    )
    assert [style.name for style in session.backend.styles] == ["ink", "plain"]
    session.prefer("gone")
    assert {style.name for style in session.backend.styles} == {"ink", "plain"}


def test_another_backend_can_be_wanted() -> None:
    session = ready()
    session.refuse(Problem("It is of no use."))
    assert session.part() == [HangUp()]
    assert (session.link, session.problem) == (Link.NONE, None)
    assert session.reach() == [Reach()]


def test_a_styles_picture_is_kept_and_shown() -> None:
    session = ready()
    session.changed = False
    assert session.receive(Thumbnail(sha256="a" * 64), (memoryview(PNG),)) == [KeepThumbnail("a" * 64, PNG)]
    assert session.changed


def test_what_is_here_is_not_fetched_again() -> None:
    session, job = fetching(6)
    deliver(session, A, range(2))
    job.written.add(5)
    assert job.next_fetch() == Fetch(job=A, first=2, count=3), "up to the last that is missing"
    job.written.update((2, 3))
    assert job.next_fetch() == Fetch(job=A, first=4, count=1)
    job.written.add(4)
    assert job.next_fetch() is None


def test_a_clip_that_came_from_elsewhere_is_known_as_shown() -> None:
    session = Session()
    job = session.know(request(), folder(A))
    assert session.jobs == {A: job}
    assert (job.state, job.folder, job.fraction, job.written) == (State.DONE, folder(A), 1.0, {0, 1, 2, 3})
    assert not session.busy
    session.reach()
    assert welcomed(session) == [], "the backend is not asked for it"
    for number in range(2 * ENDED_KEPT):
        session.know(request(f"{number:032x}"), "")
    assert len(session.jobs) == ENDED_KEPT + 1


def test_of_clips_that_are_taken_up_again_old_ones_are_forgotten() -> None:
    session = ready()
    for number in range(3 * ENDED_KEPT):
        job = f"{number:032x}"
        session.adopt(request(job), folder(job))
        session.receive(unknown(job))
    assert len(session.jobs) == ENDED_KEPT + 1


def test_a_problem_is_read_with_its_next_step_and_command() -> None:
    assert str(Problem("It is gone.")) == "It is gone."
    assert str(Problem("It is gone.", "Run this.", "install.py", "no_backend")) == "It is gone. Run this. install.py"


CHANGES: dict[str, tuple[Callable[[], Any], Callable[[Session], object]]] = {
    "cancel": (running, lambda session: session.cancel(A)),
    "prefer": (running, lambda session: session.prefer("plain")),
    "part": (running, lambda session: session.part()),
    "know": (running, lambda session: session.know(request(B), folder(B))),
    "submit": (running, lambda session: session.submit(request(B), folder(B))),
    "bring": (made, lambda session: session.see(waiting(A))),
    "leave": (running, lambda session: session.leave_file()),
    "lost": (running, lambda session: session.receive(Lost(reason="gone"))),
    "unreachable": (running, lambda session: session.unreachable(Problem("No such thing."))),
    "denied": (running, lambda session: session.receive(unknown(A, "Pause"))),
    "styles": (running, lambda session: session.receive(messages.Styles(styles=(STYLE,)))),
    "queue": (running, lambda session: session.receive(messages.Queue(queue=QueueState(paused=True)))),
    "jobs": (running, lambda session: session.receive(known(A, "running"))),
    "progress": (running, lambda session: session.receive(Progress(job=A, phase="text", step=1, steps=2))),
    "no answer": (running, lambda session: (session.cancel(A), session.watch(CANCEL_SECONDS + 1))),
    "copied": (copying, lambda session: session.copied(A)),
    "wrote": (fetching, lambda session: session.wrote(A, 0)),
    "moved": (copying, lambda session: session.moved(A, "/elsewhere/a")),
    "filled": (here, lambda session: session.filled(A)),
}


@pytest.mark.parametrize("name", CHANGES)
def test_whatever_happens_is_drawn(name: str) -> None:
    begin, happens = CHANGES[name]
    session, _ = begin()
    session.changed = False
    happens(session)
    assert session.changed


def test_nothing_is_drawn_when_nothing_happens() -> None:
    session, _ = running()
    assert session.changed
    session.changed = False
    session.see(waiting(A))
    session.watch(1.0)
    session.cancel(B)
    session.receive(done(B))
    session.receive(WELCOME)
    assert not session.changed


def test_the_steps_of_a_conversation_are_drawn() -> None:
    session = Session()
    assert session.changed, "it has not been drawn yet"
    for step in (session.reach, session.connected, lambda: session.receive(WELCOME)):
        session.changed = False
        step()
        assert session.changed


@pytest.mark.parametrize("asked", ["Shutdown", "Pause", "Resume"])
def test_what_the_backend_does_not_let_us_do_is_said(asked: str) -> None:
    session = ready()
    session.stop()
    denied = Denied(request=asked, code="not_allowed", message="Only its user may.", next_step="Ask them.")
    assert session.receive(denied) == []
    assert session.problem == Problem("Only its user may.", "Ask them.", code="not_allowed")
    assert not session.busy


def test_of_a_backend_that_was_never_there_nothing_is_known() -> None:
    backend = Session((STYLE,)).backend
    assert (backend.styles, backend.notes, backend.device, backend.status) == ((STYLE,), (), "", None)
    assert (backend.queue, backend.others, backend.finished, backend.times_told) == (QueueState(), 0, {}, 0)
    assert backend.foreseen == Foreseen()
