"""What can be done with a clip that there is: again, into the edit, back into the panel."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

import shutil
import sys
from fractions import Fraction
from pathlib import Path
from typing import Any, ClassVar

import bpy
from bpy.props import BoolProperty, StringProperty

from ...clip.choices import lines_of
from ...clip.placing import Where
from ...clip.wish import random_seed, request_of
from ...machine.frame_folder import FrameFileError
from ...machine.timer import the_pump
from .. import clips, plan_properties, strips
from ..clips import ClipError, Place
from ..preferences import clips_folder
from .generate import ticket_for
from .shared import HIDDEN, Connected


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


class FindClips(Connected, bpy.types.Operator):
    """Ask the backend for finished clips: those of a Blender that was closed, of another file, of a terminal"""

    bl_idname = "elevator.find_clips"
    bl_label = "Find Clips"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

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
        settings.prompt_text = None
        settings.style_name, settings.preset_name = request.style, request.preset
        settings.width, settings.height, settings.seed = request.width, request.height, request.seed
        settings.seconds = float(request.frames / Fraction(*each.ticket.fps))
        settings.length, settings.size, settings.use_random_seed = "SECONDS", "TYPED", False
        plan_properties.set_lines(settings.loras, lines_of(request))
        plan_properties.set_settings(settings.plan, request.settings)
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
        if sys.platform not in ("win32", "darwin") and shutil.which("xdg-open") is None:
            self.report({"ERROR"}, f"The program xdg-open, which opens folders, is not installed: {self.folder}")
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=self.folder)


CLASSES = (
    TryAgain,
    FindClips,
    InsertClip,
    SettingsFromStrip,
    OpenFolder,
)
