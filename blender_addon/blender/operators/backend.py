"""Start and end of the backend, and the commands that it names."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import StringProperty

from ...clip import backend_words
from ...clip.job import Problem
from ...machine import backend_commands
from ...machine.installation import installation
from ...machine.timer import the_pump
from ..translations import told, told_problem
from .shared import HIDDEN, Connected, confirm, open_path


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

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Say first whose jobs wait then."""
        session = the_pump().session
        message = backend_words.who_waits(len(session.active), session.backend.others)
        if not message:
            return self.execute(context)
        return confirm(self, context, event, title="Stop Backend", message=message, button="Stop")

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.stop())
        return {"FINISHED"}


class FreeMemory(Connected, bpy.types.Operator):
    """Give the memory of models back, on every device that has no job"""

    bl_idname = "elevator.free_memory"
    bl_label = "Free Memory"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.backend.free())
        pump.look_around()
        return {"FINISHED"}


class OpenLog(bpy.types.Operator):
    """Open what the backend has said last, with this computer's program for texts"""

    bl_idname = "elevator.open_log"
    bl_label = "Open Log"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        log = backend_commands.last_log()
        if log is None:
            self.report({"ERROR"}, told("There is no log: no backend has run here."))
            return {"CANCELLED"}
        return open_path(self, log)


class CheckSetup(bpy.types.Operator):
    """Look at everything that the backend needs, and say what is wrong and what mends it"""

    bl_idname = "elevator.check_setup"
    bl_label = "Check Set-up"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        """Begin; the timer goes on."""
        pump = the_pump()
        pump.commands.examine()
        pump.do(())
        return {"FINISHED"}


class WriteReport(bpy.types.Operator):
    """Write a file for a report of a fault, without keys, prompts and names"""

    bl_idname = "elevator.write_report"
    bl_label = "Write Report"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        """Begin; the timer goes on."""
        pump = the_pump()
        pump.commands.write_report()
        pump.do(())
        return {"FINISHED"}


class OpenGuide(bpy.types.Operator):
    """Open the guide for artists that came with the backend"""

    bl_idname = "elevator.open_guide"
    bl_label = "Open Guide"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        found = installation.found
        if isinstance(found, Problem):
            self.report({"ERROR"}, told_problem(found))
            return {"CANCELLED"}
        return open_path(self, found.root / "docs" / "ARTISTS.md")


class CopyCommand(bpy.types.Operator):
    """Copy the command, to paste it into a terminal"""

    bl_idname = "elevator.copy_command"
    bl_label = "Copy Command"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    command: StringProperty(options=HIDDEN)

    def execute(self, context: Any) -> set[str]:
        context.window_manager.clipboard = self.command
        self.report({"INFO"}, told("Copied. Paste it into a terminal."))
        return {"FINISHED"}


CLASSES = (
    StartBackend,
    StopBackend,
    FreeMemory,
    OpenLog,
    CheckSetup,
    WriteReport,
    OpenGuide,
    CopyCommand,
)
