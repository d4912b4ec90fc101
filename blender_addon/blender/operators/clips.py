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

from ...clip import words
from ...clip.choices import lines_of
from ...clip.placing import Where
from ...clip.wish import random_seed, request_of
from ...clip.words import Phrase, sentences
from ...machine.copying import CopyError
from ...machine.frame_folder import FrameFileError
from ...machine.leftovers import Leftover, UnreadableBlendError, leftovers
from ...machine.reasons import reason
from ...machine.timer import the_pump
from .. import clips, plan_properties, strips
from ..clips import ClipError, Place
from ..preferences import clips_folder
from ..translations import told
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


class NextTake(bpy.types.Operator):
    """Let the active strip show its next take"""

    bl_idname = "elevator.next_take"
    bl_label = "Next Take"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """The active strip must have takes."""
        each = clips.active(strips.sequencer_scene(context))
        if each is None or not each.ticket.takes:
            cls.poll_message_set("Select a strip that has several takes.")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        each = clips.active(strips.sequencer_scene(context))
        assert each is not None
        pump = the_pump()
        pump.timeline.next_take(each)
        pump.do(())
        return {"FINISHED"}


class FindClips(Connected, bpy.types.Operator):
    """Ask the backend for finished clips: those of a Blender that was closed, of another file, of a terminal"""

    bl_idname = "elevator.find_clips"
    bl_label = "Find Clips"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        pump = the_pump()
        pump.do(pump.session.backend.find_clips())
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
        view = pump.session.backend.finished.get(self.job)
        if view is None:
            self.report({"ERROR"}, told("The backend does not know this clip. Press Find Clips."))
            return {"CANCELLED"}
        settings = scene.elevator
        ticket = ticket_for(request_of(view), pump.session.backend.styles, clips.rate_of(scene), settings.rate)
        place = Place(scene.frame_current, Where[settings.place], settings.channel, settings.fit)
        try:
            clips.lay_down(scene, ticket, place, clips.parent_folder(clips_folder(context)))
        except (ClipError, FrameFileError) as error:
            self.report({"ERROR"}, told(str(error)))
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
        settings.rate = "FLOW" if request.flow_fps else "CLIP" if each.ticket.rate is None else "SCENE"
        settings.length, settings.size, settings.use_random_seed = "SECONDS", "TYPED", False
        plan_properties.set_lines(settings.loras, lines_of(request))
        plan_properties.set_settings(settings.plan, request.settings)
        return {"FINISHED"}


class RemoveUnused(bpy.types.Operator):
    """Delete the frames beside the .blend that no strip shows, nor any other .blend"""

    bl_idname = "elevator.remove_unused"
    bl_label = "Remove Unused Clips"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a folder of clips that is the project's own."""
        if not clips.Folders.template.parent.startswith("//"):
            # Another Blender may have clips there that no .blend names yet.
            cls.poll_message_set("The clips' folder is shared by all projects: see the add-on's preferences.")
            return False
        return _is_saved(cls)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Say first what would go."""
        found = self._found()
        if not found:
            return {"CANCELLED"}
        message = told(Phrase("{clips} will be deleted.", clips=_what(found)))
        return context.window_manager.invoke_confirm(
            self, event, title=self.bl_label, message=message, confirm_text="Delete"
        )

    def execute(self, _context: Any) -> set[str]:
        found = self._found()
        for each in found:
            try:
                each.remove()
            except OSError as error:
                said = Phrase("{path} cannot be removed: {why}.", path=each.path, why=reason(error))
                self.report({"ERROR"}, told(said))
                return {"CANCELLED"}
        if not found:
            return {"CANCELLED"}
        self.report({"INFO"}, told(Phrase("Deleted {clips}.", clips=_what(found))))
        return {"FINISHED"}

    def _found(self) -> list[Leftover]:
        """What is unused; if there is none, that is said."""
        try:
            found = leftovers(clips.parent_folder(), the_pump().timeline.in_use())
        except UnreadableBlendError as error:
            self.report({"ERROR"}, told(str(error)))
            return []
        except OSError as error:
            said = Phrase("{path} cannot be read: {why}.", path=clips.parent_folder(), why=reason(error))
            self.report({"ERROR"}, told(said))
            return []
        if not found:
            self.report({"INFO"}, told("Every clip beside the .blend is in use, or was since the file was opened."))
        return found


class CollectClips(bpy.types.Operator):
    """Copy frames that lie elsewhere into the folder beside the .blend, and show them from there"""

    bl_idname = "elevator.collect_clips"
    bl_label = "Collect Clips"
    bl_options: ClassVar[set[str]] = {"UNDO"}

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a folder for clips."""
        return _is_saved(cls)

    def execute(self, _context: Any) -> set[str]:
        try:
            copied, missing = the_pump().timeline.collect()
        except (CopyError, FrameFileError) as error:
            self.report({"ERROR"}, told(str(error)))
            return {"CANCELLED"}
        said = Phrase("Copied {clips}.", clips=words.clips(copied))
        if missing:
            said = sentences(said, Phrase("The frames of {clips} were not found.", clips=words.clips(missing)))
        self.report({"WARNING" if missing else "INFO"}, told(said))
        return {"FINISHED"}


def _is_saved(operator: Any) -> bool:
    if not bpy.data.filepath:
        operator.poll_message_set("Save the .blend first: its clips lie beside it.")
    return bool(bpy.data.filepath)


def _what(found: list[Leftover]) -> str:
    size = f"{sum(each.size for each in found) / 1e6:.1f}"
    return Phrase("{clips} ({size} MB)", clips=words.clips(len(found)), size=size)


class OpenFolder(bpy.types.Operator):
    """Open the clip's folder in the file browser of this computer"""

    bl_idname = "elevator.open_folder"
    bl_label = "Open Folder"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    folder: StringProperty(options=HIDDEN)

    def execute(self, _context: Any) -> set[str]:
        if not Path(self.folder).is_dir():
            self.report({"ERROR"}, told(Phrase("The folder {folder} is gone.", folder=self.folder)))
            return {"CANCELLED"}
        if sys.platform not in ("win32", "darwin") and shutil.which("xdg-open") is None:
            missing = Phrase(
                "The program xdg-open, which opens folders, is not installed: {folder}", folder=self.folder
            )
            self.report({"ERROR"}, told(missing))
            return {"CANCELLED"}
        return bpy.ops.wm.path_open(filepath=self.folder)


CLASSES = (
    TryAgain,
    NextTake,
    FindClips,
    InsertClip,
    SettingsFromStrip,
    RemoveUnused,
    CollectClips,
    OpenFolder,
)
