"""What the panel's list of LoRAs and its settings of the plan hold."""
# Blender reads properties from annotations, which are calls.
# mypy: disable-error-code="misc, valid-type"

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import bpy
from bpy.props import BoolProperty, EnumProperty, FloatProperty, IntProperty

from shared_protocol.messages import Setting

from ..clip.advanced import LOWPASSES, NUMBERS, Number
from ..clip.choices import LoraLine


class LoraFields(bpy.types.PropertyGroup):
    """A LoRA in the list; its name is its file's, as the backend has it."""

    on: BoolProperty(name="On", description="Put it on; one that the style has is taken away if off", default=True)
    weight: FloatProperty(
        name="Weight", description="How strongly it shows", default=1.0, min=-4.0, max=4.0, soft_min=0.0, soft_max=1.5
    )


def _value(number: Number) -> Any:
    """The property of a setting that is a number."""
    kind = IntProperty if isinstance(number.start, int) else FloatProperty
    return kind(
        name=number.title, description=number.description, default=number.start, min=number.least, max=number.most
    )


def _switch(title: str) -> Any:
    return BoolProperty(name=f"Set {title}", description="Instead of the style's own")


class PlanFields(bpy.types.PropertyGroup):
    """Settings of the plan, each with a switch: the style's own holds while it is off."""

    __annotations__ = {
        **{f"use_{number.key}": _switch(number.title) for number in NUMBERS},
        **{number.key: _value(number) for number in NUMBERS},
        "use_lowpass": _switch("Low-Pass"),
        "lowpass": EnumProperty(
            name="Low-Pass",
            description="What smooths the frames before the video model takes over",
            items=LOWPASSES,
        ),
    }


KEYS = (*(number.key for number in NUMBERS), "lowpass")


def settings_of(plan: Any) -> dict[str, Setting]:
    """The settings that are set."""
    return {key: _exact(getattr(plan, key)) for key in KEYS if getattr(plan, f"use_{key}")}


def _exact(value: Any) -> Any:
    """What was typed: Blender keeps numbers in 32 bits."""
    return round(value, 4) if isinstance(value, float) else value


def set_settings(plan: Any, settings: Mapping[str, Setting]) -> None:
    """Set these, and no others. What the panel has no field for is left out."""
    for key in KEYS:
        setattr(plan, f"use_{key}", key in settings and settings[key] is not None)
        if getattr(plan, f"use_{key}") and not isinstance(settings[key], list | dict):
            setattr(plan, key, settings[key])


def lines(loras: Any) -> list[LoraLine]:
    """The list of LoRAs."""
    return [LoraLine(each.name, _exact(each.weight), each.on) for each in loras]


def set_lines(loras: Any, wanted: Iterable[LoraLine]) -> None:
    """Let the list have these lines."""
    loras.clear()
    for line in wanted:
        each = loras.add()
        each.name, each.weight, each.on = line.name, line.weight, line.on


CLASSES = (LoraFields, PlanFields)
