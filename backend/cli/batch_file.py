"""A file of clips: one a row, any setting as a column. docs/COMMANDS.md says how it looks."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from fractions import Fraction
from functools import partial
from pathlib import Path, PurePath
from typing import Any

from elevator import Plan
from elevator.cli import values
from shared_protocol import tables
from shared_protocol.messages import LoraChoice
from shared_protocol.tables import Record, TableError
from shared_protocol.texts import cut

from ..client.api import Wish
from .failures import CommandFailure
from .values import lora

SEVERAL = "|"
"""Between several LoRAs in one cell."""
_LONGEST_NAME = 255
"""Bytes of a file's name on the usual file systems."""
_PLAN = tuple(field.name for field in fields(Plan))
_EXPONENT = re.compile(r"[+-]?\d+([.,]\d+)?e[+-]?\d+", re.IGNORECASE)
_SHARE = re.compile(r"(\d+(?:[.,]\d+)?)\s*%")


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
        for line in tables.read(path.read_bytes(), path.name, partial(_check_columns, path)):
            yield line.number, Wrong(line.content) if isinstance(line.content, str) else line.content
    except OSError as error:
        raise CommandFailure("batch_unread", file=path, detail=error.strerror) from error
    except TableError as error:
        raise CommandFailure("batch_unread", file=path, detail=error) from error


def _check_columns(path: Path, columns: Sequence[str]) -> None:
    """Raises BackendError for columns of a table that there are not."""
    unknown = [column for column in columns if not _is_known(column)]
    if unknown:
        names = "; its first line must name the columns, such as prompt" if len(unknown) == len(columns) else ""
        raise CommandFailure("batch_unread", file=path, detail=f"{_unknown(cut(unknown[0], 40))}{names}")


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
            raise Wrong(f"T{_unknown(cut(column, 40))[1:]}.")
        if value is None or value == "":
            continue
        if column in _COLUMNS:
            own[column] = _value(column, value, start)
        else:
            settings.append((column, _setting(value) if isinstance(value, str) else value))
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
    except (argparse.ArgumentTypeError, ValueError, TypeError) as error:
        reason = f"{error}" if isinstance(error, argparse.ArgumentTypeError) else f"{value!r} cannot be used here"
        raise Wrong(f"{column}: {reason}.") from error


def _setting(cell: str) -> Any:
    """A setting of the sampler: a JSON value, or TRUE or FALSE, or a text."""
    truth = tables.truth(cell)
    return values.plain(tables.plain_number(cell)) if truth is None else truth


def _text(value: Any, start: Path) -> str:
    if not isinstance(value, str):
        raise argparse.ArgumentTypeError(f"{value!r} is no text: write it in quotes")
    return values.text(value)


def _whole(value: Any, start: Path) -> int:
    if isinstance(value, float) and value.is_integer():  # for JSON, 16.0 is the same number as 16
        return int(value)
    if isinstance(value, str) and _EXPONENT.fullmatch(value):  # a seed that a spreadsheet has rounded is another one
        raise argparse.ArgumentTypeError(f'"{value}" is rounded: write a whole number with all of its digits')
    if not isinstance(value, int | str) or isinstance(value, bool):
        raise argparse.ArgumentTypeError(f"{value!r} is no whole number: write it like 16")
    return values.whole(tables.plain_number(value) if isinstance(value, str) else str(value))


def _seed(value: Any, start: Path) -> int | None:
    number = _whole(value, start)
    return None if number == values.RANDOM_SEED else number


def _number(value: Any, start: Path) -> float:
    if isinstance(value, str) and (share := _SHARE.fullmatch(value)):
        number = float(share[1].replace(",", ".")) / 100
        raise argparse.ArgumentTypeError(f'"{value}" is no number: write {number:g}')
    if not isinstance(value, int | float | str) or isinstance(value, bool):
        raise argparse.ArgumentTypeError(f"{value!r} is no number: write it like 0.8")
    return values.number(str(value))


def _loras(value: Any, start: Path) -> tuple[LoraChoice, ...]:
    texts = value.split(SEVERAL) if isinstance(value, str) else value
    return tuple(lora(_text(text, start).strip()) for text in texts)


def _rate(value: Any, start: Path) -> Fraction:
    return values.rate(str(value))


def _path(value: Any, start: Path) -> Path:
    return start / os.path.expanduser(_text(value, start))


def _paths(value: Any, start: Path) -> tuple[Path, ...]:
    return tuple(_path(each, start) for each in ([value] if isinstance(value, str) else value))


def _out(value: Any, start: Path) -> str:
    path = PurePath(_text(value, start))
    if "\0" in str(path) or any(len(os.fsencode(part)) > _LONGEST_NAME for part in path.parts):
        raise argparse.ArgumentTypeError(f'"{cut(str(path), 40)}" can be no folder\'s name')
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
    "seed": _seed,
    "lora": _loras,
    "footage": _paths,
    "strength": _number,
    "anchor": _path,
    "fps": _rate,
    "out": _out,
}
