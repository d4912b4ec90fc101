"""What artists and scripts can do."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import IntProperty, StringProperty

from ..clip.job import Job, Place, Problem, State
from ..clip.link import Link
from ..clip.wish import Wish, WishError, random_seed
from ..machine.frame_folder import FrameFileError
from ..machine.pump import PERIOD
from ..machine.terminal import ProgressLines
from ..machine.timer import the_pump
from . import clips, strips
from .preferences import clips_folder
from .properties import wish_of

HIDDEN: set[str] = {"SKIP_SAVE"}
"""A script that leaves an argument out means its default, not what was given last time."""


class GenerateClip(bpy.types.Operator):
    """Generate a clip and put it into the edit at the playhead"""

    bl_idname = "elevator.generate"
    bl_label = "Generate"
    # No UNDO: the strip comes later and brings its own undo step.
    bl_options: ClassVar[set[str]] = {"REGISTER"}

    prompt: StringProperty(name="Prompt", description="What the clip shows, in words", options=HIDDEN)
    negative_prompt: StringProperty(name="Without", description="What the clip must not show", options=HIDDEN)
    style: StringProperty(name="Style", description="Name of a style; empty: the backend's first", options=HIDDEN)
    frames: IntProperty(name="Frames", description="Length; 0: as the style does best", options=HIDDEN)
    width: IntProperty(name="Width", description="Pixels; 0: as the style does best", options=HIDDEN)
    height: IntProperty(name="Height", description="Pixels; 0: as the style does best", options=HIDDEN)
    seed: IntProperty(name="Seed", description="-1: a new one", default=-1, min=-1, options=HIDDEN)
    channel: IntProperty(name="Channel", description="0: the lowest free one", min=0, max=128, options=HIDDEN)
    frame_start: IntProperty(name="Start", description="First frame; left out: the playhead", options=HIDDEN)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene to put the strip in."""
        if strips.sequencer_scene(context) is None:
            cls.poll_message_set("Choose a scene in the sequencer's header first.")
            return False
        return True

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Start the job with the panel's settings and return at once; the timer does the rest."""
        settings = strips.sequencer_scene(context).elevator
        if self.properties.is_property_set("prompt"):
            wish = self._wish()
        else:
            if settings.use_random_seed:
                settings.seed = random_seed()
            wish = wish_of(settings, settings.seed)
        return {"CANCELLED"} if self._submit(context, wish) is None else {"FINISHED"}

    def execute(self, context: Any) -> set[str]:
        """Make the clip and return when the strip is there: for scripts."""
        if not clips.may_change_scene():
            # The render's end needs Blender's event loop, which this would hold up for ever.
            self.report({"ERROR"}, "A render is running. Generate when it has ended.")
            return {"CANCELLED"}
        job = self._submit(context, self._wish())
        if job is None:
            return {"CANCELLED"}
        pump = the_pump()
        lines = ProgressLines(sys.stdout) if bpy.app.background else None
        try:
            while not job.ended:
                pump.tick(budget=PERIOD)
                status = pump.session.status(job)
                if lines is not None:
                    lines.show(status)
                if pump.on_status is not None:
                    pump.on_status(status)
                if pump.session.waits(job):
                    pump.give_up(job.id)  # nobody sits here to press Start
                if not job.ended:
                    pump.wait(PERIOD)
        except KeyboardInterrupt:
            pump.cancel(job.id)
            pump.settle()
            raise
        finally:
            if lines is not None:
                lines.end(job.warnings)
        if job.state is State.DONE:
            self.report({"INFO"}, job.outcome)
            return {"FINISHED"}
        problem = job.problem or pump.session.problem or Problem("The job was cancelled.")
        self.report({"ERROR"}, " ".join(filter(None, (problem.sentence, problem.next_step, problem.command))))
        return {"CANCELLED"}

    def _wish(self) -> Wish:
        return Wish(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            style=self.style,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=random_seed() if self.seed < 0 else self.seed,
        )

    def _submit(self, context: Any, wish: Wish) -> Job | None:
        scene = strips.sequencer_scene(context)
        start = self.frame_start if self.properties.is_property_set("frame_start") else scene.frame_current
        place = Place(scene.session_uid, start, self.channel)
        pump = the_pump()
        try:
            return pump.submit(wish, place, clips.parent_folder(clips_folder(context)))
        except WishError as error:
            problem = Problem(error.sentence, error.next_step)
        except FrameFileError as error:
            problem = Problem(str(error), "Save the .blend in a folder that can be written.")
        pump.refuse(problem)
        strips.redraw(context.window_manager)
        self.report({"ERROR"}, f"{problem.sentence} {problem.next_step}")
        return None


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
            pump.cancel(job)
        return {"FINISHED"}


class StartBackend(bpy.types.Operator):
    """Start the backend, to see its styles"""

    bl_idname = "elevator.start_backend"
    bl_label = "Start Backend"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().reach()
        return {"FINISHED"}


class StopBackend(bpy.types.Operator):
    """End the backend, which frees all of its memory; unfinished jobs wait for the next start"""

    bl_idname = "elevator.stop_backend"
    bl_label = "Stop Backend"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a backend."""
        if the_pump().session.link is not Link.READY:
            cls.poll_message_set("No backend is connected.")
            return False
        return True

    def execute(self, _context: Any) -> set[str]:
        the_pump().stop_backend()
        return {"FINISHED"}


class ResumeQueue(bpy.types.Operator):
    """Let the backend start jobs again"""

    bl_idname = "elevator.resume_queue"
    bl_label = "Resume Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a backend."""
        if the_pump().session.link is not Link.READY:
            cls.poll_message_set("No backend is connected.")
            return False
        return True

    def execute(self, _context: Any) -> set[str]:
        the_pump().resume_queue()
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


class NewSeed(bpy.types.Operator):
    """Choose another seed"""

    bl_idname = "elevator.new_seed"
    bl_label = "New Seed"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        strips.sequencer_scene(context).elevator.seed = random_seed()
        return {"FINISHED"}


class UseStandardView(bpy.types.Operator):
    """Show colors as they are in the files: set the scene's view transform to Standard"""

    bl_idname = "elevator.use_standard_view"
    bl_label = "Use View Standard"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    def execute(self, context: Any) -> set[str]:
        strips.use_plain_view(strips.sequencer_scene(context))
        return {"FINISHED"}


class OpenFolder(bpy.types.Operator):
    """Open the clip's folder in the file browser of this computer"""

    bl_idname = "elevator.open_folder"
    bl_label = "Open Folder"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    folder: StringProperty(options=HIDDEN)

    def execute(self, _context: Any) -> set[str]:
        if not Path(self.folder).is_dir():
            self.report({"ERROR"}, f"The folder {self.folder} is gone.")
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=self.folder)


CLASSES = (
    GenerateClip,
    CancelClip,
    StartBackend,
    StopBackend,
    ResumeQueue,
    CopyCommand,
    NewSeed,
    UseStandardView,
    OpenFolder,
)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
