"""What becomes of a job when no worker has it any more: it ends, once and for all, or waits for another try."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TypeAlias

import msgspec

from shared_protocol.messages import Cancelled, Done, Message, Notice, Terminal
from shared_protocol.texts import path_text, sentence
from shared_protocol.wire import Buffer

from ..failures import StorageFailure, cannot_keep
from ..serve_options import ServeOptions
from .jobs import Job, State
from .result_record import record
from .results import ResultStore, to_drop
from .store import JobStore
from .store_errors import StoreRefuses

log = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
"""How often what the disk did not take is tried again."""
SAVED_AT_ONCE = 20
"""Of the ends that the disk did not take."""
TIDY_SECONDS = 1.0
"""How often it is looked whether there is too much of something, while there is not."""
REFUSED_SECONDS = 60.0
"""How much later, when the disk does not take it."""
RESULTS_AT_ONCE = 10
"""So many lose their names before somebody else has a turn."""
PLACE_SECONDS = 0.1
"""How often a clip that is made and finds no place is tried again. Virus scanners hold new files for a moment, and a
folder that holds such a file can get no other name on Windows."""
PATIENCE_SECONDS = 5.0
"""After so long the queue stops over it, which says why. The clip stays, and is tried on and on."""

Emit: TypeAlias = Callable[[Job, Message, Sequence[Buffer]], None]
"""Tell whoever listens to a job something."""


@dataclass
class _Made:
    """A clip without its final place."""

    job: Job
    done: Done
    since: float
    """On the clock."""
    told: bool = False
    """Whether it was said why."""


class Endings:
    """Stores the ends of jobs, and tells them afterwards."""

    def __init__(
        self,
        store: JobStore,
        results: ResultStore,
        options: ServeOptions,
        *,
        emit: Emit,
        stop: Callable[[StorageFailure], None],
        go_on: Callable[[], None],
        clock: Callable[[], float],
    ) -> None:
        """`stop`: stop the queue, for a reason. `go_on`: that reason is gone. `clock`: seconds that go forward."""
        self._store, self._results, self._options = store, results, options
        self._emit, self._stop, self._go_on, self._clock = emit, stop, go_on, clock
        self._made: dict[str, _Made] = {}
        self._placed_at = clock()
        self._unsaved: dict[str, tuple[Terminal, int]] = {}
        """With the bytes of their results."""
        self._saved_at = self._tidied_at = clock()

    @property
    def unsaved(self) -> Collection[str]:
        """Jobs that no worker has any more and whose end the disk did not take yet. They count as unfinished."""
        return self._unsaved.keys() | self._made.keys()

    def publish(self, job: Job, done: Done) -> None:
        """Give the clip that a worker has made its final place, which ends its job. What finds none waits for it: it
        is not made anew."""
        self._made[job.id] = _Made(job, done, self._clock())
        self._place(self._made[job.id])

    def give_up(self, job_id: str) -> bool:
        """A job is cancelled: its clip waits for its place no longer. False if none did."""
        if self._made.pop(job_id, None) is None:
            return False
        self.end(Cancelled(job=job_id))
        return True

    def end(self, end: Terminal, size: int = 0) -> None:
        """End a job: its last state is stored, and then its one terminal event is sent."""
        try:
            job = self._store.finish(end, size)
        except StoreRefuses as error:
            log.error("The end of job %s could not be stored: %s.", end.job, error)
            self._unsaved[end.job] = (end, size)
            self._stop(error.failure)
            return
        self._unsaved.pop(job.id, None)
        if not isinstance(end, Done):
            self._forget(job.id)
        log.info("Job %s: %s.", job.id, job.state.value)
        self._emit(job, end, ())
        self._tidied_at = -math.inf

    def place_again(self) -> None:
        """Try once more to give clips their places. To be called often."""
        if self._made and self._clock() - self._placed_at >= PLACE_SECONDS:
            for made in list(self._made.values()):
                self._place(made)
            self._placed_at = self._clock()

    def _place(self, made: _Made) -> None:
        job = made.job
        folder = self._results.folder(job.id)
        done = msgspec.structs.replace(made.done, folder=path_text(folder))
        try:
            size = self._results.publish(job.id, record(job, done))
        except FileNotFoundError as error:  # somebody has deleted what was made
            del self._made[job.id]
            refused = cannot_keep(folder, error)
            self.requeue(job.id, str(refused))
            self._stop(refused)
        except OSError as error:
            if not made.told and self._clock() - made.since >= PATIENCE_SECONDS:
                made.told = True
                log.error("The clip of job %s finds no place: %s.", job.id, error)
                self._stop(cannot_keep(folder, error))
        else:
            del self._made[job.id]
            if made.told:
                self._go_on()
            self.end(done, size)

    def save_again(self) -> None:
        """Try once more to store what the disk did not take. To be called often."""
        if self._unsaved and self._clock() - self._saved_at >= SAVE_SECONDS:
            for job_id in list(islice(self._unsaved, SAVED_AT_ONCE)):
                self.end(*self._unsaved[job_id])
                if job_id in self._unsaved:  # it takes no other either
                    self._saved_at = self._clock()
                    break

    def requeue(self, job_id: str, why: str, *, lost: bool = False) -> None:
        """Let a job wait again, at its old place, and say why. `lost`: its worker has ended over it."""
        change = self._store.lose if lost else partial(self._store.move, state=State.QUEUED)
        try:
            job = change(job_id)
        except StoreRefuses as error:
            job = self._store.keep_in_mind(job_id, State.QUEUED, str(error))
        self._emit(job, Notice(job=job_id, message=sentence(why), again=True), ())

    def tidy(self) -> None:
        """Delete a part of what is too much: thousands of results go without anybody waiting for it. To be called
        often."""
        if self._results.clear() or self._clock() - self._tidied_at < TIDY_SECONDS:
            return
        self._tidied_at = self._clock()
        try:
            more = self._make_room() or self._store.forget_old_rows()
        except StoreRefuses as error:
            log.warning("What is too much could not be forgotten: %s.", error)
            self._tidied_at += REFUSED_SECONDS
            return
        if more:
            self._tidied_at = -math.inf

    @property
    def is_tidy(self) -> bool:
        """Whether nothing is known to be too much."""
        return self._results.is_clear and self._tidied_at > -math.inf

    def _make_room(self) -> bool:
        """Let some of the results go that are too many or too large. Whether any was. Raises StoreRefuses."""
        tally = self._store.tally
        limits = {"max_count": self._options.kept_results, "max_bytes": self._options.kept_bytes}
        if not tally.received or (tally.number <= limits["max_count"] and tally.size <= limits["max_bytes"]):
            return False
        oldest = [(job, size) for job, size, _ in self._store.results(RESULTS_AT_ONCE, received=True)]
        dropped = to_drop(oldest, tally.number, tally.size, **limits)
        for job_id in dropped:
            self._put_away(job_id)
        # Not before: what is deleted by half must be found again after a crash.
        self._store.drop_result(*dropped)
        return True

    def _put_away(self, job_id: str) -> None:
        try:
            self._results.put_away(job_id)
        except OSError as error:  # the next start tries again
            log.warning("What job %s has left could not be deleted: %s.", job_id, error)

    def _forget(self, job_id: str) -> None:
        try:
            self._results.forget(job_id)
        except OSError as error:  # the next start tries again
            log.warning("What job %s has left could not be deleted: %s.", job_id, error)
