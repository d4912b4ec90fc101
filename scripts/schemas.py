"""Writes docs/style.schema.json and docs/base.schema.json, by which editors know the files of styles and bases.

Types and limits are those of `backend/styles/files.py`, descriptions those of the tables in docs/STYLES.md. With
--check, nothing is written, and 1 is returned if a file is not what it should be.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402  # after the path

from backend.styles.files import Base, StyleFile  # noqa: E402
from backend.styles.writing import NAME_LENGTH  # noqa: E402

DOCS = ROOT / "docs"
KINDS = {"style": (StyleFile, "All keys of a style"), "base": (Base, "All keys of a base")}


def rows(guide: str, heading: str) -> dict[str, tuple[str, str]]:
    """Default and meaning of each key in the guide's table below a heading."""
    section = guide.split(f"## {heading}\n")[1].split("\n## ")[0]
    found: dict[str, tuple[str, str]] = {}
    for line in section.splitlines():
        if line.startswith("| `"):
            keys, default, meaning = (cell.strip() for cell in line.strip("|").split("|"))
            defaults = default.split(", ")
            names = re.findall(r"`(\w+)`", keys)
            for place, key in enumerate(names):
                own = defaults[place] if len(defaults) == len(names) else default
                found[key] = (own, meaning.replace("`", ""))
    return found


def schema(name: str, guide: str) -> dict[str, Any]:
    """The JSON Schema of one kind of file."""
    kind, heading = KINDS[name]
    (made,), parts = msgspec.json.schema_components([kind], ref_template="#/$defs/{name}")
    whole = parts.pop(made["$ref"].rpartition("/")[2])
    for key, (_, meaning) in rows(guide, heading).items():
        whole["properties"][key] = {**whole["properties"][key], "description": meaning}
    for part in (whole, *parts.values()):
        part.pop("title", None)
        part.pop("description", None)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"A {name} of Elevator",
        "description": f"docs/STYLES.md; the file's name has at most {NAME_LENGTH} of the letters a–z, digits and _",
        **_for_editors(whole),
        "$defs": _for_editors(parts),
    }


def _for_editors(part: Any) -> Any:
    """The same with patterns as JavaScript reads them, and without what TOML cannot say."""
    if isinstance(part, dict):
        kinds = [kind for kind in part.get("anyOf", ()) if kind != {"type": "null"}]
        if kinds and len(kinds) < len(part["anyOf"]):
            part = {key: value for key, value in part.items() if key != "anyOf"} | (
                kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
            )
        kept = {key: value for key, value in part.items() if (key, value) != ("default", None)}
        return {key: _pattern(value) if key == "pattern" else _for_editors(value) for key, value in kept.items()}
    return [_for_editors(each) for each in part] if isinstance(part, list) else part


def _pattern(pattern: str) -> str:
    """A regular expression of Python's as JavaScript writes it."""
    return pattern.replace(r"\A", "^").replace(r"\Z", "$").replace(r"\0", r"\u0000")


def main(arguments: list[str]) -> int:
    """Write the schemas, or look at them."""
    guide = (DOCS / "STYLES.md").read_text(encoding="utf-8")
    stale = 0
    for name in KINDS:
        file = DOCS / f"{name}.schema.json"
        text = json.dumps(schema(name, guide), indent=2, ensure_ascii=False) + "\n"
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            stale += 1
            if "--check" not in arguments:
                file.write_text(text, encoding="utf-8", newline="\n")
    return int(bool(stale) and "--check" in arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
