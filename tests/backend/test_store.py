"""The table of states: what may follow what, and that nothing ends twice."""

from __future__ import annotations

import itertools

import pytest

from backend.jobs import ALLOWED, DuplicateJob, Job, MemoryStore, State, WrongState
from backend.orders import Sample

ORDER = Sample(
    job="x",
    prompt="",
    negative_prompt="",
    t2i="",
    t2v="",
    loras=(),
    plan={},
    frames=1,
    width=8,
    height=8,
    fps=8,
    seed=0,
    previews=False,
)
ENDED = {State.DONE, State.FAILED, State.CANCELLED}


def job(name: str, client: bytes = b"me") -> Job:
    return Job(name, client, ORDER)


def test_every_state_is_in_the_table() -> None:
    assert set(ALLOWED) == set(State)
    assert {state for state, following in ALLOWED.items() if not following} == ENDED


@pytest.mark.parametrize(("before", "after"), list(itertools.product(State, State)))
def test_only_the_table_moves_jobs(before: State, after: State) -> None:
    store = MemoryStore()
    store.add(Job("a", b"me", ORDER, before))
    if after in ALLOWED[before]:
        assert store.move("a", after).state is after
    else:
        with pytest.raises(WrongState):
            store.move("a", after)


def test_the_queue_is_first_in_first_out() -> None:
    store = MemoryStore()
    for name in "cab":
        store.add(job(name))
    store.move("a", State.CANCELLED)
    assert [one.id for one in store.queued()] == ["c", "b"]
    store.move("c", State.LOADING)
    assert [one.id for one in store.queued()] == ["b"]
    assert [one.id for one in store.unfinished()] == ["c", "b"]


def test_a_name_is_taken_even_after_its_end() -> None:
    store = MemoryStore()
    store.add(job("a"))
    store.move("a", State.FAILED)
    with pytest.raises(DuplicateJob):
        store.add(job("a"))


def test_only_ended_jobs_are_forgotten_oldest_first() -> None:
    store = MemoryStore(remembered=2)
    for name in "abcd":
        store.add(job(name))
    for name in "bcd":
        store.move(name, State.CANCELLED)
    assert store.get("b") is None
    assert store.get("a") is not None
    assert store.get("d") is not None
