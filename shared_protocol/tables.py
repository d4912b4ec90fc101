"""Lists of clips as people have them: tables of spreadsheets (RFC 4180, also with semicolons or tabs), JSON lines, a
JSON list, or a text with a prompt a line.

A row of a table ends at CR, LF or both, and nowhere else: what word processors and terminals take for the end of a line
besides these (U+2028, NEL, VT, FF …) is a sign in a cell.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any, TypeAlias

from .edited import NoText, text_of

DELIMITERS = ",;\t|"
JSON_ENDINGS = (".json", ".jsonl", ".ndjson")
Record: TypeAlias = Mapping[str, Any]
_LINE_END = re.compile(r"\r\n|\r|\n")
_LINE = re.compile(r"([^\r\n]*)(?:\r\n|\r|\n|\Z)")
_DECIMAL_COMMA = re.compile(r"[+-]?\d+,\d+")
_SEPARATOR = re.compile(r"\s*\"?sep=(.)\"?\s*", re.IGNORECASE | re.DOTALL)
"""By which Excel is told how cells are separated."""
_OF_OTHERS = re.compile(r"--[a-z_]|(positive|negative)\s*:|-{3,}\s*$", re.IGNORECASE)
"""How lines begin in the lists of prompts that scripts of AUTOMATIC1111's web UI and nodes of ComfyUI take."""
_BINARY = (
    (b"PK\x03\x04", "it is a workbook or an archive: save the sheet as CSV"),
    (b"\xd0\xcf\x11\xe0", "it is a workbook: save the sheet as CSV"),
    (b"%PDF", "it is a PDF: save the table as CSV"),
)
_RULE = re.compile(r":?-{3,}:?")
"""A cell of the line below the header in a table of Markdown (GitHub's specification, section 4.10)."""
_COMMENT = "#"
_TOO_LONG = "it holds a number of too many digits"


class TableError(ValueError):
    """A list cannot be read at all. The text is a clause with the reason."""


@dataclass(frozen=True)
class Line:
    """A row: its columns by their names, or one sentence that says why it cannot be used."""

    number: int
    """Of the line on which it ends, from 1; of a list in JSON, on which it begins."""
    content: Record | str


def read(data: bytes, name: str, header: Callable[[Sequence[str]], None] = lambda columns: None) -> Iterator[Line]:
    """The rows of a file of this name that are not empty. Raises TableError, also later while they are read.

    header: is told a table's named columns before its first row, and may refuse them by raising.
    """
    for mark, words in _BINARY:
        if data.startswith(mark):
            raise TableError(words)
    try:
        text = text_of(data, wide=True)
    except NoText as error:
        raise TableError(str(error)) from error
    if "\0" in text:
        raise TableError("it holds NUL, which no text does: it is another kind of file, or is damaged")
    ending = PurePath(name).suffix.lower()
    if ending in JSON_ENDINGS or _is_json(text):
        return _objects(text)
    if ending == ".txt" and not _names_prompt(_head(text)):
        return _prompts(text)
    return _cells(text, header)


def plain_number(cell: str) -> str:
    """A cell as a number is written here: spreadsheets and pandas write 16.0 for 16."""
    whole, point, part = cell.partition(".")
    return whole if point and part and not part.strip("0") and whole.lstrip("+-").isdecimal() else cell


def truth(cell: str) -> bool | None:
    """TRUE and FALSE, which is how spreadsheets write these; None for anything else."""
    return {"true": True, "false": False}.get(cell.lower())


# JSON ---------------------------------------------------------------------------------------------------------


def _is_json(text: str) -> bool:
    """Whether it is a list or an object of JSON, whatever its file is called."""
    if not text.lstrip().startswith(("[", "{")):
        return False
    try:
        return isinstance(json.JSONDecoder().raw_decode(text.lstrip())[0], list | dict)
    except (ValueError, RecursionError):
        return False


def _objects(text: str) -> Iterator[Line]:
    bare = text.strip()
    if bare.startswith("["):
        return _listed(text)
    try:
        whole = json.loads(bare)
    except (ValueError, RecursionError):
        return _lines_of_json(text)
    if isinstance(whole, dict):
        return _listed(f"[{text}]")
    return iter([_object(_line_at(text, text.index(bare[0])), whole)]) if bare else iter(())


def _listed(text: str) -> Iterator[Line]:
    """A list of objects. It is read whole first, so that no row of a damaged one is used."""
    try:
        json.loads(text)
    except RecursionError:
        raise TableError("it is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise TableError(f"line {error.lineno}: {_json_words(error)}") from error
    except ValueError:
        raise TableError(_TOO_LONG) from None
    at = text.index("[") + 1
    while text[at := _after(text, at)] != "]":
        try:
            found, end = _JSON.raw_decode(text, at)
        except _Doubled as error:
            found, end = error, json.JSONDecoder().raw_decode(text, at)[1]
        yield _object(_line_at(text, at), found)
        at = end


def _after(text: str, at: int) -> int:
    """Where the next object of a list begins, or the list ends."""
    while text[at] in " \t\r\n,":
        at += 1
    return at


def _line_at(text: str, at: int) -> int:
    return 1 + len(_LINE_END.findall(text, 0, at))


def _lines_of_json(text: str) -> Iterator[Line]:
    for number, line in enumerate(_LINE_END.split(text), 1):
        bare = line.strip()  # also of the mark before each in RFC 7464
        if not bare or bare.startswith(("//", _COMMENT)):
            continue
        try:
            found = _JSON.decode(bare)
        except RecursionError:
            yield Line(number, "It is nested too deeply.")
        except _Doubled as error:
            yield _object(number, error)
        except json.JSONDecodeError as error:
            words = _json_words(error)
            yield Line(number, f"{words[:1].upper()}{words[1:]}.")
        except ValueError:
            yield Line(number, f"{_TOO_LONG[:1].upper()}{_TOO_LONG[1:]}.")
        else:
            yield _object(number, found)


def _object(number: int, found: object) -> Line:
    if isinstance(found, str):
        return Line(number, {"prompt": found})
    if isinstance(found, _Doubled):
        return Line(number, f'It says "{found}" twice.')
    return Line(number, found if isinstance(found, dict) else "It is no clip: write a prompt in quotes, or {…}.")


class _Doubled(ValueError):
    """An object has two values of this name, of which no rule says which counts (RFC 8259, section 4)."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = [name for name, _ in pairs]
    if double := next((name for name in names if names.count(name) > 1), None):
        raise _Doubled(double)
    return dict(pairs)


_JSON = json.JSONDecoder(object_pairs_hook=_once)


def _json_words(error: json.JSONDecodeError) -> str:
    """Where it is wrong; the library's reasons are for programmers."""
    return (
        f"at its character {error.colno} it is no JSON, in which texts stand in double quotes, no comma before a "
        "closing bracket, and no comments"
    )


# Prompts ------------------------------------------------------------------------------------------------------


def _prompts(text: str) -> Iterator[Line]:
    for number, line in enumerate(_LINE_END.split(text), 1):
        if _OF_OTHERS.match(line.strip()):
            yield Line(
                number, "It is written for another tool: write a prompt alone, or a table with a column for each."
            )
        elif line.strip() and not line.lstrip().startswith(_COMMENT):
            yield Line(number, {"prompt": line.strip()})


# Tables -------------------------------------------------------------------------------------------------------


def _head(text: str) -> str:
    """The first line that counts."""
    return next((line for line in _LINE_END.split(text) if not _is_skipped(line)), "")


def _is_skipped(line: str) -> bool:
    """Whether a line before the header is empty or a comment."""
    return not line.strip() or (line.lstrip().startswith(_COMMENT) and not _names_prompt(line))


def _names_prompt(line: str) -> bool:
    return any("prompt" in map(_column, line.split(delimiter)) for delimiter in DELIMITERS)


def _start(text: str) -> tuple[int, int, str]:
    """How many lines are before the header, where it begins, and what separates cells."""
    told = ""
    for number, line in enumerate(_LINE.finditer(text)):
        if _is_skipped(line[1]):
            continue
        if not told and (separator := _SEPARATOR.fullmatch(line[1])):
            told = separator[1]
            continue
        return number, line.start(), told or max(DELIMITERS, key=line[1].count)
    return 0, len(text), told or DELIMITERS[0]


def _cells(text: str, header: Callable[[Sequence[str]], None]) -> Iterator[Line]:
    before, at, delimiter = _start(text)
    reader = csv.reader(io.StringIO(text[at:], newline=""), delimiter=delimiter, strict=True)
    columns: list[str] = []
    count = 0
    try:
        for cells in reader:
            cells = [cell.strip() for cell in cells]
            if not any(cells) or (delimiter == "|" and all(_RULE.fullmatch(cell) for cell in cells if cell)):
                continue
            if not columns:
                columns = [_column(cell) for cell in cells]
                _check(columns)
                header([name for name in columns if name])
                continue
            number = before + reader.line_num
            yield Line(number, _row(columns, cells, count, decimal_commas=delimiter == ";"))
            count += 1
    except csv.Error as error:
        raise TableError(f"line {before + reader.line_num}: {_csv_words(error)}") from error


def _column(cell: str) -> str:
    """A column's name as it is known: "Negative Prompt" is negative_prompt."""
    seen = "".join(sign for sign in cell if unicodedata.category(sign) != "Cf")  # such as a second mark of byte order
    name = seen.strip().strip('"').lower()
    return re.sub(r"[\s-]", "_", name) if re.fullmatch(r"(negative[\s-]prompt|frame[\s-]start)", name) else name


def _check(columns: Sequence[str]) -> None:
    double = next((name for name in columns if name and columns.count(name) > 1), None)
    if double is not None:
        raise TableError(f'it has two columns "{double}"')


def _row(columns: Sequence[str], cells: Sequence[str], count: int, *, decimal_commas: bool) -> Record | str:
    """The named cells. Those without a name mean nothing where they are empty, or count the rows as pandas does."""
    if any(cells[len(columns) :]):
        return (
            f"It has {len(cells)} cells, but the header {len(columns)}: put a text that holds what separates cells "
            'into straight quotation marks ("), which begin the cell.'
        )
    found: dict[str, Any] = {}
    for at, (name, cell) in enumerate(zip(columns, cells, strict=False)):
        if name:
            found[name] = _decimal_point(cell) if decimal_commas else cell
        elif cell and not (at == 0 and cell in (str(count), str(count + 1))):
            return f"Its cell {at + 1} says {cell!r}, but the header has no name there."
    return found


def _decimal_point(cell: str) -> str:
    """Spreadsheets that separate cells with semicolons write 0,5 for 0.5."""
    return cell.replace(",", ".") if _DECIMAL_COMMA.fullmatch(cell) else cell


def _csv_words(error: csv.Error) -> str:
    said = str(error)
    if "unexpected end" in said:
        return "a quotation mark opens a cell that is never closed"
    if "expected after" in said:
        return "a quotation mark stands inside a cell in quotes: write it twice"
    if "field limit" in said:
        return f"a cell has more than {csv.field_size_limit()} signs; perhaps a quotation mark is not closed"
    return said
