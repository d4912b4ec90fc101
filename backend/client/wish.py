"""What a clip shall be, as a person or a script says it, and the request that it becomes."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

from shared_protocol.client import new_job_id
from shared_protocol.messages import Generate, LoraChoice, Style

from .uploading import FootagePaths, footage_files

MAX_SEED = 2**31 - 1
FOOTAGE_STRENGTH = 0.8
"""Of the noise on footage, where none is asked for."""


@dataclass(frozen=True)
class Wish:
    """What a clip shall be. Nothing is checked here; the backend does it."""

    prompt: str
    negative_prompt: str = ""
    style: str = "plain"
    preset: str = ""
    """One of the style's; empty: its own."""
    frames: int | None = None
    """None: as many as there is footage, else the style's own."""
    width: int | None = None
    """Pixels; None: the style's own."""
    height: int | None = None
    """Pixels; None: the style's own."""
    seed: int | None = None
    """None: a random one."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of the sampler's plan, instead of the preset's; docs/STYLES.md lists them."""
    loras: Sequence[LoraChoice | tuple[str, float]] = ()
    """Names and weights, besides the style's own."""
    footage: FootagePaths = ()
    """What to start from: PNG files, one a frame, or a folder of them."""
    strength: float | None = None
    """How much of the footage is made anew, 0 … 1; None: 0.8."""
    anchor: str | PathLike[str] | None = None
    """A PNG that is frame 0."""
    flow_fps: Fraction | None = None
    """The result's rate, frames a second: pictures along the optical flow are made between the clip's own. None: the
    style's rate, and none."""

    def request(self, style: Style | None, upload: Callable[[Path], str], *, previews: bool = False) -> Generate:
        """The request for it under a new name.

        style: the one that is meant, None if there is none. upload: brings a file to the backend and returns its
        SHA-256. Raises BackendError if footage cannot be used, and what `upload` raises.
        """
        pictures = footage_files(self.footage)[: self.frames]
        # Of a style that there is not, any size will do: the backend answers with the list of styles.
        width, height, frames = (style.width, style.height, style.frames) if style else (64, 64, 1)
        return Generate(
            job=new_job_id(),
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            style=self.style,
            frames=self.frames if self.frames is not None else len(pictures) or frames,
            width=width if self.width is None else self.width,
            height=height if self.height is None else self.height,
            seed=random.randrange(MAX_SEED) if self.seed is None else self.seed,
            previews=previews,
            preset=self.preset,
            settings=dict(self.settings),
            loras=tuple(lora if isinstance(lora, LoraChoice) else _lora(*lora) for lora in self.loras),
            footage=tuple(upload(path) for path in pictures),
            strength=self.strength if self.strength is not None else FOOTAGE_STRENGTH if pictures else 1.0,
            anchor="" if self.anchor is None else upload(Path(self.anchor)),
            flow_fps_numerator=0 if self.flow_fps is None else self.flow_fps.numerator,
            flow_fps_denominator=1 if self.flow_fps is None else self.flow_fps.denominator,
        )


def _lora(name: str, weight: float) -> LoraChoice:
    return LoraChoice(name=name, weight=weight)
