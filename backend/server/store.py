"""Where jobs are kept: one SQLite file, which survives whatever happens to the processes around it.

Every method that changes something has stored it, on disk, when it returns. Unfinished jobs are also held in memory, as
`backlog`, where the scheduler looks at them many times a second. What is asked of the file has an index for it, so that
no answer takes longer because the file has many ended jobs.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from enum import Enum, auto
from pathlib import Path
from typing import Any

from shared_protocol.machine import files
from shared_protocol.messages import Cancelled, Done, Failed, Terminal

from ..failures import Failure
from .backlog import Backlog
from .checkup import Checkup, DamagedStore
from .jobs import ALLOWED, DuplicateJob, Job, Owner, State, WrongState
from .rows import COLUMNS, ILLEGIBLE, ending_of, job_of, values_of
from .schema import migrate
from .store_errors import StoreRefuses, refusal
from .tally import Tally

log = logging.getLogger(__name__)

KEPT_ROWS = 10_000
"""Ended jobs that are remembered, so that a name is not used twice."""
BUSY_SECONDS = 0.2
"""How long a change waits for another program that holds the file."""
FORGOTTEN_AT_ONCE = 50
"""Of the others. Each takes some pages of the file."""
ALL = -1
"""How many, where SQLite takes a limit."""
SPREAD = 32
"""Waiting jobs that get other places where there is no room for one between them; more where that does not do."""
SPREAD_STEP = 1e-6
"""What is room enough: places are small numbers, so that there is more of it between two of these."""
_RESULT = "principal, bytes, received"
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
            with ExitStack() as failed:  # else the file would stay open where it cannot be used
                failed.callback(self._base.close)
                self._checkup = Checkup(self._base, path)
                migrate(self._base)
                self.backlog = Backlog()
                """The unfinished jobs. Only this store changes it."""
                self._last_place = 0.0
                self.tally = Tally()
                """The results that the ended jobs have. Only this store changes it."""
                for principal, size, received in self._base.execute(f"SELECT {_RESULT} FROM jobs WHERE bytes > 0"):
                    self.tally.add(principal, size, received=bool(received))
                names = self._base.execute("SELECT name FROM facts WHERE name GLOB ?", (f"{CANCEL}*",)).fetchall()
                self._to_cancel = {name.removeprefix(CANCEL) for (name,) in names}
                for place, *row in self._base.execute(
                    f"SELECT place, {COLUMNS} FROM jobs WHERE ending IS NULL ORDER BY place"
                ).fetchall():
                    self._last_place = place
                    self._take_up(place, row)
                self.forget_old_rows()
                self._forget_what_is_over()
                self._paces: dict[str, float] = dict(self._base.execute("SELECT kind, seconds FROM paces").fetchall())
                self._checkup.begin()
                failed.pop_all()
        except sqlite3.OperationalError:
            raise  # unreadable or full, not damaged
        except sqlite3.DatabaseError as error:
            raise DamagedStore(str(error)) from error

    def close(self) -> None:
        """Close the file."""
        self._checkup.stop()
        self._base.close()

    def look(self) -> None:
        """To be called often. Raises DamagedStore once damage was found in a large file, which takes time."""
        self._checkup.ask()

    def _open(self) -> None:
        # What others lock is answered soon, not after the five seconds that are usual: the whole backend waits.
        with ExitStack() as failed:
            base = sqlite3.connect(self.path or ":memory:", isolation_level=None, timeout=BUSY_SECONDS)
            failed.callback(base.close)
            base.execute("PRAGMA journal_mode = WAL")
            base.execute("PRAGMA synchronous = FULL")
            base.execute("PRAGMA cache_size = -256")  # KiB: the process shall not grow with the file
            base.execute("PRAGMA temp_store = MEMORY")  # sorting needs no file, and no folder that may be full
            failed.pop_all()
        self._base = base
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
        self._checkup.stop()
        self._base.close()
        for suffix in ("-wal", "-shm"):  # of the deleted one: they must not be taken for the new one's
            self.path.with_name(self.path.name + suffix).unlink(missing_ok=True)
        files.move(written, self.path)
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
                owner = (job.owner.client_id, job.owner.principal)
                self._base.execute("INSERT OR IGNORE INTO clients VALUES (?, ?)", owner)
        except sqlite3.IntegrityError:
            raise DuplicateJob(job.id) from None
        self._last_place = place
        self.backlog.add(job, place)

    def move(self, job_id: str, state: State) -> Job:
        """Change the state of an unfinished job. Raises WrongState, KeyError or StoreRefuses."""
        return self._change(job_id, state)

    def lose(self, job_id: str) -> Job:
        """A worker has ended while it had this job: it waits again, at its old place. Raises as `move`."""
        return self._change(job_id, State.QUEUED, losses=self._job(job_id).losses + 1)

    def keep_in_mind(self, job_id: str, state: State, why: str) -> Job:
        """Change an unfinished job's state in memory alone, when the disk takes nothing. A next start finds the older
        state, and lets the job wait again, too."""
        log.warning("The state of job %s is not stored: %s.", job_id, why)
        job = replace(self._job(job_id), state=state)
        self.backlog.change(job)
        return job

    def finish(self, end: Terminal, size: int = 0) -> Job:
        """End a job: its last state and its one terminal event are stored together. Raises as `move`.

        `size`: of its result, bytes.
        """
        job = self._change(end.job, STATES[type(end)], end=end, bytes=size)
        self.backlog.remove(job.id)
        self._count(job)
        return job

    def revive(self, job_id: str) -> None:
        """Take a job that waits again as one under way, for its result was found. Raises as `move`."""
        self._change(job_id, State.LOADING)

    def put_at(self, job_id: str, position: int) -> None:
        """Let `position` waiting jobs come before this waiting one. Raises KeyError or StoreRefuses."""
        _, before, behind = self.backlog.neighbours(job_id, position)
        if before is None and behind is None:
            return
        if before is None:
            assert behind is not None
            running = (self.backlog.key(job.id)[0] for job in self.backlog.active)
            # Behind those that run, which come first again if the backend ends now.
            before = max((place for place in running if place < behind), default=behind - 2)
        low, high = before, behind if behind is not None else before + 2
        place = (low + high) / 2
        if not low < place < high:  # 50 halvings later there is no room between two numbers
            self._spread(job_id, position)
            return
        self._put({job_id: place})

    def cancel(self, job_id: str) -> None:
        """An unfinished job is to end as soon as its worker heeds it, at the latest with the next start. Raises
        StoreRefuses."""
        with self._writing():
            self._base.execute("INSERT OR IGNORE INTO facts VALUES (?, 1)", (f"{CANCEL}{job_id}",))

    def receive(self, job_id: str) -> None:
        """Its client has all that it wants of an ended job. Raises StoreRefuses."""
        values = (job_id,)
        with self._writing():
            new = self._base.execute(
                f"SELECT {_RESULT} FROM jobs WHERE id = ? AND bytes > 0 AND received = 0", values
            ).fetchone()
            self._base.execute("UPDATE jobs SET received = 1 WHERE id = ? AND ending IS NOT NULL", values)
        if new is not None:
            self.tally.take(*new[:2])

    def drop_result(self, *jobs: str) -> None:
        """The results of these ended jobs are deleted. Raises StoreRefuses."""
        listed = f"({', '.join('?' * len(jobs))})"
        with self._writing():
            gone = self._base.execute(f"SELECT {_RESULT} FROM jobs WHERE bytes > 0 AND id IN {listed}", jobs).fetchall()
            self._base.execute(f"UPDATE jobs SET bytes = 0, received = 1 WHERE id IN {listed}", jobs)
        for principal, size, received in gone:
            self.tally.drop(principal, size, received=bool(received))

    def restore(self, *jobs: Job) -> int:
        """Take ended jobs back in whose record was lost with another database. Returns how many are new. Raises
        StoreRefuses; then none is taken."""
        new: list[Job] = []
        with self._writing():
            for job in jobs:
                try:
                    self._insert(job, self._last_place + len(new) + 1)
                except sqlite3.IntegrityError:
                    continue
                new.append(job)
        self._last_place += len(new)
        for job in new:
            self._count(job)
        return len(new)

    def may_use(self, client_id: str, principal: str) -> bool:
        """Whether a client id is this key's or nobody's: it belongs to the key of the first job under it. Raises
        StoreRefuses."""
        rows = self._ask("SELECT principal FROM clients WHERE client_id = ?", (client_id,))
        return not rows or bool(rows[0][0] == principal)

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
        return self.backlog.get(job_id) or next(self._ended("id = ?", (job_id,)), None)

    def queued(self) -> tuple[Job, ...]:
        """Jobs that wait, first the one that comes next."""
        return self.backlog.part(None, len(self.backlog))

    def unfinished(self) -> tuple[Job, ...]:
        """Jobs that have not ended, by their places in the queue."""
        return tuple(self.backlog)

    @property
    def idle(self) -> bool:
        """Whether no job is unfinished."""
        return not self.backlog

    def ended(self, principal: str, count: int, before: int | None = None) -> tuple[Job, ...]:
        """The last ended jobs of a key, the last first; those that had ended before an end of this number."""
        condition = "principal = ? AND ended < ? ORDER BY ended DESC LIMIT ?"
        return tuple(self._ended(condition, (principal, _number(before), count)))

    def ended_count(self, principal: str, most: int, before: int | None = None) -> int:
        """How many these are, `most` at most."""
        listed = "SELECT 1 FROM jobs WHERE ending IS NOT NULL AND principal = ? AND ended < ? LIMIT ?"
        values = (principal, _number(before), most)
        return int(self._ask(f"SELECT count(*) FROM ({listed})", values)[0][0])

    def end_number(self, job_id: str) -> int:
        """As the how manieth an ended job ended; 0 if there is none."""
        rows = self._ask("SELECT ended FROM jobs WHERE id = ? AND ending IS NOT NULL", (job_id,))
        return int(rows[0][0]) if rows else 0

    def next_end_number(self) -> int:
        """That of the end that comes next."""
        return int(self._ask("SELECT coalesce(max(ended), 0) + 1 FROM jobs")[0][0])

    def undelivered(
        self, owner: Owner, count: int = ALL, *, before: int | None = None, after: int | None = None
    ) -> tuple[Job, ...]:
        """Ended jobs of which the owner has not said that all is received, oldest first; `before`: the last of those
        that had ended before an end of this number, the last first; `after`: those that have ended after one."""
        condition = "principal = ? AND client_id = ? AND received = 0 AND "
        condition += "ended > ? ORDER BY ended LIMIT ?" if before is None else "ended < ? ORDER BY ended DESC LIMIT ?"
        number = (after or 0) if before is None else before
        return tuple(self._ended(condition, (owner.principal, owner.client_id, number, count)))

    def results(self, count: int = ALL, *, received: bool = False) -> tuple[tuple[str, int, bool], ...]:
        """(job, bytes, received) of results, oldest first; of those alone that their clients have taken."""
        only = " AND received = 1" if received else ""
        rows = self._ask(f"SELECT id, bytes, received FROM jobs WHERE bytes > 0{only} ORDER BY ended LIMIT ?", (count,))
        return tuple((job, size, bool(taken)) for job, size, taken in rows)

    def result_names(self) -> frozenset[str]:
        """The jobs that have a result."""
        return frozenset(job for (job,) in self._ask("SELECT id FROM jobs WHERE bytes > 0"))

    # Inside -------------------------------------------------------------------------------------------------

    def _take_up(self, place: float, row: list[Any]) -> None:
        """An unfinished job from a former run: whatever was under way waits again."""
        job = job_of(row)
        self.backlog.add(job, place)
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
        job = self._job(job_id)
        if state not in ALLOWED[job.state]:
            raise WrongState(f"{job.state.value} → {state.value}")
        job = replace(job, state=state, **values)
        with self._writing():
            self._base.execute(
                "UPDATE jobs SET state = ?, losses = ?, interruptions = ?, ending = ?, bytes = ?,"
                " ended = CASE WHEN ? THEN (SELECT coalesce(max(ended), 0) + 1 FROM jobs) END WHERE id = ?",
                (state.value, job.losses, job.interruptions, ending_of(job), job.bytes, job.ended, job_id),
            )
        if not job.ended:
            self.backlog.change(job)
        return job

    def _job(self, job_id: str) -> Job:
        job = self.backlog.get(job_id)
        if job is None:
            raise KeyError(job_id)
        return job

    def _count(self, job: Job) -> None:
        """A job has ended, perhaps with a result."""
        if job.bytes:
            self.tally.add(job.owner.principal, job.bytes, received=job.received)

    def _insert(self, job: Job, place: float) -> None:
        self._base.execute(
            f"INSERT INTO jobs ({COLUMNS}, place, ended) VALUES ({', '.join('?' * len(values_of(job)))}, ?,"
            " CASE WHEN ? THEN (SELECT coalesce(max(ended), 0) + 1 FROM jobs) END)",
            (*values_of(job), place, job.ended),
        )

    def _ended(self, condition: str, values: tuple[Any, ...]) -> Iterator[Job]:
        return map(job_of, self._ask(f"SELECT {COLUMNS} FROM jobs WHERE ending IS NOT NULL AND {condition}", values))

    def _put(self, places: dict[str, float]) -> None:
        with self._writing():
            self._base.executemany("UPDATE jobs SET place = ? WHERE id = ?", [(at, job) for job, at in places.items()])
        for job_id, place in places.items():
            self.backlog.put(job_id, place)
        self._last_place = max(self._last_place, *places.values())

    def _spread(self, job_id: str, position: int) -> None:
        """Put a job where there is no room, by giving those behind it other places, no more than needed."""
        width = SPREAD
        while True:
            moved, before, behind = self.backlog.neighbours(job_id, position, width)
            ids = [job_id, *(job.id for job in moved)]
            high = self._last_place + len(ids) + 1 if behind is None else behind
            low = high - len(ids) - 1 if before is None else before
            step = (high - low) / (len(ids) + 1)
            if behind is None or step > SPREAD_STEP:
                self._put({each: low + step * (index + 1) for index, each in enumerate(ids)})
                return
            width *= 2

    def forget_old_rows(self) -> bool:
        """Forget some of the ended jobs that are too many. Whether there are more. Raises StoreRefuses."""
        unneeded = "bytes = 0 AND received = 1 AND ended <= (SELECT max(ended) FROM jobs) - ?"
        rows = self._ask(f"SELECT id FROM jobs WHERE {unneeded} ORDER BY ended LIMIT ?", (KEPT_ROWS, FORGOTTEN_AT_ONCE))
        if rows:
            with self._writing():
                self._base.executemany("DELETE FROM jobs WHERE id = ?", rows)
        return len(rows) == FORGOTTEN_AT_ONCE

    def _forget_what_is_over(self) -> None:
        """Cancels that have been heeded, and the ids of clients of whom no job is left."""
        with self._writing():
            self._base.execute("DELETE FROM facts WHERE name GLOB ?", (f"{CANCEL}*",))
            self._base.execute(
                "DELETE FROM clients WHERE NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.principal = clients.principal"
                " AND jobs.client_id = clients.client_id)"
            )

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


def _number(before: int | None) -> int:
    """That of an end; None: of one that comes after all."""
    return 2**62 if before is None else before
