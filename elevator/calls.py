"""How many network calls a plan's chain makes, counted without running it. Free of torch."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from .plan import Plan


@dataclass(frozen=True)
class Calls:
    """How many network calls a plan makes. Guided ones run both prompts, the others one."""

    painting: int
    """T2I, guided."""
    correction: int
    """T2I, one prompt."""
    inverting: int
    """T2I, one prompt."""
    refining: int
    """T2V, guided."""
    shallow_painting: int = 0
    """Of those, the ones that reuse deep features."""
    shallow_correction: int = 0
    shallow_inverting: int = 0

    @property
    def total(self) -> int:
        return self.painting + self.correction + self.inverting + self.refining


def calls_of(plan: Plan, frames: int = 1, start: int = 0) -> Calls:
    """Network calls of a plan's chain from step `start` on."""
    counts = {name: [0, 0] for name in ("painting", "correction", "inverting", "refining")}
    for phase, shallow in _phases(plan, start):
        spans = plan.video_spans(frames) if phase == "refining" else plan.image_spans(frames)
        counts[phase][shallow] += len(spans)
    return Calls(
        **{name: sum(both) for name, both in counts.items()},
        **{f"shallow_{name}": counts[name][1] for name in ("painting", "correction", "inverting")},
    )


def _phases(plan: Plan, start: int) -> Iterator[tuple[str, bool]]:
    """The kind of every guided or single output that the chain asks for, and whether it reuses deep features."""
    every = plan.cache_interval
    since = path = corrected = 0
    for i in range(start, plan.steps):
        yield "painting", since % every > 0
        since += 1
        if plan.refines_at(i):
            yield from (("refining", False) for _ in range(plan.refine_steps))
            levels = len(plan.inverts_to(i)) if plan.way_back == "inversion" else 0
            yield from (("inverting", k % every > 0) for k in range(levels))
            since, path, corrected = 0, levels if plan.corrects else 0, 0
        elif path > 1:
            # Right after a refinement the chain is on the path, so that its own output serves the correction too.
            if since > 1:
                yield "correction", corrected % every > 0
                corrected += 1
            path -= 1
