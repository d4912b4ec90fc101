"""Styles of the artist's own: made of what the panel sets, changed, deleted, shown by a picture."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty, StringProperty

from ...clip import style_content
from ...clip.style_content import LoraPart
from ...clip.words import Phrase
from ...machine.style_commands import is_own
from ...machine.timer import the_pump
from .. import plan_properties, strips, style_draft
from ..properties import style_of
from ..translations import told
from .shared import HIDDEN, ask_for_path, confirm, follow, refused

FAR = "The backend runs on another machine: its styles are looked after there."
_items: list[tuple[str, str, str]] = []
"""Blender does not keep the strings of a changing enumeration: somebody must."""


def chosen_style(context: Any) -> str:
    """Name of the style that the panel has chosen, or nothing."""
    scene = strips.sequencer_scene(context)
    style = style_of(scene.elevator) if scene is not None else None
    return style.name if style is not None else ""


class _OfThisMachine:
    """An operator on the chosen style that needs the backend of this machine, and that no other command runs."""

    OWN = False
    """Whether the style must be the artist's own."""

    @classmethod
    def poll(cls, context: Any) -> bool:
        """One command at a time."""
        pump, name = the_pump(), chosen_style(context)
        if pump.serving.profile:
            cls.poll_message_set(FAR)  # type: ignore[attr-defined]  # Operator has it
        elif pump.styles.running:
            cls.poll_message_set("Another command about styles runs.")  # type: ignore[attr-defined]
        elif not name:
            cls.poll_message_set("The backend has not told of its styles yet.")  # type: ignore[attr-defined]
        elif cls.OWN and not is_own(name):
            cls.poll_message_set("This style comes with the backend. Make a new one like it.")  # type: ignore[attr-defined]
        else:
            return True
        return False


class NewStyle(_OfThisMachine, bpy.types.Operator):
    """Keep what Look and Advanced set as a style of your own, on top of the chosen one"""

    bl_idname = "elevator.new_style"
    bl_label = "New Style"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    title: StringProperty(name="Title", description="What the style is called", options=HIDDEN)

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask what it is called."""
        style = style_of(strips.sequencer_scene(context).elevator)
        self.title = told(Phrase("My {style}", style=style.title))[:64] if style else ""
        return context.window_manager.invoke_props_dialog(self)

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        settings = strips.sequencer_scene(context).elevator
        style = style_of(settings)
        if style is None or not self.title.strip():
            return refused(self, "Give the style a title.")
        content = style_content.of_look(
            style,
            settings.preset_name if settings.preset_name in style.presets else "",
            plan_properties.lines(settings.loras),
            plan_properties.settings_of(settings.plan),
        )
        the_pump().styles.copy(style.name, self.title.strip(), content)
        return follow(context)


class EditStyle(_OfThisMachine, bpy.types.Operator):
    """Change the chosen style: its words, LoRAs, quality and base. Of one that comes with the backend, a copy"""

    bl_idname = "elevator.edit_style"
    bl_label = "Edit Style"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().styles.show(chosen_style(context))
        return follow(context)


class SaveStyle(bpy.types.Operator):
    """Write the style. The next clip in it is made so"""

    bl_idname = "elevator.save_style"
    bl_label = "Save Style"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be something to write."""
        return bool(style_draft.draft_of(context).name) and not the_pump().styles.running

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on. What was typed stays until it is written."""
        draft = style_draft.draft_of(context)
        the_pump().styles.edit(draft.name, style_draft.content_of(draft))
        return follow(context)


class DiscardStyle(bpy.types.Operator):
    """Leave the style as it was"""

    bl_idname = "elevator.discard_style"
    bl_label = "Discard"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, context: Any) -> set[str]:
        style_draft.draft_of(context).name = ""
        return {"FINISHED"}


class RemoveStyle(_OfThisMachine, bpy.types.Operator):
    """Delete the chosen style and its picture. Its models, and the clips made in it, stay"""

    bl_idname = "elevator.remove_style"
    bl_label = "Delete Style"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}
    OWN = True

    def invoke(self, context: Any, event: Any) -> set[str]:
        """Ask first."""
        style = style_of(strips.sequencer_scene(context).elevator)
        message = Phrase("The style {style} is deleted. Its models stay.", style=style.title if style else "")
        return confirm(self, context, event, title="Delete Style", message=message, button="Delete")

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().styles.remove(chosen_style(context))
        return follow(context)


class MakeStylePicture(_OfThisMachine, bpy.types.Operator):
    """Have the backend make a small clip of the style's example, and show a frame of it beside the style"""

    bl_idname = "elevator.style_picture"
    bl_label = "Make Picture"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}
    OWN = True

    def execute(self, context: Any) -> set[str]:
        """Begin; the timer goes on."""
        the_pump().styles.picture(chosen_style(context))
        return follow(context)


class StopStyles(bpy.types.Operator):
    """Stop it"""

    bl_idname = "elevator.stop_styles"
    bl_label = "Stop"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    def execute(self, _context: Any) -> set[str]:
        the_pump().styles.stop()
        return {"FINISHED"}


def _unlisted(_operator: Any, context: Any) -> list[tuple[str, str, str]]:
    """LoRAs that the backend lists with the style and that the draft does not have."""
    scene = strips.sequencer_scene(context) if context is not None else None
    style = style_of(scene.elevator) if scene is not None else None
    there = {line.name for line in style_draft.draft_of(context).loras} if context is not None else set()
    _items[:] = [
        (view.name, view.name, view.words or "Put it on the style")
        for view in (style.loras if style else ())
        if view.name not in there
    ]
    return _items


class AddStyleLora(bpy.types.Operator):
    """Put a LoRA that the backend lists on the style"""

    bl_idname = "elevator.add_style_lora"
    bl_label = "Add LoRA"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    lora: EnumProperty(name="LoRA", items=_unlisted)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be one."""
        if not _unlisted(None, context):
            cls.poll_message_set("The backend lists no other LoRA with this style. Choose its file instead.")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        name = self.lora
        style_draft.add_lora(style_draft.draft_of(context), LoraPart(name))
        return {"FINISHED"}


class AddStyleLoraFile(bpy.types.Operator):
    """Put a LoRA's file on the style. It stays where it is"""

    bl_idname = "elevator.add_style_lora_file"
    bl_label = "Choose LoRA File"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    filepath: StringProperty(subtype="FILE_PATH", options=HIDDEN)
    filter_glob: StringProperty(default="*.safetensors;*.ckpt;*.pt;*.bin", options={"HIDDEN", "SKIP_SAVE"})

    def invoke(self, context: Any, _event: Any) -> set[str]:
        """Ask for the file."""
        return ask_for_path(self, context)

    def execute(self, context: Any) -> set[str]:
        path = bpy.path.abspath(self.filepath)
        if not path:
            return refused(self, "Choose a file.")
        style_draft.add_lora(style_draft.draft_of(context), LoraPart(style_content.name_of(path), path))
        return {"FINISHED"}


class RemoveStyleLora(bpy.types.Operator):
    """Take the LoRA off the style"""

    bl_idname = "elevator.remove_style_lora"
    bl_label = "Remove LoRA"
    bl_options: ClassVar[set[str]] = {"INTERNAL"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a line."""
        draft = style_draft.draft_of(context)
        return 0 <= draft.lora_index < len(draft.loras)

    def execute(self, context: Any) -> set[str]:
        draft = style_draft.draft_of(context)
        draft.loras.remove(draft.lora_index)
        draft.lora_index = max(0, min(draft.lora_index, len(draft.loras) - 1))
        return {"FINISHED"}


CLASSES = (
    NewStyle,
    EditStyle,
    SaveStyle,
    DiscardStyle,
    RemoveStyle,
    MakeStylePicture,
    StopStyles,
    AddStyleLora,
    AddStyleLoraFile,
    RemoveStyleLora,
)
