"""The tab in the sequencer's sidebar and the entry in its Add menu."""

from __future__ import annotations

from typing import Any

import bpy

from ..operators.generate import GenerateClip
from . import advanced, backend, clip, finished, look, models, queue, source, styles, time_and_size

PANELS = (clip, queue, look, advanced, source, time_and_size, finished, styles, models, backend)
CLASSES = tuple(each for module in PANELS for each in module.CLASSES)
"""In the order in which they stand in the sidebar: what is being made is in sight while the next clip is set up."""


def _draw_add_menu(menu: Any, _context: Any) -> None:
    menu.layout.separator()
    menu.layout.operator_context = "INVOKE_DEFAULT"
    menu.layout.operator(GenerateClip.bl_idname, text="Generated Clip", icon="RENDER_ANIMATION")


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.SEQUENCER_MT_add.append(_draw_add_menu)


def unregister() -> None:
    bpy.types.SEQUENCER_MT_add.remove(_draw_add_menu)
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
