"""A file of clips: one a row, any setting as a column. docs/COMMANDS.md says how it looks."""

from __future__ import annotations

import argparse
import csv
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from pathlib import Path, PurePath
from typing import Any

from elevator import Plan
from elevator.cli import values
from shared_protocol.messages import LoraChoice

from ..client.api import Wish
from .failures import CommandFailure
from .values import lora

DELIMITERS = ",;\t"
SEVERAL = "|"
"""Between several LoRAs in one cell."""
_PLAN = tuple(field.name for field in fields(Plan))
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
Record = Mapping[str, Any]


@dataclass(frozen=True)
class Row:
    """One clip of a file."""

    number: int
    """From 1; the header and empty lines do not count."""
    where: str
    """File, row and line, for people."""
    wish: Wish
    fps: Fraction | None
    """The frame rate to change to; None: as the clip comes."""
    folder: str
    """Where its frames go, below the batch's folder."""


class Wrong(Exception):
    """A row cannot be used; the message says why."""


def read_rows(path: Path, wish: Wish, fps: Fraction | None) -> tuple[list[Row], dict[int, str]]:
    """The rows, and by number a sentence for each that cannot be used. `wish` and `fps` hold for what rows do not say.

    Raises BackendError if the file cannot be read at all.
    """
    rows: list[Row] = []
    wrong: dict[int, str] = {}
    taken: dict[str, int] = {}
    for number, (line, record) in enumerate(_records(path), 1):
        where = f"{path.name}, row {number} (line {line})"
        try:
            if isinstance(record, Wrong):
                raise record
            row = _row(number, where, record, (wish, fps), path.parent)
            if (other := taken.setdefault(row.folder.casefold(), number)) != number:
                raise Wrong(f'Its folder "{row.folder}" is that of row {other} already.')
            rows.append(row)
        except Wrong as error:
            wrong[number] = f"{where}: {error}"
    if not rows and not wrong:
        raise CommandFailure("batch_unread", file=path, detail="it holds no rows")
    return rows, wrong


def _records(path: Path) -> Iterator[tuple[int, Record | Wrong]]:
    """Line number and columns of each row that is not empty. Raises BackendError."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise CommandFailure("batch_unread", file=path, detail=error.strerror) from error
    except UnicodeDecodeError as error:
        raise CommandFailure("batch_unread", file=path, detail="it is not written in UTF-8") from error
    return _objects(text) if path.suffix.lower() in (".jsonl", ".ndjson") else _cells(path, text)


def _objects(text: str) -> Iterator[tuple[int, Record | Wrong]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            found = json.loads(line)
        except ValueError as error:
            yield number, Wrong(f"It is no JSON: {error}.")
            continue
        yield number, found if isinstance(found, dict) else Wrong("It is no JSON object: write {…}.")


def _cells(path: Path, text: str) -> Iterator[tuple[int, Record | Wrong]]:
    head, _, _ = text.lstrip("\r\n").partition("\n")
    delimiter = max(DELIMITERS, key=head.count)
    reader = csv.reader(text.splitlines(keepends=True), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells):
                continue
            if columns is None:
                columns = [cell.lower() for cell in cells]
                _check_columns(path, columns)
            elif any(cells[len(columns) :]):
                yield reader.line_num, Wrong(f"It has {len(cells)} cells, but the header {len(columns)}.")
            else:
                decimal = _decimal_points if delimiter == ";" else str
                yield reader.line_num, {name: decimal(cell) for name, cell in zip(columns, cells, strict=False)}
    except csv.Error as error:
        raise CommandFailure("batch_unread", file=path, detail=f"line {reader.line_num}: {error}") from error


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    for column in columns:
        if not _is_known(column):
            raise CommandFailure("batch_unread", file=path, detail=_unknown(column))
        if columns.count(column) > 1:
            raise CommandFailure("batch_unread", file=path, detail=f'it has two columns "{column}"')


def _decimal_points(cell: str) -> str:
    """Spreadsheets that separate cells with semicolons write 0,5 for 0.5."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _is_known(column: str) -> bool:
    return column in _COLUMNS or column.split(".")[0] in _PLAN


def _unknown(column: str) -> str:
    return f'there is no column "{column}", only {", ".join((*_COLUMNS, *_PLAN))}'


def _row(number: int, where: str, record: Record, defaults: tuple[Wish, Fraction | None], start: Path) -> Row:
    """A row from its columns. Relative paths begin at `start`. Raises Wrong."""
    own: dict[str, Any] = {}
    settings: list[tuple[str, Any]] = []
    for column, value in record.items():
        if not _is_known(column):
            raise Wrong(f"Of columns {_unknown(column)}.")
        if value is None or value == "":
            continue
        if column in _COLUMNS:
            own[column] = _value(column, value, start)
        else:
            settings.append((column, values.plain(value) if isinstance(value, str) else value))
    wish, fps = defaults
    fps = own.pop("fps", fps)
    folder = own.pop("out", f"{number:04d}")
    if "lora" in own:
        own["loras"] = own.pop("lora")
    try:
        own["settings"] = {**wish.settings, **values.nested(settings)}
    except argparse.ArgumentTypeError as error:
        raise Wrong(f"{error}.") from error
    return Row(number, where, replace(wish, **own), fps, folder)


def _value(column: str, value: Any, start: Path) -> Any:
    try:
        return _COLUMNS[column](value, start)
    except argparse.ArgumentTypeError as error:
        raise Wrong(f"{column}: {error}.") from error
    except (ValueError, TypeError) as error:
        raise Wrong(f"{column}: {value!r} cannot be used here.") from error


def _text(value: Any, start: Path) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any, start: Path) -> int:
    if isinstance(value, bool | float):
        raise TypeError
    return int(value)


def _number(value: Any, start: Path) -> float:
    if isinstance(value, bool):
        raise TypeError
    return float(value)


def _loras(value: Any, start: Path) -> tuple[LoraChoice, ...]:
    texts = value.split(SEVERAL) if isinstance(value, str) else value
    return tuple(lora(_text(text, start).strip()) for text in texts)


def _rate(value: Any, start: Path) -> Fraction:
    return values.rate(str(value))


def _path(value: Any, start: Path) -> Path:
    return start / _text(value, start)


def _paths(value: Any, start: Path) -> tuple[Path, ...]:
    return tuple(_path(each, start) for each in ([value] if isinstance(value, str) else value))


def _out(value: Any, start: Path) -> str:
    path = PurePath(_text(value, start))
    if path.is_absolute() or path.drive or ".." in path.parts or not path.parts:
        raise argparse.ArgumentTypeError(f'"{value}" leads out of the folder of --out')
    return path.as_posix()


_COLUMNS: dict[str, Callable[[Any, Path], Any]] = {
    "prompt": _text,
    "negative_prompt": _text,
    "style": _text,
    "preset": _text,
    "frames": _whole,
    "width": _whole,
    "height": _whole,
    "seed": _whole,
    "lora": _loras,
    "footage": _paths,
    "strength": _number,
    "anchor": _path,
    "fps": _rate,
    "out": _out,
}
