"""Settings as the text of a TOML file. Nothing is pasted in: each value is written by its type."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_UNWRITTEN = re.compile(r"[\x7f\ud800-\udfff]")


def toml_text(settings: Mapping[str, object]) -> str:
    """The text of a file with these settings: texts, numbers, truths, lists, and tables of them.

    Raises ValueError if one cannot be written, such as a name of a file that is no Unicode.
    """
    lines = []
    tables: list[tuple[str, Mapping[str, object]]] = []
    for key, value in settings.items():
        inner = list(value.items()) if isinstance(value, Mapping) else []
        named = [(f"{_key(key)}.{_key(name)}", table) for name, table in inner if isinstance(table, Mapping)]
        if inner and len(named) == len(inner):
            tables += named
        elif isinstance(value, Mapping):
            tables.append((_key(key), value))
        else:
            lines.append(f"{_key(key)} = {_value(value)}")
    for name, table in tables:
        lines += ["", f"[{name}]", *(f"{_key(key)} = {_value(value)}" for key, value in table.items())]
    text = "\n".join(lines).strip() + "\n"
    if not _same(tomllib.loads(text), settings):
        raise ValueError("these settings cannot be written as TOML")
    return text


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else _text(key)


def _value(value: object) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case int():
            return str(value)
        case float():
            return repr(value) if math.isfinite(value) else str(value)
        case str():
            return _text(value)
        case Mapping():
            return f"{{ {', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())} }}"
        case list() | tuple():
            return f"[{', '.join(map(_value, value))}]"
    raise ValueError(f"a {type(value).__name__} cannot be written as TOML")


def _text(text: str) -> str:
    """In quotes, with the escapes of JSON, which are TOML's, too."""
    if found := _UNWRITTEN.search(text):
        if found[0] != "\x7f":
            raise ValueError(f"the name {text.encode('utf-8', 'replace')!r} is no Unicode: rename that file or folder")
        text = text.replace("\x7f", "\0DEL")
    return json.dumps(text, ensure_ascii=False).replace("\\u0000DEL", "\\u007f")


def _same(read: object, written: object) -> bool:
    """Whether what was read back is what was to be written."""
    match read, written:
        case dict(), Mapping():
            return read.keys() == dict(written).keys() and all(_same(read[key], written[key]) for key in read)
        case list(), (list() | tuple()):
            return len(read) == len(written) and all(map(_same, read, written))
        case float(), float() if math.isnan(written):
            return math.isnan(read)
    return read == written
