"""What the panel's fields hold: one group of settings a scene, saved in the .blend."""
# Blender reads properties from annotations, which are calls.
# mypy: disable-error-code="misc, valid-type, no-any-return"

from __future__ import annotations

from fractions import Fraction
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    PointerProperty,
    StringProperty,
)

from shared_protocol.messages import Style

from ..clip import limits, quality, sizes, timing
from ..clip.choices import loras_of
from ..clip.placing import LAST_CHANNEL, Where
from ..clip.wish import Wish
from ..clip.words import Phrase
from ..machine.timer import the_pump
from . import plan_properties, strips, thumbnails
from .translations import told
from .typed import text_of

UNKNOWN = "UNKNOWN"
RATES = (
    ("SCENE", "Scene's", "The clip lasts as long as it was made for: frames are shown for longer, no file is added"),
    ("FLOW", "Scene's, Smooth", "As long, with new pictures between the clip's own, made along what moves in it"),
    ("CLIP", "Clip's Own", "Each frame of the clip is one frame of the scene, at whatever speed that is"),
)
FITS = (
    ("FIT", "Fit", "All of the clip is seen"),
    ("FILL", "Fill", "The clip fills the picture; what is over is cut off"),
    ("STRETCH", "Stretch", "The clip fills the picture in both directions"),
    ("ORIGINAL", "Original", "One pixel of the clip is one pixel of the picture"),
)
PLACES = (
    (Where.ABOVE_ALL.name, "Above Everything", "The lowest channel above all strips at that time"),
    (Where.ABOVE_ACTIVE.name, "Above Active Strip", "The lowest free channel above the active strip"),
    (Where.CHANNEL.name, "Channel", "A channel, or the next free one above it"),
)
LENGTHS = (
    ("OWN", "Style's Own", "As long as the style's models make clips best"),
    ("FRAMES", "Frames", "Frames of the scene"),
    ("SECONDS", "Seconds", "Seconds"),
    ("STRIP", "Active Strip", "As long as the active strip"),
    ("PREVIEW", "Preview Range", "As long as the preview range, or as the scene if there is none"),
)
ANCHORS = (
    ("NONE", "Free", "The clip begins with whatever it is"),
    ("STRIP", "Strip at Playhead", "The strip's picture where the clip begins; all other frames follow its look"),
    ("FILE", "File", "A picture file; all other frames follow its look"),
)
SIZES = (
    ("OWN", "Style's Own", "The size that the style's models make best"),
    ("SCENE", "Scene's Aspect", "The nearest size of the scene's shape"),
    ("TYPED", "Pixels", "Width and height"),
)

_items: dict[str, list[tuple[str, str, str, str | int, int]]] = {}
"""Blender does not keep the strings of a changing enumeration: somebody must."""


def style_of(settings: Any) -> Style | None:
    """The chosen style, or None if the backend has told of none of that name."""
    styles = the_pump().session.backend.styles
    if not settings.style_name:
        return styles[0] if styles else None
    return next((style for style in styles if style.name == settings.style_name), None)


def frames_of(settings: Any, style: Style, scene: Any) -> int:
    """How many frames of its own the clip has that the panel asks for."""
    rate = strips.frame_rate(scene)
    match settings.length:
        case "OWN":
            return style.frames
        case "SECONDS":
            return timing.frames_in(Fraction(settings.seconds).limit_denominator(100_000), style.fps)
        case "STRIP" if scene.sequence_editor and scene.sequence_editor.active_strip:
            start, end = strips.span(scene.sequence_editor.active_strip)
            length = end - start
        case "PREVIEW" | "STRIP":
            length = strips.range_of(scene)
        case _:
            length = settings.frames
    return timing.frames_in(length / rate, style.fps) if settings.rate != "CLIP" else length


def size_of(settings: Any, style: Style, scene: Any) -> tuple[int, int]:
    """Width and height of the clip that the panel asks for, pixels."""
    match settings.size:
        case "OWN":
            return style.width, style.height
        case "SCENE":
            return sizes.nearest(style, strips.aspect(scene))
    return settings.width, settings.height


def prompt_of(settings: Any) -> str:
    """The prompt: the field, or the text that stands for it."""
    return (
        text_of(settings, "prompt")
        if settings.prompt_text is None
        else " ".join(settings.prompt_text.as_string().split())
    )


def wish_of(settings: Any, seed: int, scene: Any) -> Wish:
    """What the panel's fields ask for."""
    style = style_of(settings)
    width, height = size_of(settings, style, scene) if style else (0, 0)
    return Wish(
        prompt=prompt_of(settings),
        negative_prompt=text_of(settings, "negative_prompt"),
        style=settings.style_name,
        preset=settings.preset_name if style and settings.preset_name in style.presets else "",
        frames=frames_of(settings, style, scene) if style else 0,
        width=width,
        height=height,
        seed=seed,
        loras=loras_of(plan_properties.lines(settings.loras), style),
        settings=plan_properties.settings_of(settings.plan),
        strength=round(settings.strength, 4) if settings.use_footage else 1.0,
        flow_fps=strips.frame_rate(scene) if settings.rate == "FLOW" else None,
    )


def _style_items(settings: Any, _context: Any) -> list[tuple[str, str, str, str | int, int]]:
    styles = the_pump().session.backend.styles
    items: list[tuple[str, str, str, str | int, int]] = [
        (style.name, style.title, told(style.description), thumbnails.icon_of(style) or "BRUSH_DATA", index)
        for index, style in enumerate(styles)
    ]
    name = settings.style_name
    if not styles and not name:
        items = [(UNKNOWN, "Default", "The styles are known once the backend has run", "BRUSH_DATA", 0)]
    elif name and all(style.name != name for style in styles):
        items.append((name, name, "The backend does not have this style", "ERROR", len(items)))
    _items["style"] = items
    return items


def _style_index(settings: Any) -> int:
    names = [item[0] for item in _style_items(settings, None)]
    return names.index(settings.style_name) if settings.style_name in names else 0


def _set_style_index(settings: Any, index: int) -> None:
    name = _style_items(settings, None)[index][0]
    settings.style_name = "" if name == UNKNOWN else name


def _preset_items(settings: Any, _context: Any) -> list[tuple[str, str, str, str | int, int]]:
    style = style_of(settings)
    own = "Style's Own"
    if style and style.preset:
        own = Phrase("Style's Own, {preset}", preset=quality.title(style.preset))
    items: list[tuple[str, str, str, str | int, int]] = [(UNKNOWN, told(own), "What the style's file says", "NONE", 0)]
    pace = _seconds_a_call(settings, style) if style else None
    for number, name in enumerate(style.presets if style else (), start=1):
        assert style is not None
        label, description = told(quality.label(style, name, pace)), told(quality.description(name))
        items.append((name, label, description, "NONE", number))
    _items["preset"] = items
    return items


def _seconds_a_call(settings: Any, style: Style) -> float | None:
    """As the backend has told of the clip that the panel showed last, if this one is as large."""
    scene = settings.id_data
    return the_pump().session.backend.foreseen.seconds_a_call(
        style.name, frames_of(settings, style, scene), size_of(settings, style, scene)
    )


def _preset_index(settings: Any) -> int:
    names = [item[0] for item in _preset_items(settings, None)]
    return names.index(settings.preset_name) if settings.preset_name in names else 0


def _set_preset_index(settings: Any, index: int) -> None:
    name = _preset_items(settings, None)[index][0]
    settings.preset_name = "" if name == UNKNOWN else name


def _side(name: str) -> dict[str, Any]:
    """Getter and setter of a side that moves in the style's steps."""

    def get(settings: Any) -> int:
        style = style_of(settings)
        own = getattr(style, name) if style else limits.PIXELS.least
        return settings.get(f"own_{name}", own)

    def put(settings: Any, value: int) -> None:
        style = style_of(settings)
        settings[f"own_{name}"] = sizes.snapped(value, get(settings), style) if style else value

    return {
        "get": get,
        "set": put,
        "min": limits.PIXELS.least,
        "max": limits.PIXELS.most,
        "step": 8,
        "subtype": "PIXEL",
    }


def _edited(_settings: Any, _context: Any) -> None:
    """What was told of the last wish is old once another is made."""
    pump = the_pump()
    if pump.session.problem is not None:
        pump.do(pump.session.dismiss())


class WishFields(bpy.types.PropertyGroup):
    """What to generate. Texts have no `maxlen`, which Blender counts in bytes: `clip.wish` says what is too long."""

    prompt: StringProperty(
        name="Prompt",
        description="What the clip shows, in words",
        options={"TEXTEDIT_UPDATE"},
        update=_edited,
    )
    prompt_text: PointerProperty(
        name="Prompt from Text",
        description="A text of Blender's text editor instead of the field, for long prompts",
        type=bpy.types.Text,
        update=_edited,
    )
    negative_prompt: StringProperty(name="Without", description="What the clip must not show", update=_edited)
    style_name: StringProperty(description="Name of the style; empty: the backend's first")
    style: EnumProperty(
        name="Style",
        description="Look of the clip",
        items=_style_items,
        get=_style_index,
        set=_set_style_index,
    )
    preset_name: StringProperty(description="Name of the preset; empty: the style's own")
    preset: EnumProperty(
        name="Quality",
        description="How much work goes into the clip",
        items=_preset_items,
        get=_preset_index,
        set=_set_preset_index,
    )
    source: StringProperty(name="Strip", description="An image or movie strip that the clip starts from")
    use_footage: BoolProperty(
        name="Start from Its Pictures", description="The clip is made from the strip's pictures at its own frames"
    )
    strength: FloatProperty(
        name="Strength",
        description="How much the pictures are changed: 0 keeps them, 1 ignores them",
        default=0.6,
        min=0.0,
        max=1.0,
        subtype="FACTOR",
    )
    anchor: EnumProperty(name="First Frame", description="A picture that the clip begins with", items=ANCHORS)
    anchor_file: StringProperty(name="Picture", description="The clip begins with this file", subtype="FILE_PATH")
    loras: CollectionProperty(type=plan_properties.LoraFields)
    lora_index: IntProperty()
    plan: PointerProperty(type=plan_properties.PlanFields)
    rate: EnumProperty(name="Frame Rate", description="How long the clip is in the edit", items=RATES)
    length: EnumProperty(name="Length", description="How long the clip is", items=LENGTHS)
    frames: IntProperty(name="Frames", description="Length of the clip in the scene", default=48, min=1, max=16_384)
    seconds: FloatProperty(
        name="Seconds", description="Length of the clip", default=2.0, min=0.04, soft_max=20.0, max=1024.0, precision=2
    )
    size: EnumProperty(name="Size", description="How many pixels the clip has", items=SIZES)
    width: IntProperty(name="Width", description="Width of the clip, in the style's steps", **_side("width"))
    height: IntProperty(name="Height", description="Height of the clip, in the style's steps", **_side("height"))
    fit: EnumProperty(name="Fit", description="How the clip fills the picture", items=FITS)
    place: EnumProperty(name="Place", description="Where the strip goes", items=PLACES)
    channel: IntProperty(name="Channel", description="The channel to try first", default=2, min=1, max=LAST_CHANNEL)
    seed: IntProperty(
        name="Seed",
        description="Another number gives another clip",
        default=1,
        min=limits.SEED.least,
        max=limits.SEED.most,
    )
    takes: IntProperty(
        name="Takes", description="Clips of the same words that one strip can show", default=1, min=1, max=8
    )
    use_random_seed: BoolProperty(
        name="New Seed Each Time", description="Choose a new seed with every Generate", default=True
    )


CLASSES = (*plan_properties.CLASSES, WishFields)


def register() -> None:
    """Give every scene its settings."""
    for each in CLASSES:
        bpy.utils.register_class(each)
    bpy.types.Scene.elevator = PointerProperty(type=WishFields)


def unregister() -> None:
    del bpy.types.Scene.elevator
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
