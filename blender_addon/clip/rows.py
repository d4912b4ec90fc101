"""A table of clips: one a row, as docs/COMMANDS.md describes it for the backend's command. Pure: no bpy, no I/O."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from shared_protocol.messages import LoraChoice

DELIMITERS = ",;\t"
SEVERAL = "|"
"""Between several LoRAs in one cell."""
TEXTS = ("prompt", "negative_prompt", "style", "preset")
NUMBERS = ("frames", "width", "height", "seed", "frame_start", "channel")
PICTURES = ("footage", "strength", "anchor")
OTHERS = ("lora", "fps", "out")
"""In an edit the scene's frame rate holds, and clips' folders have names of their own: `fps` and `out` say nothing."""
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


def records(text: str, *, lines_of_json: bool) -> list[dict[str, Any]]:
    """The rows of a table, by the names of their columns. Raises RowError."""
    return list(_objects(text) if lines_of_json else _cells(text))


def row(record: Mapping[str, Any]) -> Row:
    """What a row asks for. What it leaves empty is left out. Raises RowError."""
    told = {name: value for name, value in record.items() if value not in (None, "")}
    wish: dict[str, Any] = {name: _text(name, told.pop(name)) for name in TEXTS if name in told}
    wish |= {name: _whole(name, told.pop(name)) for name in NUMBERS if name in told}
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


def _objects(text: str) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            try:
                found = json.loads(line)
            except ValueError as error:
                raise RowError(f"Line {number} is no JSON: {error}.") from error
            if not isinstance(found, dict):
                raise RowError(f"Line {number} is no JSON object: write {{…}}.")
            yield found


def _cells(text: str) -> Iterator[dict[str, Any]]:
    head, _, _ = text.lstrip("\r\n").partition("\n")
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    columns: list[str] = []
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if not columns:
                columns = [cell.lower() for cell in cells]
                double = next((name for name in columns if columns.count(name) > 1), None)
                if double is not None:
                    raise RowError(f'There are two columns "{double}".')
                continue
            if any(cells[len(columns) :]):
                raise RowError(f"Line {reader.line_num} has {len(cells)} cells, but the header {len(columns)}.")
            if delimiter == ";":
                cells = [_decimal_point(cell) for cell in cells]
            yield dict(zip(columns, cells, strict=False))
    except csv.Error as error:
        raise RowError(f"Line {reader.line_num}: {error}.") from error


def _decimal_point(cell: str) -> str:
    """Spreadsheets that separate cells with semicolons write 0,5 for 0.5."""
    whole, comma, part = cell.partition(",")
    return f"{whole}.{part}" if comma and whole.lstrip("+-").isdecimal() and part.isdecimal() else cell


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise RowError(f"{name}: {value!r} is no text.")
    return value


def _whole(name: str, value: Any) -> int:
    try:
        if isinstance(value, bool | float):
            raise TypeError
        return int(value)
    except (ValueError, TypeError):
        raise RowError(f"{name}: {value!r} is no whole number.") from None


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
    """A JSON value; what is none is a text."""
    try:
        return json.loads(text)
    except ValueError:
        return text
