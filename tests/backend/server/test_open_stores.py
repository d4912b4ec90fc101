"""What a start finds of an earlier end, and what it makes of it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from backend.failures import BackendError
from backend.serve_options import ServeOptions
from backend.server import open_stores
from backend.server.checkup import SUSPECT
from backend.server.jobs import Job, Owner, State
from backend.server.open_stores import DATABASE, Kept, open_all
from backend.server.result_record import record
from backend.server.results import RESULT_FILE
from backend.server.schema import SCHEMA_VERSION
from backend.server.store import JobStore
from backend.server.store_errors import refusal
from elevator.pictures.clip_folder import frame_name
from tests.backend.orders import done, order

A, B = "a" * 32, "b" * 32
ME = Owner("local", "1" * 32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "data"


def opened(folder: Path) -> Kept:
    return open_all(folder, ServeOptions())


def with_result(folder: Path, name: str, record: bytes) -> None:
    """A result that was published."""
    result = folder / "results" / name
    result.mkdir(parents=True)
    (result / frame_name(0)).write_bytes(b"png")
    (result / RESULT_FILE).write_bytes(record)


def under_way(folder: Path) -> None:
    """A backend that has ended while a job was made."""
    store = opened(folder).store
    store.add(Job(A, ME, order()))
    store.move(A, State.LOADING)
    store.close()


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(BackendError) as refused:
        opened(tmp_path / "file" / "data")
    assert refused.value.code == "results_unwritable"
    assert str(tmp_path / "file" / "data") in str(refused.value)


def test_a_database_that_does_not_answer_is_one_sentence(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(store: JobStore) -> frozenset[str]:
        raise refusal(sqlite3.OperationalError("locked"), store.path)

    monkeypatch.setattr(JobStore, "result_names", refuse)
    with pytest.raises(BackendError) as refused:
        opened(folder)
    assert refused.value.code == "queue_unusable"


def test_a_database_of_a_newer_release_is_one_sentence(folder: Path) -> None:
    opened(folder).store.close()
    with closing(sqlite3.connect(folder / DATABASE)) as base:
        base.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    with pytest.raises(BackendError) as refused:
        opened(folder)
    assert refused.value.code == "queue_too_new"


def test_a_result_that_was_published_just_before_the_end_is_its_jobs_end(folder: Path) -> None:
    under_way(folder)
    with_result(folder, A, record(Job(A, ME, order()), done(A)))
    kept = opened(folder)
    found = kept.store.get(A)
    assert found is not None
    assert (found.state, found.end, found.bytes) == (State.DONE, done(A), kept.results.size(A))
    assert kept.notes == ()


@pytest.mark.parametrize("text", [b"{}", b"not JSON"])
def test_a_result_that_says_nothing_of_its_job_goes_and_the_job_waits(text: bytes, folder: Path) -> None:
    under_way(folder)
    with_result(folder, A, text)
    kept = opened(folder)
    assert [job.id for job in kept.store.queued()] == [A]
    assert not kept.results.folder(A).exists()


def test_a_result_under_anothers_name_is_no_clip(folder: Path) -> None:
    with_result(folder, B, record(Job(A, ME, order()), done(A)))
    with_result(folder, "c" * 32, b"{}")
    kept = opened(folder)
    assert kept.notes == ()
    assert kept.store.result_names() == frozenset()


def test_waiting_clips_are_lost_with_a_database_that_nobody_can_read(folder: Path) -> None:
    under_way(folder)
    path = folder / DATABASE
    path.write_bytes(b"no database " * 1000)
    path.with_name(path.name + SUSPECT).touch()
    kept = opened(folder)
    (note,) = kept.notes
    assert "waiting jobs are lost, 0 finished ones were found again." in note
    assert kept.store.idle
    assert [file.read_bytes()[:11] for file in folder.glob("queue-damaged-*.db")] == [b"no database"]


def test_a_database_that_cannot_be_opened_is_no_damaged_one(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened(folder).store.close()

    def refuses(path: Path) -> JobStore:
        raise sqlite3.OperationalError("unable to open database file")

    monkeypatch.setattr(open_stores, "JobStore", refuses)
    with pytest.raises(BackendError, match="unable to open database file") as refused:
        opened(folder)
    assert refused.value.code == "results_unwritable"
    assert [path.name for path in folder.glob("queue*.db")] == [DATABASE]
