"""docs/SCRIPTS.md against the module that it describes. The module needs Blender, so its source is read."""

from __future__ import annotations

import ast
import re
from typing import get_args

from shared_protocol.messages import DenialCode, FailureCode
from tests.addon.blenders import ROOT

DOCUMENT = (ROOT / "docs" / "SCRIPTS.md").read_text(encoding="utf-8")
API = ROOT / "blender_addon" / "api"


def _own_codes() -> set[str]:
    tree = ast.parse((API / "errors.py").read_text(encoding="utf-8"))
    (told,) = [
        node.value
        for node in tree.body
        if isinstance(node, ast.AnnAssign) and ast.unparse(node.target) == "AddonCode" and node.value
    ]
    return {node.value for node in ast.walk(told) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def test_every_code_stands_in_the_table_once() -> None:
    table = DOCUMENT[DOCUMENT.index("## Errors") :]
    told = [code for line in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE) for code in re.findall(r"`(\w+)`", line)]
    assert sorted(told) == sorted(_own_codes() | set(get_args(FailureCode)) | set(get_args(DenialCode)))


def test_codes_that_the_addon_says_are_known() -> None:
    known = _own_codes() | set(get_args(FailureCode)) | set(get_args(DenialCode))
    folder = ROOT / "blender_addon"
    for file in folder.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "Problem":
                for word in node.keywords:
                    if word.arg == "code" and isinstance(word.value, ast.Constant):
                        assert word.value.value in known, file


def test_every_function_of_the_module_is_described() -> None:
    tree = ast.parse((API / "__init__.py").read_text(encoding="utf-8"))
    names = {alias.name for node in tree.body if isinstance(node, ast.ImportFrom) for alias in node.names}
    for name in names - {"CODES"}:
        assert re.search(rf"`(api\.)?{name}\b", DOCUMENT), name
