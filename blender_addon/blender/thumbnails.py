"""The styles' pictures as icons of Blender's, which are in no .blend, in no list of images and in no undo step."""

from __future__ import annotations

from typing import Any

import bpy
import bpy.utils.previews

from shared_protocol.messages import Style

from ..machine.timer import the_pump

_icons: Any = None
"""Blender's collection, by the pictures' hashes."""


def icon_of(style: Style) -> int:
    """Blender's number of a style's picture; 0 if there is none, or nobody to see it."""
    global _icons
    if bpy.app.background or not style.thumbnail:
        return 0
    if _icons is None:
        _icons = bpy.utils.previews.new()
    if style.thumbnail not in _icons:
        path = the_pump().style_list.picture(style.thumbnail)
        if path is None:
            return 0
        _icons.load(style.thumbnail, str(path), "IMAGE")
    return int(_icons[style.thumbnail].icon_id)


def unregister() -> None:
    """Let go of the pictures."""
    global _icons
    if _icons is not None:
        bpy.utils.previews.remove(_icons)
        _icons = None
