"""What `status` knows of a backend: what it says itself, and for one of this machine what can be seen from here."""

from __future__ import annotations

import shutil
import sqlite3
import time
from contextlib import closing, suppress
from pathlib import Path

import msgspec
import psutil

from shared_protocol.messages import Failed, Status

from ..client.api import Backend
from ..server.open_stores import DATABASE
from .diagnosis import open_read_only
from .output import JsonLine


class WorkerHealth(msgspec.Struct, frozen=True, kw_only=True):
    """One worker."""

    device: str
    pid: int
    """0 when it does not run."""
    busy: bool
    """Whether it has a job."""


class LastFailure(msgspec.Struct, frozen=True, kw_only=True):
    """The job that has failed last."""

    job: str
    code: str
    message: str
    submitted: float
    """Seconds since 1970 in UTC."""


class Health(JsonLine, frozen=True, kw_only=True, tag=True):
    """How a backend is. What is None cannot be known: the backend is on another machine."""

    healthy: bool
    """Whether it starts jobs, or would but for a pause."""
    version: str
    pid: int | None
    session: str
    device: str
    uptime: float | None
    """Seconds since its process began."""
    clients: int
    """This one included."""
    loads: int
    """How many times models were read from disk."""
    paused: bool
    stopped: str
    """Why the queue has stopped by itself, and what to do; empty while it has not."""
    waiting: int
    running: int
    workers: tuple[WorkerHealth, ...]
    free_bytes: int | None
    """On the disk of the data folder."""
    results: int | None
    """How many are kept."""
    results_bytes: int | None
    last_failure: LastFailure | None
    notes: tuple[str, ...]


class Results(msgspec.Struct, frozen=True):
    """What the database says of ended jobs."""

    count: int
    size: int
    """Bytes."""
    last_failure: LastFailure | None


def health_of(backend: Backend, now: Status) -> Health:
    """How a backend is that has just said `now`."""
    local = bool(backend.pid) and bool(now.data_folder)
    folder = Path(now.data_folder)
    results = read_results(folder / DATABASE) if local else None
    return Health(
        healthy=not now.queue.stopped,
        version=backend.welcome.backend,
        pid=backend.pid or None,
        session=backend.welcome.session,
        device=backend.welcome.device,
        uptime=_uptime(backend.pid) if local else None,
        clients=now.clients,
        loads=now.loads,
        paused=now.queue.paused,
        stopped=now.queue.stopped,
        waiting=now.queue.waiting,
        running=now.queue.running,
        workers=tuple(WorkerHealth(device=one.device, pid=one.pid, busy=one.state == "working") for one in now.workers),
        free_bytes=_free(folder) if local else None,
        results=None if results is None else results.count,
        results_bytes=None if results is None else results.size,
        last_failure=None if results is None else results.last_failure,
        notes=now.notes,
    )


def read_results(database: Path) -> Results | None:
    """What the backend's database says of ended jobs; None if it cannot be read. Changes nothing."""
    try:
        with closing(open_read_only(database)) as base:
            count, size = base.execute("SELECT count(*), coalesce(sum(bytes), 0) FROM jobs WHERE bytes > 0").fetchone()
            failed = base.execute(
                "SELECT submitted, ending FROM jobs WHERE state = 'failed' ORDER BY ended DESC LIMIT 1"
            ).fetchone()
    except sqlite3.Error:
        return None
    last = None
    with suppress(msgspec.DecodeError, TypeError):
        submitted, ending = failed
        end = msgspec.json.decode(ending, type=Failed)
        last = LastFailure(job=end.job, code=end.code, message=end.message, submitted=submitted)
    return Results(count, size, last)


def _uptime(pid: int) -> float | None:
    try:
        began = float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
    return round(max(0.0, time.time() - began), 1)


def _free(folder: Path) -> int | None:
    try:
        return shutil.disk_usage(folder).free
    except OSError:
        return None
