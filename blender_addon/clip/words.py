"""What a person reads while a clip is made. Pure."""

from __future__ import annotations

from fractions import Fraction

from shared_protocol.messages import Phase

PHASES: dict[Phase, str] = {
    "waiting": "Waiting for its turn",
    "loading": "Loading the models",
    "text": "Reading the prompt",
    "encoding": "Reading the footage",
    "painting": "Painting",
    "refining": "Smoothing the motion",
    "inverting": "Carrying the motion over",
    "decoding": "Making the pictures",
    "conforming": "Fitting the frame rate",
    "writing": "Storing the clip",
}

STAYS = "The clip stays in the backend's queue; the panel Finished Clips has it when it is made."
"""What to say of a clip for which nobody waits any longer."""


def megabytes(done: int, total: int) -> str:
    """ "120 of 4265 MB", from bytes."""
    return f"{min(done, total) / 1e6:.0f} of {total / 1e6:.0f} MB"


def frames(count: int) -> str:
    """ "1 frame", "16 frames"."""
    return f"{count} frame" if count == 1 else f"{count} frames"


def seconds(length: float | Fraction) -> str:
    """ "2 s", "0.67 s"."""
    return f"{float(length):.2f}".rstrip("0").rstrip(".") + " s"


def rate(fps: float) -> str:
    """ "8", "23.98"."""
    return f"{fps:.2f}".rstrip("0").rstrip(".")
