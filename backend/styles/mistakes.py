"""What is wrong in a TOML file, in a person's words: msgspec and tomllib speak to programmers."""

from __future__ import annotations

import difflib
import re

import msgspec

from shared_protocol import mistakes as shared
from shared_protocol.edited import NoText

_PLACE = re.compile(r"\(at (?:line (?P<line>\d+), column \d+|end of document)\)\Z")
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
    """What tomllib says of a file that is no TOML, or `text_of` of one that is no text."""
    said = str(error)
    if isinstance(error, NoText):
        return said
    place = _PLACE.search(said)
    what = next((words for begin, words in _TOML if said.startswith(begin)), None)
    if place is None or what is None:
        return said[:1].lower() + said[1:]
    return f"in line {place['line']}, {what}" if place["line"] else f"at its end or before, {what}"


def of_types(error: msgspec.ValidationError, kind: type[msgspec.Struct]) -> str:
    """What msgspec says of a file whose settings are not those of `kind`."""
    said, _, where = str(error).partition(" - at ")
    named = shared.where(where)
    if missing := re.fullmatch(r"Object missing required field `(.+)`", said):
        return f'"{missing[1]}" is missing{f" in {named}" if named else ""}'
    if unknown := re.fullmatch(r"Object contains unknown field `(.+)`", said):
        known = kind.__struct_fields__ if not named else ("name", "path", "weight")
        near = difflib.get_close_matches(unknown[1], known, 1)
        hint = f'; "{near[0]}" may be meant' if near else ""
        return f'there is no setting "{unknown[1]}"{f" in {named}" if named else ""}{hint}'
    _, words = shared.of_types(error)
    if words != said:
        return f"{named or 'it'} {words}"
    return f"{named}: {said}" if named else said
