"""The session makes sense whatever comes in whatever order."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from blender_addon.clip.actions import Action, HangUp, Reach, Send, Tidy, Write
from blender_addon.clip.job import ENDED, Problem, State
from blender_addon.clip.losses import MOST_LOSSES
from blender_addon.clip.session import Session
from blender_addon.clip.wish import Wish
from shared_protocol.client import Lost
from shared_protocol.messages import (
    Accepted,
    Cancelled,
    Denied,
    Failed,
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
)
from tests.addon.sessions import PLACE, PNG, WELCOME, A, B, done, known, unknown

pytestmark = pytest.mark.slow

Events = list[tuple[str, object]]
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
    st.tuples(st.just("add strips"), st.none()),
)


LOST = ("receive", Lost(reason="gone"))
CONNECT = [("reach", None), ("connected", None)]
BACK = [*CONNECT, ("receive", WELCOME)]
WAITING = [("submit", A), *BACK]
RUNNING = [*WAITING, ("receive", Accepted(job=A, position=0))]
MADE = [*RUNNING, ("deliver", A), ("receive", done(A))]
STARTS: dict[str, Events] = {
    "nothing": [],
    "two jobs": [*RUNNING, ("submit", B), ("receive", Accepted(job=B, position=1))],
    "lost while it runs": [*RUNNING, LOST],
    "lost, and back": [*RUNNING, LOST, *BACK],
    "lost, and back before it was accepted": [*WAITING, LOST, *BACK],
    "lost, back, and done before Jobs": [*RUNNING, LOST, *BACK, ("receive", done(A))],
    "lost, back, and a frame before Jobs": [*RUNNING, LOST, *BACK, ("deliver", A)],
    "lost, back, and ended before Jobs": [*RUNNING, LOST, *BACK, ("receive", Cancelled(job=A))],
    "fetching": [*RUNNING, ("receive", done(A))],
    "fetching, lost, and back": [*RUNNING, ("receive", done(A)), LOST, *BACK],
    "cancelled, and no answer yet": [*RUNNING, ("cancel", A)],
    "cancelled, and denied": [*RUNNING, ("cancel", A), ("receive", unknown(A, "Cancel"))],
    "made, and lost": [*MADE, LOST],
    "made, lost, and no other to be had": [*MADE, LOST, ("reach", None), ("unreachable", None)],
    "lost once more than a job may be": [*RUNNING, *(one for _ in range(MOST_LOSSES) for one in (LOST, *BACK))],
}
"""Ways to states that random events seldom find."""
starts = st.sampled_from([*STARTS.values()])


class World:
    """Does what the session asks for, as the pump does, and watches that it all makes sense."""

    def __init__(self, disk_fails: bool, strip_fails: bool, strip_waits: bool = False) -> None:
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
        self._disk_fails, self._strip_fails, self._strip_waits = disk_fails, strip_fails, strip_waits
        self.to_add: list[str] = []

    def happen(self, kind: str, what: object) -> None:
        before = {job.id: job.state for job in self.session.jobs.values()}
        actions: list[Action] = []
        if kind == "receive" and self.open:
            assert isinstance(what, Message)
            if isinstance(what, Denied) and what.request == "Watch":
                self.denied[what.job] += 1
            actions = self.session.receive(what, (PNG,) if isinstance(what, Frame) else ())
        elif kind == "submit" and what not in self.session.jobs:
            actions = self.session.submit(str(what), Wish("a fox"), PLACE, "/clips")
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
            return  # each of them was counted
        elif kind == "add strips":
            actions = self.add_strip()
        self.perform(actions)
        if not self._strip_waits:
            self.perform(self.add_strip())
        for job in self.session.jobs.values():
            was = before.get(job.id)
            if was in ENDED:
                assert job.state is was, "an ended job stays as it ended"
            elif job.ended:
                self.ended[job.id] += 1
            if was is State.ADDING and (isinstance(what, Lost | Goodbye) or kind in ("unreachable", "reach")):
                assert job.state is State.ADDING, "all of it is here: no backend is needed any more"
            if isinstance(what, Denied) and what.request == "Cancel" and what.job == job.id and self.open:
                assert job.ended or job.cancel_asked is None, "what the backend does not have needs no cancel"

    def add_strip(self) -> list[Action]:
        """Lay the strip that is next, as Blender allows it."""
        complete = self.session.complete
        if complete is None:
            return []
        self.strips[complete.id] += 1
        assert len(complete.written) == 4
        ended = self.session.could_not_add if self._strip_fails else self.session.added
        return ended(complete.id, "so")

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
                case Tidy(job):
                    self.tidied[job] += 1


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(starts, st.lists(happenings, max_size=60), st.booleans(), st.booleans(), st.booleans())
def test_any_order_of_events_makes_sense(
    start: Events, events: Events, disk_fails: bool, strip_fails: bool, strip_waits: bool
) -> None:
    world = World(disk_fails, strip_fails, strip_waits)
    for kind, what in (*start, *events):
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
@given(starts, st.lists(happenings, max_size=40), st.booleans())
def test_every_job_ends_when_the_backend_is_gone(start: Events, events: Events, strip_waits: bool) -> None:
    world = World(disk_fails=False, strip_fails=False, strip_waits=strip_waits)
    for kind, what in (*start, *events, ("add strips", None)):
        world.happen(kind, what)
    for _ in range(MOST_LOSSES):
        world.happen("reach", None)
        world.happen("connected", None)
        world.happen("receive", Lost(reason="gone"))
    assert not world.session.active
    assert not world.session.busy


@pytest.mark.parametrize("name", STARTS)
@pytest.mark.parametrize("strip_waits", [False, True])
def test_every_start_is_a_way_that_a_session_can_go(name: str, strip_waits: bool) -> None:
    world = World(disk_fails=False, strip_fails=False, strip_waits=strip_waits)
    for kind, what in STARTS[name]:
        world.happen(kind, what)
    state = world.session.jobs[A].state if world.session.jobs else None
    added = State.ADDING if strip_waits else State.DONE
    assert state is {
        "nothing": None,
        "lost while it runs": State.REATTACHING,
        "lost, and back": State.REATTACHING,
        "lost, and back before it was accepted": State.REATTACHING,
        "lost, back, and done before Jobs": State.FETCHING,
        "lost, back, and ended before Jobs": State.CANCELLED,
        "fetching": State.FETCHING,
        "fetching, lost, and back": State.REATTACHING,
        "cancelled, and denied": State.CANCELLED,
        "made, and lost": added,
        "made, lost, and no other to be had": added,
        "lost once more than a job may be": State.FAILED,
    }.get(name, State.RUNNING)
