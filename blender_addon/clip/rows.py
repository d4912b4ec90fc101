"""A table of clips: one a row, as docs/COMMANDS.md describes it for the backend's command. Pure: no bpy, no I/O."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared_protocol import tables
from shared_protocol.messages import LoraChoice

SEVERAL = "|"
"""Between several LoRAs in one cell."""
TEXTS = ("prompt", "negative_prompt", "style", "preset")
NUMBERS = ("frames", "width", "height", "seed", "frame_start", "channel")
PICTURES = ("footage", "strength", "anchor")
OTHERS = ("lora", "fps", "out")
"""In an edit the scene's frame rate holds, and clips' folders have names of their own: `fps` and `out` say nothing."""
RANDOM_SEED = -1
"""What other tools call a random seed."""
COLUMNS = (*TEXTS, *NUMBERS, *PICTURES, *OTHERS)
"""Any other column is a setting of the sampler."""


class RowError(Exception):
    """A table or a row cannot be used. The text is one sentence."""


@dataclass(frozen=True)
class Row:
    """One clip of a table."""

    wish: dict[str, Any]
    """Fields of `Wish`, those that the row has."""
    frame_start: int | None = None
    """None: behind the row before it."""
    channel: int | None = None


def records(data: bytes, name: str) -> list[dict[str, Any]]:
    """The rows of a file of this name, by the names of their columns. Raises RowError."""
    found = []
    try:
        for line in tables.read(data, name):
            if isinstance(line.content, str):
                raise RowError(f"Line {line.number}: {line.content}")
            found.append(dict(line.content))
    except tables.TableError as error:
        raise RowError(f"It cannot be used: {error}.") from error
    return found


def row(record: Mapping[str, Any]) -> Row:
    """What a row asks for. What it leaves empty is left out. Raises RowError."""
    told = {name: value for name, value in record.items() if value not in (None, "")}
    wish: dict[str, Any] = {name: _text(name, told.pop(name)) for name in TEXTS if name in told}
    wish |= {name: _whole(name, told.pop(name)) for name in NUMBERS if name in told}
    if wish.get("seed") == RANDOM_SEED:
        del wish["seed"]
    frame_start, channel = wish.pop("frame_start", None), wish.pop("channel", None)
    if "lora" in told:
        wish["loras"] = loras(told.pop("lora"))
    for name in PICTURES:
        if name in told:
            raise RowError(f'The column "{name}" is for the command line: in an edit, footage is a strip.')
    for name in OTHERS:
        told.pop(name, None)
    if told:
        wish["settings"] = settings(told)
    return Row(wish, frame_start, channel)


def loras(value: Any) -> tuple[LoraChoice, ...]:
    """ "ink:0.8|paper", or a list of such texts, of pairs, of LoraChoice. Raises RowError."""
    return tuple(_lora(each) for each in (value.split(SEVERAL) if isinstance(value, str) else value))


def settings(told: Mapping[str, Any]) -> dict[str, Any]:
    """{"guidance": "9", "lowpass.method": "box"} → {"guidance": 9, "lowpass": {"method": "box"}}. Raises RowError."""
    table: dict[str, Any] = {}
    for key, value in told.items():
        *outer, last = key.split(".")
        inner = table
        for part in outer:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise RowError(f'The columns "{key}" and "{part}" contradict each other.')
        inner[last] = _plain(value) if isinstance(value, str) else value
    return table


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RowError(f"{name}: {value!r} is no text.")
    return value


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool) or (isinstance(value, float) and not value.is_integer()):
            raise TypeError
        return int(tables.plain_number(value) if isinstance(value, str) else value)
    except (ValueError, TypeError):
        raise RowError(f"{name}: {value!r} is no whole number: write it like 16.") from None


def _lora(value: Any) -> LoraChoice:
    if isinstance(value, LoraChoice):
        return value
    try:
        if not isinstance(value, str):
            name, weight = value
            return LoraChoice(name=name, weight=float(weight))
        name, colon, weight = value.strip().rpartition(":")
        return LoraChoice(name=name, weight=float(weight)) if colon else LoraChoice(name=weight)
    except (ValueError, TypeError):
        raise RowError(f"lora: {value!r} is no LoRA: write it like ink.safetensors:0.8.") from None


def _plain(text: str) -> Any:
    """A JSON value, or TRUE or FALSE; what is none is a text."""
    if (truth := tables.truth(text)) is not None:
        return truth
    try:
        return json.loads(tables.plain_number(text))
    except ValueError:
        return text
