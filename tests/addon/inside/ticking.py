"""How long ticks take while large frames arrive. For `tests.benchmarks.ticks`: no test, since it is about time."""

from __future__ import annotations

import statistics
from pathlib import Path

from harness import FIGURES, generate, job_of, largest, lay, open_project, pump, tick_until, ticks


def _measure(name: str, *, local: bool) -> None:
    open_project(name)
    generate("a fox", style="large", frames=1, width=256, height=256)
    pump().session.local = local  # connecting has set it
    strip = lay("a fox grain:16 slow:0.05", style="large", frames=16, width=1024, height=1024)
    job = job_of(strip)
    with ticks() as seen:
        tick_until(lambda: job.ended)
    assert job.state.name == "DONE", job
    sizes = [path.stat().st_size for path in Path(job.folder).glob("frame_*.png")]
    assert sum(tick.bytes for tick in seen) == (0 if local else sum(sizes))
    assert len(sizes) == 16
    FIGURES.update(largest(seen))
    FIGURES["median"] = statistics.median(tick.seconds for tick in seen)
    FIGURES["ticks"], FIGURES["frame"] = len(seen), statistics.mean(sizes)


def check_ticks_on_this_computer() -> None:
    _measure("here", local=True)


def check_ticks_over_the_wire() -> None:
    _measure("far away", local=False)
