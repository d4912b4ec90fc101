"""The style that is being changed in the panel. It lives with the window, not in the .blend."""
# Blender reads properties from annotations, which are calls.
# mypy: disable-error-code="misc, valid-type"

from __future__ import annotations

from typing import Any

import bpy
from bpy.props import BoolProperty, CollectionProperty, EnumProperty, FloatProperty, IntProperty, StringProperty

from ..clip import quality, style_content
from ..clip.style_content import LoraPart
from ..machine.model_commands import ModelCommands
from ..machine.style_commands import StyleCommands, StyleLine
from .translations import told
from .typed import text_of

_items: dict[str, list[tuple[str, str, str]]] = {}
"""Blender does not keep the strings of a changing enumeration: somebody must."""
_UNKNOWN = "UNKNOWN"


class StyleLoraFields(bpy.types.PropertyGroup):
    """A LoRA of the style; its name is what the list shows."""

    path: StringProperty(description="Where its file is; empty: in the folder of the style's base")
    on: BoolProperty(name="On", description="Put it on; one that is off can be put on for a clip", default=True)
    weight: FloatProperty(
        name="Weight", description="How strongly it shows", default=1.0, min=-4.0, max=4.0, soft_min=0.0, soft_max=1.5
    )


def _base_items(draft: Any, _context: Any) -> list[tuple[str, str, str]]:
    bases = _bases(draft)
    _items["base"] = [(name, title, "") for name, (title, _) in bases.items()] or [(_UNKNOWN, "", "")]
    return _items["base"]


def _preset_items(draft: Any, _context: Any) -> list[tuple[str, str, str]]:
    names = _presets(draft)
    if draft.preset_name not in ("", *names):  # of a LoRA that the style has: the base does not know of it
        names = (*names, draft.preset_name)
    _items["preset"] = [(name, told(quality.title(name)), told(quality.description(name))) for name in names]
    return _items["preset"] or [(_UNKNOWN, "", "")]


def _presets(draft: Any) -> tuple[str, ...]:
    return _bases(draft).get(draft.base_name, ("", ()))[1]


def _bases(draft: Any) -> dict[str, tuple[str, tuple[str, ...]]]:
    """Title and presets of each base that can be chosen: the style's own, whatever the commands say."""
    found = {each.name: (each.title, tuple(each.presets.split("\n"))) for each in draft.bases}
    if draft.base_name:
        found.setdefault(draft.base_name, (draft.base_name, (draft.preset_name,)))
    return found


def _base_index(draft: Any) -> int:
    return _place([item[0] for item in _base_items(draft, None)], draft.base_name)


def _set_base_index(draft: Any, index: int) -> None:
    draft.base_name = _base_items(draft, None)[index][0]
    presets = _presets(draft)
    if draft.preset_name not in presets:
        draft.preset_name = presets[0] if presets else _UNKNOWN


def _preset_index(draft: Any) -> int:
    return _place([item[0] for item in _preset_items(draft, None)], draft.preset_name)


def _set_preset_index(draft: Any, index: int) -> None:
    draft.preset_name = _preset_items(draft, None)[index][0]


def _place(names: list[str], name: str) -> int:
    return names.index(name) if name in names else 0


class BaseFields(bpy.types.PropertyGroup):
    """A base that can be chosen; its name is its file's."""

    title: StringProperty()
    presets: StringProperty()
    """Their names, a line each."""


class StyleDraft(bpy.types.PropertyGroup):
    """What the style shall be; its name is the style's. Without one, none is being changed."""

    title: StringProperty(name="Title", description="What the style is called")
    description: StringProperty(name="Description", description="A sentence about the style")
    base_name: StringProperty()
    base: EnumProperty(
        name="Base",
        description="The two models that make the style's clips",
        items=_base_items,
        get=_base_index,
        set=_set_base_index,
    )
    preset_name: StringProperty()
    preset: EnumProperty(
        name="Quality",
        description="How much work goes into a clip in this style",
        items=_preset_items,
        get=_preset_index,
        set=_set_preset_index,
    )
    prompt: StringProperty(
        name="Prompt",
        description="What goes around an artist's words, which stand where {prompt} is",
    )
    negative_prompt: StringProperty(name="Without", description="What clips in this style must not show")
    example_prompt: StringProperty(
        name="Example",
        description="Words that the style knows well, such as for its picture",
    )
    loras: CollectionProperty(type=StyleLoraFields)
    lora_index: IntProperty()
    bases: CollectionProperty(type=BaseFields)


def draft_of(context: Any) -> Any:
    """The draft of this Blender."""
    return context.window_manager.elevator_style


def follow(styles: StyleCommands, models: ModelCommands, scene_name: str) -> None:
    """Take in what the commands have brought: a style to change; one that was written, which is now the scene's; one
    that was made of models, which is the scene's if it has none. Not to be called in a draw."""
    scene = bpy.data.scenes.get(scene_name)
    if (line := styles.shown) is not None:
        styles.shown = None
        _fill(draft_of(bpy.context), line, styles)
    if (line := styles.written) is not None:
        styles.written = None
        draft_of(bpy.context).name = ""
        if scene is not None:
            scene.elevator.style_name = line.name
    if name := models.added:
        models.added = ""
        if scene is not None and not scene.elevator.style_name:
            scene.elevator.style_name = name


def add_lora(draft: Any, part: LoraPart) -> None:
    """Put a LoRA on the style; one that is there is not put there again."""
    for index, each in enumerate(draft.loras):
        if (each.name, each.path) == (part.name, part.path):
            draft.lora_index = index
            return
    line = draft.loras.add()
    line.name, line.path, line.weight, line.on = part.name, part.path, part.weight, part.on
    draft.lora_index = len(draft.loras) - 1


def content_of(draft: Any) -> dict[str, Any]:
    """The draft by the keys of a style's file."""
    parts = [LoraPart(each.name, each.path, each.weight, each.on) for each in draft.loras]
    return {
        "title": text_of(draft, "title").strip(),
        "description": text_of(draft, "description").strip(),
        "base": draft.base_name,
        "preset": draft.preset_name,
        "prompt": style_content.with_place(text_of(draft, "prompt")),
        "negative_prompt": text_of(draft, "negative_prompt").strip(),
        "example_prompt": text_of(draft, "example_prompt").strip(),
        "loras": [part.entry for part in parts],
    }


def _fill(draft: Any, line: StyleLine, commands: StyleCommands) -> None:
    settings = line.settings
    draft.bases.clear()
    for base in commands.bases:
        each = draft.bases.add()
        each.name, each.title, each.presets = base.name, base.title, "\n".join(base.presets)
    draft.name = line.name
    draft.base_name, draft.preset_name = settings.base, settings.preset
    for key in ("title", "description", "prompt", "negative_prompt", "example_prompt"):
        setattr(draft, key, getattr(settings, key))
    draft.loras.clear()
    for lora in settings.loras:
        add_lora(draft, LoraPart(lora.name or style_content.name_of(lora.path), lora.path, lora.weight, lora.on))
    draft.lora_index = 0


CLASSES = (StyleLoraFields, BaseFields, StyleDraft)


def register() -> None:
    """Give the window manager its draft."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.WindowManager.elevator_style = bpy.props.PointerProperty(type=StyleDraft)


def unregister() -> None:
    del bpy.types.WindowManager.elevator_style
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
