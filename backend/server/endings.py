"""What becomes of a job when no worker has it any more: it ends, once and for all, or waits for another try."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import islice
from typing import TypeAlias

import msgspec

from shared_protocol.messages import Done, Message, Notice, Terminal
from shared_protocol.texts import path_text, sentence
from shared_protocol.wire import Buffer

from ..failures import StorageFailure
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

Emit: TypeAlias = Callable[[Job, Message, Sequence[Buffer]], None]
"""Tell whoever listens to a job something."""


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
        clock: Callable[[], float],
    ) -> None:
        """`stop`: stop the queue, for a reason. `clock`: seconds that go forward."""
        self._store, self._results, self._options = store, results, options
        self._emit, self._stop, self._clock = emit, stop, clock
        self._unsaved: dict[str, tuple[Terminal, int]] = {}
        """With the bytes of their results."""
        self._saved_at = self._tidied_at = clock()

    @property
    def unsaved(self) -> Collection[str]:
        """Jobs whose end the disk did not take yet. They count as unfinished."""
        return self._unsaved.keys()

    def publish(self, job: Job, done: Done) -> tuple[Done, int]:
        """Give the result that a worker has made its final place: the end of its job, and the result's bytes.

        Raises OSError if it finds no place.
        """
        done = msgspec.structs.replace(done, folder=path_text(self._results.folder(job.id)))
        return done, self._results.publish(job.id, record(job, done))

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
