"""Settings that a click changes."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any, ClassVar

import bpy

from ...clip.wish import random_seed
from .. import strips


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


CLASSES = (
    NewSeed,
    UseStandardView,
)
