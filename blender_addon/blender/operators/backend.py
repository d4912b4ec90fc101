"""Start and end of the backend, and the commands that it names."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import StringProperty

from ...machine.timer import the_pump
from .shared import HIDDEN, Connected


class StartBackend(bpy.types.Operator):
    """Start the backend, to see its styles"""

    bl_idname = "elevator.start_backend"
    bl_label = "Start Backend"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        """Begin; the timer goes on."""
        pump = the_pump()
        pump.do(pump.session.start())
        return {"FINISHED"}


class StopBackend(Connected, bpy.types.Operator):
    """End the backend, which frees all of its memory; unfinished jobs wait for the next start"""

    bl_idname = "elevator.stop_backend"
    bl_label = "Stop Backend"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.stop())
        return {"FINISHED"}


class CopyCommand(bpy.types.Operator):
    """Copy the command, to paste it into a terminal"""

    bl_idname = "elevator.copy_command"
    bl_label = "Copy Command"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    command: StringProperty(options=HIDDEN)

    def execute(self, context: Any) -> set[str]:
        context.window_manager.clipboard = self.command
        self.report({"INFO"}, "Copied. Paste it into a terminal.")
        return {"FINISHED"}


CLASSES = (
    StartBackend,
    StopBackend,
    CopyCommand,
)
