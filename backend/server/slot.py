"""One device and the worker on it: which job it has, whether it still answers."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from enum import Enum, auto
from typing import Literal

import msgspec

from shared_protocol.messages import Cancel, Progress, WorkerView
from shared_protocol.texts import short_name
from shared_protocol.wire import Incoming

from ..orders import Preview, Ready, Task
from .worker_process import WorkerProcess

log = logging.getLogger(__name__)

CANCEL_SECONDS = 30.0
"""A worker that has not obeyed a cancel for so long is ended by force. Generous: one step of a large model on a slow
machine takes long, and loading the model again takes longer."""
START_SECONDS = 180.0
"""A worker that is not ready after so long is ended. Reading torch from a cold, slow disk takes a minute."""


class Loss(Enum):
    """Why a worker is of no use any more."""

    ENDED = auto()
    STUCK = auto()
    DISOBEDIENT = auto()


class Slot:
    """A place where one job at a time is worked on."""

    def __init__(
        self,
        device: str,
        start: Callable[[str], WorkerProcess],
        clock: Callable[[], float],
        silence: float,
    ) -> None:
        """`silence`: seconds after which a worker that says nothing about its job counts as stuck."""
        self.device = device
        self.ready = False
        self.job: str | None = None
        self.cancelling = False
        self.progress: Progress | None = None
        """The last that was heard of the job."""
        self.sampling_since: float | None = None
        """When the job's models were loaded, on the clock."""
        self.idle_since = clock()
        self._start, self._clock, self._silence = start, clock, silence
        self._task: Task | None = None
        """What the worker is not ready to hear yet."""
        self._worker: WorkerProcess | None = None
        self._ending: list[WorkerProcess] = []
        """Those that were told to end and have not yet."""
        self._deadline: float | None = None
        """Until when the worker must be ready, or must have obeyed a cancel."""
        self._heard = 0.0

    @property
    def worker(self) -> WorkerProcess | None:
        """The process, while it runs."""
        return self._worker

    @property
    def pid(self) -> int:
        """Process id of the worker, or 0."""
        return 0 if self._worker is None else self._worker.pid

    @property
    def view(self) -> WorkerView:
        """As clients see it."""
        state: Literal["off", "resting", "working"] = "working" if self.job else "resting" if self._worker else "off"
        return WorkerView(device=short_name(self.device), state=state, pid=self.pid, job=self.job or "")

    def take(self, task: Task) -> None:
        """Begin a job; starts a worker if none runs. Raises OSError if that is not possible; then nothing is begun."""
        if self._worker is None:
            self._worker = self._start(self.device)
            self._deadline = self._clock() + START_SECONDS
        self.job, self._task, self.progress, self.sampling_since = task.job, task, None, None
        self._heard = self._clock()
        if self.ready:
            self._send_task()

    def cancel(self) -> bool:
        """Ask the worker to end its job. False if it has not heard of the job yet, so that the job can end at once."""
        if self._worker is None or self._task is not None:
            return False
        if not self.cancelling:
            assert self.job is not None
            self._worker.send(Cancel(job=self.job))
            self.cancelling, self._deadline = True, self._clock() + CANCEL_SECONDS
        return True

    def preview(self, wanted: bool) -> None:
        """Ask the worker for previews of its job, or for no more."""
        if self._task is not None:
            self._task = msgspec.structs.replace(self._task, previews=wanted)
        elif self._worker is not None and self.job is not None:
            self._worker.send(Preview(job=self.job, wanted=wanted))

    def leave(self) -> None:
        """The job has ended or goes back to the queue; the worker stays."""
        self.job, self._task, self.progress, self.cancelling = None, None, None, False
        self.idle_since = self._clock()
        if self.ready:
            self._deadline = None

    def hear(self) -> Iterator[Incoming]:
        """What the worker says."""
        if self._worker is None:
            return
        for incoming in self._worker.receive():
            self._heard = self._clock()
            if isinstance(incoming.message, Ready):
                self.ready, self._deadline = True, None
                if self._task is not None:
                    self._send_task()
            yield incoming

    def exit_code(self) -> int | None:
        """How the worker ended, or None. To be asked before `hear`, so that its last words are heard."""
        return None if self._worker is None else self._worker.exit_code

    @property
    def import_error(self) -> str:
        """What the worker, which has ended, could not import; empty if that was not it."""
        return "" if self._worker is None else self._worker.import_error

    def loss(self, exit_code: int | None) -> Loss | None:
        """Whether and why the worker is lost; None: it does well, or there is none."""
        if self._worker is None:
            return None
        now = self._clock()
        if self._worker.is_strange:
            log.error("Worker %d cannot be understood and is ended.", self.pid)
            return Loss.ENDED
        if exit_code is not None:
            log.error("Worker %d ended by itself with code %d.", self.pid, exit_code)
            return Loss.DISOBEDIENT if self.cancelling else Loss.ENDED
        if self._deadline is not None and now > self._deadline:
            log.error("Worker %d does not answer and is ended.", self.pid)
            return Loss.DISOBEDIENT if self.cancelling else Loss.ENDED
        if self.job is not None and self._task is None and now - self._heard > self._silence:
            log.error("Worker %d has said nothing for %.0f s and is ended.", self.pid, self._silence)
            return Loss.STUCK
        return None

    def drop(self) -> None:
        """End the worker: at once if it has a job, whose files it must not touch any more. Does not wait for it."""
        if self._worker is not None:
            self._worker.end(at_once=self.job is not None)
            self._ending.append(self._worker)
        self._worker, self.ready, self._deadline = None, False, None

    def clear_away(self) -> None:
        """See whether workers that were told to end have, and force them. To be called often."""
        self._ending = [worker for worker in self._ending if not worker.is_over]

    def wait(self) -> None:
        """Wait until all workers that were told to end have ended."""
        while self._ending:
            self._ending.pop().wait()

    def _send_task(self) -> None:
        assert self._worker is not None
        assert self._task is not None
        self._worker.send(self._task)
        self._task, self._heard = None, self._clock()
