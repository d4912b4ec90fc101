"""A large database is looked through beside its use: damage is found late, and costs no waiting clip."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import pytest

from backend.serve_options import ServeOptions
from backend.server import checkup
from backend.server.checkup import SUSPECT, DamagedStore
from backend.server.jobs import Job, Owner, State
from backend.server.open_stores import DATABASE, open_all
from backend.server.store import JobStore
from shared_protocol.messages import Cancelled
from tests.backend.damage import spoil_a_page
from tests.backend.harness import until
from tests.backend.orders import order

ME = Owner("local", "1" * 32)
WAITING = [letter * 32 for letter in "bcd"]


@pytest.fixture(autouse=True)
def all_are_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "SMALL_BYTES", 0)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With the database of a backend that has made much, and has some clips to make."""
    folder = tmp_path / "data"
    folder.mkdir()
    store = JobStore(folder / DATABASE)
    for number in range(200):
        name = f"{number:016x}{1:016x}"
        store.add(Job(name, ME, order(), "x" * 2000))
        store.finish(Cancelled(job=name))
    for name in WAITING:
        store.add(Job(name, ME, order()))
    store.move(WAITING[0], State.LOADING)
    store.close()
    return folder


def looked_through(store: JobStore) -> None:
    """Wait until all was looked at. Raises what `look` does."""
    deadline = time.monotonic() + 60
    while store._checkup._beside is not None:
        assert time.monotonic() < deadline
        store.look()
        time.sleep(0.005)


def test_a_whole_file_is_looked_through_and_used_meanwhile(folder: Path) -> None:
    store = JobStore(folder / DATABASE)
    store.add(Job("a" * 32, ME, order()))
    looked_through(store)
    store.look()
    store.close()
    assert not (folder / f"{DATABASE}{SUSPECT}").exists()


def test_damage_is_found_late_and_the_next_start_puts_the_file_aside_without_its_waiting_jobs(folder: Path) -> None:
    path = folder / DATABASE
    spoil_a_page(path)
    store = JobStore(path)
    store.add(Job("a" * 32, ME, order(), "accepted before the damage was found"))
    with pytest.raises(DamagedStore):
        looked_through(store)
    assert path.with_name(path.name + SUSPECT).stat().st_mode & 0o777 == 0o600
    store.close()

    kept = open_all(folder, ServeOptions())
    (note,) = kept.notes
    assert "4 waiting clips were read from it" in note
    assert [job.id for job in kept.store.queued()] == [*WAITING, "a" * 32]
    assert len(list(folder.glob("queue-damaged-*.db"))) == 1
    assert not list(folder.glob(f"*{SUSPECT}"))
    looked_through(kept.store)
    kept.store.close()


def test_a_suspect_file_that_is_whole_is_used(folder: Path) -> None:
    path = folder / DATABASE
    mark = path.with_name(path.name + SUSPECT)
    mark.touch()
    kept = open_all(folder, ServeOptions())
    assert kept.notes == ()
    assert kept.store._checkup._beside is None, "all of it was looked at before"
    assert len(kept.store.backlog) == len(WAITING)
    assert not mark.exists()
    kept.store.close()


def test_a_look_that_is_not_at_its_end_is_ended(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An end of the backend does not wait for it, and leaves no thread."""
    endless = "WITH RECURSIVE many(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM many) SELECT count(*) FROM many"

    def never_ends(base: sqlite3.Connection) -> str:
        base.execute(endless).fetchone()
        return ""

    monkeypatch.setattr(checkup, "_harm_of", never_ends)
    store = JobStore(folder / DATABASE)
    thread = store._checkup._thread
    store.look()
    assert thread.is_alive()
    store.close()
    assert until(lambda: not thread.is_alive(), 10)
    assert not (folder / f"{DATABASE}{SUSPECT}").exists()


def test_damage_that_is_met_while_it_is_looked_for_counts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def breaks_off(base: sqlite3.Connection) -> str:
        raise sqlite3.DatabaseError("database disk image is malformed")

    monkeypatch.setattr(checkup, "_harm_of", breaks_off)
    store = JobStore(folder / DATABASE)
    with pytest.raises(DamagedStore, match="malformed"):
        looked_through(store)


def test_a_file_of_the_largest_small_size_is_looked_through_at_once(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    size = (folder / DATABASE).stat().st_size
    for small, beside in ((size, False), (size - 1, True)):
        monkeypatch.setattr(checkup, "SMALL_BYTES", small)
        store = JobStore(folder / DATABASE)
        assert (store._checkup._beside is not None) == beside
        store.close()


def test_a_small_file_is_looked_through_at_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkup, "SMALL_BYTES", 1 << 30)
    spoil_a_page(folder / DATABASE)
    with pytest.raises(DamagedStore):
        JobStore(folder / DATABASE)
