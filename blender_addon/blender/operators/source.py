"""What a clip starts from."""
# mypy: disable-error-code="misc, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from .. import strips


class UseStrip(bpy.types.Operator):
    """Take the active strip"""

    bl_idname = "elevator.use_strip"
    bl_label = "Use Active Strip"
    bl_options: ClassVar[set[str]] = {"INTERNAL", "UNDO"}

    @classmethod
    def poll(cls, context: Any) -> bool:
        """There must be one."""
        scene = strips.sequencer_scene(context)
        if scene is None or not scene.sequence_editor or scene.sequence_editor.active_strip is None:
            cls.poll_message_set("Select an image or movie strip.")
            return False
        return True

    def execute(self, context: Any) -> set[str]:
        scene = strips.sequencer_scene(context)
        scene.elevator.source = scene.sequence_editor.active_strip.name
        return {"FINISHED"}


CLASSES = (UseStrip,)
