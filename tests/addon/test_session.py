"""The session: events → state → actions, without Blender, without a backend."""

from __future__ import annotations

from collections import Counter
from typing import get_args

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon import words
from blender_addon.actions import Action, AddStrip, HangUp, KeepStyles, Reach, Send, Tidy, Write
from blender_addon.job import ENDED, FETCH_FRAMES, NEXT, Job, Problem, State
from blender_addon.link import Link
from blender_addon.session import CANCEL_SECONDS, ENDED_KEPT, GREETING_SECONDS, MOST_LOSSES, Session
from blender_addon.wish import Wish
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Denied,
    Done,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Goodbye,
    Jobs,
    JobState,
    JobView,
    Message,
    Notice,
    Phase,
    Progress,
    Queue,
    QueueState,
    Received,
    Refused,
    Resume,
    Shutdown,
    Status,
    Style,
    Watch,
    Welcome,
)

A, B = "a" * 32, "b" * 32
PNG = b"\x89PNG\r\n\x1a\n"
STYLE = Style(
    name="plain",
    title="Plain",
    description="As it is.",
    width=64,
    height=64,
    frames=4,
    size_step=8,
    min_size=32,
    max_size=128,
    max_frames=32,
    example_prompt="a fox",
)
WELCOME = Welcome(major=1, minor=0, backend="0.1.0", session="s", device="cpu", styles=(STYLE,))


def done(job: str, frames: int = 4) -> Done:
    return Done(job=job, frames=frames, width=64, height=64, fps=8.0, seed=1, seconds=1.0)


def known(job: str, state: JobState = "queued", **more: object) -> Jobs:
    """What a backend answers about a job that it has."""
    view = JobView(job=job, state=state, mine=True, frames=4, width=64, height=64, **more)  # type: ignore[arg-type]
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
    session.submit(A, Wish("a fox", frames=frames), "/clips/a")
    session.receive(Accepted(job=A, position=0))
    return session, session.jobs[A]


def deliver(session: Session, job: str, indices: range) -> None:
    """Let frames arrive and be written."""
    for index in indices:
        (write,) = session.receive(Frame(job=job, index=index, frames=4), (PNG,))
        assert write == Write(job, index, PNG)
        assert session.wrote(job, index) == []


def test_a_prompt_becomes_a_strip() -> None:
    session = Session()
    assert session.submit(A, Wish("a fox", seed=5), "/clips/a") == [Reach()]
    job = session.jobs[A]
    assert session.status(job) == "Starting the backend"
    assert session.connected() == []
    assert session.status(job) == "Connecting to the backend"
    request = Generate(job=A, prompt="a fox", style="plain", frames=4, width=64, height=64, seed=5)
    assert session.receive(WELCOME) == [KeepStyles((STYLE,)), Send(request)]
    session.receive(Accepted(job=A, position=2, warnings=("The models do not know “zebra”.",)))
    assert session.status(job) == "Waiting for its turn, 2 before it"
    session.receive(Progress(job=A, phase="loading", step=0, steps=0))
    assert session.status(job) == "Loading the models"
    session.receive(Progress(job=A, phase="painting", step=12, steps=25, seconds_left=9.2))
    assert session.status(job) == "Painting, 12 of 25 — about 9 s left"
    assert job.fraction == 12 / 25
    deliver(session, A, range(4))
    assert session.receive(done(A)) == [AddStrip(A)]
    assert job.state is State.ADDING
    assert session.busy
    assert session.added(A, "4 frames added.", ["It plays 3 times as fast."]) == [Send(Received(job=A))]
    assert job.state is State.DONE
    assert not session.busy
    assert session.status(job) == "4 frames added."
    assert job.warnings == ["The models do not know “zebra”.", "It plays 3 times as fast."]


def test_a_second_job_goes_out_at_once() -> None:
    session, _ = running()
    (send,) = session.submit(B, Wish("a hare"), "/clips/b")
    assert isinstance(send, Send)
    assert [job.id for job in session.active] == [A, B]


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish("a fox", style="nope"), "The backend has no style “nope”."),
        (Wish("a fox", frames=33), "The style “plain” makes at most 32 frames, not 33."),
        (Wish("a fox", width=36), "The style “plain” cannot make a width of 36 pixels."),
        (Wish("a fox", height=256), "The style “plain” cannot make a height of 256 pixels."),
    ],
)
def test_what_the_style_cannot_do_is_never_sent(wish: Wish, sentence: str) -> None:
    session = ready()
    assert session.submit(A, wish, "/clips/a") == [Tidy(A)]
    problem = session.jobs[A].problem
    assert problem is not None
    assert problem.sentence == sentence
    assert problem.next_step


def test_cancel_before_anything_was_sent_is_immediate() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), "/clips/a")
    assert session.cancel(A) == [Tidy(A)]
    session.connected()
    assert session.receive(WELCOME) == [KeepStyles((STYLE,))], "the cancelled job is not sent"


def test_cancel_waits_for_the_backends_word() -> None:
    session, job = running()
    assert session.cancel(A) == [Send(Cancel(job=A))]
    assert session.cancel(A) == [], "once is enough"
    assert session.status(job) == "Cancelling"
    assert session.receive(Cancelled(job=A)) == [Tidy(A), Send(Received(job=A))]
    assert job.state is State.CANCELLED


def test_cancel_without_an_answer_ends_all_the_same() -> None:
    session, job = running()
    session.watch(100.0)
    session.cancel(A)
    assert session.watch(100.0 + CANCEL_SECONDS - 1) == []
    assert session.watch(101.0 + CANCEL_SECONDS) == [Tidy(A)]
    assert job.state is State.CANCELLED
    assert "did not answer" in session.status(job)
    assert session.receive(done(A)) == [Send(Received(job=A))], "what comes later does not count, and is not wanted"
    assert job.state is State.CANCELLED


def test_a_clip_that_was_faster_than_its_cancel_is_added() -> None:
    session, job = running()
    deliver(session, A, range(4))
    session.cancel(A)
    assert session.receive(done(A)) == [AddStrip(A)]
    assert session.receive(Cancelled(job=A)) == []
    session.added(A, "added")
    assert job.state is State.DONE


def test_a_lost_backend_is_reached_again_and_asked_for_its_jobs() -> None:
    session, job = running()
    deliver(session, A, range(2))
    session.receive(Progress(job=A, phase="decoding", step=9, steps=10))
    assert session.receive(Lost(reason="The backend has ended.")) == [HangUp(), Reach()]
    assert session.busy
    assert session.status(job) == "The backend was lost. Reaching for it again"
    assert come_back(session) == [Send(Watch(job=A))]
    assert session.receive(known(A, "queued", position=2)) == []
    assert (job.state, job.step, job.written) == (State.RUNNING, 0, set()), "it is made from the start"
    assert session.status(job) == "Waiting for its turn, 2 before it"
    deliver(session, A, range(4))
    assert session.receive(done(A)) == [AddStrip(A)]
    assert session.added(A, "added") == [Send(Received(job=A))]


def test_frames_of_a_clip_that_was_finished_meanwhile_are_fetched() -> None:
    frames = 2 * FETCH_FRAMES + 3
    session, job = ready(), None
    session.submit(A, Wish("a fox", frames=32), "/clips/a")
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
    while actions != [AddStrip(A)]:
        (send,) = actions
        assert isinstance(send, Send)
        assert isinstance(send.request, Fetch)
        assert session.status(job) == "Fetching the frames"
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
    session.submit(A, Wish("a fox"), "/clips/a")
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
    assert session.status(job) == "The backend was stopped. The clip waits for its next start"
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
    session.submit(B, Wish("a hare"), "/clips/b")
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


def test_a_try_anew_counts_its_frames_and_steps_from_nothing() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="decoding", step=9, steps=10))
    deliver(session, A, range(3))
    notice = Notice(job=A, message="It is tried again.", again=True)
    assert session.receive(notice) == []
    assert (job.step, job.steps, job.written, job.fraction) == (0, 0, set(), 0.0)
    session.receive(notice)
    session.receive(Notice(job=A, message="With less memory."))
    assert job.warnings == ["It is tried again.", "With less memory."]
    deliver(session, A, range(4))
    assert session.receive(done(A)) == [AddStrip(A)]


def test_loading_shows_megabytes_and_every_phase_has_words() -> None:
    session, job = running()
    loading = Progress(job=A, phase="loading", step=0, steps=0, bytes_done=120_400_000, bytes_total=4_265_000_000)
    session.receive(loading)
    assert session.status(job) == "Loading the models, 120 of 4265 MB"
    session.receive(Progress(job=A, phase="decoding", step=30, steps=25))
    assert session.status(job) == "Making the pictures, 25 of 25"
    for phase in get_args(Phase):
        session.receive(Progress(job=A, phase=phase, step=1, steps=2))
        assert session.status(job).startswith(words.PHASES[phase])


def test_place_in_the_queue_is_kept_up_to_date() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0, position=3, seconds_left=200.0))
    assert session.status(job) == "Waiting for its turn, 3 before it — about 3 min left"
    session.watch(1000.0)
    assert "no news" not in session.status(job), "who waits is told of changes alone"
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0, position=0))
    assert session.status(job) == "Waiting for its turn"


def test_a_queue_that_stands_still_says_why() -> None:
    session, job = running()
    session.receive(Queue(queue=QueueState(stopped="The disk is full. Make room.")))
    assert session.status(job) == "The disk is full. Make room."
    assert session.resume() == [Send(Resume())]
    session.receive(Queue(queue=QueueState(paused=True)))
    assert session.status(job) == "The queue is paused"
    session.receive(Progress(job=A, phase="painting", step=1, steps=2))
    assert session.status(job) == "Painting, 1 of 2", "what runs goes on"
    session.receive(Queue(queue=QueueState()))
    session.receive(Progress(job=A, phase="waiting", step=0, steps=0))
    assert session.status(job) == "Waiting for its turn"


def test_a_queue_that_stood_still_before_we_came_says_so_too() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), "/clips/a")
    session.connected()
    session.receive(msgspec.structs.replace(WELCOME, queue=QueueState(paused=True)))
    session.receive(Accepted(job=A, position=0))
    assert session.status(session.jobs[A]) == "The queue is paused"
    session.receive(Lost(reason="gone"))
    come_back(session)
    session.receive(known(A))
    assert session.status(session.jobs[A]) == "Waiting for its turn", "another backend, another queue"


def test_a_cancelled_job_that_arrived_all_the_same_is_done_with() -> None:
    session = ready()
    session.submit(A, Wish("a fox"), "/clips/a")
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


def test_the_unreachable_backend_is_a_problem_with_a_command() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), "/clips/a")
    problem = Problem("The backend is not installed.", "Run this.", "python3 install.py setup")
    assert session.unreachable(problem) == [HangUp(), Tidy(A)]
    assert session.problem == session.jobs[A].problem == problem
    session.submit(B, Wish("a hare"), "/clips/b")
    assert session.problem is None, "another try clears it"


def test_a_backend_that_refuses_is_a_problem() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), "/clips/a")
    session.connected()
    assert session.receive(Refused(code="version", message="Update the add-on.")) == [HangUp(), Tidy(A)]
    assert session.problem == Problem("Update the add-on.")
    assert session.receive(Lost(reason="Update the add-on.")) == []


def test_a_backend_that_says_nothing_is_a_problem() -> None:
    session = Session()
    session.submit(A, Wish("a fox"), "/clips/a")
    session.watch(50.0)
    session.connected()
    assert session.watch(50.0 + GREETING_SECONDS) == []
    assert session.watch(51.0 + GREETING_SECONDS) == [HangUp(), Tidy(A)]
    assert session.problem is not None


def test_silence_about_a_job_is_said() -> None:
    session, job = running()
    session.receive(Progress(job=A, phase="painting", step=1, steps=4))
    assert session.watch(200.0) == []
    assert session.status(job) == "Painting — no news for 3 min"
    assert job.state is State.RUNNING


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
    session.submit(A, Wish("a fox", seed=77), "/clips/a")
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
    assert session.could_not_add(A, "The scene is gone.") == [Tidy(A)]
    assert job.problem == Problem("The scene is gone.", "The frames are in /clips/a.")


def test_strange_mail_is_ignored() -> None:
    session, job = running()
    for message in (
        done(B),
        Failed(job=B, code="internal", message="m", next_step="n"),
        Status(running=None, waiting=0, worker_pid=0, loads=0, clients=1),
        WELCOME,
    ):
        assert session.receive(message) == []
    assert job.state is State.RUNNING


def test_old_jobs_are_forgotten_and_active_ones_never() -> None:
    session = ready()
    session.submit("c" * 32, Wish("stays"), "/clips/c")
    for number in range(3 * ENDED_KEPT):
        session.submit(f"{number:032x}", Wish("a fox", style="nope"), "/clips")
    assert len(session.jobs) <= ENDED_KEPT + 2
    assert "c" * 32 in session.jobs


def test_the_table_of_states_has_no_way_out_of_an_end() -> None:
    assert set(NEXT) == set(State)
    assert all(not NEXT[state] for state in ENDED)
    assert all(NEXT[state] & ENDED for state in set(State) - ENDED), "every job can end"


# Any order of events --------------------------------------------------------------------------------------------

JOBS = (A, B)
job_ids = st.sampled_from(JOBS)
messages = st.one_of(
    st.just(WELCOME),
    st.builds(Accepted, job=job_ids, position=st.integers(0, 3)),
    st.builds(Progress, job=job_ids, phase=st.sampled_from(["loading", "painting"]), step=st.just(1), steps=st.just(4)),
    st.builds(Frame, job=job_ids, index=st.integers(0, 4), frames=st.just(4)),
    st.builds(done, job_ids),
    st.builds(Failed, job=job_ids, code=st.just("internal"), message=st.just("m"), next_step=st.just("n")),
    st.builds(Cancelled, job=job_ids),
    st.builds(known, job_ids, st.sampled_from(["queued", "running", "done"])),
    st.builds(unknown, job_ids, st.sampled_from(["Watch", "Fetch", "Cancel", "Received"])),
    st.builds(Fetched, job=job_ids, first=st.integers(0, 3), count=st.integers(0, 4)),
    st.builds(Notice, job=job_ids, message=st.just("m"), again=st.booleans()),
    st.builds(lambda stopped: Queue(queue=QueueState(stopped=stopped)), st.sampled_from(["", "full"])),
    st.just(Refused(code="version", message="m")),
    st.just(Lost(reason="gone")),
    st.just(Goodbye()),
)
happenings = st.one_of(
    st.tuples(st.just("receive"), messages),
    st.tuples(st.just("receive"), messages),
    st.tuples(st.just("submit"), job_ids),
    st.tuples(st.just("cancel"), job_ids),
    st.tuples(st.just("connected"), st.none()),
    st.tuples(st.just("unreachable"), st.none()),
    st.tuples(st.just("reach"), st.none()),
    st.tuples(st.just("give up"), job_ids),
    st.tuples(st.just("pass"), st.floats(0.1, 30)),
    st.tuples(st.just("deliver"), job_ids),
)


class World:
    """Does what the session asks for, as the pump does, and watches that it all makes sense."""

    def __init__(self, disk_fails: bool, strip_fails: bool) -> None:
        self.session = Session()
        self.now = 0.0
        self.open = False
        self.reaching = False
        self.ended: Counter[str] = Counter()
        self.strips: Counter[str] = Counter()
        self.tidied: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self.received: Counter[str] = Counter()
        self._disk_fails, self._strip_fails = disk_fails, strip_fails

    def happen(self, kind: str, what: object) -> None:
        before = {job.id: job.state for job in self.session.jobs.values()}
        actions: list[Action] = []
        if kind == "receive" and self.open:
            assert isinstance(what, Message)
            if isinstance(what, Denied) and what.request == "Watch":
                self.denied[what.job] += 1
            actions = self.session.receive(what, (PNG,) if isinstance(what, Frame) else ())
        elif kind == "submit" and what not in self.session.jobs:
            actions = self.session.submit(str(what), Wish("a fox"), "/clips")
        elif kind == "cancel":
            actions = self.session.cancel(str(what))
        elif kind == "reach":
            actions = self.session.reach()
        elif kind == "give up" and what in self.session.jobs:
            actions = self.session.give_up(str(what))
        elif kind == "connected" and self.reaching:
            self.open, self.reaching = True, False
            actions = self.session.connected()
        elif kind == "unreachable" and self.reaching:
            actions = self.session.unreachable(Problem("no"))
        elif kind == "pass":
            assert isinstance(what, float)
            self.now += what
            actions = self.session.watch(self.now)
        elif kind == "deliver" and self.open:
            for index in range(4):
                self.happen("receive", Frame(job=str(what), index=index, frames=4))
        self.perform(actions)
        for job in self.session.jobs.values():
            was = before.get(job.id)
            if was in ENDED:
                assert job.state is was, "an ended job stays as it ended"
            elif job.ended:
                self.ended[job.id] += 1

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Reach():
                    assert not self.open
                    self.reaching = True
                case HangUp():
                    self.open = self.reaching = False
                case Send(Generate() as request):
                    assert self.open
                    self.sent[request.job] += 1
                case Send(Received(job=job)):
                    assert self.session.jobs[job].ended, "a clip that is on its way is not given out of hand"
                    self.received[job] += 1
                case Write(job, index):
                    assert not self.session.jobs[job].ended
                    if self._disk_fails and index == 2:
                        self.perform(self.session.could_not_write(job, "full"))
                    else:
                        self.perform(self.session.wrote(job, index))
                case AddStrip(job):
                    self.strips[job] += 1
                    assert len(self.session.jobs[job].written) == 4
                    if self._strip_fails:
                        self.perform(self.session.could_not_add(job, "no"))
                    else:
                        self.perform(self.session.added(job, "added"))
                case Tidy(job):
                    self.tidied[job] += 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(happenings, max_size=60), st.booleans(), st.booleans())
def test_any_order_of_events_makes_sense(events: list[tuple[str, object]], disk_fails: bool, strip_fails: bool) -> None:
    world = World(disk_fails, strip_fails)
    for kind, what in events:
        world.happen(kind, what)
        for job in world.session.jobs.values():
            assert world.session.status(job)
            assert 0 <= job.fraction <= 1
    for job in world.session.jobs.values():
        assert world.ended[job.id] == int(job.ended), "exactly one end"
        assert world.strips[job.id] <= 1
        assert world.sent[job.id] <= 1 + world.denied[job.id], "again only if it is not there"
        assert job.losses <= MOST_LOSSES
        assert world.tidied[job.id] == int(job.state in (State.FAILED, State.CANCELLED))
        assert (job.state is State.FAILED) <= (job.problem is not None)


@settings(max_examples=100, deadline=None)
@given(st.lists(happenings, max_size=40))
def test_every_job_ends_when_the_backend_is_gone(events: list[tuple[str, object]]) -> None:
    world = World(disk_fails=False, strip_fails=False)
    for kind, what in events:
        world.happen(kind, what)
    for _ in range(MOST_LOSSES):
        world.happen("reach", None)
        world.happen("connected", None)
        world.happen("receive", Lost(reason="gone"))
    assert not world.session.active
    assert not world.session.busy
