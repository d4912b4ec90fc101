"""What a clip would take, as the backend foresees it. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from shared_protocol.messages import Estimate, Generate
from shared_protocol.texts import duration

from .words import Phrase

WAIT_SECONDS = 60.0
"""So long an answer is waited for."""


@dataclass
class Foreseen:
    """The clip that was asked about last, and what is known of it."""

    clip: Generate | None = None
    asked: float = 0.0
    told: Estimate | None = None

    def is_about(self, clip: Generate) -> bool:
        """Whether it is this clip, whatever its name and its seed, which change nothing."""
        return self.clip is not None and _bare(clip) == _bare(self.clip)

    def awaits(self, now: float) -> bool:
        """Whether something is still to be told."""
        return self.clip is not None and now - self.asked < WAIT_SECONDS and (self.told is None or self.told.more)

    def seconds_a_call(self, style: str, frames: int, size: tuple[int, int]) -> float | None:
        """Of a clip of this style and size, whatever its plan; None while that is not known."""
        clip, told = self.clip, self.told
        if clip is None or told is None or told.seconds is None or not told.calls:
            return None
        alike = (clip.style, clip.frames, (clip.width, clip.height)) == (style, frames, size)
        return told.seconds / told.calls if alike else None


def _bare(clip: Generate) -> tuple[object, ...]:
    return tuple(getattr(clip, name) for name in clip.__struct_fields__ if name not in ("job", "seed"))


def sentence(told: Estimate) -> str:
    """ "It takes about 40 s and 3.1 GB of memory." """
    time = "" if told.seconds is None else duration(told.seconds)
    memory = f"{told.memory / 1e9:.1f}" if told.memory else ""
    if time and memory:
        return Phrase("It takes about {time} and {memory} GB of memory.", time=time, memory=memory)
    if time:
        return Phrase("It takes about {time}.", time=time)
    if memory:
        return Phrase("It takes {memory} GB of memory; how long is known after the first clip.", memory=memory)
    return "" if told.more else Phrase("How long it takes is known after the first clip of these models.")
