"""Open what the backend keeps: the queue, the results, the uploaded pictures. Mends what an earlier end has left."""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from shared_protocol.machine import files

from ..failures import StorageFailure, cannot_keep
from ..serve_options import ServeOptions
from .checkup import SUSPECT, DamagedStore
from .failures import StartFailure
from .jobs import Job, State
from .result_record import job_of
from .results import ResultStore
from .rows import COLUMNS
from .rows import job_of as job_of_row
from .schema import UnknownSchema
from .store import JobStore
from .store_errors import StoreRefuses
from .uploads import Uploads

log = logging.getLogger(__name__)

DATABASE = "queue.db"
TAKEN_AT_ONCE = 200
"""Results that go into the database in one piece."""


@dataclass(frozen=True)
class Kept:
    """What outlives the backend."""

    store: JobStore
    results: ResultStore
    uploads: Uploads
    notes: tuple[str, ...]
    """Sentences about what was mended."""


def open_all(folder: Path, options: ServeOptions) -> Kept:
    """Open everything below `folder`, making what is missing. Raises BackendError."""
    try:
        files.make_folder(folder)
        results = ResultStore(folder / "results")
        uploads = Uploads(folder / "uploads", options.upload_bytes)
        store, harm = _open_store(folder / DATABASE)
        there = results.sweep()
        found = _take_in(store, results, there)
        _reconcile(store, results, there)
    except OSError as error:
        raise cannot_keep(folder, error) from error
    except StoreRefuses as error:
        raise error.failure from error
    if found and not harm:
        harm = "The queue's file did not know all finished clips, perhaps because it was deleted: "
    notes = (f"{harm}{found} finished ones were found again.",) if harm else ()
    return Kept(store, results, uploads, notes)


def _open_store(path: Path) -> tuple[JobStore, str]:
    """The database, and the beginning of a sentence about its damage: a damaged one is put aside for a new one."""
    try:
        return JobStore(path), ""
    except UnknownSchema as error:
        raise StartFailure("queue_too_new", file=path, detail=error) from error
    except sqlite3.OperationalError as error:
        raise StorageFailure("results_unwritable", folder=path.parent, detail=error) from error
    except DamagedStore as error:
        aside = path.with_name(f"queue-damaged-{time.strftime('%Y%m%d-%H%M%S')}.db")
        log.error("The database is damaged (%s) and is put aside as %s.", error, aside.name)
    found_late = path.with_name(path.name + SUSPECT)
    waiting = _waiting_in(path) if found_late.exists() else []
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            files.move(file, aside.with_name(aside.name + suffix))
    found_late.unlink(missing_ok=True)
    store = JobStore(path)
    for job in waiting:
        store.add(job)
    what = f"{len(waiting)} waiting clips were read from it" if waiting else "waiting jobs are lost"
    return store, f"The queue's file was damaged and is kept as {aside.name}: {what}, "


def _waiting_in(path: Path) -> list[Job]:
    """Unfinished jobs of a database that worked until damage was found elsewhere in it, as far as they can be read."""
    try:
        with closing(sqlite3.connect(path)) as base:
            rows = base.execute(f"SELECT {COLUMNS} FROM jobs WHERE ending IS NULL ORDER BY place").fetchall()
        return [replace(job_of_row(row), state=State.QUEUED) for row in rows]
    except (sqlite3.Error, ValueError, TypeError) as error:  # msgspec's errors are ValueErrors
        log.warning("No waiting jobs could be read from it: %s.", error)
        return []


def _take_in(store: JobStore, results: ResultStore, there: frozenset[str]) -> int:
    """Results of which the database knows nothing go into it. Returns how many. Those that it knows to be deleted are
    deleted."""
    unknown, count = [], 0
    for job_id in there - store.result_names():
        known = store.get(job_id)
        if known is None:
            unknown.append(job_id)
        elif known.ended:
            results.put_away(job_id)
    jobs = _jobs_of(results, unknown)
    while part := tuple(islice(jobs, TAKEN_AT_ONCE)):
        count += store.restore(*part)
    return count


def _jobs_of(results: ResultStore, names: Iterable[str]) -> Iterator[Job]:
    for name, record in results.found(names):
        job = job_of(record, results.size(name))
        if job is not None and job.id == name:
            yield job


def _reconcile(store: JobStore, results: ResultStore, there: frozenset[str]) -> None:
    """A result that was published just before the end, when its job was not yet stored as done, makes the job done."""
    for job in store.unfinished():
        if job.id not in there or not results.has(job.id):
            continue
        size = results.size(job.id)
        found = job_of((results.folder(job.id) / "result.json").read_bytes(), size)
        if found is None or found.end is None:
            results.forget(job.id)
        else:
            store.revive(job.id)
            store.finish(found.end, size)
