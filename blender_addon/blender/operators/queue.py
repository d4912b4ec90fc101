"""What can be done with the backend's queue."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import StringProperty

from ...machine.timer import the_pump
from .shared import HIDDEN, Connected


class CancelClip(bpy.types.Operator):
    """End the generation of a clip"""

    bl_idname = "elevator.cancel"
    bl_label = "Cancel"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    job: StringProperty(description="The job; empty: all of them", options=HIDDEN)

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be something to cancel."""
        if not the_pump().session.active:
            cls.poll_message_set("Nothing is being generated.")
            return False
        return True

    def execute(self, _context: Any) -> set[str]:
        """Ask for the end; it comes within one step of the work."""
        pump = the_pump()
        for job in [self.job] if self.job else [job.id for job in pump.session.active]:
            pump.do(pump.session.cancel(job))
        return {"FINISHED"}


class ResumeQueue(Connected, bpy.types.Operator):
    """Let the backend start jobs again"""

    bl_idname = "elevator.resume_queue"
    bl_label = "Resume Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.resume())
        return {"FINISHED"}


class PauseQueue(Connected, bpy.types.Operator):
    """Let the backend start no further job; what is being made is finished"""

    bl_idname = "elevator.pause_queue"
    bl_label = "Pause Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.pause())
        return {"FINISHED"}


CLASSES = (
    CancelClip,
    ResumeQueue,
    PauseQueue,
)
