"""Pieces of layout that panel and preferences share. Blender's labels do not wrap before 5.3, so this does."""

from __future__ import annotations

import textwrap
from typing import Any

import bpy

from .translations import told

CHARACTER = 5.8
"""Mean width of a character of the interface's font, in points, measured on sentences."""
MARGIN = 66
"""Points that a sidebar's tabs and the edges of panel and box take."""
ICON_CHARACTERS = 4
"""Room that an icon takes."""


def characters(context: Any) -> int:
    """About how many characters fit into a line of the region."""
    width = context.region.width if context.region is not None else 300
    scale = context.preferences.system.ui_scale or 1.0  # 0 without a user interface
    return max(16, int((width / scale - MARGIN) / CHARACTER))


def shortened(sentence: str, room: int) -> str:
    """The beginning of a sentence, on one line."""
    line = " ".join(sentence.split())
    return line if len(line) <= room else f"{line[: room - 1]}…"


def text(layout: Any, context: Any, sentence: str, icon: str = "NONE", translate: bool = True) -> None:
    """A sentence over as many lines as it needs, in Blender's language. translate: False for an artist's own words."""
    said = told(sentence) if translate else sentence
    column = layout.column(align=True)
    column.scale_y = 0.8
    if "label_multiline" in bpy.types.UILayout.bl_rna.functions:
        column.label_multiline(text=said, icon=icon, translate=False)
        return
    room = characters(context) - (0 if icon == "NONE" else ICON_CHARACTERS)
    for number, line in enumerate(textwrap.wrap(said, room)):
        own = icon if number == 0 else "NONE" if icon == "NONE" else "BLANK1"
        column.label(text=line, icon=own, translate=False)


def problem(layout: Any, context: Any, sentence: str, next_step: str, command: str) -> None:
    """What went wrong, what to do, and the one command with a button that copies it."""
    box = layout.box()
    text(box, context, sentence, icon="ERROR")
    if next_step:
        text(box, context, next_step, icon="FORWARD")
    if command:
        text(box, context, command, icon="CONSOLE", translate=False)
        box.operator("elevator.copy_command", icon="COPYDOWN").command = command
