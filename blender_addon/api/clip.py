"""A clip as scripts see it, and who is told of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy

from ..blender import clips
from ..blender.operators.generate import RENDER_RUNS
from ..clip.job import Job, State
from ..machine import announcing, waiting
from ..machine.terminal import ClipLines
from ..machine.timer import the_pump
from .errors import ElevatorError, stop


class Clip:
    """One clip: on its way, in the edit, or failed."""

    def __init__(self, job: Job) -> None:
        """For this module alone: use `submit`, `insert`, `batch`, `find`."""
        self._job = job

    def __repr__(self) -> str:
        return f"Clip({self.job}, {self.state})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Clip) and other.job == self.job

    def __hash__(self) -> int:
        return hash(self.job)

    @property
    def _now(self) -> Job:
        return the_pump().session.jobs.get(self._job.id, self._job)

    @property
    def job(self) -> str:
        """Its name in the backend, 32 hex digits."""
        return self._job.id

    @property
    def prompt(self) -> str:
        return self._job.request.prompt

    @property
    def seed(self) -> int:
        return self._job.request.seed

    @property
    def frames(self) -> int:
        """Its own, whatever the strip's length is."""
        return self._job.request.frames

    @property
    def state(self) -> str:
        """reading, held, sent, running, reattaching, made, fetching, filling; at the end done, failed or cancelled."""
        return self._now.state.name.lower()

    @property
    def ended(self) -> bool:
        """Whether nothing more will happen to it."""
        return self._now.ended

    @property
    def status(self) -> str:
        """Where it is, in words: "Painting, 12 of 25 — about 9 s left"."""
        return str(the_pump().session.status(self._now))

    @property
    def progress(self) -> float:
        """How much of the work is done, 0 … 1."""
        return self._now.fraction

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences about it that stopped nothing."""
        return tuple(self._now.warnings)

    @property
    def folder(self) -> Path:
        """Where its frames lie, or will."""
        return Path(self._now.folder)

    @property
    def strips(self) -> tuple[Any, ...]:
        """Its strips in the open file: several if it was cut or copied, none if they were taken away."""
        return tuple(each.strip for each in clips.held() if each.ticket.job == self.job)

    @property
    def strip(self) -> Any:
        """The first of its strips, or None. Do not keep it: after undo or loading it is worth nothing."""
        return next(iter(self.strips), None)

    @property
    def error(self) -> ElevatorError | None:
        """Why it has failed or was cancelled; None otherwise."""
        job = self._now
        if not job.ended or job.state is State.DONE:
            return None
        problem = waiting.why_not(job)
        return None if problem is None else ElevatorError(problem)

    def wait(self, timeout: float | None = None) -> Any:
        """Wait until it is in the edit; returns its strip. In a Blender without a window only.

        timeout: seconds. Raises ElevatorError if it has failed or time is up; it goes on then. Ctrl-C cancels it and
        raises KeyboardInterrupt.
        """
        wait_for([self], timeout)
        problem = waiting.why_not(self._now)
        if problem is not None:
            raise ElevatorError(problem)
        return self.strip

    def cancel(self) -> None:
        """Ask for its end, which comes within one step of the work. Its strip stays and says so."""
        pump = the_pump()
        pump.do(pump.session.cancel(self.job))


on_progress: list[Callable[[Clip], None]] = []
"""Called when a clip has gone on: its `status` has changed."""


on_arrival: list[Callable[[Clip], None]] = []
"""Called when a clip is in the edit."""


on_failure: list[Callable[[Clip], None]] = []
"""Called when a clip has failed or was cancelled; `error` says why."""


def _announce(job: Job) -> None:
    clip = Clip(job)
    handlers = on_progress
    if job.ended:
        handlers = on_arrival if job.state is State.DONE else on_failure
    for handler in list(handlers):
        announcing.call(handler, clip)


announcing.listeners.append(_announce)


def refuse_to_wait() -> None:
    if not bpy.app.background:
        stop("has_window", "Blender would stand still while it waits.", "Append a function to api.on_arrival.")
    if the_pump().announcer.telling:
        stop("in_handler", "A handler cannot wait.", "Wait after it has returned.")
    if bpy.app.is_job_running("RENDER"):
        raise ElevatorError(RENDER_RUNS)


def wait_for(waited: list[Clip], timeout: float | None) -> None:
    """Raises ElevatorError if time is up, and KeyboardInterrupt."""
    pump = the_pump()
    refuse_to_wait()
    lines = ClipLines(len(waited))

    def show() -> None:
        for number, clip in enumerate(waited, 1):
            lines.show(number, clip.prompt, pump.session.status(clip._now), ended=clip.ended)

    in_time = waiting.for_ends((clip._now for clip in waited), timeout, show)
    pump.timeline.look_at_once()
    pump.tick()  # strips of clips that failed say so before the file is saved
    if not in_time:
        sentence = f"After {timeout:g} seconds {sum(not clip.ended for clip in waited)} clips are not finished."
        stop("timeout", sentence, "They go on: wait again.")
