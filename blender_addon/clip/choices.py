"""LoRAs and settings of the plan: what an artist chose in the panel, and the texts in which an operator has them. Pure.

The texts are JSON objects: `{"neon": 0.8}` for LoRAs with their weights, `{"steps": 20}` for settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from shared_protocol.messages import FileName, Generate, Key, LoraChoice, Setting, Style

from .wish import WishError
from .words import Phrase

Weights = dict[FileName, Annotated[float, Meta(ge=-4, le=4)]]
T = TypeVar("T")


@dataclass(frozen=True)
class LoraLine:
    """One line of the panel's list."""

    name: str
    weight: float = 1.0
    on: bool = True
    """Whether the artist has it switched on."""


def loras_of(lines: Iterable[LoraLine], style: Style | None) -> tuple[LoraChoice, ...]:
    """What the lines ask for. One that is switched off is left out; if the style has it by itself, it is taken away."""
    own = {view.name for view in style.loras if view.own} if style else set()
    chosen = {line.name: line.weight if line.on else 0.0 for line in lines if line.on or line.name in own}
    return tuple(LoraChoice(name=name, weight=weight) for name, weight in chosen.items())


def lines_of(request: Generate) -> tuple[LoraLine, ...]:
    """The lines that ask for what made a clip."""
    return tuple(LoraLine(lora.name, lora.weight or 1.0, bool(lora.weight)) for lora in request.loras)


def read_loras(text: str) -> tuple[LoraChoice, ...]:
    """LoRAs from an operator's text; an empty one means none. Raises WishError."""
    weights = _read(text, Weights, "loras", '{"neon": 0.8}')
    return tuple(LoraChoice(name=name, weight=weight) for name, weight in weights.items())


def write_loras(loras: Iterable[LoraChoice]) -> str:
    """The text for an operator."""
    return _write({lora.name: lora.weight for lora in loras})


def read_settings(text: str) -> Mapping[str, Setting]:
    """Settings of the plan from an operator's text; an empty one means the preset's. Raises WishError."""
    return _read(text, dict[Key, Setting], "settings", '{"steps": 20}')


def write_settings(settings: Mapping[str, Setting]) -> str:
    """The text for an operator."""
    return _write(settings)


def _read(text: str, kind: type[dict[str, T]], name: str, example: str) -> dict[str, T]:
    if not text.strip():
        return {}
    try:
        return msgspec.json.decode(text, type=kind)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise WishError(
            Phrase("The argument {name} cannot be read: {error}.", name=name, error=str(error)),
            Phrase("Give a JSON object such as {example}.", example=example),
        ) from None


def _write(values: Mapping[str, Any]) -> str:
    return msgspec.json.encode(values).decode() if values else ""
