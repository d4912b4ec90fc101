"""How the clip is made."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy

from ...clip import limits
from ...clip.words import Phrase
from .. import layouts, strips
from ..properties import style_of
from .shared import InScene, fields


class LookPanel(InScene, bpy.types.Panel):
    """How the clip is made"""

    bl_idname = "ELEVATOR_PT_look"
    bl_label = "Look"

    def draw(self, context: Any) -> None:
        settings = strips.sequencer_scene(context).elevator
        fields(self.layout).prop(settings, "preset")
        row = fields(self.layout).row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "use_random_seed", text="", icon="UNLOCKED" if settings.use_random_seed else "LOCKED")
        row.operator("elevator.new_seed", text="", icon="FILE_REFRESH")
        fields(self.layout).prop(settings, "takes")
        _draw_loras(self.layout, context, settings)


class LoraList(bpy.types.UIList):
    """One line for each LoRA."""

    bl_idname = "ELEVATOR_UL_loras"

    def draw_item(self, context: Any, layout: Any, _data: Any, item: Any, _icon: int, _active: Any, _name: str) -> None:
        style = style_of(strips.sequencer_scene(context).elevator)
        known = style is None or any(view.name == item.name for view in style.loras)
        row = layout.row(align=True)
        row.prop(item, "on", text="")
        row.label(text=item.name, icon="NONE" if known else "ERROR")
        weight = row.row(align=True)
        weight.active = item.on
        weight.prop(item, "weight", text="")


def _draw_loras(layout: Any, context: Any, settings: Any) -> None:
    """The list, what the style has by itself, and the chosen one's words."""
    style = style_of(settings)
    row = layout.row()
    row.template_list("ELEVATOR_UL_loras", "", settings, "loras", settings, "lora_index", rows=2)
    column = row.column(align=True)
    column.operator_menu_enum("elevator.add_lora", "lora", text="", icon="ADD")
    column.operator("elevator.remove_lora", text="", icon="REMOVE")
    views = {view.name: view for view in style.loras} if style else {}
    there = {line.name for line in settings.loras}
    own = [f"{view.name} {view.weight:.2g}" for view in views.values() if view.own and view.name not in there]
    if own:
        layouts.text(layout, context, Phrase("The style has {loras}.", loras=", ".join(own)))
    if len(settings.loras) > limits.LORAS:
        said = Phrase("A clip can have {most} LoRAs in this list.", most=limits.LORAS)
        layouts.text(layout, context, said, icon="ERROR")
    if 0 <= settings.lora_index < len(settings.loras):
        chosen = settings.loras[settings.lora_index].name
        if style is not None and chosen not in views:
            said = Phrase("The backend does not list {lora} with this style.", lora=chosen)
            layouts.text(layout, context, said, icon="ERROR")
        elif chosen in views and views[chosen].words:
            said = Phrase("Words that call it up: {words}", words=views[chosen].words)
            layouts.text(layout, context, said, icon="OUTLINER_OB_FONT")


CLASSES = (
    LoraList,
    LookPanel,
)
