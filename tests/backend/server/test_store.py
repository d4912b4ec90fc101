"""The queue on the disk: which state may follow which, places, owners, and what another process finds after any end."""

from __future__ import annotations

import errno
import itertools
import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.server import schema
from backend.server import store as store_module
from backend.server.checkup import DamagedStore
from backend.server.jobs import ALLOWED, DuplicateJob, Job, Owner, State, WrongState
from backend.server.schema import SCHEMA_VERSION, STEPS, UnknownSchema
from backend.server.store import FileState, JobStore
from backend.server.store_errors import StoreRefuses, refusal
from elevator import Plan
from shared_protocol.messages import Cancelled, Done, Failed
from tests.backend.orders import done, order

A, B, C, D = (letter * 32 for letter in "abcd")
ENDED = {State.DONE, State.FAILED, State.CANCELLED}
ME, YOU = Owner("local", "1" * 32), Owner("local", "2" * 32)


def job(name: str, owner: Owner = ME, state: State = State.QUEUED) -> Job:
    return Job(name, owner, order(), prompt=f"a {name}", state=state, submitted=1.5)


def stored(path: Path) -> list[tuple[str, str]]:
    with closing(sqlite3.connect(path)) as base:
        return base.execute("SELECT id, state FROM jobs ORDER BY place").fetchall()


def names(store: JobStore) -> list[str]:
    return [one.id for one in store.queued()]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "queue.db"


@pytest.fixture
def store(path: Path) -> JobStore:
    return JobStore(path)


def test_every_state_is_in_the_table() -> None:
    assert set(ALLOWED) == set(State)
    assert {state for state, following in ALLOWED.items() if not following} == ENDED


@pytest.mark.parametrize(
    ("before", "after"), list(itertools.product([each for each in State if each not in ENDED], State))
)
def test_only_the_table_moves_jobs(before: State, after: State) -> None:
    store = JobStore(None)
    store.add(job(A, state=before))
    ends: dict[State, Done | Cancelled] = {State.DONE: done(A), State.CANCELLED: Cancelled(job=A)}
    end = ends.get(after) or Failed(job=A, code="internal", message="", next_step="")
    change = (lambda: store.finish(end)) if after in ENDED else (lambda: store.move(A, after))
    if after in ALLOWED[before]:
        assert change().state is after
    else:
        with pytest.raises(WrongState):
            change()
        assert store.get(A).state is before  # type: ignore[union-attr]


def test_nothing_ends_twice(store: JobStore) -> None:
    store.add(job(A))
    store.finish(Cancelled(job=A))
    with pytest.raises(KeyError):
        store.finish(done(A))
    assert store.get(A).end == Cancelled(job=A)  # type: ignore[union-attr]


def test_the_queue_is_first_in_first_out(store: JobStore) -> None:
    for name in (C, A, B):
        store.add(job(name))
    store.finish(Cancelled(job=A))
    assert names(store) == [C, B]
    store.move(C, State.LOADING)
    assert names(store) == [B]
    assert [one.id for one in store.unfinished()] == [C, B]


def test_a_name_is_taken_even_after_its_end_and_in_another_life(store: JobStore, path: Path) -> None:
    store.add(job(A))
    with pytest.raises(DuplicateJob):
        store.add(job(A))
    store.move(A, State.LOADING)
    store.finish(done(A))
    store.close()
    with pytest.raises(DuplicateJob):
        JobStore(path).add(job(A))


def test_all_of_a_job_is_found_again(store: JobStore, path: Path) -> None:
    whole = replace(job(A), order=msgspec.structs.replace(order(), prompt="é", plan=Plan(refine=(30, 10), eta=0.5)))
    store.add(whole)
    store.close()
    again = JobStore(path)
    assert again.get(A) == whole
    again.move(A, State.LOADING)
    ended = again.finish(done(A), size=77)
    again.close()
    third = JobStore(path)
    assert third.get(A) == ended
    assert (ended.state, ended.end, ended.bytes, ended.received) == (State.DONE, done(A), 77, False)
    assert third.idle


@pytest.mark.parametrize("state", [State.LOADING, State.RUNNING])
def test_what_was_under_way_waits_again_at_its_place(store: JobStore, path: Path, state: State) -> None:
    for name in (A, B, C):
        store.add(job(name))
    store.move(A, State.LOADING)
    if state is State.RUNNING:
        store.move(A, State.RUNNING)
    # Not closed: a killed process closes nothing.
    again = JobStore(path)
    assert names(again) == [A, B, C]
    assert again.get(A).interruptions == 1  # type: ignore[union-attr]
    assert stored(path)[0] == (A, "queued")


def test_a_job_that_is_under_way_at_every_end_fails_at_last(path: Path) -> None:
    JobStore(path).add(job(A))
    for _ in range(store_module.MOST_INTERRUPTIONS - 1):
        store = JobStore(path)
        assert names(store) == [A]
        store.move(A, State.LOADING)
        store.close()
    store = JobStore(path)
    assert names(store) == [A]
    store.move(A, State.LOADING)
    assert names(last := JobStore(path)) == []
    assert isinstance(last.get(A).end, Failed)  # type: ignore[union-attr]


def test_a_lost_worker_is_counted_for_ever(store: JobStore, path: Path) -> None:
    store.add(job(A))
    store.move(A, State.LOADING)
    assert store.lose(A).losses == 1
    store.close()
    assert JobStore(path).get(A).losses == 1  # type: ignore[union-attr]


IMPOSSIBLE = msgspec.json.encode(order()).replace(b'"steps":50', b'"steps":0')


@pytest.mark.parametrize("work", [b'{"type":"Dance"}', IMPOSSIBLE], ids=["unknown", "impossible plan"])
def test_a_job_of_another_version_fails_and_the_others_stay(store: JobStore, path: Path, work: bytes) -> None:
    store.add(job(A))
    store.add(job(B))
    store.close()
    with closing(sqlite3.connect(path)) as base, base:
        base.execute("UPDATE jobs SET work = ? WHERE id = ?", (work, A))
    again = JobStore(path)
    assert names(again) == [B]
    assert isinstance(left := again.get(A).end, Failed)  # type: ignore[union-attr]
    assert left.code == "other_version"
    assert [one.id for one in again.undelivered(ME)] == [A]
    assert [one.id for one in again.ended("local", 5)] == [A]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 9)), max_size=30))
def test_moving_is_what_moving_in_a_list_is(moves: list[tuple[int, int]]) -> None:
    store, expected = JobStore(None), [f"{number}" * 32 for number in range(8)]
    for name in expected:
        store.add(job(name))
    for which, position in moves:
        name = f"{which}" * 32
        store.put_at(name, position)
        expected.remove(name)
        expected.insert(position, name)
        assert names(store) == expected


def test_moving_never_runs_out_of_room_and_is_found_again(store: JobStore, path: Path) -> None:
    for name in (A, B, C):
        store.add(job(name))
    for _ in range(200):  # halves the room each time
        store.put_at(names(store)[2], 1)
    last = names(store)
    assert sorted(last) == [A, B, C]
    store.add(job(D))
    store.close()
    assert names(JobStore(path)) == [*last, D]


def test_a_job_whose_result_was_found_can_end_without_a_worker(store: JobStore) -> None:
    store.add(job(A))
    store.revive(A)
    assert not store.queued()
    assert store.finish(done(A), 7).bytes == 7


def test_a_job_of_a_lost_database_is_taken_back_once(store: JobStore, path: Path) -> None:
    lost = replace(job(A, state=State.DONE), end=done(A), bytes=7)
    for _ in range(2):
        store.restore(lost)
        assert store.get(A) == lost
    assert store.results() == ((A, 7, False),)
    with pytest.raises(DuplicateJob):
        store.add(job(A))
    for name in (B, C):
        store.add(job(name))
    assert stored(path) == [(A, "done"), (B, "queued"), (C, "queued")]


def test_undelivered_ends_are_those_of_one_owner_until_received(store: JobStore, path: Path) -> None:
    for name, owner in ((A, ME), (B, YOU), (C, ME), (D, ME)):
        store.add(job(name, owner))
    store.finish(Cancelled(job=C))
    store.finish(Cancelled(job=B))
    store.finish(Cancelled(job=A))
    assert [one.id for one in store.undelivered(ME)] == [C, A]
    store.receive(C)
    store.receive(D)  # has not ended: that means nothing
    store.close()
    again = JobStore(path)
    assert [one.id for one in again.undelivered(ME)] == [A]
    again.finish(Cancelled(job=D))
    assert [one.id for one in again.undelivered(ME)] == [A, D]
    assert [one.id for one in again.ended("local", 2)] == [D, A]
    assert not again.ended("another", 2)


def test_rows_of_ended_jobs_are_forgotten_once_there_are_too_many(
    store: JobStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "KEPT_ROWS", 2)
    for name in (A, B, C, D):
        store.add(job(name))
        store.finish(Cancelled(job=name))
        store.receive(name)
    store.add(job("e" * 32))
    assert store.get(A) is not None, "only a start looks for them"
    store.close()
    again = JobStore(path)
    assert [again.get(name) is not None for name in (A, B, C, D, "e" * 32)] == [False, False, True, True, True]


def test_rows_that_are_still_needed_are_never_forgotten(
    store: JobStore, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An end that was not received will be told, and a result that is there can be fetched."""
    monkeypatch.setattr(store_module, "KEPT_ROWS", 1)
    for name in (A, B, C, D):
        store.add(job(name))
        if name == B:
            store.move(name, State.LOADING)
            store.finish(done(name), 100)
        else:
            store.finish(Cancelled(job=name))
        if name != A:
            store.receive(name)
    store.close()
    again = JobStore(path)
    assert [again.get(name) is not None for name in (A, B, C, D)] == [True, True, False, True]


def test_a_client_id_belongs_to_the_key_of_the_first_job_under_it(store: JobStore, path: Path) -> None:
    assert store.may_use("1" * 32, "local")
    assert store.may_use("1" * 32, "another")  # a greeting alone leaves nothing
    store.add(job(A))
    assert store.may_use("1" * 32, "local")
    assert not store.may_use("1" * 32, "another")
    store.close()
    assert not JobStore(path).may_use("1" * 32, "another")


def test_a_client_id_is_forgotten_with_its_last_job(store: JobStore, path: Path) -> None:
    store.add(job(A))
    store.finish(Cancelled(job=A))
    store.receive(A)
    store._base.execute("DELETE FROM jobs")
    store.close()
    again = JobStore(path)
    assert again.may_use("1" * 32, "another")
    assert again._base.execute("SELECT count(*) FROM clients").fetchone() == (0,)


def test_a_cancel_that_was_not_heeded_ends_the_job_at_the_next_start(store: JobStore, path: Path) -> None:
    for name in (A, B):
        store.add(job(name))
        store.move(name, State.LOADING)
    store.cancel(A)
    store.cancel(A)
    store.close()
    again = JobStore(path)
    assert [each.id for each in again.unfinished()] == [B]
    assert again.get(A).state is State.CANCELLED  # type: ignore[union-attr]
    assert again._base.execute("SELECT count(*) FROM facts").fetchone() == (0,)


def test_bytes_that_a_key_has_not_fetched(store: JobStore) -> None:
    for name, size in ((A, 10), (B, 7)):
        store.add(job(name))
        store.move(name, State.LOADING)
        store.finish(done(name), size)
    assert store.tally.waiting("local") == 17
    assert store.tally.waiting("another") == 0
    store.receive(A)
    assert store.tally.waiting("local") == 7


@pytest.mark.parametrize(
    ("code", "said"),
    [
        (sqlite3.SQLITE_BUSY, "another program holds it"),
        (sqlite3.SQLITE_IOERR_FSYNC, "the disk does not read or write it"),
        (sqlite3.SQLITE_IOERR_WRITE, "the disk does not read or write it"),
        (sqlite3.SQLITE_CORRUPT, "damaged"),
        (sqlite3.SQLITE_READONLY, "must not be written"),
        (sqlite3.SQLITE_NOMEM, "memory"),
        (sqlite3.SQLITE_CANTOPEN, "cannot be opened"),
    ],
)
def test_reasons_are_the_true_ones(path: Path, code: int, said: str) -> None:
    path.touch()
    error = sqlite3.OperationalError("something")
    error.sqlite_errorcode = code
    refused = refusal(error, path)
    assert not refused.is_full
    assert refused.failure.code == "queue_unusable"
    assert said in refused.failure.sentence


def test_full_is_full_by_whatever_kind(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.touch()
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    assert refusal(error, path).is_full

    def limited(**options: object) -> int:
        raise OSError(errno.EDQUOT, "Disk quota exceeded")

    monkeypatch.setattr("tempfile.TemporaryFile", limited)
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    assert refusal(error, path).is_full


def test_pause_and_pace_are_found_again(store: JobStore, path: Path) -> None:
    assert not store.paused
    store.pause(True)
    store.learn("plain", 2.0)
    store.learn("plain", 4.0)
    store.close()
    again = JobStore(path)
    assert again.paused
    assert again.pace("plain") == 3.0
    assert again.pace("other") is None
    again.pause(False)
    assert not JobStore(path).paused


def test_every_change_is_on_the_disk_before_it_counts(store: JobStore) -> None:
    (mode,) = store._base.execute("PRAGMA journal_mode").fetchone()
    (synchronous,) = store._base.execute("PRAGMA synchronous").fetchone()
    assert (mode, synchronous) == ("wal", 2)


def test_a_full_disk_changes_nothing(store: JobStore) -> None:
    store.add(job(A))
    (pages,) = store._base.execute("PRAGMA page_count").fetchone()
    store._base.execute(f"PRAGMA max_page_count = {pages}")
    big = replace(job(B), prompt="x" * 50_000)
    with pytest.raises(StoreRefuses):
        store.add(big)
    assert names(store) == [A]
    store._base.execute("PRAGMA max_page_count = 1000000")
    store.add(big)
    assert names(store) == [A, B]


def test_results_are_listed_oldest_first(store: JobStore) -> None:
    for name in (A, B, C):
        store.add(job(name))
        store.move(name, State.LOADING)
    for name in (B, C, A):
        store.finish(done(name), size=10)
    store.receive(C)
    assert store.results() == ((B, 10, False), (C, 10, True), (A, 10, False))
    store.drop_result(C)
    assert [name for name, *_ in store.results()] == [B, A]
    assert store.get(C).received  # type: ignore[union-attr]


@pytest.fixture
def next_release(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database with two jobs, and a release whose tables have one column more."""
    store = JobStore(path)
    store.add(job(A, state=State.RUNNING))
    store.add(job(B))
    store.pause(True)
    store.close()
    more = ("ALTER TABLE jobs ADD COLUMN mood TEXT", "CREATE TABLE moods (name TEXT)")
    monkeypatch.setattr(schema, "STEPS", (*STEPS, more))
    monkeypatch.setattr(schema, "SCHEMA_VERSION", SCHEMA_VERSION + 1)


@pytest.mark.usefixtures("next_release")
def test_an_old_database_is_brought_up_to_date_with_its_jobs(path: Path) -> None:
    store = JobStore(path)
    assert names(store) == [A, B]
    assert store.paused
    assert store._base.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION + 1,)
    assert "mood" in [column[1] for column in store._base.execute("PRAGMA table_info(jobs)")]
    store.close()
    assert names(JobStore(path)) == [A, B]


@pytest.mark.usefixtures("next_release")
def test_a_migration_that_fails_leaves_the_old_version(path: Path) -> None:
    with closing(sqlite3.connect(path)) as base:
        base.execute("CREATE TABLE moods (name TEXT)")  # in the way of the step's second half
        base.commit()
    with pytest.raises((DamagedStore, sqlite3.OperationalError)):
        JobStore(path)
    with closing(sqlite3.connect(path)) as base:
        assert base.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert "mood" not in [column[1] for column in base.execute("PRAGMA table_info(jobs)")]


def test_a_database_of_a_newer_release_is_left_alone(store: JobStore, path: Path) -> None:
    store._base.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    store.close()
    before = path.read_bytes()
    with pytest.raises(UnknownSchema):
        JobStore(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("harm", ["text", "cut", "zeros"])
def test_a_damaged_file_is_noticed(store: JobStore, path: Path, harm: str) -> None:
    for number in range(50):
        store.add(job(f"{number:032x}"))
    store.close()
    data = path.read_bytes()
    spoiled = {
        "text": b"no database at all" * 500,
        "cut": data[: len(data) // 2],
        "zeros": data[:4096] + bytes(len(data) - 4096),
    }
    path.write_bytes(spoiled[harm])
    with pytest.raises(DamagedStore):
        JobStore(path)


def test_the_file_is_its_owners_alone(store: JobStore, path: Path) -> None:
    store.add(job(A))
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file.name


def test_ends_are_told_as_they_were(store: JobStore, path: Path) -> None:
    end = Done(job=A, frames=2, width=8, height=8, fps_numerator=24000, fps_denominator=1001, seed=1, seconds=0.1)
    store.add(job(A))
    store.move(A, State.LOADING)
    store.finish(end)
    store.close()
    assert JobStore(path).get(A).end == end  # type: ignore[union-attr]


@pytest.mark.parametrize("harm", ["no database", "a later one", "a column that is not there"])
def test_one_that_cannot_be_used_is_not_left_open(path: Path, harm: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows could not put it aside; Python 3.13 warns."""
    opened: list[sqlite3.Connection] = []
    real = sqlite3.connect

    def connect(*arguments: Any, **options: Any) -> sqlite3.Connection:
        opened.append(real(*arguments, **options))
        return opened[-1]

    if harm == "no database":
        path.write_bytes(b"no database at all" * 1000)
    else:
        JobStore(path).close()
        with closing(real(path)) as base, base:
            base.execute(
                f"PRAGMA user_version = {SCHEMA_VERSION + 1}"
                if harm == "a later one"
                else "ALTER TABLE paces RENAME COLUMN kind TO another"
            )
    monkeypatch.setattr(sqlite3, "connect", connect)
    with pytest.raises((DamagedStore, UnknownSchema, sqlite3.OperationalError)):
        JobStore(path)
    assert opened
    for base in opened:
        with pytest.raises(sqlite3.ProgrammingError, match="closed"):
            base.execute("SELECT 1")


@pytest.fixture
def file_size() -> Iterator[Callable[[int], None]]:
    """Sets how large a file may become, for the rest of the test."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda most: resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_that_may_not_grow_is_a_full_disk(path: Path, file_size: Callable[[int], None]) -> None:
    """SQLite says of it that the disk does not write; whether it does shows behind the end of the file."""
    path.touch()
    os.truncate(path, 1 << 20)
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_WRITE
    file_size(1 << 20)
    assert refusal(error, path).is_full
    file_size(2 << 20)
    assert not refusal(error, path).is_full


def test_a_question_that_the_database_does_not_answer_is_said(store: JobStore) -> None:
    store.close()
    with pytest.raises(StoreRefuses) as refused:
        store.result_names()
    assert refused.value.failure.code == "queue_unusable"


def test_a_job_that_has_not_ended_has_no_number_of_its_end(store: JobStore) -> None:
    store.add(job(A))
    assert (store.end_number(A), store.end_number(B), store.next_end_number()) == (0, 0, 1)
    store.finish(Cancelled(job=A))
    assert (store.end_number(A), store.next_end_number()) == (1, 2)


@pytest.mark.skipif(os.name != "posix", reason="no file that is open is deleted there")
def test_a_queue_whose_file_was_deleted_is_written_again(store: JobStore, path: Path) -> None:
    store.add(job(A))
    store.pause(True)
    states = [store.file_state]
    path.unlink()
    states.append(store.file_state)
    store.write_again()
    states.append(store.file_state)
    assert states == [FileState.THERE, FileState.GONE, FileState.THERE]
    assert path.stat().st_mode & 0o777 == 0o600
    store.add(job(B))
    store.close()
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    again = JobStore(path)
    assert (names(again), again.paused) == ([A, B], True)


@pytest.mark.skipif(os.name != "posix", reason="no file that is open is replaced there")
def test_a_queue_in_whose_place_another_file_lies_is_kept_under_another_name(store: JobStore, path: Path) -> None:
    store.add(job(A))
    (path.parent / "other").write_bytes(b"another's")
    (path.parent / "other").replace(path)
    assert store.file_state is FileState.ANOTHER
    aside = store.put_aside()
    assert aside.parent == path.parent
    assert stored(aside) == [(A, "queued")]
    assert aside.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes() == b"another's"


def test_a_queue_in_memory_has_no_file_to_lose() -> None:
    assert JobStore(None).file_state is FileState.THERE


def test_a_copy_for_which_there_is_no_room_leaves_nothing(
    store: JobStore, path: Path, file_size: Callable[[int], None]
) -> None:
    store.add(job(A))
    path.unlink()
    before = set(path.parent.iterdir())
    file_size(0)
    with pytest.raises(StoreRefuses) as refused:
        store.write_again()
    file_size(1 << 30)
    assert refused.value.failure.code in ("disk_full", "queue_unusable")
    assert set(path.parent.iterdir()) == before
    store.write_again()
    assert stored(path) == [(A, "queued")]
