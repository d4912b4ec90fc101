"""Orders and ends for tests that need no models."""

from __future__ import annotations

from backend.orders import Sample
from elevator import Plan, Sources
from shared_protocol.messages import Done


def order() -> Sample:
    """A tiny clip."""
    return Sample(
        prompt="",
        negative_prompt="",
        sources=Sources("", ""),
        plan=Plan(),
        frames=1,
        width=8,
        height=8,
        fps=8,
        seed=0,
    )


def done(name: str) -> Done:
    """The end of that clip."""
    return Done(job=name, frames=1, width=8, height=8, fps_numerator=8, seed=0, seconds=1)
