"""What a person reads while a clip is made. Pure."""

from __future__ import annotations

from shared_protocol.messages import Phase

PHASES: dict[Phase, str] = {
    "waiting": "Waiting for its turn",
    "loading": "Loading the models",
    "text": "Reading the prompt",
    "encoding": "Reading the footage",
    "painting": "Painting",
    "refining": "Smoothing the motion",
    "inverting": "Back to painting",
    "decoding": "Making the pictures",
    "conforming": "Fitting the frame rate",
    "writing": "Storing the clip",
}

STAYS = "The clip stays in the backend's queue; “python -m backend results” lists it when it is made."
"""What to say of a clip that the add-on gives up and the backend does not."""
UNSEEN = 0.005
"""A difference of speed that nobody sees, such as 23.976 and 24 frames per second."""


def megabytes(done: int, total: int) -> str:
    """ "120 of 4265 MB", from bytes."""
    return f"{min(done, total) / 1e6:.0f} of {total / 1e6:.0f} MB"


def frames(count: int) -> str:
    """ "1 frame", "16 frames"."""
    return f"{count} frame" if count == 1 else f"{count} frames"


def rate(fps: float) -> str:
    """ "8", "23.98"."""
    return f"{fps:.2f}".rstrip("0").rstrip(".")


def rate_notice(clip_fps: float, scene_fps: float) -> str | None:
    """A sentence if the clip plays at another speed than it was made for."""
    ratio = scene_fps / clip_fps
    if abs(ratio - 1) < UNSEEN:
        return None
    speed = f"{rate(ratio)} times as fast" if ratio > 1 else f"at {ratio:.0%} of its speed"
    return (
        f"The clip was made for {rate(clip_fps)} frames per second and the scene has {rate(scene_fps)}: "
        f"it plays {speed}."
    )
