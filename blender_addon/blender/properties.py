"""What the panel's fields hold: one group of settings a scene, saved in the .blend."""
# Blender reads properties from annotations, which are calls.
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, IntProperty, PointerProperty, StringProperty

from shared_protocol.messages import Style

from ..clip import limits
from ..clip.wish import Wish
from ..machine.timer import the_pump

UNKNOWN = "UNKNOWN"

_items: list[tuple[str, str, str, str, int]] = []
"""Blender does not keep the strings of a changing enumeration: somebody must."""


def style_of(settings: Any) -> Style | None:
    """The chosen style, or None if the backend has told of none of that name."""
    styles = the_pump().session.styles
    if not settings.style_name:
        return styles[0] if styles else None
    return next((style for style in styles if style.name == settings.style_name), None)


def wish_of(settings: Any, seed: int) -> Wish:
    """What the panel's fields ask for."""
    own = settings.use_style_size
    return Wish(
        prompt=settings.prompt,
        negative_prompt=settings.negative_prompt,
        style=settings.style_name,
        frames=0 if own else settings.frames,
        width=0 if own else settings.width,
        height=0 if own else settings.height,
        seed=seed,
    )


def _style_items(settings: Any, _context: Any) -> list[tuple[str, str, str, str, int]]:
    styles = the_pump().session.styles
    items = [(style.name, style.title, style.description, "BRUSH_DATA", index) for index, style in enumerate(styles)]
    name = settings.style_name
    if not styles and not name:
        items = [(UNKNOWN, "Default", "The styles are known once the backend has run", "BRUSH_DATA", 0)]
    elif name and all(style.name != name for style in styles):
        items.append((name, name, "The backend does not have this style", "ERROR", len(items)))
    _items[:] = items
    return _items


def _style_index(settings: Any) -> int:
    names = [item[0] for item in _style_items(settings, None)]
    return names.index(settings.style_name) if settings.style_name in names else 0


def _set_style_index(settings: Any, index: int) -> None:
    name = _style_items(settings, None)[index][0]
    settings.style_name = "" if name == UNKNOWN else name
    if (style := style_of(settings)) is not None:
        settings.frames, settings.width, settings.height = style.frames, style.width, style.height


class WishFields(bpy.types.PropertyGroup):
    """What to generate."""

    prompt: StringProperty(
        name="Prompt",
        description="What the clip shows, in words",
        maxlen=limits.PROMPT.most,
        options={"TEXTEDIT_UPDATE"},
    )
    negative_prompt: StringProperty(
        name="Without", description="What the clip must not show", maxlen=limits.PROMPT.most
    )
    style_name: StringProperty(description="Name of the style; empty: the backend's first")
    style: EnumProperty(
        name="Style",
        description="Look of the clip",
        items=_style_items,
        get=_style_index,
        set=_set_style_index,
    )
    use_style_size: BoolProperty(
        name="Style's Own Size", description="Use the length and size that the style does best", default=True
    )
    frames: IntProperty(
        name="Frames", description="Length of the clip", default=16, min=limits.FRAMES.least, max=limits.FRAMES.most
    )
    width: IntProperty(
        name="Width",
        description="Width of the clip",
        default=64,
        min=limits.PIXELS.least,
        max=limits.PIXELS.most,
        step=8,
        subtype="PIXEL",
    )
    height: IntProperty(
        name="Height",
        description="Height of the clip",
        default=64,
        min=limits.PIXELS.least,
        max=limits.PIXELS.most,
        step=8,
        subtype="PIXEL",
    )
    seed: IntProperty(
        name="Seed",
        description="Another number gives another clip",
        default=1,
        min=limits.SEED.least,
        max=limits.SEED.most,
    )
    use_random_seed: BoolProperty(
        name="New Seed Each Time", description="Choose a new seed with every Generate", default=True
    )


def register() -> None:
    """Give every scene its settings."""
    bpy.utils.register_class(WishFields)
    bpy.types.Scene.elevator = PointerProperty(type=WishFields)


def unregister() -> None:
    del bpy.types.Scene.elevator
    bpy.utils.unregister_class(WishFields)
