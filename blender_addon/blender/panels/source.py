"""What the clip starts from."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from .. import layouts, sources, strips
from .shared import InScene, fields


class InputPanel(InScene, bpy.types.Panel):
    """What the clip starts from"""

    bl_idname = "ELEVATOR_PT_input"
    bl_label = "Input"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, scene = self.layout, strips.sequencer_scene(context)
        settings = scene.elevator
        row = fields(layout).row(align=True)
        if scene.sequence_editor:
            row.prop_search(settings, "source", scene.sequence_editor, strips.all_strips_name(scene))
        else:
            row.prop(settings, "source")
        row.operator("elevator.use_strip", text="", icon="EYEDROPPER")
        row = fields(layout).row(heading="Strength", align=True)
        row.prop(settings, "use_footage", text="")
        strength = row.row(align=True)
        strength.active = settings.use_footage
        strength.prop(settings, "strength", text="", slider=True)
        column = fields(layout)
        column.prop(settings, "anchor")
        if settings.anchor == "FILE":
            column.prop(settings, "anchor_file")
        if settings.use_footage or settings.anchor == "STRIP":
            _draw_strip(layout, context, scene, settings.source)


def _draw_strip(layout: Any, context: Any, scene: Any, name: str) -> None:
    """What is wrong with the strip, if anything."""
    strip = next((strip for strip in strips.every_strip(scene) if strip.name == name), None)
    sentence = sources.why_not(strip) if strip is not None else "Choose an image or movie strip."
    if sentence:
        layouts.text(layout, context, sentence, icon="ERROR")


CLASSES = (InputPanel,)
