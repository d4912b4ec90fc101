"""Which job goes to the worker, and what becomes of it. Owns queue and worker; knows no client's socket."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence

import zmq

from shared_protocol import places
from shared_protocol.messages import Accepted, Cancel, Cancelled, Done, Failed, Frame, Message, Progress, Terminal
from shared_protocol.wire import Buffer

from .failures import BackendError
from .jobs import DuplicateJob, Job, JobStore, State
from .orders import Loaded, Ready, Sample
from .worker_process import OUTPUT_FILE, WorkerProcess

log = logging.getLogger(__name__)

CANCEL_SECONDS = 30.0
"""A worker that has not obeyed a cancel for so long is ended by force. Generous: one step of a large model on a slow
machine takes long, and loading the model again takes longer."""
START_SECONDS = 180.0
"""A worker that is not ready after so long is ended. Reading torch from a cold, slow disk takes a minute."""

Emit = Callable[[bytes, Message, Sequence[Buffer]], None]
"""Tell a client something; does nothing if it is gone."""

_ENDS: dict[type[Message], State] = {Done: State.DONE, Failed: State.FAILED, Cancelled: State.CANCELLED}


class Scheduler:
    """Runs jobs one after the other on one worker, which is started for the first job and stays for the next."""

    def __init__(self, store: JobStore, start_worker: Callable[[], WorkerProcess], emit: Emit) -> None:
        """`start_worker` may raise OSError; the job then fails and the next one tries again."""
        self._store = store
        self._start_worker = start_worker
        self._emit = emit
        self._worker: WorkerProcess | None = None
        self._ready = False
        self._current: str | None = None
        self._deadline: float | None = None
        """Until when the worker must be ready, or must have obeyed a cancel; on the monotonic clock."""
        self.device: str | None = None
        self.loads = 0

    @property
    def current(self) -> str | None:
        """Name of the job that the worker has, or None."""
        return self._current

    @property
    def waiting(self) -> int:
        """How many jobs wait."""
        return len(self._store.queued())

    @property
    def idle(self) -> bool:
        """Whether no job is unfinished."""
        return not self._store.unfinished()

    @property
    def worker_pid(self) -> int:
        """Process id of the worker, or 0."""
        return 0 if self._worker is None else self._worker.pid

    @property
    def socket(self) -> zmq.Socket[bytes] | None:
        """Where the worker's messages arrive, or None while no worker runs."""
        return None if self._worker is None else self._worker.socket

    def submit(self, client: bytes, order: Sample, warnings: tuple[str, ...]) -> None:
        """Put a job at the end of the queue and say so. Raises BackendError."""
        position = len(self._store.unfinished())
        try:
            self._store.add(Job(order.job, client, order))
        except DuplicateJob:
            raise BackendError("duplicate_job") from None
        self._emit(client, Accepted(job=order.job, position=position, warnings=warnings), ())
        self._next()

    def cancel(self, client: bytes, job_id: str) -> None:
        """End a job if it is this client's and has not ended; else do nothing."""
        job = self._store.get(job_id)
        if job is None or job.client != client or job.ended:
            return
        if job.state is not State.RUNNING or self._worker is None:
            self._end(Cancelled(job=job.id))  # the worker has not heard of it yet
        elif self._deadline is None:
            self._worker.send(Cancel(job=job.id))
            self._deadline = time.monotonic() + CANCEL_SECONDS

    def client_left(self, client: bytes) -> None:
        """End all jobs of a client that is gone: nobody waits for them."""
        for job in self._store.unfinished():
            self.cancel(client, job.id)

    def work(self) -> None:
        """Hear the worker, notice its end, start what comes next. To be called often."""
        if self._worker is not None:
            exit_code = self._worker.exit_code  # asked first: what it said before it ended is still heard below
            for message, buffers in self._worker.receive():
                self._hear(message, buffers)
            if exit_code is not None:
                log.error("The worker ended by itself with code %d.", exit_code)
                self._lose_worker()
            elif self._deadline is not None and time.monotonic() > self._deadline:
                log.error("The worker does not answer and is ended.")
                self._lose_worker()
        self._next()

    def close(self) -> None:
        """Cancel all jobs and end the worker."""
        for job in self._store.unfinished():
            self._end(Cancelled(job=job.id))
        self._drop_worker()

    def _next(self) -> None:
        """Give the worker its next job, if it has none."""
        if self._current is None:
            queue = self._store.queued()
            if not queue:
                return
            self._current = queue[0].id
            self._store.move(self._current, State.LOADING)
            if not self._ready:
                self._emit(queue[0].client, Progress(job=self._current, phase="loading", step=0, steps=0), ())
        if self._worker is None:
            try:
                self._worker = self._start_worker()
                self._deadline = time.monotonic() + START_SECONDS
            except OSError:
                log.exception("The worker could not be started.")
                self._end(BackendError("worker_died", log=places.state_folder() / OUTPUT_FILE).as_event(self._current))
                return
        job = self._store.get(self._current)
        if self._ready and job is not None and job.state is State.LOADING:
            self._store.move(job.id, State.RUNNING)
            self._worker.send(job.order)

    def _hear(self, message: Message, buffers: Sequence[Buffer]) -> None:
        match message:
            case Ready(device=device):
                self._ready, self.device, self._deadline = True, device, None
            case Loaded(times=times):
                self.loads += times
            case Progress() | Frame() if message.job == self._current:
                job = self._store.get(message.job)
                if job is not None:
                    self._emit(job.client, message, buffers)
            case Done() | Failed() | Cancelled() if message.job == self._current:
                self._end(message)

    def _lose_worker(self) -> None:
        """The worker is gone or good for nothing: its job ends, the next job gets a new worker."""
        obeyed = self._ready and self._deadline is not None  # a cancel was under way, so that is what happened
        self._drop_worker()
        if self._current is not None:
            died = BackendError("worker_died", log=places.state_folder() / OUTPUT_FILE)
            self._end(Cancelled(job=self._current) if obeyed else died.as_event(self._current))

    def _drop_worker(self) -> None:
        if self._worker is not None:
            self._worker.end()
        self._worker, self._ready, self._deadline = None, False, None

    def _end(self, end: Terminal) -> None:
        """The only way in which a job ends: its last state is set and its one terminal event is sent."""
        job = self._store.move(end.job, _ENDS[type(end)])
        if end.job == self._current:
            self._current = None
            if self._ready:
                self._deadline = None
        log.info("Job %s: %s.", job.id, job.state.value)
        self._emit(job.client, end, ())
