"""What is wrong in a TOML file, in a person's words: msgspec and tomllib speak to programmers."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection

import msgspec

_KINDS = {
    "object": "a table of settings",
    "array": "a list in brackets",
    "str": "text in quotes",
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "null": "nothing",
    "datetime": "a date",
    "date": "a date",
    "time": "a time",
}
"""Types by msgspec's names for them."""
_FOUND = {"object": "a table", "array": "a list", "str": "text", "int": "a whole number", "float": "a broken number"}
"""The same of what stands in the file instead."""
_PART = re.compile(r"\.?(?P<key>[^.\[\]]+)|\[(?P<index>\d+|\.\.\.)\]")
_PLACE = re.compile(r"\(at (?:line (?P<line>\d+), column \d+|end of document)\)\Z")
_MISTAKES: tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...] = (
    (re.compile(r"Expected `(.+)`, got `(.+)`"), lambda m: f"must be {_kinds(m[1])}, not {_FOUND.get(m[2], m[2])}"),
    (re.compile(r"Expected `(?:int|float)` >= (.+)"), lambda m: f"must be {_number(m[1])} or more"),
    (re.compile(r"Expected `(?:int|float)` <= (.+)"), lambda m: f"must be {_number(m[1])} or less"),
    (re.compile(r"Expected `str` of length >= 1"), lambda m: "must not be empty"),
    (re.compile(r"Expected `str` of length <= (\d+)"), lambda m: f"must have at most {m[1]} letters"),
    (re.compile(r"Expected `(?:array|object)` of length <= (\d+)"), lambda m: f"must have at most {m[1]} entries"),
    (re.compile(r"Expected `str` matching regex .+"), lambda m: "holds a letter that no path can have"),
    (re.compile(r"Invalid enum value '(.*)'"), lambda m: f'cannot be "{m[1]}"'),
)
_TOML: tuple[tuple[str, str], ...] = (
    ("Unescaped '\\'", "in paths write / for \\, or use single quotes"),
    ("Invalid hex value", "in paths write / for \\, or use single quotes"),
    ("Invalid value", "the value cannot be read: text stands in quotes"),
    ("Expected '=' after a key", "a line is KEY = VALUE, with = between the two"),
    ("Unterminated string", "a quotation mark is missing at the end of a text"),
    ("Cannot overwrite a value", "a key stands there twice"),
    ("Expected newline", "one line holds more than one KEY = VALUE"),
    ("Expected ']'", "a bracket ] is missing"),
)


def of_toml(error: ValueError) -> str:
    """What tomllib says of a file that is no TOML, or Python of one that is no UTF-8."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not stored as UTF-8 text: save it so in the editor"
    said = str(error)
    place = _PLACE.search(said)
    what = next((words for begin, words in _TOML if said.startswith(begin)), None)
    if place is None or what is None:
        return said[:1].lower() + said[1:]
    return f"in line {place['line']}, {what}" if place["line"] else f"at its end or before, {what}"


def of_types(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """What msgspec says of a file whose settings are not those of `kind`."""
    said, _, where = str(error).partition(" - at ")
    named = _where(where)
    if missing := re.fullmatch(r"Object missing required field `(.+)`", said):
        return f'"{missing[1]}" is missing{f" in {named}" if named else ""}'
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", said):
        known = kind.__struct_fields__ if not named else ("name", "path", "weight")
        near = difflib.get_close_matches(unknown[1], known, 1)
        hint = f'; "{near[0]}" may be meant' if near else ""
        return f'there is no setting "{unknown[1]}"{f" in {named}" if named else ""}{hint}'
    for pattern, words in _MISTAKES:
        if found := pattern.fullmatch(said):
            return f"{named or 'it'} {words(found)}"
    return f"{named}: {said}" if named else said


def _where(path: str) -> str:
    """ "`$.loras[0].weight`" → "weight" in entry 1 of "loras"."""
    if path.startswith("`key` in "):
        return f"a name in {_where(path.removeprefix('`key` in '))}"
    said = ""
    for part in _PART.finditer(path.strip("`").removeprefix("$")):
        if part["key"]:
            said = f'"{part["key"]}"' + (f" in {said}" if said else "")
        else:
            entry = "an entry" if part["index"] == "..." else f"entry {int(part['index']) + 1}"
            said = f"{entry} of {said}"
    return said


def _kinds(types: str) -> str:
    """ "str | object" → "text in quotes or a table of settings"; that a setting may be left out needs no words."""
    names: Collection[str] = [name for name in types.split(" | ") if name != "null"]
    return " or ".join(_KINDS.get(name, name) for name in names)


def _number(text: str) -> str:
    return f"{float(text):g}"
