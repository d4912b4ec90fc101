"""Waiting for clips and for the backend, in a Blender without a window: no timer fires there, so the ticks are called
here. Nothing else in the add-on blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

from ..blender import clips
from ..clip.job import Job, Problem, State
from ..clip.link import Link
from .ctrl_c import CtrlC
from .pump import PERIOD
from .timer import the_pump


def until(holds: Callable[[], bool], seconds: float | None = None) -> bool:
    """Call ticks until something holds. False: it did not within `seconds`. Raises KeyboardInterrupt at the first
    Ctrl-C, between two ticks."""
    pump = the_pump()
    deadline = None if seconds is None else time.monotonic() + seconds
    with CtrlC() as ctrl_c:
        while not holds():
            if ctrl_c.pressed:
                raise KeyboardInterrupt
            if deadline is not None and time.monotonic() >= deadline:
                return False
            pump.tick(budget=PERIOD)
            pump.wait(PERIOD)
    return True


def meet() -> Problem | None:
    """Know the backend's styles, for a script that names one. Returns why it cannot be reached, if so."""
    pump = the_pump()
    if pump.session.link is not Link.READY:
        pump.do(pump.session.start())
        until(lambda: pump.session.link not in (Link.REACHING, Link.GREETING))
    return pump.session.problem if pump.session.link is not Link.READY else None


def for_ends(jobs: Iterable[Job], seconds: float | None = None, each: Callable[[], None] = lambda: None) -> bool:
    """Wait until all of these have ended, and call `each` between the ticks. False: not within `seconds`.

    Ctrl-C cancels those that have not, takes their strips away, and raises KeyboardInterrupt.
    """
    pump, left = the_pump(), list(jobs)

    def ended() -> bool:
        each()
        for job in left:
            if pump.session.waits(job):
                pump.do(pump.session.give_up(job.id))  # nobody sits here to press Start
        return all(job.ended or pump.session.rests(job) for job in left)

    try:
        return until(ended, seconds)
    except KeyboardInterrupt:
        cancelled = [job for job in left if not job.ended]
        for job in cancelled:
            pump.do(pump.session.cancel(job.id))
        with CtrlC():  # one that comes now is late: the cancel is on its way
            pump.settle()
        for job in cancelled:
            clips.take_away(job.id)
        raise


def why_not(job: Job) -> Problem | None:
    """Why a job that was waited for brought no clip into the open file; None: it did."""
    if job.state is State.DONE:
        return None
    if job.state is State.CANCELLED:
        return job.problem or Problem("The job was cancelled.", code="cancelled")
    if not job.ended:
        return Problem("The clip's strip is not in this file.", "Open the file that it is in.", code="no_strip")
    return job.problem or the_pump().session.problem or Problem("There is no clip.", code="internal")
