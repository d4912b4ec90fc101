"""Where jobs are kept: one SQLite file, which survives whatever happens to the processes around it.

Every method that changes something has stored it, on disk, when it returns. Unfinished jobs are also held in memory,
where the scheduler looks at them many times a second.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from shared_protocol.messages import Cancelled, Done, Failed, Terminal

from ..failures import Failure
from .jobs import ALLOWED, DuplicateJob, Job, Owner, State, WrongState
from .rows import COLUMNS, ILLEGIBLE, ending_of, job_of, values_of
from .schema import migrate
from .store_errors import StoreRefuses, refusal

log = logging.getLogger(__name__)

KEPT_ROWS = 10_000
"""Ended jobs that are remembered, so that a name is not used twice."""
BUSY_SECONDS = 0.2
"""How long a change waits for another program that holds the file."""
MOST_INTERRUPTIONS = 10
"""A job under way whenever the backend is killed may be the reason."""
CANCEL = "cancel "
"""Begins the names of the facts that jobs are to be cancelled."""
STATES: dict[type[Terminal], State] = {Done: State.DONE, Failed: State.FAILED, Cancelled: State.CANCELLED}


class FileState(Enum):
    """What has become of the database's file while it is open."""

    THERE = auto()
    GONE = auto()
    ANOTHER = auto()
    """Another file lies under its name."""


class DamagedStore(Exception):
    """The file is no usable database."""


class JobStore:
    """Jobs, who owns which client id, whether the queue is paused, and how fast styles are."""

    def __init__(self, path: Path | None) -> None:
        """Open or make the database; None: one in memory.

        Raises DamagedStore, UnknownSchema, OSError, StoreRefuses, or sqlite3.OperationalError if it cannot be read.
        """
        if path is not None:
            # Made before SQLite would make it, so that it is at no moment readable by others.
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        self.path = path
        try:
            self._open()
            if self._base.execute("PRAGMA quick_check").fetchone() != ("ok",):
                raise DamagedStore("the check of the database found damage")
            migrate(self._base)
            self._last_place = float(self._base.execute("SELECT coalesce(max(place), 0) FROM jobs").fetchone()[0])
            self._jobs: dict[str, Job] = {}
            self._places: dict[str, float] = {}
            self._to_cancel = {
                name.removeprefix(CANCEL)
                for (name,) in self._base.execute(
                    "SELECT name FROM facts WHERE name GLOB ?", (f"{CANCEL}*",)
                ).fetchall()
            }
            for place, *row in self._base.execute(
                f"SELECT place, {COLUMNS} FROM jobs WHERE ending IS NULL ORDER BY place"
            ).fetchall():
                self._take_up(place, row)
            self._forget_old_rows()
            self._forget_cancels()
            self._paces: dict[str, float] = dict(self._base.execute("SELECT kind, seconds FROM paces").fetchall())
        except sqlite3.OperationalError:
            raise  # unreadable or full, not damaged
        except sqlite3.DatabaseError as error:
            raise DamagedStore(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._base.close()

    def _open(self) -> None:
        # What others lock is answered soon, not after the five seconds that are usual: the whole backend waits.
        self._base = sqlite3.connect(self.path or ":memory:", isolation_level=None, timeout=BUSY_SECONDS)
        self._base.execute("PRAGMA journal_mode = WAL")
        self._base.execute("PRAGMA synchronous = FULL")
        self._base.execute("PRAGMA cache_size = -256")  # KiB: the process shall not grow with the file
        self._base.execute("PRAGMA temp_store = MEMORY")  # sorting needs no file, and no folder that may be full
        self._inode = None if self.path is None else _inode_of(self.path)

    # The file -----------------------------------------------------------------------------------------------

    @property
    def file_state(self) -> FileState:
        """Whether the open file still lies where it should."""
        if self.path is None:
            return FileState.THERE
        inode = _inode_of(self.path)
        if inode is None:
            return FileState.GONE
        return FileState.THERE if inode == self._inode else FileState.ANOTHER

    def write_again(self) -> None:
        """Write all that the deleted file holds into a new one of its name. Raises StoreRefuses."""
        assert self.path is not None
        written = self._copy(self.path.with_name(f".{self.path.name}-again"))
        self._base.close()
        for suffix in ("-wal", "-shm"):  # of the deleted one: they must not be taken for the new one's
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        written.replace(self.path)
        self._open()

    def put_aside(self) -> Path:
        """Write all that the file holds, under whose name another lies now, into one of another name. Raises
        StoreRefuses."""
        assert self.path is not None
        return self._copy(self.path.with_name(f"queue-replaced-{time.strftime('%Y%m%d-%H%M%S')}.db"))

    def _copy(self, path: Path) -> Path:
        path.unlink(missing_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
        try:
            self._base.execute("VACUUM INTO ?", (str(path),))
        except sqlite3.Error as error:
            path.unlink(missing_ok=True)
            raise refusal(error, self.path) from error
        return path

    # Changes ------------------------------------------------------------------------------------------------

    def add(self, job: Job) -> None:
        """Put a queued job at the end of the queue. Raises DuplicateJob or StoreRefuses."""
        place = self._last_place + 1
        try:
            with self._writing():
                self._insert(job, place)
        except sqlite3.IntegrityError:
            raise DuplicateJob(job.id) from None
        self._last_place = place
        self._jobs[job.id], self._places[job.id] = job, place

    def move(self, job_id: str, state: State) -> Job:
        """Change the state of an unfinished job. Raises WrongState, KeyError or StoreRefuses."""
        return self._change(job_id, state)

    def lose(self, job_id: str) -> Job:
        """A worker has ended while it had this job: it waits again, at its old place. Raises as `move`."""
        return self._change(job_id, State.QUEUED, losses=self._jobs[job_id].losses + 1)

    def keep_in_mind(self, job_id: str, state: State, why: str) -> Job:
        """Change an unfinished job's state in memory alone, when the disk takes nothing. A next start finds the older
        state, and lets the job wait again, too."""
        log.warning("The state of job %s is not stored: %s.", job_id, why)
        job = self._jobs[job_id] = replace(self._jobs[job_id], state=state)
        return job

    def finish(self, end: Terminal, size: int = 0) -> Job:
        """End a job: its last state and its one terminal event are stored together. Raises as `move`.

        `size`: of its result, bytes.
        """
        job = self._change(end.job, STATES[type(end)], end=end, bytes=size)
        del self._jobs[job.id], self._places[job.id]
        return job

    def revive(self, job_id: str) -> None:
        """Take a job that waits again as one under way, for its result was found. Raises as `move`."""
        self._change(job_id, State.LOADING)

    def put_at(self, job_id: str, position: int) -> None:
        """Let `position` waiting jobs come before this waiting one. Raises KeyError or StoreRefuses."""
        others = [job.id for job in self.queued() if job.id != job_id]
        before = self._places[others[min(position, len(others)) - 1]] if position and others else None
        after = self._places[others[position]] if position < len(others) else None
        if before is None and after is None:
            return
        low = before if before is not None else (after or 0) - 2
        high = after if after is not None else low + 2
        place = (low + high) / 2
        with self._writing():
            self._base.execute("UPDATE jobs SET place = ? WHERE id = ?", (place, job_id))
        self._places[job_id] = place
        self._last_place = max(self._last_place, place)
        if not low < place < high:  # 50 halvings later there is no room between two numbers
            self._number_anew()
            self.put_at(job_id, position)

    def cancel(self, job_id: str) -> None:
        """An unfinished job is to end as soon as its worker heeds it, at the latest with the next start. Raises
        StoreRefuses."""
        with self._writing():
            self._base.execute("INSERT OR IGNORE INTO facts VALUES (?, 1)", (f"{CANCEL}{job_id}",))

    def receive(self, job_id: str) -> None:
        """Its client has all that it wants of an ended job. Raises StoreRefuses."""
        with self._writing():
            self._base.execute("UPDATE jobs SET received = 1 WHERE id = ? AND ending IS NOT NULL", (job_id,))

    def drop_result(self, job_id: str) -> None:
        """The result of an ended job is deleted. Raises StoreRefuses."""
        with self._writing():
            self._base.execute("UPDATE jobs SET bytes = 0, received = 1 WHERE id = ?", (job_id,))

    def restore(self, job: Job) -> None:
        """Take an ended job back in whose record was lost with another database. Raises StoreRefuses."""
        try:
            with self._writing():
                self._last_place += 1
                self._insert(job, self._last_place)
        except sqlite3.IntegrityError:
            return

    def bind(self, client_id: str, principal: str) -> bool:
        """Let a client id belong to the key that uses it first. Whether it is this key's. Raises StoreRefuses."""
        rows = self._ask("SELECT principal FROM clients WHERE client_id = ?", (client_id,))
        if not rows:
            with self._writing():
                self._base.execute("INSERT INTO clients VALUES (?, ?)", (client_id, principal))
            return True
        return bool(rows[0][0] == principal)

    @property
    def paused(self) -> bool:
        """Whether a client has paused the queue."""
        return bool(self._ask("SELECT 1 FROM facts WHERE name = 'paused'"))

    def pause(self, paused: bool) -> None:
        """Pause or go on. Raises StoreRefuses."""
        with self._writing():
            self._base.execute("DELETE FROM facts WHERE name = 'paused'")
            if paused:
                self._base.execute("INSERT INTO facts VALUES ('paused', 1)")

    def learn(self, kind: str, pace: float) -> None:
        """Remember how fast a kind of work went; what comes later counts as much as all before. Raises StoreRefuses."""
        known = self.pace(kind)
        mixed = pace if known is None else (known + pace) / 2
        with self._writing():
            self._base.execute("INSERT OR REPLACE INTO paces VALUES (?, ?)", (kind, mixed))
        self._paces[kind] = mixed

    # Questions ----------------------------------------------------------------------------------------------

    def pace(self, kind: str) -> float | None:
        """Seconds that a unit of this kind of work takes, or None while that is unknown."""
        return self._paces.get(kind)

    def get(self, job_id: str) -> Job | None:
        """The job of this name, or None if it never was or is forgotten."""
        if job_id in self._jobs:
            return self._jobs[job_id]
        return next(self._ended("id = ?", (job_id,)), None)

    def queued(self) -> tuple[Job, ...]:
        """Jobs that wait, first the one that comes next."""
        return tuple(job for job in self.unfinished() if job.state is State.QUEUED)

    def unfinished(self) -> tuple[Job, ...]:
        """Jobs that have not ended, by their places in the queue."""
        return tuple(sorted(self._jobs.values(), key=lambda job: self._places[job.id]))

    @property
    def idle(self) -> bool:
        """Whether no job is unfinished."""
        return not self._jobs

    def ended(self, principal: str, count: int) -> tuple[Job, ...]:
        """The last ended jobs of a key, the last first."""
        return tuple(self._ended("principal = ? ORDER BY ended DESC LIMIT ?", (principal, count)))

    def undelivered(self, owner: Owner) -> tuple[Job, ...]:
        """Ended jobs of which the owner has not said that all is received, oldest first."""
        condition = "principal = ? AND client_id = ? AND received = 0 ORDER BY ended"
        return tuple(self._ended(condition, (owner.principal, owner.client_id)))

    def results(self) -> tuple[tuple[str, int, bool], ...]:
        """(job, bytes, received) of all results, oldest first."""
        rows = self._ask("SELECT id, bytes, received FROM jobs WHERE bytes > 0 ORDER BY ended")
        return tuple((job, size, bool(received)) for job, size, received in rows)

    # Inside -------------------------------------------------------------------------------------------------

    def _take_up(self, place: float, row: list[Any]) -> None:
        """An unfinished job from a former run: whatever was under way waits again."""
        job = job_of(row)
        self._jobs[job.id], self._places[job.id] = job, place
        if job.order is ILLEGIBLE:
            self.finish(Failure("other_version").as_event(job.id))
        elif job.id in self._to_cancel:
            self.finish(Cancelled(job=job.id))
        elif job.state is State.QUEUED:
            return
        elif job.interruptions + 1 >= MOST_INTERRUPTIONS:
            self.finish(Failure("worker_died", log="backend.log").as_event(job.id))
        else:
            self._change(job.id, State.QUEUED, interruptions=job.interruptions + 1)

    def _change(self, job_id: str, state: State, **values: Any) -> Job:
        job = self._jobs[job_id]
        if state not in ALLOWED[job.state]:
            raise WrongState(f"{job.state.value} → {state.value}")
        job = replace(job, state=state, **values)
        with self._writing():
            self._base.execute(
                "UPDATE jobs SET state = ?, losses = ?, interruptions = ?, ending = ?, bytes = ?,"
                " ended = CASE WHEN ? THEN (SELECT coalesce(max(ended), 0) + 1 FROM jobs) END WHERE id = ?",
                (state.value, job.losses, job.interruptions, ending_of(job), job.bytes, job.ended, job_id),
            )
        self._jobs[job_id] = job
        return job

    def _insert(self, job: Job, place: float) -> None:
        self._base.execute(
            f"INSERT INTO jobs ({COLUMNS}, place, ended) VALUES ({', '.join('?' * len(values_of(job)))}, ?,"
            " CASE WHEN ? THEN (SELECT coalesce(max(ended), 0) + 1 FROM jobs) END)",
            (*values_of(job), place, job.ended),
        )

    def _ended(self, condition: str, values: tuple[Any, ...]) -> Iterator[Job]:
        return map(job_of, self._ask(f"SELECT {COLUMNS} FROM jobs WHERE ending IS NOT NULL AND {condition}", values))

    def _number_anew(self) -> None:
        order = [job.id for job in self.unfinished()]
        with self._writing():
            for job_id in order:
                self._last_place += 1
                self._base.execute("UPDATE jobs SET place = ? WHERE id = ?", (self._last_place, job_id))
                self._places[job_id] = self._last_place

    def _forget_old_rows(self) -> None:
        with self._writing():
            self._base.execute(
                "DELETE FROM jobs WHERE bytes = 0 AND received = 1 AND ended <= (SELECT max(ended) FROM jobs) - ?",
                (KEPT_ROWS,),
            )

    def _forget_cancels(self) -> None:
        with self._writing():
            self._base.execute("DELETE FROM facts WHERE name GLOB ?", (f"{CANCEL}*",))

    @contextmanager
    def _writing(self) -> Iterator[None]:
        """One transaction. Raises StoreRefuses if the disk does not take it; then nothing has changed."""
        try:
            self._base.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                if self._base.in_transaction:  # some errors end it by themselves
                    self._base.execute("ROLLBACK")
                raise
            self._base.execute("COMMIT")
        except sqlite3.IntegrityError:
            raise  # a name that is there already: whoever writes knows what that means
        except sqlite3.Error as error:
            if self._base.in_transaction:
                self._base.execute("ROLLBACK")
            raise refusal(error, self.path) from error

    def _ask(self, question: str, values: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """The rows of an answer. Raises StoreRefuses."""
        try:
            return self._base.execute(question, values).fetchall()
        except sqlite3.Error as error:
            raise refusal(error, self.path) from error


def _inode_of(path: Path) -> tuple[int, int] | None:
    """What tells a file from another under the same name; None: there is none."""
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    return state.st_dev, state.st_ino


def quietly(change: Callable[[], object]) -> None:
    """Store what is lost without harm when the disk takes nothing."""
    try:
        change()
    except StoreRefuses as error:
        log.warning("Not stored: %s.", error)
