"""The order of unfinished jobs, against a list of them: whatever happens, both say the same."""

from __future__ import annotations

from dataclasses import replace

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.server.backlog import Backlog
from backend.server.jobs import Job, Owner, State
from tests.backend.orders import order

OWNERS = (Owner("local", "1" * 32), Owner("local", "2" * 32), Owner("studio", "3" * 32))
PICTURE = "e" * 64

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("move"), st.integers(0, 99), st.integers(0, 30)),
        st.tuples(st.just("change"), st.integers(0, 99), st.sampled_from([State.QUEUED, State.LOADING])),
        st.tuples(st.just("remove"), st.integers(0, 99), st.none()),
    ),
    max_size=40,
)


class Model:
    """All unfinished jobs in a list."""

    def __init__(self) -> None:
        self.jobs: list[Job] = []

    def waiting(self, owner: Owner | None = None, principal: str | None = None) -> list[Job]:
        return [
            job
            for job in self.jobs
            if job.state is State.QUEUED and owner in (None, job.owner) and principal in (None, job.owner.principal)
        ]


def follow(steps: list[tuple[str, int, object]]) -> tuple[Backlog, Model]:
    """Both after the same steps. In the backlog, places lie between those of the list's neighbours."""
    backlog, model = Backlog(), Model()
    for number, (kind, which, how) in enumerate(steps):
        if kind == "add":
            work = msgspec.structs.replace(order(), anchor=PICTURE if how else None)
            job = Job(f"{number:032x}", OWNERS[which], work)
            backlog.add(job, max((backlog.key(each.id)[0] for each in model.jobs), default=0.0) + 1)
            model.jobs.append(job)
            continue
        if not model.jobs:
            continue
        job = model.jobs[which % len(model.jobs)]
        if kind == "remove":
            backlog.remove(job.id)
            model.jobs.remove(job)
        elif kind == "change":
            assert isinstance(how, State)
            changed = replace(job, state=how)
            backlog.change(changed)
            model.jobs[model.jobs.index(job)] = changed
        elif job.state is State.QUEUED:
            assert isinstance(how, int)
            others = [each for each in model.waiting() if each is not job]
            how = min(how, len(others))
            moved, before, behind = backlog.neighbours(job.id, how)
            assert moved == ()
            assert before == (backlog.key(others[how - 1].id)[0] if how else None)
            assert behind == (backlog.key(others[how].id)[0] if how < len(others) else None)
            if before is None and behind is None:
                continue
            low = behind - 2 if before is None and behind is not None else before
            assert low is not None
            backlog.put(job.id, (low + (low + 2 if behind is None else behind)) / 2)
            model.jobs.sort(key=lambda each: backlog.key(each.id))
    return backlog, model


@settings(max_examples=200, deadline=None)
@given(STEPS)
def test_a_backlog_is_a_list(steps: list[tuple[str, int, object]]) -> None:
    backlog, model = follow(steps)
    assert list(backlog) == model.jobs
    assert all(job.id in backlog for job in model.jobs)
    assert "f" * 32 not in backlog
    assert len(backlog) == len(model.jobs) == backlog.unfinished(None)
    assert list(backlog.active) == [job for job in model.jobs if job.state is not State.QUEUED]
    waiting = model.waiting()
    assert [backlog.rank(job.id) for job in waiting] == list(range(len(waiting)))
    assert set(backlog.owners) == {job.owner for job in waiting}
    assert (PICTURE in backlog.pictures) == any(job.order.anchor for job in model.jobs)  # type: ignore[union-attr]
    for owner in OWNERS:
        assert list(backlog.part(owner, 99)) == model.waiting(owner)
        assert backlog.unfinished(owner) == sum(job.owner == owner for job in model.jobs)
        theirs = model.waiting(principal=owner.principal)
        assert list(backlog.part(owner.principal, 99)) == theirs
        assert backlog.unfinished(owner.principal) == sum(job.owner.principal == owner.principal for job in model.jobs)
        for index, job in enumerate(theirs):
            key = backlog.key(job.id)
            assert list(backlog.part(owner.principal, 3, key)) == theirs[index + 1 : index + 4]
            assert backlog.waiting(owner.principal, key) == len(theirs) - index - 1
    assert backlog.first() == (waiting[0] if waiting else None)
    assert backlog.first(but={job.id for job in waiting[:2]}) == (waiting[2] if len(waiting) > 2 else None)


@settings(max_examples=100, deadline=None)
@given(STEPS, st.integers(0, 99), st.integers(0, 30), st.integers(0, 9))
def test_neighbours_are_those_behind_which_a_job_would_stand(
    steps: list[tuple[str, int, object]], which: int, position: int, width: int
) -> None:
    backlog, model = follow(steps)
    waiting = model.waiting()
    if not waiting:
        return
    job = waiting[which % len(waiting)]
    others = [each for each in waiting if each is not job]
    between, _, behind = backlog.neighbours(job.id, position, width)
    position = min(position, len(others))
    assert list(between) == others[position : position + width]
    expected = others[position + width : position + width + 1]
    assert behind == (backlog.key(expected[0].id)[0] if expected else None)


def test_a_backlog_that_is_empty_again_keeps_nothing() -> None:
    backlog, model = follow([("add", 0, True), ("add", 2, False), ("change", 0, State.LOADING)])
    for job in model.jobs:
        backlog.remove(job.id)
    assert (len(backlog), list(backlog), backlog.owners, backlog.active) == (0, [], (), ())
    assert (backlog.waiting(), backlog.unfinished("local"), list(backlog.pictures)) == (0, 0, [])
