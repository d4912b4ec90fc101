"""Settings of the sampler's plan."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip.advanced import NUMBERS
from .. import strips
from .shared import SidebarPanel, fields


class AdvancedPanel(SidebarPanel, bpy.types.Panel):
    """Settings of the sampler; each is the style's own unless it is set"""

    bl_idname = "ELEVATOR_PT_advanced"
    bl_label = "Advanced"
    bl_parent_id = "ELEVATOR_PT_look"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        plan = strips.sequencer_scene(context).elevator.plan
        column = fields(self.layout)
        for number in NUMBERS:
            _draw(column, plan, number.key, number.title)
        _draw(column, plan, "lowpass", "Low-Pass")


def _draw(column: Any, plan: Any, key: str, title: str) -> None:
    """A switch and the setting, as Blender's own panels have them."""
    row = column.row(heading=title, align=True)
    row.prop(plan, f"use_{key}", text="")
    value = row.row(align=True)
    value.active = getattr(plan, f"use_{key}")
    value.prop(plan, key, text="")


CLASSES = (AdvancedPanel,)
