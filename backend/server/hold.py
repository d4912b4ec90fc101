"""Whether jobs are held back: a client may pause the queue, and it stops by itself when results find no place."""

from __future__ import annotations

import logging
from collections.abc import Callable

from shared_protocol.messages import SENTENCE_LENGTH
from shared_protocol.texts import sentence

from .jobs import Job
from .results import ResultStore
from .store import JobStore

log = logging.getLogger(__name__)

ROOM_SECONDS = 5.0
"""How often a queue that has stopped looks whether somebody has made room."""
SPARE_BYTES = 1 << 20
"""What must be free on the disk beside a clip's frames."""
ADVICE = 'The queue goes on when there is room, or after "python -m backend resume".'


class Hold:
    """The two reasons for which no job is started."""

    def __init__(self, store: JobStore, results: ResultStore, clock: Callable[[], float]) -> None:
        self.paused = store.paused
        """Whether a client has paused the queue."""
        self.stopped = ""
        """Why the queue has stopped by itself, or empty."""
        self._store, self._results, self._clock = store, results, clock
        self._free_then = 0
        """Bytes that were free on the disk when it stopped."""
        self._looked_at = clock()

    @property
    def active(self) -> bool:
        """Whether no job may be started."""
        return self.paused or bool(self.stopped)

    def pause(self, paused: bool) -> None:
        """Pause, or go on also after the queue has stopped by itself. Raises StoreFull."""
        self._store.pause(paused)
        self.paused = paused
        if not paused:
            self.stopped = ""

    def stop(self, why: str) -> bool:
        """Start no further job. Whether that is news."""
        why = f"{sentence(why, SENTENCE_LENGTH - len(ADVICE) - 1)} {ADVICE}"
        self._free_then = self._free()
        if self.stopped == why:
            return False
        log.error("The queue has stopped: %s", why)
        self.stopped = why
        return True

    def has_room(self, job: Job) -> bool:
        """Whether the disk takes the frames of a job. Raises OSError."""
        return self._results.free() >= room_for(job)

    def ends(self, next_job: Job | None) -> bool:
        """Go on by itself, if room for the next job was made since the queue has stopped. Whether it goes on now.

        A quota shows as free space, so free space alone says nothing: it must have grown.
        """
        if not self.stopped or next_job is None or self._clock() - self._looked_at < ROOM_SECONDS:
            return False
        self._looked_at = self._clock()
        if self._free() < self._free_then + room_for(next_job):
            return False
        log.info("There is room on the disk again.")
        self.stopped = ""
        return True

    def _free(self) -> int:
        try:
            return self._results.free()
        except OSError:
            return 0


def room_for(job: Job) -> int:
    """Bytes that must be free before a job begins: PNG files hardly ever take more than their pixels."""
    return job.order.result_frames * job.order.width * job.order.height * 3 + SPARE_BYTES
