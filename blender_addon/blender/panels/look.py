"""How the clip is made."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy

from .. import strips
from .shared import SidebarPanel, fields


class LookPanel(SidebarPanel, bpy.types.Panel):
    """How the clip is made"""

    bl_idname = "ELEVATOR_PT_look"
    bl_label = "Look"

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene."""
        return strips.sequencer_scene(context) is not None

    def draw(self, context: Any) -> None:
        settings = strips.sequencer_scene(context).elevator
        fields(self.layout).prop(settings, "preset")
        row = fields(self.layout).row(align=True)
        row.prop(settings, "seed")
        row.prop(settings, "use_random_seed", text="", icon="UNLOCKED" if settings.use_random_seed else "LOCKED")
        row.operator("elevator.new_seed", text="", icon="FILE_REFRESH")


CLASSES = (LookPanel,)
