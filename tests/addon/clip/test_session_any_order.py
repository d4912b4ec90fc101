"""The session makes sense whatever comes in whatever order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon.clip.actions import Action, Copy, HangUp, LookForBackend, Reach, Read, Send, Tidy, Write
from blender_addon.clip.job import ENDED, Job, Problem, State
from blender_addon.clip.link import Link
from blender_addon.clip.losses import MOST_LOSSES
from blender_addon.clip.pictures import NONE as NO_PICTURES
from blender_addon.clip.session import UNDO_SECONDS, Session
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
    Queue,
    QueueState,
    Received,
    Refused,
    Styles,
    Watch,
)
from shared_protocol.wire import buffers_of
from tests.addon.sessions import PICTURES, PNG, WELCOME, A, B, done, known, request, unknown

pytestmark = pytest.mark.slow

HASHES = ("e" * 64,) * 4
Events = list[tuple[str, object]]
JOBS = (A, B)
job_ids = st.sampled_from(JOBS)
messages = st.one_of(
    st.just(WELCOME),
    st.builds(Accepted, job=job_ids, position=st.integers(0, 3)),
    st.builds(
        Progress,
        job=job_ids,
        phase=st.sampled_from(["loading", "painting"]),
        step=st.just(1),
        steps=st.just(4),
        preview_frames=st.sampled_from([0, 4]),
    ),
    st.builds(Frame, job=job_ids, index=st.integers(0, 4), frames=st.just(4)),
    st.builds(done, job_ids),
    st.builds(Failed, job=job_ids, code=st.just("internal"), message=st.just("m"), next_step=st.just("n")),
    st.builds(Cancelled, job=job_ids),
    st.builds(known, job_ids, st.sampled_from(["queued", "running", "done"])),
    st.builds(unknown, job_ids, st.sampled_from(["Watch", "Fetch", "Cancel", "Received"])),
    st.builds(Fetched, job=job_ids, first=st.integers(0, 3), count=st.integers(0, 4)),
    st.builds(Notice, job=job_ids, message=st.just("m"), again=st.booleans()),
    st.builds(lambda stopped: Queue(queue=QueueState(stopped=stopped)), st.sampled_from(["", "full"])),
    st.just(Styles(styles=WELCOME.styles, notes=())),
    st.just(Refused(code="version", message="m")),
    st.just(Lost(reason="gone")),
    st.just(Goodbye()),
)
happenings = st.one_of(
    st.tuples(st.just("receive"), messages),
    st.tuples(st.just("receive"), messages),
    st.tuples(st.sampled_from(["submit", "adopt", "cancel", "give up", "take away", "put back"]), job_ids),
    st.tuples(st.sampled_from(["deliver", "come back", "copied", "read"]), job_ids),
    st.tuples(st.sampled_from(["connected", "unreachable", "reach", "leave file", "move", "fill"]), st.none()),
    st.tuples(st.just("previews"), st.booleans()),
    st.tuples(st.just("see"), st.none()),
    st.tuples(st.just("pass"), st.floats(0.1, 30)),
)


SEE, COPIED, FILL = ("see", None), ("copied", A), ("fill", None)
LOST = ("receive", Lost(reason="gone"))
UNREACHABLE: Events = [("reach", None), ("unreachable", None)]
BACK: Events = [("reach", None), ("connected", None), ("receive", WELCOME)]
SENT: Events = [("submit", A), *BACK]
RUNNING: Events = [*SENT, ("receive", Accepted(job=A, position=0))]
MADE: Events = [*RUNNING, ("receive", done(A))]
TAKEN_AWAY: Events = [("take away", A), ("pass", UNDO_SECONDS + 1), SEE]
BOTH: Events = [("submit", A), ("submit", B), *BACK, ("cancel", A), ("receive", Cancelled(job=A))]
STARTS: dict[str, tuple[Events, State | None, State | None]] = {
    "nothing": ([], None, None),
    "held": ([("submit", A)], State.HELD, State.HELD),
    "two jobs": ([*RUNNING, ("submit", B), ("receive", Accepted(job=B, position=1))], State.RUNNING, State.RUNNING),
    "cancelled, and the other's pictures are being read": (BOTH, State.CANCELLED, State.CANCELLED),
    "lost while the other's pictures are read": ([*BOTH, LOST, *BACK], State.CANCELLED, State.CANCELLED),
    "the other's pictures are there": ([*BOTH, ("read", B)], State.CANCELLED, State.CANCELLED),
    "lost while it runs": ([*RUNNING, LOST], State.REATTACHING, State.REATTACHING),
    "lost, and no other to be had": ([*RUNNING, LOST, *UNREACHABLE], State.REATTACHING, State.REATTACHING),
    "told to end": ([*RUNNING, ("receive", Goodbye())], State.REATTACHING, State.REATTACHING),
    "lost, and back": ([*RUNNING, LOST, *BACK], State.REATTACHING, State.REATTACHING),
    "lost, and back before it was accepted": ([*SENT, LOST, *BACK], State.REATTACHING, State.REATTACHING),
    "lost, back, and done before Jobs": ([*RUNNING, LOST, *BACK, ("receive", done(A))], State.MADE, State.MADE),
    "lost, back, and ended before Jobs": (
        [*RUNNING, LOST, *BACK, ("receive", Cancelled(job=A))],
        State.CANCELLED,
        State.CANCELLED,
    ),
    "adopted": ([("adopt", A), *BACK], State.REATTACHING, State.REATTACHING),
    "adopted, and nobody is there": ([("adopt", A), ("unreachable", None)], State.REATTACHING, State.REATTACHING),
    "made": (MADE, State.MADE, State.MADE),
    "made, and another file is open": ([*MADE, ("leave file", None), SEE], State.MADE, State.MADE),
    "on its way": ([*MADE, SEE], State.FETCHING, State.FETCHING),
    "on its way, and lost": ([*MADE, SEE, LOST], State.FETCHING, State.REATTACHING),
    "half of it here, lost, and back": (
        [*MADE, SEE, ("receive", Frame(job=A, index=0, frames=4)), LOST, *BACK],
        State.FETCHING,
        State.REATTACHING,
    ),
    "made, and lost": ([*MADE, LOST], State.MADE, State.REATTACHING),
    "here": ([*MADE, SEE, COPIED], State.FILLING, State.FILLING),
    "here, and lost": ([*MADE, SEE, COPIED, LOST], State.FILLING, State.FILLING),
    "shown": ([*MADE, SEE, COPIED, FILL], State.DONE, State.DONE),
    "cancelled, and no answer yet": ([*RUNNING, ("cancel", A)], State.RUNNING, State.RUNNING),
    "cancelled, and denied": (
        [*RUNNING, ("cancel", A), ("receive", unknown(A, "Cancel"))],
        State.CANCELLED,
        State.CANCELLED,
    ),
    "cancelled while it is asked for": (
        [*RUNNING, LOST, *BACK, ("cancel", A)],
        State.REATTACHING,
        State.REATTACHING,
    ),
    "taken away": ([*RUNNING, *TAKEN_AWAY], State.RUNNING, State.RUNNING),
    "taken away, ended and put back": (
        [*RUNNING, *TAKEN_AWAY, ("receive", Cancelled(job=A)), ("put back", A), SEE],
        State.CANCELLED,
        State.CANCELLED,
    ),
    "taken away when it was made": ([*MADE, SEE, *TAKEN_AWAY], State.FETCHING, State.FETCHING),
    "lost as often as a job may be": (
        [*RUNNING, *(one for _ in range(MOST_LOSSES) for one in (LOST, *BACK))],
        State.FAILED,
        State.FAILED,
    ),
}
"""Ways to states that random events seldom find, and where they lead job A, with a backend here or elsewhere."""
starts = st.sampled_from([events for events, _, _ in STARTS.values()])


class World:
    """Does what the session asks for, as pump and timeline do, and watches that it all makes sense."""

    def __init__(self, *, local: bool, disk_fails: bool = False, strip_fails: bool = False) -> None:
        self.session = Session()
        self.session.local = local
        self.now = 0.0
        self.open = False
        self.reaching = False
        self.strips: set[str] = set()
        """Jobs whose strips wait in the open file."""
        self.parent = 0
        self.reading: set[str] = set()
        """Jobs whose pictures are being read."""
        self.copies: dict[str, str] = {}
        """Under way, and where to."""
        self.fetches: dict[str, Fetch] = {}
        """Frames that the backend has still to send."""
        self.ended: Counter[str] = Counter()
        self.shown: Counter[str] = Counter()
        self.tidied: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self.denied: Counter[str] = Counter()
        self._disk_fails, self._strip_fails = disk_fails, strip_fails

    @property
    def waiting(self) -> dict[str, str]:
        """The edit as the session is told of it."""
        return {job: f"/{self.parent}/{job}" for job in sorted(self.strips)}

    def happen(self, kind: str, what: object) -> None:
        if kind == "deliver":
            for index in range(4):
                self.happen("receive", Frame(job=str(what), index=index, frames=4))
            self.happen("receive", Fetched(job=str(what), first=0, count=4))
            return  # each of them was looked at
        if kind == "copied" and what in self.fetches:
            self.send(self.fetches.pop(str(what)))
            return
        before = {job.id: (job, job.state, job.has_frames, job.folder) for job in self.session.jobs.values()}
        gives_up = kind == "unreachable" and self.reaching
        safe = {job.id for job in self.session.active if self.is_safe(job)}
        self.perform(self.actions(kind, what))
        for job, state, has_frames, folder in before.values():
            if state in ENDED:
                assert job.state is state, "an ended job stays as it ended"
            elif job.ended:
                self.ended[job.id] += 1
            if has_frames:
                assert job.folder == folder, "its frames are there"
            if job.id in safe and job.state in (State.FAILED, State.CANCELLED):
                assert self.may_end(job, kind, what), f"{kind} has ended a clip that a strip waits for"
        if gives_up:
            for job in self.session.active:
                assert job.accepted, "it would wait for nothing"
            assert not self.session.busy or any(
                job.state in (State.MADE, State.FETCHING, State.FILLING) for job in self.session.active
            )

    def is_safe(self, job: Job) -> bool:
        """Whether a strip waits for a clip that a backend has, and nobody has asked for its end."""
        return job.accepted and job.id in self.strips and job.cancel_asked is None

    def may_end(self, job: Job, kind: str, what: object) -> bool:
        """Whether this may end such a clip."""
        match what:
            case Failed() | Cancelled() | Frame() | Fetched() | Denied():
                return what.job == job.id
            case Lost():
                return job.losses == MOST_LOSSES
            case str():
                return what == job.id and (kind in ("cancel", "give up") or (kind == "copied" and self._disk_fails))
        return kind == "fill" and self._strip_fails

    def actions(self, kind: str, what: object) -> list[Action]:
        """What the session asks for when this happens."""
        session, job = self.session, what if isinstance(what, str) else ""
        if kind == "receive" and self.open:
            assert isinstance(what, Message)
            if isinstance(what, Denied) and what.request == "Watch":
                self.denied[what.job] += 1
            return session.receive(what, (PNG,) * buffers_of(what))
        if kind == "submit" and job not in session.jobs:
            self.strips.add(job)
            return session.submit(request(job), f"/{self.parent}/{job}", PICTURES if job == B else NO_PICTURES)
        if kind == "adopt" and job not in session.jobs:
            self.strips.add(job)
            return session.adopt(request(job), f"/{self.parent}/{job}")
        if kind == "take away":
            self.strips.discard(job)
        if kind == "put back" and job in session.jobs and session.jobs[job].state is not State.DONE:
            self.strips.add(job)
        if kind == "come back":
            for back in session.come_back(self.waiting):
                assert session.jobs[back].state is State.CANCELLED
                assert back in self.strips
                self.strips.discard(back)  # it gets another ticket
        if kind == "leave file":
            self.strips.clear()
            session.leave_file()
        if kind == "move":
            self.parent += 1
        if kind == "previews":
            return session.want_previews(bool(what))
        if kind == "see":
            return session.see(self.waiting)
        if kind == "cancel":
            return session.cancel(job)
        if kind == "give up" and job in session.jobs:
            return session.give_up(job)
        if kind == "reach":
            return session.reach()
        if kind == "connected" and self.reaching:
            self.open, self.reaching = True, False
            return session.connected()
        if kind == "unreachable" and self.reaching:
            return session.unreachable(Problem("no"))
        if kind == "pass":
            assert isinstance(what, float)
            self.now += what
            return session.watch(self.now)
        if kind == "read" and job in self.reading:
            self.reading.discard(job)
            return session.could_not_read(job, "no") if self._disk_fails else session.pictures_read(job, HASHES, "")
        if kind == "copied" and job in self.copies:
            assert self.copies.pop(job) == session.jobs[job].folder, "else they would not be found"
            return session.could_not_write(job, "full") if self._disk_fails else session.copied(job)
        if kind == "fill":
            return [action for each in list(session.active) for action in self.fill(each)]
        return []

    def send(self, fetch: Fetch) -> None:
        """Let frames come that were asked for."""
        for index in range(fetch.first, fetch.first + fetch.count):
            self.happen("receive", Frame(job=fetch.job, index=index, frames=4))
        self.happen("receive", Fetched(job=fetch.job, first=fetch.first, count=fetch.count))

    def fill(self, job: Job) -> list[Action]:
        """Let the strips show what is here, as the timeline does."""
        if job.state is not State.FILLING or job.seen is None:
            return []
        assert job.written == {0, 1, 2, 3}
        if self._strip_fails:
            return self.session.could_not_fill(job.id, "gone")
        self.shown[job.id] += 1
        self.strips.discard(job.id)
        return self.session.filled(job.id)

    def perform(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Reach():
                    assert not self.open
                    self.reaching = True
                case LookForBackend():
                    assert self.session.link is Link.NONE
                    assert any(job.accepted for job in self.session.active)
                case HangUp():
                    self.open = self.reaching = False
                    self.fetches.clear()
                case Send(Generate() as asked):
                    assert self.open
                    assert not self.session.jobs[asked.job].ended
                    assert asked.footage == (HASHES if asked.job == B else ())
                    self.sent[asked.job] += 1
                case Read(job, pictures):
                    assert self.open
                    assert pictures == PICTURES
                    assert self.session.jobs[job].state is State.READING
                    self.reading.add(job)
                case Send(Watch(job=job)):
                    assert self.open
                    assert not self.session.jobs[job].ended
                case Send(Fetch() as fetch):
                    assert self.open
                    assert not self.session.jobs[fetch.job].ended
                    self.fetches[fetch.job] = fetch
                case Send(Cancel(job=job)):
                    assert self.open
                    assert self.session.jobs[job].ended or self.session.jobs[job].cancel_asked is not None
                case Send(Received(job=job)):
                    assert self.session.jobs[job].ended, "a clip that is on its way is not given out of hand"
                    assert self.session.jobs[job].accepted
                case Copy(job):
                    assert self.session.local
                    assert job in self.strips, "nobody waits for it"
                    assert job not in self.copies
                    assert self.session.jobs[job].state is State.FETCHING
                    self.copies[job] = self.session.jobs[job].folder
                case Write(job, index):
                    assert not self.session.jobs[job].ended
                    if self._disk_fails and index == 2:
                        self.perform(self.session.could_not_write(job, "full"))
                    else:
                        self.perform(self.session.wrote(job, index))
                case Tidy(job):
                    assert self.session.jobs[job].ended
                    self.reading.discard(job)
                    self.tidied[job] += 1

    def serve(self) -> None:
        """A backend comes that does all that it is asked for, and the edit is looked at."""
        for kind, what in BACK:
            if self.session.link is not Link.READY:
                self.happen(kind, what)
        for job in list(self.session.active):
            self.happen("read", job.id)
            if job.cancel_asked is not None:
                self.happen("receive", Cancelled(job=job.id))
            else:
                self.happen("receive", done(job.id))
        self.happen("see", None)
        for job in list(self.session.active):
            self.happen("copied", job.id)
        self.happen("fill", None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(starts, st.lists(happenings, max_size=60), st.booleans(), st.booleans(), st.booleans())
def test_any_order_of_events_makes_sense(
    start: Events, events: Events, local: bool, disk_fails: bool, strip_fails: bool
) -> None:
    world = World(local=local, disk_fails=disk_fails, strip_fails=strip_fails)
    for kind, what in (*start, *events):
        world.happen(kind, what)
        for job in world.session.jobs.values():
            assert world.session.status(job)
            assert 0 <= job.fraction <= 1
            assert job.preview is None or (job.previews and not job.ended)
    for job in world.session.jobs.values():
        assert world.ended[job.id] == int(job.ended), "exactly one end"
        assert world.shown[job.id] == int(job.state is State.DONE)
        assert world.sent[job.id] <= 1 + world.denied[job.id], "again only if it is not there"
        assert job.losses <= MOST_LOSSES
        assert world.tidied[job.id] == int(job.state in (State.FAILED, State.CANCELLED))
        assert (job.state is State.FAILED) <= (job.problem is not None)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(starts, st.lists(happenings, max_size=40), st.booleans())
def test_whatever_has_happened_a_good_backend_brings_every_clip_that_is_waited_for(
    start: Events, events: Events, local: bool
) -> None:
    world = World(local=local)
    for kind, what in (*start, *events):
        world.happen(kind, what)
    due = [job for job in world.session.active if job.id in world.strips and job.cancel_asked is None]
    for _ in range(2):
        world.serve()
    assert [job.state for job in due] == [State.DONE] * len(due)


@settings(max_examples=100, deadline=None)
@given(starts, st.lists(happenings, max_size=40), st.booleans())
def test_what_goes_on_losing_the_backend_ends(start: Events, events: Events, local: bool) -> None:
    world = World(local=local)
    for kind, what in (*start, *events):
        world.happen(kind, what)
    for _ in range(MOST_LOSSES):
        world.happen("reach", None)
        world.happen("connected", None)
        world.happen("receive", Lost(reason="gone"))
    finished = {State.MADE, State.FILLING} | ({State.FETCHING} if local else set())
    assert {job.state for job in world.session.active} <= finished
    assert world.session.link is Link.NONE


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("local", [True, False])
def test_every_start_is_a_way_that_a_session_can_go(name: str, local: bool) -> None:
    events, here, elsewhere = STARTS[name]
    world = World(local=local)
    for kind, what in events:
        world.happen(kind, what)
    state = world.session.jobs[A].state if world.session.jobs else None
    assert state is (here if local else elsewhere)
