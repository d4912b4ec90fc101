"""What artists and scripts can do with clips."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

import sys
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, StringProperty

from shared_protocol.client import new_job_id
from shared_protocol.messages import Generate, Style

from ..clip.job import Job, Problem, State
from ..clip.link import Link
from ..clip.placing import Where
from ..clip.ticket import Ticket
from ..clip.wish import Wish, WishError, folder_name, random_seed, request_of, settle
from ..machine.frame_folder import FrameFileError
from ..machine.pump import PERIOD
from ..machine.terminal import ProgressLines
from ..machine.timer import the_pump
from . import clips, strips
from .clips import ClipError, Place
from .preferences import clips_folder
from .properties import FITS, PLACES, RATES, wish_of

HIDDEN: set[str] = {"SKIP_SAVE"}
"""A script that leaves an argument out means its default, not what was given last time."""


class GenerateClip(bpy.types.Operator):
    """Put a strip at the playhead that waits for a clip, and generate the clip"""

    bl_idname = "elevator.generate"
    bl_label = "Generate"
    bl_options: ClassVar[set[str]] = {"REGISTER", "UNDO"}

    prompt: StringProperty(name="Prompt", description="What the clip shows, in words", options=HIDDEN)
    negative_prompt: StringProperty(name="Without", description="What the clip must not show", options=HIDDEN)
    style: StringProperty(name="Style", description="Name of a style; empty: the backend's first", options=HIDDEN)
    preset: StringProperty(name="Quality", description="Name of a preset; empty: the style's own", options=HIDDEN)
    frames: IntProperty(name="Frames", description="The clip's own frames; 0: as the style does best", options=HIDDEN)
    width: IntProperty(name="Width", description="Pixels; 0: as the style does best", options=HIDDEN)
    height: IntProperty(name="Height", description="Pixels; 0: as the style does best", options=HIDDEN)
    seed: IntProperty(name="Seed", description="-1: a new one", default=-1, min=-1, options=HIDDEN)
    rate: EnumProperty(name="Frame Rate", description="How long the clip is in the edit", items=RATES, options=HIDDEN)
    fit: EnumProperty(name="Fit", description="How the clip fills the picture", items=FITS, options=HIDDEN)
    place: EnumProperty(name="Channel", description="Where the strip goes", items=PLACES, options=HIDDEN)
    channel: IntProperty(name="Channel", description="Channel, or the first to try; 0: as Place says", options=HIDDEN)
    frame_start: IntProperty(name="Start", description="First frame; left out: the playhead", options=HIDDEN)
    wait: BoolProperty(
        name="Wait",
        description="Return when the clip is in the edit. Without a window alone: a window never waits",
        default=True,
        options=HIDDEN,
    )

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a scene to put the strip in."""
        if strips.sequencer_scene(context) is None:
            cls.poll_message_set("Choose a scene in the sequencer's header first.")
            return False
        return True

    def draw(self, _context: Any) -> None:
        """Nothing in the panel of the last operation: whatever were changed there would make another clip."""

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Take the panel's settings, and leave them with the operator for Repeat Last."""
        if not self.properties.is_property_set("prompt"):
            settings = strips.sequencer_scene(context).elevator
            if settings.use_random_seed:
                settings.seed = random_seed()
            self._take(settings, context)
        return self.execute(context)

    def execute(self, context: Any) -> set[str]:
        """Lay the strip down and ask for the clip. Without a window, wait for it."""
        blocks = self.wait and bpy.app.background
        if blocks and bpy.app.is_job_running("RENDER"):
            # The render's end needs Blender's event loop, which this would hold up for ever.
            self.report({"ERROR"}, "A render is running. Generate when it has ended.")
            return {"CANCELLED"}
        if bpy.app.background and (blocks or not the_pump().session.styles):
            _meet()
            session = the_pump().session
            if session.link is not Link.READY and session.problem is not None:
                return self._refuse(session.problem)
        try:
            job = self._submit(context)
        except WishError as error:
            return self._refuse(Problem(error.sentence, error.next_step))
        except ClipError as error:
            return self._refuse(Problem(str(error)))
        except FrameFileError as error:
            return self._refuse(Problem(str(error), "Save the .blend in a folder that can be written."))
        return self._wait(job) if blocks else {"FINISHED"}

    def _take(self, settings: Any, context: Any) -> None:
        """Copy the panel's settings into the operator's properties."""
        wish = wish_of(settings, settings.seed, strips.sequencer_scene(context))
        for name in ("prompt", "negative_prompt", "style", "preset", "frames", "width", "height", "seed"):
            setattr(self, name, getattr(wish, name))
        self.rate, self.fit, self.place = settings.rate, settings.fit, settings.place
        self.channel = settings.channel if settings.place == Where.CHANNEL.name else 0

    def _submit(self, context: Any) -> Job:
        """Raises WishError, ClipError or FrameFileError; then nothing has happened."""
        pump = the_pump()
        scene = strips.sequencer_scene(context)
        wish = self._wish()
        request = settle(wish, new_job_id(), pump.session.styles)
        ticket = ticket_for(request, pump.session.styles, clips.rate_of(scene), self.rate)
        start = self.frame_start if self.properties.is_property_set("frame_start") else scene.frame_current
        where = Where.CHANNEL if self.channel else Where[self.place]
        parent = clips.parent_folder(clips_folder(context))
        clips.lay_down(scene, ticket, Place(start, where, self.channel, self.fit), parent)
        pump.submit(ticket, parent / ticket.folder)
        return pump.session.jobs[request.job]

    def _wish(self) -> Wish:
        return Wish(
            prompt=self.prompt,
            negative_prompt=self.negative_prompt,
            style=self.style,
            preset=self.preset,
            frames=self.frames,
            width=self.width,
            height=self.height,
            seed=random_seed() if self.seed < 0 else self.seed,
        )

    def _refuse(self, problem: Problem) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.refuse(problem))
        strips.redraw(bpy.context.window_manager, "UI")
        self.report({"ERROR"}, " ".join(filter(None, (problem.sentence, problem.next_step, problem.command))))
        return {"CANCELLED"}

    def _wait(self, job: Job) -> set[str]:
        pump = the_pump()
        lines = ProgressLines(sys.stdout)
        try:
            while not job.ended:
                pump.tick(budget=PERIOD)
                status = pump.session.status(job)
                lines.show(status)
                if pump.on_status is not None:
                    pump.on_status(status)
                if pump.session.waits(job):
                    pump.do(pump.session.give_up(job.id))  # nobody sits here to press Start
                if not job.ended:
                    pump.wait(PERIOD)
        except KeyboardInterrupt:
            pump.do(pump.session.cancel(job.id))
            pump.settle()
            clips.take_away(job.id)
            raise
        finally:
            lines.end(job.warnings)
        if job.state is State.DONE:
            return {"FINISHED"}
        clips.take_away(job.id)
        problem = job.problem or pump.session.problem or Problem("The job was cancelled.")
        self.report({"ERROR"}, " ".join(filter(None, (problem.sentence, problem.next_step, problem.command))))
        return {"CANCELLED"}


def ticket_for(request: Generate, styles: Sequence[Style], rate: tuple[int, int], kept: str) -> Ticket:
    """The ticket of a clip in a scene of this rate. kept: whose rate the strip keeps, as `RATES` has it."""
    style = next((style for style in styles if style.name == request.style), None)
    fps = (style.fps_numerator, style.fps_denominator) if style else rate
    return Ticket(
        request=request,
        folder=folder_name(request.prompt, request.job),
        fps=fps,
        rate=rate if kept == "SCENE" else None,
    )


def _meet() -> None:
    """Know the backend's styles, for a script that names one. Blocks until it has said them, or cannot be reached."""
    pump = the_pump()
    if pump.session.link is Link.READY:
        return
    pump.do(pump.session.start())
    while pump.session.link in (Link.REACHING, Link.GREETING):
        pump.tick(budget=PERIOD)
        pump.wait(PERIOD)


class TryAgain(bpy.types.Operator):
    """Generate the clip again for the strips that wait for it, or that show it"""

    bl_idname = "elevator.try_again"
    bl_label = "Try Again"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    job: StringProperty(description="The clip; empty: the active strip's", options=HIDDEN)
    new_seed: BoolProperty(name="New Seed", description="Make another picture of the same words", options=HIDDEN)

    def execute(self, context: Any) -> set[str]:
        """Exchange the strips' tickets and ask."""
        each = clips.active(strips.sequencer_scene(context))
        job = self.job or (each.ticket.job if each is not None else "")
        pump = the_pump()
        pump.do(pump.timeline.try_again(job, random_seed() if self.new_seed else None))
        return {"FINISHED"}


class FindClips(bpy.types.Operator):
    """Ask the backend for finished clips: those of a Blender that was closed, of another file, of a terminal"""

    bl_idname = "elevator.find_clips"
    bl_label = "Find Clips"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a backend."""
        return ResumeQueue.poll(context)

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.find_clips())
        return {"FINISHED"}


class InsertClip(bpy.types.Operator):
    """Put a finished clip into the edit at the playhead"""

    bl_idname = "elevator.insert_clip"
    bl_label = "Insert"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    job: StringProperty(description="The clip's name in the backend", options=HIDDEN)

    def execute(self, context: Any) -> set[str]:
        """Lay a strip down that waits for it."""
        pump, scene = the_pump(), strips.sequencer_scene(context)
        view = pump.session.finished.get(self.job)
        if view is None:
            self.report({"ERROR"}, "The backend does not know this clip. Press Find Clips.")
            return {"CANCELLED"}
        settings = scene.elevator
        ticket = ticket_for(request_of(view), pump.session.styles, clips.rate_of(scene), settings.rate)
        place = Place(scene.frame_current, Where[settings.place], settings.channel, settings.fit)
        try:
            clips.lay_down(scene, ticket, place, clips.parent_folder(clips_folder(context)))
        except (ClipError, FrameFileError) as error:
            self.report({"ERROR"}, str(error))
            return {"CANCELLED"}
        pump.timeline.look_at_once()
        pump.do(())
        return {"FINISHED"}


class SettingsFromStrip(bpy.types.Operator):
    """Set the panel to what made the active strip"""

    bl_idname = "elevator.settings_from_strip"
    bl_label = "Settings from Strip"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The active strip must be a clip."""
        if clips.active(strips.sequencer_scene(context)) is None:
            cls.poll_message_set("Select a strip that was generated.")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        scene = strips.sequencer_scene(context)
        each = clips.active(scene)
        assert each is not None
        settings, request = scene.elevator, each.ticket.request
        settings.prompt, settings.negative_prompt = request.prompt, request.negative_prompt
        settings.style_name, settings.preset_name = request.style, request.preset
        settings.width, settings.height, settings.seed = request.width, request.height, request.seed
        settings.seconds = float(request.frames / Fraction(*each.ticket.fps))
        settings.length, settings.size, settings.use_random_seed = "SECONDS", "TYPED", False
        return {"FINISHED"}


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
        pump = the_pump()
        pump.do(pump.session.stop())
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
        pump = the_pump()
        pump.do(pump.session.resume())
        return {"FINISHED"}


class PauseQueue(bpy.types.Operator):
    """Let the backend start no further job; what is being made is finished"""

    bl_idname = "elevator.pause_queue"
    bl_label = "Pause Queue"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a backend."""
        return ResumeQueue.poll(context)

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.pause())
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
    TryAgain,
    FindClips,
    InsertClip,
    SettingsFromStrip,
    CancelClip,
    StartBackend,
    StopBackend,
    ResumeQueue,
    PauseQueue,
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
