"""Whether jobs are held back: a client may pause the queue, and it stops by itself when it cannot go on.

What hinders it may be a disk that is full, which shows when it is over: there is room then. All else, such as no
process to be had or a database that another program holds, may pass at any moment: it is tried again by and by.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable

from shared_protocol.machine.launcher import launcher
from shared_protocol.messages import SENTENCE_LENGTH
from shared_protocol.texts import sentence

from .jobs import Job
from .results import ResultStore
from .store import JobStore

log = logging.getLogger(__name__)

ROOM_SECONDS = 5.0
"""How often a queue that has stopped looks whether somebody has made room."""
LEAST_PAUSE, MOST_PAUSE = 2.0, 300.0
"""How long it waits before it tries again; twice as long each time, seconds."""
SPARE_BYTES = 1 << 20
"""What must be free on the disk beside a clip's frames."""
SPARE_FILES = 16
"""How many files it must take beside them."""
ADVICE = f'The queue goes on when there is room, or after "{launcher()} resume".'
PASSING_ADVICE = f'It is tried again by and by, and at once after "{launcher()} resume".'


class Hold:
    """The reasons for which no job is started."""

    def __init__(self, store: JobStore, results: ResultStore, clock: Callable[[], float]) -> None:
        self.paused = store.paused
        """Whether a client has paused the queue."""
        self.stopped = ""
        """Why the queue has stopped by itself, or empty."""
        self._store, self._results, self._clock = store, results, clock
        self._free_then = 0
        """Bytes that were free on the disk when it stopped."""
        self._files_then = sys.maxsize
        """How many further files it took."""
        self._looked_at = clock()
        self._pause = LEAST_PAUSE
        self._again_at: float | None = None
        """When it tries again; None: when there is room."""

    @property
    def active(self) -> bool:
        """Whether no job may be started now."""
        return self.paused or (bool(self.stopped) and not self._is_trying)

    def pause(self, paused: bool) -> None:
        """Pause, or go on also after the queue has stopped by itself. Raises StoreRefuses."""
        self._store.pause(paused)
        self.paused = paused
        if not paused:
            self._go_on()

    def stop(self, why: str, *, passing: bool = False) -> bool:
        """Start no further job. `passing`: it is to be tried again by and by. Whether that is news."""
        advice = PASSING_ADVICE if passing else ADVICE
        why = f"{sentence(why, SENTENCE_LENGTH - len(advice) - 1)} {advice}"
        self._free_then, self._files_then = self._free(), self._files_left()
        self._again_at = None
        if passing:
            self._again_at = self._clock() + self._pause
            self._pause = min(2 * self._pause, MOST_PAUSE)
        if self.stopped == why:
            return False
        log.error("The queue has stopped: %s", why)
        self.stopped = why
        return True

    def went_well(self) -> bool:
        """What had hindered it does so no longer. Whether that is news."""
        return self._is_trying and self.is_over()

    def is_over(self) -> bool:
        """What the queue has stopped over has come right. Whether that is news."""
        if not self.stopped:
            return False
        log.info("The queue goes on.")
        self._go_on()
        return True

    def has_room(self, job: Job) -> bool:
        """Whether the disk takes the frames of a job. Raises OSError."""
        return self._results.free() >= room_for(job) and self._files_left() >= files_for(job)

    def ends(self, next_job: Job | None) -> bool:
        """Go on by itself, if room for the next job was made since the queue has stopped. Whether it goes on now.

        A quota shows as free space, so free space alone says nothing: it must have grown.
        """
        if not self.stopped or next_job is None or self._again_at is not None:
            return False
        if self._clock() - self._looked_at < ROOM_SECONDS:
            return False
        self._looked_at = self._clock()
        grown = self._free() >= self._free_then + room_for(next_job)
        if not grown and not self._files_then < files_for(next_job) <= self._files_left():
            return False
        log.info("There is room on the disk again.")
        self._go_on()
        return True

    @property
    def _is_trying(self) -> bool:
        return self._again_at is not None and self._clock() >= self._again_at

    def _go_on(self) -> None:
        self.stopped, self._pause, self._again_at = "", LEAST_PAUSE, None

    def _free(self) -> int:
        try:
            return self._results.free()
        except OSError:
            return 0

    def _files_left(self) -> int:
        try:
            left = self._results.files_left()
        except OSError:
            return 0
        return sys.maxsize if left is None else left


def room_for(job: Job) -> int:
    """Bytes that must be free before a job begins: PNG files hardly ever take more than their pixels."""
    return job.order.result_frames * job.order.width * job.order.height * 3 + SPARE_BYTES


def files_for(job: Job) -> int:
    """How many further files the disk must take before a job begins."""
    return job.order.result_frames + SPARE_FILES
