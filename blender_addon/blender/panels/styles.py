"""Styles of the artist's own."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip import style_content
from ...clip.words import Phrase
from ...machine.style_commands import StyleCommands, is_own
from ...machine.timer import the_pump
from .. import layouts, strips, style_draft
from ..operators.styles import FAR
from ..properties import style_of
from ..typed import text_of
from .shared import InScene, fields

WORKS = {
    "bases": "The style is being read.",
    "show": "The style is being read.",
    "copy": "The style is being written.",
    "edit": "The style is being written.",
    "remove": "The style is being deleted.",
    "thumbnail": "The style's picture is being made.",
}


class StylesPanel(InScene, bpy.types.Panel):
    """Make styles of your own, and change them"""

    bl_idname = "ELEVATOR_PT_styles"
    bl_label = "Styles"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, pump = self.layout, the_pump()
        if pump.serving.profile:
            layouts.text(layout, context, FAR)
            return
        draft = style_draft.draft_of(context)
        if draft.name:
            _draw_draft(layout, context, draft)
        else:
            _draw_chosen(layout, context)
        if pump.styles.running:
            _draw_running(layout, context, pump.styles)
        if (problem := pump.styles.problem) is not None:
            layouts.problem(layout, context, problem.sentence, problem.next_step, problem.command)


def _draw_chosen(layout: Any, context: Any) -> None:
    style = style_of(strips.sequencer_scene(context).elevator)
    if style is None:
        layouts.text(layout, context, "The backend has not told of its styles yet.", icon="INFO")
        return
    layout.label(text=style.title, icon="BRUSH_DATA", translate=False)
    whose = "A style of your own." if is_own(style.name) else "It comes with the backend."
    layouts.text(layout, context, whose)
    column = layout.column(align=True)
    column.operator("elevator.new_style", icon="ADD")
    column.operator("elevator.edit_style", icon="GREASEPENCIL")
    row = layout.row(align=True)
    row.operator("elevator.style_picture", icon="IMAGE_DATA")
    row.operator("elevator.remove_style", icon="TRASH")


def _draw_running(layout: Any, context: Any, commands: StyleCommands) -> None:
    row = layout.row(align=True)
    layouts.text(row, context, WORKS[commands.running], icon="TIME")
    if commands.running == "thumbnail":
        row.operator("elevator.stop_styles", text="", icon="X")


class StyleLoraList(bpy.types.UIList):
    """One line for each LoRA of the style."""

    bl_idname = "ELEVATOR_UL_style_loras"

    def draw_item(
        self, _context: Any, layout: Any, _data: Any, item: Any, _icon: int, _active: Any, _name: str
    ) -> None:
        row = layout.row(align=True)
        row.prop(item, "on", text="")
        row.label(text=item.name, translate=False)
        weight = row.row(align=True)
        weight.active = item.on
        weight.prop(item, "weight", text="")


def _draw_draft(layout: Any, context: Any, draft: Any) -> None:
    column = fields(layout)
    column.prop(draft, "title")
    column.prop(draft, "description")
    column.prop(draft, "base")
    column.prop(draft, "preset")
    column.prop(draft, "prompt")
    if style_content.PLACE not in text_of(draft, "prompt"):
        said = Phrase("An artist's words stand in front: write {place} where they go.", place=style_content.PLACE)
        layouts.text(layout, context, said, icon="INFO")
    column = fields(layout)
    column.prop(draft, "negative_prompt")
    column.prop(draft, "example_prompt")
    row = layout.row()
    row.template_list("ELEVATOR_UL_style_loras", "", draft, "loras", draft, "lora_index", rows=2)
    column = row.column(align=True)
    column.operator_menu_enum("elevator.add_style_lora", "lora", text="", icon="ADD")
    column.operator("elevator.add_style_lora_file", text="", icon="FILEBROWSER")
    column.operator("elevator.remove_style_lora", text="", icon="REMOVE")
    row = layout.row(align=True)
    row.operator("elevator.save_style", icon="CHECKMARK")
    row.operator("elevator.discard_style", icon="X")


CLASSES = (StyleLoraList, StylesPanel)
