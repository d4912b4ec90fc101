"""The list of LoRAs."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy
from bpy.props import EnumProperty

from shared_protocol.messages import LoraView

from ...clip.words import Phrase
from .. import strips
from ..properties import style_of
from ..translations import told

_items: list[tuple[str, str, str]] = []
"""Blender does not keep the strings of a changing enumeration: somebody must."""


def _unlisted(_operator: Any, context: Any) -> list[tuple[str, str, str]]:
    """The style's LoRAs that are not in the list yet."""
    scene = strips.sequencer_scene(context) if context is not None else None
    style = style_of(scene.elevator) if scene is not None else None
    there = {line.name for line in scene.elevator.loras} if scene is not None else set()
    _items[:] = [
        (view.name, _title(view), view.words or "Put it on the style")
        for view in (style.loras if style else ())
        if view.name not in there
    ]
    return _items


def _title(view: LoraView) -> str:
    return told(Phrase("{name} (the style's own)", name=view.name)) if view.own else view.name


class AddLora(bpy.types.Operator):
    """Put a LoRA on top of the style, or give one of the style's own another weight"""

    bl_idname = "elevator.add_lora"
    bl_label = "Add LoRA"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO"}

    lora: EnumProperty(name="LoRA", items=_unlisted)

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be one."""
        if not _unlisted(None, context):
            cls.poll_message_set("There is no other LoRA. They go into the folder loras of the backend's settings.")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        settings = strips.sequencer_scene(context).elevator
        style, name = style_of(settings), self.lora  # which is not among its own items once it is in the list
        line = settings.loras.add()
        line.name = name
        line.weight = next((view.weight for view in (style.loras if style else ()) if view.name == name), 1.0)
        settings.lora_index = len(settings.loras) - 1
        return {"FINISHED"}


class RemoveLora(bpy.types.Operator):
    """Take the line out of the list"""

    bl_idname = "elevator.remove_lora"
    bl_label = "Remove LoRA"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be a line."""
        scene = strips.sequencer_scene(context)
        return scene is not None and 0 <= scene.elevator.lora_index < len(scene.elevator.loras)

    def execute(self, context: Any) -> set[str]:
        settings = strips.sequencer_scene(context).elevator
        settings.loras.remove(settings.lora_index)
        settings.lora_index = max(0, min(settings.lora_index, len(settings.loras) - 1))
        return {"FINISHED"}


CLASSES = (AddLora, RemoveLora)
