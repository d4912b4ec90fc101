"""What can be done with the backend's queue."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from ...clip.words import Phrase
from ...machine.timer import the_pump
from ..translations import told
from .shared import HIDDEN, Connected, confirm


class CancelClip(bpy.types.Operator):
    """End the generation of a clip"""

    bl_idname = "elevator.cancel"
    bl_label = "Cancel"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    job: StringProperty(description="The job; empty: all of them", options=HIDDEN)

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be something to cancel."""
        if not the_pump().session.active:  # one by one, a finished clip of another file can be cancelled, too
            cls.poll_message_set("Nothing is being generated.")
            return False
        return True

    def invoke(self, context: Any, event: Any) -> set[str]:
        """One clip ends at once; before all of them do, ask."""
        count = len(the_pump().session.unfinished)
        if self.job or count < 2:
            return self.execute(context)
        message = Phrase("{count} clips end, also those that are being made.", count=count)
        return confirm(self, context, event, title="Cancel All", message=message, button="Cancel All")

    def execute(self, _context: Any) -> set[str]:
        """Ask for the end; it comes within one step of the work."""
        pump = the_pump()
        for job in [self.job] if self.job else [job.id for job in pump.session.unfinished]:
            pump.do(pump.session.cancel(job))
        return {"FINISHED"}


class MoveClip(Connected, bpy.types.Operator):
    """Give a clip that waits another place in the backend's queue"""

    bl_idname = "elevator.move_clip"
    bl_label = "Move in Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    job: StringProperty(description="The job", options=HIDDEN)
    direction: EnumProperty(
        name="Direction",
        items=(
            ("FIRST", "First", "It comes next"),
            ("UP", "Up", "It comes before the one that is before it"),
            ("DOWN", "Down", "It comes behind the one that is behind it"),
        ),
        options=HIDDEN,
    )

    @classmethod
    def description(cls, _context: Any, properties: Any) -> str:
        return {
            "FIRST": "Let the clip come next",
            "UP": "Let the clip come one place earlier",
            "DOWN": "Let the clip come one place later",
        }[properties.direction]

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        job = pump.session.jobs.get(self.job)
        if job is None or job.ended or job.phase != "waiting":
            self.report({"ERROR"}, told("This clip does not wait in the queue."))
            return {"CANCELLED"}
        by = {"UP": -1, "DOWN": 1}.get(self.direction)
        pump.do(pump.session.backend.move(job.id, 0) if by is None else pump.session.backend.shift(job.id, by))
        pump.look_around()
        return {"FINISHED"}


class ResumeQueue(Connected, bpy.types.Operator):
    """Let the backend start jobs again"""

    bl_idname = "elevator.resume_queue"
    bl_label = "Resume Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.backend.resume())
        return {"FINISHED"}


class PauseQueue(Connected, bpy.types.Operator):
    """Let the backend start no further job; what is being made is finished"""

    bl_idname = "elevator.pause_queue"
    bl_label = "Pause Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.backend.pause())
        return {"FINISHED"}


CLASSES = (
    CancelClip,
    MoveClip,
    ResumeQueue,
    PauseQueue,
)
