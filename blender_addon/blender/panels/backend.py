"""Whether the backend runs."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip.link import Link
from ...machine.timer import the_pump
from .. import layouts
from .shared import SidebarPanel


class BackendPanel(SidebarPanel, bpy.types.Panel):
    """Whether the backend runs"""

    bl_idname = "ELEVATOR_PT_backend"
    bl_label = "Backend"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        session = the_pump().session
        match session.link:
            case Link.READY:
                device = f" It works on {session.device}." if session.device != "none" else ""
                state = f"The backend is ready.{device}"
            case Link.NONE:
                state = "The backend starts with the first Generate."
            case _:
                state = "The backend is starting."
        layouts.text(self.layout, context, state)
        for note in session.notes:
            layouts.text(self.layout, context, note, icon="INFO")
        row = self.layout.row(align=True)
        row.operator("elevator.start_backend", text="Start")
        row.operator("elevator.stop_backend", text="Stop")


CLASSES = (BackendPanel,)
