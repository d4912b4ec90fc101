"""The panel that stands in when a wheel of the extension cannot be imported. Needs nothing but Blender."""
# mypy: disable-error-code="misc"

from __future__ import annotations

import importlib
import sys
from typing import Any

import bpy

NEEDED = ("msgspec", "zmq")


def missing_wheels() -> list[str]:
    """What of the extension's wheels cannot be imported."""
    missing = []
    for name in NEEDED:
        try:
            importlib.import_module(name)
        except ImportError as error:
            print(f"Elevator: {name} cannot be imported: {error}", file=sys.stderr)
            missing.append(name)
    return missing


class MissingPanel(bpy.types.Panel):
    """Says what is missing"""

    bl_idname = "ELEVATOR_PT_missing"
    bl_label = "Elevator"
    bl_space_type = "SEQUENCE_EDITOR"
    bl_region_type = "UI"
    bl_category = "Elevator"

    wheels: tuple[str, ...] = ()

    def draw(self, _context: Any) -> None:
        column = self.layout.column(align=True)
        python = f"{sys.version_info.major}.{sys.version_info.minor}"
        column.label(text="The add-on cannot work:", icon="ERROR")
        for name in self.wheels:
            column.label(text=f"{name} is missing for Python {python}.")
        column.label(text="Install the extension's zip again,")
        column.label(text="then restart Blender.")


def register(wheels: list[str]) -> None:
    MissingPanel.wheels = tuple(wheels)
    bpy.utils.register_class(MissingPanel)


def unregister() -> None:
    bpy.utils.unregister_class(MissingPanel)
