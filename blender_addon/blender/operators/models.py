"""Models from the hub or from somebody's folders."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import IntProperty, StringProperty

from ...clip import model_words
from ...clip.words import Phrase
from ...machine.timer import the_pump
from .shared import HIDDEN, ask_for_path, confirm, follow, refused

OFFLINE = "Blender's Preferences do not allow online access: System, Network, Allow Online Access."


class _OfThisMachine:
    """An operator that needs the backend of this machine, and that no other command runs."""

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """One command at a time."""
        pump = the_pump()
        if pump.serving.profile:
            cls.poll_message_set("The backend runs on another machine: its models are looked after there.")  # type: ignore[attr-defined]
            return False
        if pump.models.running:
            cls.poll_message_set("Another command about models runs.")  # type: ignore[attr-defined]
            return False
        return True


class ListModels(_OfThisMachine, bpy.types.Operator):
    """Show which models there are to get, with their size, and which are here"""

    bl_idname = "elevator.list_models"
    bl_label = "Show Models"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().models.list()
        return follow(context)


class GetModels(_OfThisMachine, bpy.types.Operator):
    """Download these models and make a style of them. It can be stopped, and goes on from there another time"""

    bl_idname = "elevator.get_models"
    bl_label = "Get"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    name: StringProperty(options=HIDDEN)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Online access must be allowed."""
        if not bpy.app.online_access:
            cls.poll_message_set(OFFLINE)
            return False
        return super().poll(context)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Say first how much it is."""
        found = next((each for each in the_pump().models.sets or () if each.name == self.name), None)
        if found is None:
            return {"CANCELLED"}
        size = model_words.gigabytes(found.missing)
        message = Phrase("{size} are downloaded from the model hub.", size=size)
        return confirm(self, context, event, title="Get Models", message=message, button="Get")

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().models.get(self.name, offline=not bpy.app.online_access)
        return follow(context)


class StopModels(bpy.types.Operator):
    """Stop it. A download goes on from there another time"""

    bl_idname = "elevator.stop_models"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        the_pump().models.stop()
        return {"FINISHED"}


class ScanModels(_OfThisMachine, bpy.types.Operator):
    """Look for models in a folder, such as that of another program; nothing is moved or changed there"""

    bl_idname = "elevator.scan_models"
    bl_label = "Look in a Folder"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    directory: StringProperty(subtype="DIR_PATH", options=HIDDEN)
    filter_folder: bpy.props.BoolProperty(default=True, options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for the folder."""
        return ask_for_path(self, context)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        if not self.directory:
            return refused(self, "Choose a folder.")
        the_pump().models.scan(bpy.path.abspath(self.directory))
        return follow(context)


class AddModels(_OfThisMachine, bpy.types.Operator):
    """Make a style of these two models. They stay where they are"""

    bl_idname = "elevator.add_models"
    bl_label = "Use"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    index: IntProperty(options=HIDDEN)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        models = the_pump().models
        pairs = models.pairs or ()
        if not 0 <= self.index < len(pairs):
            return {"CANCELLED"}
        models.add(pairs[self.index])
        return follow(context)


class RemoveModels(_OfThisMachine, bpy.types.Operator):
    """Delete these models, but for what another set needs. Clips and styles stay; they can be got again"""

    bl_idname = "elevator.remove_models"
    bl_label = "Delete Models"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    name: StringProperty(options=HIDDEN)

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Say first how much it is."""
        found = next((each for each in the_pump().models.sets or () if each.name == self.name), None)
        if found is None:
            return {"CANCELLED"}
        size = model_words.gigabytes(found.size - found.missing)
        message = Phrase("Up to {size} are deleted. Styles that use them make no clips then.", size=size)
        return confirm(self, context, event, title="Delete Models", message=message, button="Delete")

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().models.remove(self.name)
        return follow(context)


class VerifyModels(_OfThisMachine, bpy.types.Operator):
    """Read all model files that were got, and compare them with their hashes"""

    bl_idname = "elevator.verify_models"
    bl_label = "Check Files"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().models.verify()
        return follow(context)


class RepairModels(_OfThisMachine, bpy.types.Operator):
    """Download again what is damaged or missing of the model files"""

    bl_idname = "elevator.repair_models"
    bl_label = "Repair Files"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """Online access must be allowed."""
        if not bpy.app.online_access:
            cls.poll_message_set(OFFLINE)
            return False
        return super().poll(context)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().models.repair(offline=not bpy.app.online_access)
        return follow(context)


class PackModels(_OfThisMachine, bpy.types.Operator):
    """Write all models that were got, and your own styles, into a file for another machine"""

    bl_idname = "elevator.pack_models"
    bl_label = "Pack for Another Machine"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options=HIDDEN)
    filter_glob: StringProperty(default="*.zip", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for the file."""
        self.filepath = "models.zip"
        return ask_for_path(self, context)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        if not self.filepath:
            return refused(self, "Choose a file.")
        the_pump().models.pack(bpy.path.ensure_ext(bpy.path.abspath(self.filepath), ".zip"))
        return follow(context)


class UnpackModels(_OfThisMachine, bpy.types.Operator):
    """Take in models and styles that another machine has packed. What is here already stays"""

    bl_idname = "elevator.unpack_models"
    bl_label = "Take In a Pack"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options=HIDDEN)
    filter_glob: StringProperty(default="*.zip", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for the file."""
        return ask_for_path(self, context)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        if not self.filepath:
            return refused(self, "Choose a file.")
        the_pump().models.unpack(bpy.path.abspath(self.filepath))
        return follow(context)


CLASSES = (
    ListModels,
    GetModels,
    StopModels,
    ScanModels,
    AddModels,
    RemoveModels,
    VerifyModels,
    RepairModels,
    PackModels,
    UnpackModels,
)
