"""The add-on's preferences."""
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import StringProperty

from ..machine import backend_process
from . import layouts

ADDON = __package__.rpartition(".")[0]
"""The extension's own package, under which Blender keeps its preferences."""


class Preferences(bpy.types.AddonPreferences):
    """Few: what belongs to the backend is set there."""

    bl_idname = ADDON

    clips_folder: StringProperty(
        name="Clips of Unsaved Files",
        description="Where frames go while the .blend is not saved; empty: a folder of the add-on's own",
        subtype="DIR_PATH",
    )

    def draw(self, context: Any) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "clips_folder")
        try:
            install = backend_process.find()
        except backend_process.BackendError as error:
            layouts.problem(layout, context, error.sentence, error.next_step, error.command)
        else:
            layouts.text(layout, context, f"Backend {install.version} in {install.root}", icon="CHECKMARK")


def clips_folder(context: Any) -> str:
    """The folder that the artist chose for clips of unsaved projects, or nothing."""
    addon = context.preferences.addons.get(ADDON)
    return addon.preferences.clips_folder if addon is not None and addon.preferences is not None else ""


def register() -> None:
    bpy.utils.register_class(Preferences)


def unregister() -> None:
    bpy.utils.unregister_class(Preferences)
