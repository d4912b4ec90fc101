"""The backend does as much for a request, a round or a start when it keeps many clips as when it keeps few: counted in
statements, rows and files, not in seconds."""

from __future__ import annotations

import itertools
import os
import re
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.failures import StorageFailure
from backend.serve_options import ServeOptions
from backend.server import open_stores
from backend.server import results as results_module
from backend.server import store as store_module
from backend.server.endings import REFUSED_SECONDS, RESULTS_AT_ONCE, SAVE_SECONDS, SAVED_AT_ONCE, TIDY_SECONDS
from backend.server.jobs import Job, Owner, State
from backend.server.open_stores import DATABASE, open_all
from backend.server.result_record import record
from backend.server.results import CLEAR_SECONDS, FILES_AT_ONCE, FORGOTTEN, RESULT_FILE, ResultStore
from backend.server.store import FORGOTTEN_AT_ONCE, SPREAD, JobStore
from backend.server.store_errors import StoreRefuses
from elevator.pictures.clip_folder import frame_name
from shared_protocol.client import new_job_id
from shared_protocol.messages import Cancelled
from tests.backend.orders import done, order
from tests.backend.server.test_scheduler import Stage

ME = Owner("local", "1" * 32)


def job(name: str | None = None, owner: Owner = ME) -> Job:
    return Job(name or new_job_id(), owner, order())


@contextmanager
def statements(store: JobStore) -> Iterator[list[str]]:
    """What the store asks SQLite, with its values."""
    said: list[str] = []
    store._base.set_trace_callback(said.append)
    yield said
    store._base.set_trace_callback(None)


def submit(store: JobStore, count: int) -> list[str]:
    names = [new_job_id() for _ in range(count)]
    for name in names:
        store.add(job(name))
    return names


def make(store: JobStore, count: int, size: int = 10) -> list[str]:
    """Clips that were made and received."""
    names = submit(store, count)
    for name in names:
        store.move(name, State.LOADING)
        store.finish(done(name), size=size)
        store.receive(name)
    return names


# The database -----------------------------------------------------------------------------------------------


def everyday(store: JobStore) -> None:
    """All that a backend asks while it serves."""
    first, second, third = submit(store, 3)
    store.move(first, State.LOADING)
    store.move(first, State.RUNNING)
    store.finish(done(first), 5)
    store.put_at(third, 0)
    store.lose(store.move(second, State.LOADING).id)
    store.finish(Cancelled(job=third))
    assert store.get(first) is not None
    assert store.get("0" * 32) is None
    assert store.ended("local", 5)
    store.ended("local", 5, before=3)
    store.ended_count("local", 5)
    store.end_number(first)
    store.next_end_number()
    store.undelivered(ME, 5)
    store.undelivered(ME, 5, before=9)
    store.undelivered(ME, 5, after=3)
    store.results(5, received=True)
    store.receive(first)
    store.drop_result(first)
    store.forget_old_rows()
    store.finish(Cancelled(job=second))


def test_every_question_has_an_index() -> None:
    """None looks at all rows, and none sorts them."""
    store = JobStore(None)
    with statements(store) as said:
        everyday(store)
    asked = {each for each in said if re.match("SELECT|UPDATE|DELETE", each)}
    assert len(asked) > 15
    for each in asked:
        for *_, plan in store._base.execute(f"EXPLAIN QUERY PLAN {each}"):
            assert not re.match("SCAN (?!CONSTANT|[(])|USE TEMP", plan), (each, plan)


def test_what_is_asked_at_a_start_has_an_index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of results and unfinished jobs alone: all of these are read, and no others."""
    path, said = tmp_path / DATABASE, list[str]()
    store = JobStore(path)
    make(store, 3)
    submit(store, 3)
    store.close()
    real = sqlite3.connect

    def connect(*where: Any, **options: Any) -> sqlite3.Connection:
        base: sqlite3.Connection = real(*where, **options)
        base.set_trace_callback(said.append)
        return base

    with monkeypatch.context() as patch:
        patch.setattr(sqlite3, "connect", connect)
        store = JobStore(path)
        store.result_names()
    asked = {each for each in said if re.match("SELECT|UPDATE|DELETE", each) and "jobs" in each}
    assert len(asked) >= 5
    for each in asked:
        for *_, plan in store._base.execute(f"EXPLAIN QUERY PLAN {each}"):
            assert not re.match("SCAN jobs(?! USING (COVERING )?INDEX jobs_(with_result|unfinished))|USE TEMP", plan), (
                each,
                plan,
            )


def test_a_job_takes_as_many_statements_in_a_long_queue_as_in_a_short_one() -> None:
    counts = []
    for before in (3, 300):
        store = JobStore(None)
        names = submit(store, before)
        with statements(store) as said:
            store.add(job())
            store.put_at(names[-1], 1)
            store.move(names[0], State.LOADING)
            store.finish(done(names[0]), 5)
        counts.append(len(said))
    assert counts[0] == counts[1]


def test_room_between_two_jobs_is_made_by_moving_few() -> None:
    store = JobStore(None)
    names = submit(store, 10 * SPREAD)
    most = 0
    for number in range(200):
        name, at = names[-1 - number % 100], 5
        with statements(store) as said:
            store.put_at(name, at)
        most = max(most, sum(each.startswith("UPDATE") for each in said))
        names.remove(name)
        names.insert(at, name)
    assert [each.id for each in store.queued()] == names
    assert 1 < most <= 4 * SPREAD, "it had to be made, and not of all"


def counted(store: JobStore) -> tuple[int, int, int]:
    return store.tally.number, store.tally.size, store.tally.received


def test_results_are_counted_without_a_look_at_them() -> None:
    store = JobStore(None)
    names = make(store, 6, size=7)
    waits = submit(store, 1)[0]
    store.move(waits, State.LOADING)
    store.finish(done(waits), 5)
    store.receive(waits)
    store.receive(waits)
    store.drop_result(*names[:2])
    store.drop_result(names[0], "0" * 32)
    lost = replace(job(), state=State.DONE, end=done("a" * 32), bytes=3)
    store.restore(lost, lost)
    listed = store.results()
    assert counted(store) == (len(listed), sum(size for _, size, _ in listed), sum(taken for *_, taken in listed))
    assert counted(store) == (6, 4 * 7 + 5 + 3, 5)


def test_the_count_of_results_is_found_again(tmp_path: Path) -> None:
    store = JobStore(tmp_path / DATABASE)
    names = make(store, 5)
    store.drop_result(names[0])
    waits = submit(store, 1)[0]
    store.move(waits, State.LOADING)
    store.finish(done(waits), 5)
    before = counted(store)
    store.close()
    again = JobStore(tmp_path / DATABASE)
    assert counted(again) == before == (5, 45, 4)
    assert again.tally.waiting("local") == 5


def test_too_many_old_rows_are_forgotten_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "KEPT_ROWS", 5)
    store = JobStore(None)
    names = make(store, FORGOTTEN_AT_ONCE + 20, size=0)
    with statements(store) as said:
        assert store.forget_old_rows()
    assert sum(each.startswith("DELETE") for each in said) == FORGOTTEN_AT_ONCE
    assert not store.forget_old_rows()
    assert not store.forget_old_rows()
    assert [name for name in names if store.get(name) is not None] == names[-5:]


# The round --------------------------------------------------------------------------------------------------


def test_a_round_of_a_long_queue_looks_at_no_job_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    stage.scheduler.pause(True)
    submit(stage.store, 299)
    stage.submit(new_job_id())  # the last one for which all are foreseen, for two seconds
    for name in ("queued", "unfinished"):
        monkeypatch.setattr(JobStore, name, lambda self: pytest.fail("looks at all jobs"))
    for _ in range(3):
        stage.scheduler.work()
    assert stage.scheduler.state.waiting == 300
    stage.submit(new_job_id())
    stage.cancel(stage.store.backlog.part(None, 1)[0].id)
    stage.scheduler.pause(False)
    assert stage.scheduler.state.waiting == 299


def test_ends_that_the_disk_did_not_take_are_tried_in_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stage = Stage(tmp_path)
    stage.scheduler.pause(True)
    names = [new_job_id() for _ in range(2 * SAVED_AT_ONCE + 3)]
    stage.submit(*names)
    tried: list[str] = []
    full = [True]
    real = JobStore.finish

    def finish(self: JobStore, end: Any, size: int = 0) -> Job:
        tried.append(end.job)
        if full[0]:
            raise StoreRefuses("database or disk is full", StorageFailure("disk_full"))
        return real(self, end, size)

    monkeypatch.setattr(JobStore, "finish", finish)
    for name in names:
        stage.cancel(name)
    tried.clear()
    for _ in range(5):
        stage.later(SAVE_SECONDS + 0.1)
    assert tried == [names[0]] * 5, "where one is refused, the others would be"
    full[0] = False
    tried.clear()
    stage.later(SAVE_SECONDS + 0.1)
    assert tried == names[:SAVED_AT_ONCE]
    stage.scheduler.work()
    stage.scheduler.work()
    assert tried == names
    assert stage.scheduler.idle


# Results ----------------------------------------------------------------------------------------------------


def lay(results: ResultStore, name: str, frames: int = 2) -> int:
    """A result on the disk. Its bytes."""
    folder = results.partial(name)
    for index in range(frames):
        (folder / frame_name(index)).write_bytes(b"x")
    return results.publish(name, record(job(name), done(name)))


@pytest.fixture
def unlinked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Files that are deleted."""
    gone: list[str] = []
    real = os.unlink

    def unlink(path: Any, **options: Any) -> None:
        real(path, **options)
        gone.append(str(path))

    monkeypatch.setattr(os, "unlink", unlink)
    return gone


def test_a_large_result_is_gone_at_once_and_its_files_little_by_little(tmp_path: Path, unlinked: list[str]) -> None:
    results = ResultStore(tmp_path / "results", lambda: 0.0)
    name = new_job_id()
    lay(results, name, 3 * FILES_AT_ONCE)
    results.forget(name)
    assert not results.has(name)
    assert list(results.found()) == []
    assert len(unlinked) == FILES_AT_ONCE
    rounds = 0
    while results.clear():
        rounds += 1
        assert len(unlinked) <= (rounds + 1) * FILES_AT_ONCE
    assert rounds == 3
    assert len(unlinked) == 3 * FILES_AT_ONCE + 1
    assert not list((tmp_path / "results").iterdir())


def test_a_slow_disk_deletes_fewer_at_once(tmp_path: Path, unlinked: list[str]) -> None:
    results = ResultStore(tmp_path / "results", itertools.count(0, CLEAR_SECONDS / 5).__next__)
    name = new_job_id()
    lay(results, name, FILES_AT_ONCE)
    results.forget(name)
    assert len(unlinked) == 5
    while results.clear():
        pass
    assert not list((tmp_path / "results").iterdir())


def test_what_cannot_be_deleted_is_left_to_the_next_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = ResultStore(tmp_path / "results", lambda: 0.0)
    names = [new_job_id() for _ in range(2)]
    for name in names:
        lay(results, name)
    real = os.unlink

    def unlink(path: Any, **options: Any) -> None:
        if "frame" in str(path) and names[0] in str(path):
            raise PermissionError(13, "Permission denied")
        real(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", unlink)
        results.put_away(*names)
        while results.clear():
            pass
    (left,) = (tmp_path / "results").iterdir()
    assert left.name.startswith(f"{FORGOTTEN}{names[0]}")
    again = ResultStore(tmp_path / "results", lambda: 0.0)
    again.sweep()
    assert not left.exists()


def test_what_a_deletion_had_not_come_to_goes_after_the_next_start(tmp_path: Path, unlinked: list[str]) -> None:
    results = ResultStore(tmp_path / "results", lambda: 0.0)
    names = (new_job_id(), new_job_id())
    for name in names:
        lay(results, name, 2 * FILES_AT_ONCE)
    results.put_away(*names)
    again = ResultStore(tmp_path / "results", lambda: 0.0)
    again.sweep()
    assert len(unlinked) <= FILES_AT_ONCE
    while again.clear():
        pass
    assert not list((tmp_path / "results").iterdir())


def test_a_second_try_does_not_wait_for_the_files_of_the_first(tmp_path: Path, unlinked: list[str]) -> None:
    results = ResultStore(tmp_path / "results", lambda: 0.0)
    name = new_job_id()
    for _ in range(3):
        folder = results.partial(name)
        assert not list(folder.iterdir())
        for index in range(2 * FILES_AT_ONCE):
            (folder / frame_name(index)).write_bytes(b"x")
    assert len(unlinked) <= 2 * FILES_AT_ONCE
    results.forget(name)
    while results.clear():
        pass
    assert not list((tmp_path / "results").iterdir())


class Archive:
    """A stage with results that were made and received, more than are kept."""

    def __init__(self, folder: Path, count: int, kept: int) -> None:
        self.stage = Stage(folder, kept_results=kept)
        self.names = submit(self.stage.store, count)
        for name in self.names:
            size = lay(self.stage.results, name)
            self.stage.store.move(name, State.LOADING)
            self.stage.store.finish(done(name), size)
            self.stage.store.receive(name)

    @property
    def there(self) -> list[str]:
        """Of the results, those on the disk."""
        return [name for name in self.names if self.stage.results.has(name)]

    @property
    def stored(self) -> list[str]:
        """And those that the database has."""
        return [name for name, *_ in self.stage.store.results()]


def test_many_results_too_many_are_deleted_in_parts(tmp_path: Path, unlinked: list[str]) -> None:
    archive = Archive(tmp_path, count=5 * RESULTS_AT_ONCE, kept=8)
    stage, rounds = archive.stage, 0
    unlinked.clear()
    stage.now += TIDY_SECONDS
    while len(archive.there) > 8:
        before, deleted = len(archive.there), len(unlinked)
        with statements(stage.store) as said:
            stage.scheduler.work()
        assert before - len(archive.there) <= RESULTS_AT_ONCE
        assert len(unlinked) - deleted <= FILES_AT_ONCE
        assert sum(each == "COMMIT" for each in said) <= 1
        rounds += 1
        assert rounds < 30
        assert not stage.scheduler.is_tidy or len(archive.there) == 8, "the loop is told not to rest"
    assert rounds >= 5
    assert archive.there == archive.stored == archive.names[-8:]
    for _ in range(5):
        stage.scheduler.work()
    assert not [path for path in stage.results._root.iterdir() if path.name.startswith(".")]
    assert stage.scheduler.is_tidy
    assert archive.there == archive.names[-8:]


def test_a_deletion_that_an_end_of_the_backend_breaks_off_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After the folders have lost their names, before the database knows."""
    archive = Archive(tmp_path, count=10, kept=4)
    stage = archive.stage

    def killed(self: JobStore, *jobs: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "drop_result", killed)
        stage.now += TIDY_SECONDS
        with pytest.raises(KeyboardInterrupt):
            stage.scheduler.work()
    assert archive.there == archive.names[-4:]
    assert archive.stored == archive.names, "it is found again, and dropped"
    stage.now += TIDY_SECONDS
    for _ in range(5):
        stage.scheduler.work()
    assert archive.there == archive.stored == archive.names[-4:]


def test_a_disk_that_takes_no_deletion_is_not_asked_at_every_round(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = Archive(tmp_path, count=10, kept=4)
    stage, tried = archive.stage, []

    def drop(self: JobStore, *jobs: str) -> None:
        tried.append(jobs)
        raise StoreRefuses("database is locked", StorageFailure("disk_full"))

    with monkeypatch.context() as patch:
        patch.setattr(JobStore, "drop_result", drop)
        for _ in range(20):
            stage.later(TIDY_SECONDS)
        assert len(tried) == 1
    stage.later(REFUSED_SECONDS)
    assert archive.stored == archive.names[-4:]


def test_what_is_received_makes_room_at_once(tmp_path: Path) -> None:
    archive = Archive(tmp_path, count=6, kept=4)
    stage = archive.stage
    stage.store._base.execute("UPDATE jobs SET received = 0")
    stage.store.tally.received = 0
    stage.later(TIDY_SECONDS)
    assert archive.there == archive.names, "what nobody has fetched stays"
    stage.store.receive(archive.names[5])
    stage.later(TIDY_SECONDS)
    assert archive.there == archive.names[:5]


# The start --------------------------------------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """What a backend has left that has made much: clips with results, clips without, clips that wait."""
    folder = tmp_path / "data"
    folder.mkdir()
    store, results = JobStore(folder / DATABASE), ResultStore(folder / "results")
    for name in submit(store, 20):
        store.move(name, State.LOADING)
        store.finish(done(name), lay(results, name))
    make(store, 20, size=0)
    submit(store, 20)
    store.close()
    return folder


def test_a_start_looks_into_no_result_that_it_knows(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for kind, method in (
        (ResultStore, "has"),
        (ResultStore, "size"),
        (results_module, "_result_of"),
        (JobStore, "get"),
    ):
        monkeypatch.setattr(kind, method, lambda *told: pytest.fail("looks into a result"))
    kept = open_all(folder, ServeOptions())
    assert kept.store.tally.number == 20
    assert kept.notes == ()


def test_a_result_of_which_the_database_knows_nothing_is_found(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_stores, "TAKEN_AT_ONCE", 7)
    for file in folder.glob(f"{DATABASE}*"):
        file.unlink()
    kept = open_all(folder, ServeOptions())
    assert kept.store.tally.number == 20
    assert kept.store.result_names() == kept.results.sweep()
    assert "20 finished ones were found again" in kept.notes[0]


def test_a_result_that_was_deleted_and_is_there_again_goes(folder: Path) -> None:
    """The name that it lost had not come to the disk when the power failed; what the database knew had."""
    store = JobStore(folder / DATABASE)
    (name, *_), *_ = store.results(1)
    store.drop_result(name)
    store.close()
    kept = open_all(folder, ServeOptions())
    assert not kept.results.has(name)
    assert kept.store.tally.number == 19
    while kept.results.clear():
        pass
    assert not list((folder / "results").glob(f"{FORGOTTEN}*"))


def test_a_result_that_is_not_there_now_is_not_given_up(folder: Path) -> None:
    """Perhaps its disk is only not mounted: then it is there again at another start."""
    (folder / "results").rename(folder / "elsewhere")
    kept = open_all(folder, ServeOptions())
    assert kept.store.tally.number == 20
    kept.store.close()
    (folder / "results").rmdir()
    (folder / "elsewhere").rename(folder / "results")
    kept = open_all(folder, ServeOptions())
    assert len(kept.results.sweep()) == kept.store.tally.number == 20


def test_every_frame_of_a_result_that_is_found_is_there(tmp_path: Path) -> None:
    results = ResultStore(tmp_path / "results", lambda: 0.0)
    names = [new_job_id() for _ in range(3)]
    for name in names:
        lay(results, name, frames=1)
    (results.folder(names[1]) / frame_name(0)).unlink()
    (results.folder(names[2]) / RESULT_FILE).unlink()
    assert [name for name, _ in results.found()] == names[:1]
    assert [name for name, _ in results.found(names[1:])] == []
