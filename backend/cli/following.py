"""A conversation with the backend in a terminal: connect, follow jobs, leave in order."""

from __future__ import annotations

import argparse
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from elevator.pictures.clip_folder import is_film
from shared_protocol.machine.launcher import launcher
from shared_protocol.messages import Accepted, Done, Frame, Message, Notice, Progress, Queue, QueueState

from ..client.api import Backend, Job, connect
from ..client.launch import START_GRACE
from ..failures import BackendError
from .failures import CommandFailure
from .output import Output, Saved, warn
from .terminal import ProgressLine


def connected(options: argparse.Namespace, *, start: bool = False) -> Backend:
    """A conversation with the backend that the options mean. Raises BackendError.

    start: whether one is started if none runs, which ends by itself soon after.
    """
    return connect(
        start=start,
        profile=options.profile,
        name="command line",
        fake=getattr(options, "fake", False),
        device=getattr(options, "device", "auto"),
        grace=getattr(options, "grace", START_GRACE),
    )


def connected_to_make(options: argparse.Namespace) -> Backend:
    """The same for making clips, with a word about what stands in their way."""
    backend = connected(options, start=True)
    if options.fake and backend.welcome.device != "none":
        warn("A backend with models runs already, so it makes the clip.")
    warn_of_queue(backend)
    return backend


def warn_of_queue(backend: Backend) -> None:
    """Say it if no jobs are started."""
    if (said := state_of(backend.welcome.queue)) is not None:
        warn(said)


def state_of(queue: QueueState) -> str | None:
    """A sentence about a queue that starts no jobs, or None."""
    if queue.stopped:
        return queue.stopped
    return f'The queue is paused; "{launcher()} resume" goes on.' if queue.paused else None


class Watcher:
    """Shows what happens to jobs, on standard error for people or on standard output for scripts."""

    def __init__(self, line: ProgressLine, output: Output, *, quiet: bool) -> None:
        self._line = line
        self._output = output
        self._quiet = quiet

    def show(self, event: Message, label: str = "", **more: object) -> None:
        """Show one event. `label` says for people which job it is of, `more` says it for scripts."""
        if isinstance(event, Frame) or (self._quiet and isinstance(event, Progress)):
            return
        self._output.line(event, **more)
        before = f"{label}: " if label else ""
        match event:
            case Accepted():
                for warning in event.warnings:
                    self._line.say(before + warning)
                if event.position:
                    self._line.show(_waiting(event), label)
            case Progress():
                self._line.show(event, label)
            case Notice():
                self._line.say(before + event.message)
            case Queue() if (said := state_of(event.queue)) is not None:
                self._line.say(said)

    def follow(self, job: Job) -> Done:
        """Show all until a job has ended. Raises BackendError if it has no clip."""
        for event in job.events():
            self.show(event)
        return job.result()


def _waiting(accepted: Accepted) -> Progress:
    """What there is to say until the backend says more."""
    return Progress(
        job=accepted.job,
        phase="waiting",
        step=0,
        steps=0,
        position=accepted.position,
        seconds_left=accepted.seconds_left,
    )


def lost(error: BackendError, job: Job) -> BackendError:
    """What to say when the backend was lost while it had a job."""
    return CommandFailure("backend_lost", detail=error.sentence, job=job.id) if error.code == "not_reached" else error


@contextmanager
def cancelling(backend: Backend, jobs: Collection[Job]) -> Iterator[None]:
    """Cancel what is left of `jobs` if the user interrupts the block."""
    try:
        yield
    except KeyboardInterrupt:
        with suppress(BackendError):  # a backend that is lost has nothing to be cancelled
            for job in jobs:
                if job.end is None:
                    job.cancel()
            backend.status()  # its answer shows that all of it was heard
        raise


def saved(output: Output, job: Job, paths: Sequence[Path], label: str = "", **more: object) -> None:
    """Say where a clip lies now: `label` for people, `more` for scripts."""
    done = job.result()
    folder = paths[0].parent.resolve()
    rate = float(done.fps)
    output.say(
        f"{label}{done.frames} frames of {done.width} × {done.height} pixels, {rate:g} a second, seed {done.seed}, "
        f"made in {done.seconds:.1f} s:\n{folder / paths[0].name}" + (f" … {paths[-1].name}" if len(paths) > 1 else "")
    )
    record = Saved(
        job=job.id,
        folder=str(folder),
        film=paths[0].name if is_film(paths[0]) else "",
        frames=done.frames,
        width=done.width,
        height=done.height,
        fps=rate,
        seed=done.seed,
    )
    output.line(record, **more)
