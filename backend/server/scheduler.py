"""Which job goes to which worker, and what becomes of it. Owns queue, workers and results; knows no client's socket."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import zmq

from shared_protocol.messages import (
    Accepted,
    Cancelled,
    Done,
    Failed,
    Frame,
    Message,
    Notice,
    Progress,
    Queue,
    QueueState,
    WorkerView,
)
from shared_protocol.wire import Buffer

from ..failures import FULL, Failure, StorageFailure, cannot_keep
from ..orders import Loaded, Order, Ready, Sample, Task
from ..serve_options import ServeOptions
from .endings import Emit, Endings
from .forecast import Forecast
from .hold import Hold
from .jobs import DuplicateJob, Job, State
from .peers import Audience
from .requests import FindUpload, no_uploads, uploaded
from .results import ResultStore
from .slot import Loss, Slot
from .store import JobStore, quietly
from .store_errors import StoreRefuses
from .times import Times
from .worker_process import WorkerProcess, output_file

log = logging.getLogger(__name__)

MOST_JOBS = 10_000
"""Unfinished jobs that the queue takes."""
TRIES = 2
"""How many workers may end over a job."""
NO_WORKER = "No process that makes pictures could be started: {reason}."


class Scheduler:
    """Runs jobs in their order, each on the first worker that is free."""

    def __init__(
        self,
        store: JobStore,
        results: ResultStore,
        options: ServeOptions,
        slots: Sequence[Slot],
        *,
        emit: Emit,
        broadcast: Callable[[Message], None],
        previewed: Callable[[str], bool],
        audience: Callable[[], Audience] | None = None,
        upload: FindUpload = no_uploads,
        clock: Callable[[], float],
    ) -> None:
        """`clock`: seconds that go forward. `broadcast`: tell every client something.

        `previewed`: whether anybody wants previews of a job. `audience`: whose jobs are heard of; if not given, all.
        `upload`: finds the pictures that jobs start from.
        """
        self._store, self._results, self._idle, self._slots = store, results, options.idle, tuple(slots)
        self._emit, self._broadcast, self._previewed, self._clock = emit, broadcast, previewed, clock
        self._upload = upload
        self._hold = Hold(store, results, clock)
        self._times = Times(store, self._slots, clock, audience)
        self._endings = Endings(store, results, options, emit=emit, stop=self._refused, go_on=self._go_on, clock=clock)
        self.device: str | None = None
        self.memory = 0
        """Bytes that a worker can have on that device, if it is a GPU."""
        self.loads = 0
        self.foreseen: Callable[[Sample], tuple[int, ...]] = lambda order: ()
        """Which measures a clip is known to need to fit into the memory; who finds that out puts itself here."""

    # Questions ----------------------------------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether no job is unfinished."""
        return self._store.idle

    @property
    def sockets(self) -> tuple[zmq.Socket[bytes], ...]:
        """Where the workers' messages arrive."""
        return tuple(slot.worker.socket for slot in self._slots if slot.worker is not None)

    @property
    def state(self) -> QueueState:
        """Whether jobs are started."""
        running = sum(slot.job is not None for slot in self._slots) + len(self._endings.unsaved)
        waiting = self._store.backlog.waiting()
        return QueueState(paused=self._hold.paused, stopped=self._hold.stopped, waiting=waiting, running=running)

    @property
    def workers(self) -> tuple[WorkerView, ...]:
        """What each worker does."""
        return tuple(slot.view for slot in self._slots)

    @property
    def is_tidy(self) -> bool:
        """Whether `work` has nothing to delete that waits for its turn."""
        return self._endings.is_tidy

    def progress(self, job_id: str) -> Progress | None:
        """The last that was heard of a running job."""
        return next((slot.progress for slot in self._slots if slot.job == job_id), None)

    def seconds_of(self, order: Order) -> float | None:
        """How long an order takes once its models are loaded; None while nothing like it was made."""
        return self._times.of(order)

    def forecast(self, jobs: Iterable[Job]) -> dict[str, Forecast]:
        """Place and time of these unfinished jobs, by their names."""
        return self._times.forecast(jobs)

    # What clients ask ---------------------------------------------------------------------------------------

    def submit(self, job: Job, warnings: tuple[str, ...]) -> None:
        """Put a job at the end of the queue and say so. Raises BackendError."""
        if len(self._store.backlog) >= MOST_JOBS:
            raise Failure("queue_full", most=MOST_JOBS)
        try:
            self._store.add(job)
        except DuplicateJob:
            raise Failure("duplicate_job") from None
        except StoreRefuses as error:
            log.error("A job could not be stored: %s.", error)
            raise error.failure from error
        log.info("Job %s was accepted.", job.id)
        where = self._times.accepted(job)
        accepted = Accepted(job=job.id, position=where.position, seconds_left=where.seconds_left, warnings=warnings)
        self._emit(job, accepted, ())
        self._dispatch()

    def cancel(self, job: Job) -> None:
        """End an unfinished job."""
        slot = self._slot_of(job.id)
        if self._endings.give_up(job.id) or job.id in self._endings.unsaved:
            return
        if slot is not None and slot.cancel():
            quietly(lambda: self._store.cancel(job.id))  # so that it is not begun anew if the backend ends now
            return
        if slot is not None:
            slot.leave()
        self._endings.end(Cancelled(job=job.id))

    def move(self, job: Job, position: int) -> None:
        """Let `position` waiting jobs come before this waiting one. Raises StoreRefuses."""
        self._store.put_at(job.id, position)

    def pause(self, paused: bool) -> None:
        """Pause, or go on also after the queue has stopped by itself. Raises StoreRefuses."""
        self._hold.pause(paused)
        self._broadcast(Queue(queue=self.state))
        self._dispatch()

    def free(self) -> None:
        """End the workers that have no job."""
        for slot in self._slots:
            if slot.job is None:
                slot.drop()

    def preview(self, job_id: str) -> None:
        """Who wants previews of a job may have changed: have them made from now on, or no more."""
        slot = self._slot_of(job_id)
        if slot is not None:
            slot.preview(self._previewed(job_id))

    # The round ----------------------------------------------------------------------------------------------

    def work(self) -> None:
        """Hear the workers, notice their ends, start what comes next. To be called often. Raises DamagedStore."""
        self._store.look()
        for slot in self._slots:
            slot.clear_away()
            self._tend(slot)
        self._endings.place_again()
        self._endings.save_again()
        if not self._endings.unsaved and self._hold.ends(self._store.backlog.first()):
            self._broadcast(Queue(queue=self.state))
        self._dispatch()
        for job, progress in self._times.news():
            self._emit(job, progress, ())
        self._endings.tidy()

    def close(self) -> None:
        """End the workers. What is unfinished waits for the next start."""
        for slot in self._slots:
            cancelling = slot.cancelling
            slot.drop()
            job = None if slot.job is None else self._store.get(slot.job)
            slot.leave()
            if job is not None and not job.ended:
                self._lay_down(job, cancelling)
        self._endings.place_again()
        for slot in self._slots:
            slot.wait()

    def _lay_down(self, job: Job, cancelling: bool) -> None:
        """A running job ends, if it was to be cancelled, or waits for the next start."""
        if cancelling:
            self._endings.end(Cancelled(job=job.id))
            return
        try:
            self._store.move(job.id, State.QUEUED)
        except StoreRefuses as error:  # the next start does the same
            log.warning("The queue's last state could not be stored: %s.", error)

    def _tend(self, slot: Slot) -> None:
        exit_code = slot.exit_code()
        for message, buffers in slot.hear():
            self._hear(slot, message, buffers)
        loss = slot.loss(exit_code)
        if loss is not None:
            self._lose(slot, loss)
        elif slot.job is None and slot.worker is not None and self._clock() - slot.idle_since > self._idle:
            log.info("Worker %d had nothing to do and is ended.", slot.pid)
            slot.drop()

    def _hear(self, slot: Slot, message: Message, buffers: Sequence[Buffer]) -> None:
        match message:
            case Ready(device=device, memory=memory):
                self.device, self.memory = device, memory
                self._went_well()
            case Loaded(times=times):
                self.loads += times
            case Progress() | Frame() | Notice() if message.job == slot.job:
                job = self._store.get(message.job)
                assert job is not None
                if isinstance(message, Progress):
                    self._note(slot, job, message)
                self._emit(job, message, buffers)
            case Done() if message.job == slot.job:
                self._publish(slot, message)
            case Failed() if message.job == slot.job and message.code in ("disk_full", "results_unwritable"):
                why = f"{message.message} {message.next_step}"
                self._hold_back(slot, why, passing=message.code != "disk_full")
            case Failed() | Cancelled() if message.job == slot.job:
                slot.leave()
                self._endings.end(message)

    def _note(self, slot: Slot, job: Job, progress: Progress) -> None:
        slot.progress = progress
        if progress.phase != "loading" and slot.sampling_since is None:
            slot.sampling_since = self._clock()
            if job.state is State.LOADING:
                quietly(lambda: self._store.move(job.id, State.RUNNING))

    def _publish(self, slot: Slot, done: Done) -> None:
        """The worker has made a clip: its result gets its final place, and only then the job is done."""
        job, cancelling = self._store.get(done.job), slot.cancelling
        assert job is not None
        quietly(lambda: self._times.learn(slot, job))
        slot.leave()
        self._endings.publish(job, done)
        if cancelling:  # what was made in that moment counts, but nobody waits for its place
            self._endings.give_up(job.id)

    def _hold_back(self, slot: Slot, why: str, *, passing: bool) -> None:
        """The result finds no place: the job waits again, and no other is started until there is one."""
        job_id, cancelling = slot.job, slot.cancelling
        slot.leave()
        assert job_id is not None
        if cancelling:
            self._endings.end(Cancelled(job=job_id))
            return
        self._endings.requeue(job_id, why)
        self._stop(why, passing=passing)

    def _lose(self, slot: Slot, loss: Loss) -> None:
        """A worker is gone or good for nothing: its job is tried once more, on a new one."""
        job_id, was_ready = slot.job, slot.ready
        import_error = slot.import_error if loss is Loss.ENDED and not was_ready else ""
        slot.drop()
        slot.leave()
        job = None if job_id is None else self._store.get(job_id)
        if job is None:
            return
        if loss is Loss.DISOBEDIENT:
            self._endings.end(Cancelled(job=job.id))
            return
        if import_error:
            broken = Failure("environment_broken", detail=import_error)
            self._no_worker(job, f"{broken.sentence[:1].lower()}{broken.sentence[1:]} {broken.next_step.rstrip('.')}")
            return
        if not was_ready:  # it never came to the job, which is not to blame
            self._no_worker(job, f"it ended before it was ready; {output_file(slot.device)} says more")
            return
        failure = Failure("worker_hung" if loss is Loss.STUCK else "worker_died", log=output_file(slot.device))
        if job.losses + 1 >= TRIES:
            self._endings.end(failure.as_event(job.id))
            return
        what = "is stuck and was ended" if loss is Loss.STUCK else "has ended"
        sentence = f"The process that makes the pictures {what}; the clip is begun anew."
        self._endings.requeue(job.id, sentence, lost=True)

    # Starting -----------------------------------------------------------------------------------------------

    def _dispatch(self) -> None:
        """Give every free worker its next job."""
        ending = self._endings.unsaved
        for slot in self._slots:
            while slot.job is None and not self._hold.active:
                job = self._store.backlog.first(but=ending)
                if job is None or self._begin(slot, job):
                    break

    def _begin(self, slot: Slot, job: Job) -> bool:
        """Whether the job is with the worker now, or the queue has stopped."""
        try:
            if not self._hold.has_room(job):
                self._stop(str(StorageFailure("disk_full")))
                return True
            folder = self._results.partial(job.id)
            self._store.move(job.id, State.LOADING)
        except OSError as error:
            self._refused(cannot_keep(self._results.folder(job.id), error))
            return True
        except StoreRefuses as error:
            self._refused(error.failure)
            return True
        try:
            slot.take(self._task(job, folder))
        except Failure as error:
            self._endings.end(error.as_event(job.id))
            return False
        except OSError as error:
            log.warning("A worker could not be started: %s.", error)
            if error.errno in FULL:
                self._endings.requeue(job.id, NO_WORKER.format(reason="the disk is full"))
                self._refused(StorageFailure("disk_full"))
            else:
                self._no_worker(job, error.strerror or str(error))
            return True
        if slot.ready:
            self._went_well()
        else:
            self._emit(job, Progress(job=job.id, phase="loading", step=0, steps=0), ())
        return True

    def _no_worker(self, job: Job, reason: str) -> None:
        """Nobody is there to make the job, which waits: another worker is started by and by."""
        why = NO_WORKER.format(reason=reason)
        self._endings.requeue(job.id, why)
        self._stop(why, passing=True)

    def _task(self, job: Job, folder: Path) -> Task:
        """The next try at a job. Raises BackendError if a picture that it starts from has gone."""
        return Task(
            job=job.id,
            order=job.order,
            folder=str(folder),
            pictures=uploaded(job.order, self._upload),
            cautious=job.losses > 0,
            previews=self._previewed(job.id),
            rungs=self.foreseen(job.order) if isinstance(job.order, Sample) else (),
        )

    def _refused(self, failure: StorageFailure) -> None:
        """Nothing can be kept for now."""
        self._stop(str(failure), passing=failure.code != "disk_full")

    def _stop(self, why: str, *, passing: bool = False) -> None:
        if self._hold.stop(why, passing=passing):
            self._broadcast(Queue(queue=self.state))

    def _go_on(self) -> None:
        if self._hold.is_over():
            self._broadcast(Queue(queue=self.state))

    def _went_well(self) -> None:
        if self._hold.went_well():
            self._broadcast(Queue(queue=self.state))

    def _slot_of(self, job_id: str) -> Slot | None:
        return next((slot for slot in self._slots if slot.job == job_id), None)


def make_slots(
    devices: Sequence[str], start: Callable[[str], WorkerProcess], clock: Callable[[], float], options: ServeOptions
) -> tuple[Slot, ...]:
    """A slot for each device."""
    return tuple(Slot(device, start, clock, options.silence) for device in devices)
