"""How long and how large the clip is, and where it goes."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip import words
from ...clip.words import Phrase
from .. import layouts, strips
from ..properties import style_of
from .shared import InScene, fields


class TimePanel(InScene, bpy.types.Panel):
    """How long and how large the clip is, and where it goes"""

    bl_idname = "ELEVATOR_PT_time"
    bl_label = "Time and Size"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        settings = strips.sequencer_scene(context).elevator
        style = style_of(settings)
        column = fields(self.layout)
        column.prop(settings, "length")
        if settings.length in ("FRAMES", "SECONDS"):
            column.prop(settings, settings.length.lower())
        column.prop(settings, "rate")
        column = fields(self.layout)
        column.prop(settings, "size")
        if settings.size == "TYPED":
            column.prop(settings, "width")
            column.prop(settings, "height")
        column.prop(settings, "fit")
        column = fields(self.layout)
        column.prop(settings, "place")
        if settings.place == "CHANNEL":
            column.prop(settings, "channel")
        if style is not None:
            text = Phrase(
                "Up to {frames}; sides from {least} to {most} pixels in steps of {step}.",
                frames=words.frames(style.max_frames),
                least=style.min_size,
                most=style.max_size,
                step=style.size_step,
            )
            layouts.text(self.layout, context, text)


CLASSES = (TimePanel,)
