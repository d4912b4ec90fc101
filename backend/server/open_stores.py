"""Open what the backend keeps: the queue, the results, the uploaded pictures. Mends what an earlier end has left."""

from __future__ import annotations

import logging
import sqlite3
import time
from dataclasses import dataclass
from pathlib import Path

from shared_protocol.machine import files
from shared_protocol.texts import path_text

from ..failures import StorageFailure, cannot_keep
from ..serve_options import ServeOptions
from .failures import StartFailure
from .result_record import job_of
from .results import ResultStore
from .schema import UnknownSchema
from .store import DamagedStore, JobStore, StoreFull
from .uploads import Uploads

log = logging.getLogger(__name__)

DATABASE = "queue.db"


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
    if not path_text(folder):  # neither a worker nor a client could be told of it
        raise StorageFailure("results_unwritable", folder=folder, detail="its name is no UTF-8, or too long")
    try:
        files.make_folder(folder)
        results = ResultStore(folder / "results")
        uploads = Uploads(folder / "uploads", options.upload_bytes)
        store, harm = _open_store(folder / DATABASE)
        found = _take_in(store, results)
        _reconcile(store, results)
        results.sweep()
    except OSError as error:
        raise cannot_keep(folder, error) from error
    except StoreFull as error:
        raise StorageFailure("disk_full") from error
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
    for suffix in ("", "-wal", "-shm"):
        file = path.with_name(path.name + suffix)
        if file.exists():
            file.rename(aside.with_name(aside.name + suffix))
    return JobStore(path), f"The queue's file was damaged and is kept as {aside.name}: waiting jobs are lost, "


def _take_in(store: JobStore, results: ResultStore) -> int:
    """Results of which the database knows nothing go into it. Returns how many."""
    count = 0
    for job_id, record in results.found(but=lambda job_id: store.get(job_id) is not None):
        job = job_of(record, results.size(job_id))
        if job is not None and job.id == job_id:
            store.restore(job)
            count += 1
    return count


def _reconcile(store: JobStore, results: ResultStore) -> None:
    """A result that was published just before the end, when its job was not yet stored as done, makes the job done."""
    for job in store.unfinished():
        if not results.has(job.id):
            continue
        size = results.size(job.id)
        found = job_of((results.folder(job.id) / "result.json").read_bytes(), size)
        if found is None or found.end is None:
            results.forget(job.id)
        else:
            store.revive(job.id)
            store.finish(found.end, size)
