"""What is wrong with a value that a person gave, in that person's words: msgspec speaks to programmers."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection

import msgspec

from .messages import Generate

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
_BOUND = re.compile(r"Expected `(?:int|float)` [<>]= .+")
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


def of_types(error: object) -> tuple[str, str]:
    """What msgspec says of a value: where it stands, or nothing, and what is wrong there, with a verb in front where it
    can be said so."""
    said, _, path = str(error).partition(" - at ")
    for pattern, words in _MISTAKES:
        if found := pattern.fullmatch(said):
            return where(path), words(found)
    return where(path), said


def of_request(error: object) -> str:
    """What msgspec says of a request that holds what no request can: a clause, with both limits of a number."""
    said, _, path = str(error).partition(" - at ")
    limits = _limits(path) if _BOUND.fullmatch(said) else None
    if limits is not None:
        return f"{where(path)} must be between {limits[0]} and {limits[1]}"
    if missing := re.fullmatch(r"Object missing required field `(.+)`", said):
        return f'"{missing[1]}" is missing'
    if said.startswith("Expected `str` matching regex"):
        return f"{where(path) or 'it'} is not written as it must be"
    named, words = of_types(error)
    known = words != said
    return f"{named or 'it'} {words}" if known else f"{named}: {said}" if named else said


def where(path: str) -> str:
    """ "`$.loras[0].weight`" → "weight" in entry 1 of "loras"."""
    if path.startswith("`key` in "):
        return f"a name in {where(path.removeprefix('`key` in '))}"
    said = ""
    for part in _PART.finditer(path.strip("`").removeprefix("$")):
        if part["key"]:
            said = f'"{part["key"]}"' + (f" in {said}" if said else "")
        else:
            entry = "an entry" if part["index"] == "..." else f"entry {int(part['index']) + 1}"
            said = f"{entry} of {said}"
    return said


def _limits(path: str) -> tuple[str, str] | None:
    """The least and the most that a number of a request can be."""
    kind: msgspec.inspect.Type | None = msgspec.inspect.type_info(Generate)
    for part in _PART.finditer(path.strip("`").removeprefix("$")):
        if isinstance(kind, msgspec.inspect.StructType):
            kind = next((field.type for field in kind.fields if field.encode_name == part["key"]), None)
        elif isinstance(kind, msgspec.inspect.VarTupleType):
            kind = kind.item_type
        else:
            return None
    if not isinstance(kind, msgspec.inspect.IntType | msgspec.inspect.FloatType) or kind.ge is None or kind.le is None:
        return None
    return _number(str(kind.ge)), _number(str(kind.le))


def _kinds(types: str) -> str:
    """ "str | object" → "text in quotes or a table of settings"; that a setting may be left out needs no words."""
    names: Collection[str] = [name for name in types.split(" | ") if name != "null"]
    return " or ".join(_KINDS.get(name, name) for name in names)


def _number(text: str) -> str:
    """ "-4.0" → "-4"; no digit of a whole number is lost."""
    return text if re.fullmatch(r"-?\d+", text) else f"{float(text):g}"
