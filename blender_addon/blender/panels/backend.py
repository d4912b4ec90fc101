"""Whether the backend runs."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip import backend_words
from ...machine.timer import the_pump
from .. import layouts
from ..findings import draw_findings
from .shared import SidebarPanel


class BackendPanel(SidebarPanel, bpy.types.Panel):
    """Whether the backend runs"""

    bl_idname = "ELEVATOR_PT_backend"
    bl_label = "Backend"
    bl_options: ClassVar[set[str]] = {"DEFAULT_CLOSED"}

    def draw(self, context: Any) -> None:
        layout, pump = self.layout, the_pump()
        session = pump.session
        pump.look_around()
        layouts.text(layout, context, backend_words.state(session.link, session.backend.device))
        if session.backend.status is not None:
            for sentence in backend_words.devices(session.backend.status):
                layouts.text(layout, context, sentence)
        for note in session.backend.notes:
            layouts.text(layout, context, note, icon="INFO")
        row = layout.row(align=True)
        row.operator("elevator.start_backend", text="Start")
        row.operator("elevator.stop_backend", text="Stop")
        row.operator("elevator.free_memory", text="Free")
        row = layout.row(align=True)
        row.operator("elevator.open_log")
        row.operator("elevator.write_report", text="Report")
        draw_findings(layout, context)


CLASSES = (BackendPanel,)
