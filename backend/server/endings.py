"""What becomes of a job when no worker has it any more: it ends, once and for all, or waits for another try."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import partial
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
from .store import JobStore, quietly
from .store_errors import StoreRefuses

log = logging.getLogger(__name__)

SAVE_SECONDS = 1.0
"""How often what the disk did not take is tried again."""

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
        self._unsaved: list[tuple[Terminal, int]] = []
        """With the bytes of their results."""
        self._saved_at = clock()

    @property
    def unsaved(self) -> frozenset[str]:
        """Jobs whose end the disk did not take yet. They count as unfinished."""
        return frozenset(end.job for end, _ in self._unsaved)

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
            self._unsaved.append((end, size))
            self._stop(error.failure)
            return
        if not isinstance(end, Done):
            self._forget(job.id)
        log.info("Job %s: %s.", job.id, job.state.value)
        self._emit(job, end, ())
        if isinstance(end, Done):
            self._make_room()

    def save_again(self) -> None:
        """Try once more to store what the disk did not take. To be called often."""
        if self._unsaved and self._clock() - self._saved_at >= SAVE_SECONDS:
            self._saved_at = self._clock()
            unsaved, self._unsaved = self._unsaved, []
            for end, size in unsaved:
                self.end(end, size)

    def requeue(self, job_id: str, why: str, *, lost: bool = False) -> None:
        """Let a job wait again, at its old place, and say why. `lost`: its worker has ended over it."""
        change = self._store.lose if lost else partial(self._store.move, state=State.QUEUED)
        try:
            job = change(job_id)
        except StoreRefuses as error:
            job = self._store.keep_in_mind(job_id, State.QUEUED, str(error))
        self._emit(job, Notice(job=job_id, message=sentence(why), again=True), ())

    def _make_room(self) -> None:
        results = self._store.results()
        received = [(job, size) for job, size, taken in results if taken]
        bytes_of_all = sum(size for _, size, _ in results)
        limits = {"max_count": self._options.kept_results, "max_bytes": self._options.kept_bytes}
        for job_id in to_drop(received, len(results), bytes_of_all, **limits):
            self._forget(job_id)
            quietly(partial(self._store.drop_result, job_id))

    def _forget(self, job_id: str) -> None:
        try:
            self._results.forget(job_id)
        except OSError as error:  # the next start tries again
            log.warning("What job %s has left could not be deleted: %s.", job_id, error)
