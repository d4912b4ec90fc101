"""Settings of the sampler's plan that make sense to a person; the style's own holds unless one is set. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from .limits import FRAMES, PIXELS


@dataclass(frozen=True)
class Number:
    """A setting that is a number."""

    key: str
    """As the plan has it."""
    title: str
    description: str
    start: int | float
    """What the panel proposes; a whole number makes the setting one."""
    least: int | float
    most: int | float


NUMBERS = (
    Number("steps", "Steps", "Steps of the whole chain: more take longer", 50, 1, 1000),
    Number("guidance", "Guidance", "How closely the image model follows the prompt", 7.5, 1.1, 30.0),
    Number("video_guidance", "Video Guidance", "How closely the video model follows the prompt", 7.5, 1.0, 30.0),
    Number("refine_steps", "Refining Steps", "Steps that the video model takes each time it takes over", 8, 1, 100),
    Number("alpha", "Alike Noise", "How alike the frames' starting noise is; 0: unrelated", 1.5, 0.0, 10.0),
    Number("eta", "Noise in Steps", "Noise in the image model's steps", 0.0, 0.0, 1.0),
    Number("cache_interval", "Reuse Features", "The image model runs whole every so many calls; 1: always", 1, 1, 10),
    Number("chunk", "Frames at Once", "That the image model sees: fewer take less memory", 4, 1, FRAMES.most),
    Number("window", "Window", "Frames that the video model sees at once, for long clips", 16, 1, FRAMES.most),
    Number("overlap", "Overlap", "Frames that neighboring windows share", 2, 0, FRAMES.most),
    Number(
        "tile", "Tile", "Side of the tiles in which frames are decoded, pixels, to save memory", 256, 64, PIXELS.most
    ),
)
LOWPASSES = (
    ("published", "Published", "Over time, and a little in the picture"),
    ("temporal", "Temporal", "Over time alone"),
    ("spatial_temporal", "Spatial and Temporal", "Over time, and more in the picture"),
    ("none", "None", "No filter"),
)
"""Filters between the two models, by the names that the plan has for them."""
