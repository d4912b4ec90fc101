"""What editors and the guide say of the files of styles and bases is what their types say."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from backend.root import ROOT
from backend.styles.files import BASES, STYLES, Base, LoraEntry, StyleFile, read

KINDS: dict[str, type[Base | StyleFile]] = {"style": StyleFile, "base": Base}
GUIDE = (ROOT / "docs" / "STYLES.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "scripts" / "schemas.py"))


def schema(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8"))
    return found


def test_the_schemas_are_up_to_date(script: dict[str, Any]) -> None:
    assert script["main"](["--check"]) == 0, "run: python scripts/schemas.py"


@pytest.mark.parametrize("name", KINDS)
def test_a_schema_has_all_keys_and_no_others(name: str) -> None:
    told = schema(name)
    fields = msgspec.structs.fields(KINDS[name])
    assert list(told["properties"]) == [field.name for field in fields]
    assert set(told["required"]) == {field.name for field in fields if field.required}
    assert told["additionalProperties"] is False
    assert all(value.get("description") for value in told["properties"].values())
    assert set(told["$defs"]) == {"LoraEntry"}
    assert set(told["$defs"]["LoraEntry"]["properties"]) == set(LoraEntry.__struct_fields__)


@pytest.mark.parametrize("name", KINDS)
def test_editors_can_read_the_patterns(name: str) -> None:
    """JavaScript knows no \\A and \\Z: it takes them for the letters."""
    text = (ROOT / "docs" / f"{name}.schema.json").read_text(encoding="utf-8")
    patterns = re.findall(r'"pattern": (".*")', text)
    assert patterns
    for pattern in map(json.loads, patterns):
        assert pattern.startswith("^")
        assert pattern.endswith("$")
        assert re.fullmatch(pattern, "/m/a.ckpt")
        assert not re.fullmatch(pattern, "a\0")


@pytest.mark.parametrize(("name", "heading"), [("base", "All keys of a base"), ("style", "All keys of a style")])
def test_the_guides_defaults_are_those_of_the_types(script: dict[str, Any], name: str, heading: str) -> None:
    rows: Callable[[str, str], dict[str, tuple[str, str]]] = script["rows"]
    told = {key: default for key, (default, _) in rows(GUIDE, heading).items()}
    assert set(told) == set(KINDS[name].__struct_fields__)
    for field in msgspec.structs.fields(KINDS[name]):
        said = told[field.name]
        assert (said == "") == field.required, field.name
        if isinstance(field.default, bool):
            assert said == str(field.default).lower()
        elif isinstance(field.default, int | float):
            assert float(said) == field.default, field.name
        elif isinstance(field.default, str) and field.default:
            assert said == f"`{field.default}`"


@pytest.mark.parametrize("file", [*sorted(STYLES.glob("*.toml")), *sorted(BASES.glob("*.toml"))], ids=lambda p: p.name)
def test_our_own_files_say_nothing_that_the_schema_does_not_know(file: Path) -> None:
    name = "base" if file.parent == BASES else "style"
    content = msgspec.to_builtins(read(file, KINDS[name]))
    assert set(content) <= set(schema(name)["properties"])
