"""Every text of the add-on is in its catalogues, and says the same with the same values."""

from __future__ import annotations

import ast
import re
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.blender.german import GERMAN
from blender_addon.clip.words import Phrase
from tests.addon.blenders import ROOT

ADDON = ROOT / "blender_addon"
ROOMS = ("blender", "clip", "machine")
CATALOGUES = {"de_DE": GERMAN}
SAID = {"text": 2, "told": 0, "Phrase": 0, "poll_message_set": 0, "shortened": 0}
"""What shows its argument to a person: the argument's place."""
ERRORS = {"Problem", "WishError", "BackendError", "ClipError", "FrameFileError", "CopyError"}
"""What carries sentences: all arguments, but for commands and codes."""
DRAWN = {"label", "operator", "prop", "progress"}
ITEMS = {"RATES", "FITS", "PLACES", "LENGTHS", "SIZES"}
"""Enumerations: what an item is called and what it means stand behind its identifier."""


def texts(file: Path) -> Iterator[str]:
    """What a file says to people, as far as it is written out there."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.ClassDef):
            yield from _of_class(node)
        elif isinstance(node, ast.Call):
            yield from _of_call(node)
        elif isinstance(node, ast.Return) and file.name in ("status.py", "backend_words.py"):
            values = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else [node.value]
            yield from (text for each in values if each is not None for text in _written(each))
        elif isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) in ITEMS:
            yield from _of_items(node.value)
        elif "blender" in file.parts and id(node) not in inner | docs:
            yield from (text for text in _written(node) if re.fullmatch(r"[A-Z].* .*", text))


def _of_class(node: ast.ClassDef) -> Iterator[str]:
    if any(ast.unparse(base).endswith("Operator") for base in node.bases):
        yield ast.get_docstring(node) or ""
    for line in node.body:
        if isinstance(line, ast.Assign) and ast.unparse(line.targets[0]) == "bl_label":
            yield from _written(line.value)


def _of_call(node: ast.Call) -> Iterator[str]:
    name = ast.unparse(node.func).rpartition(".")[2]
    if name.endswith("Property"):
        yield from (
            text for word in node.keywords if word.arg in ("name", "description") for text in _written(word.value)
        )
    elif name in DRAWN:
        yield from (text for word in node.keywords if word.arg == "text" for text in _written(word.value))
    elif name in ERRORS:
        yield from (text for each in node.args[:2] for text in _written(each))
    elif name == "Status":
        yield from _written(node.args[0])
    elif name in SAID and len(node.args) > SAID[name]:
        yield from _written(node.args[SAID[name]])


def _of_words(node: ast.Call, *names: str) -> Iterator[str]:
    for word in node.keywords:
        if word.arg in names:
            yield from _written(word.value)


def _of_items(node: ast.expr) -> Iterator[str]:
    values = node.values if isinstance(node, ast.Dict) else node.elts if isinstance(node, ast.Tuple) else []
    for item in values:
        if isinstance(item, ast.Tuple):
            for each in item.elts[-2:]:
                yield from _written(each)


def _written(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


TEXTS = {
    text
    for room in ROOMS
    for file in (ADDON / room).rglob("*.py")
    if file.name != "german.py"
    for text in texts(file)
    if any(sign.isalpha() for sign in re.sub(r"\{\w*\}", "", text))
}


@pytest.mark.parametrize("language", CATALOGUES)
def test_every_text_is_there_and_nothing_else(language: str) -> None:
    assert not TEXTS - CATALOGUES[language].keys(), "say these in the other languages, too"
    assert not CATALOGUES[language].keys() - TEXTS, "nobody says these any longer"


@pytest.mark.parametrize("language", CATALOGUES)
def test_values_are_the_same(language: str) -> None:
    for english, words in CATALOGUES[language].items():
        assert _values(words) == _values(english), english
        assert english.endswith(".") == words.endswith("."), english


def _values(text: str) -> list[str]:
    return sorted(name for _, name, _, _ in string.Formatter().parse(text) if name is not None)


def test_the_search_for_texts_finds_each_kind() -> None:
    for known in (
        "Generate",  # an operator's name
        "Choose another seed",  # an operator's tooltip
        "Time and Size",  # a panel
        "How long the clip is",  # a property's tooltip
        "Above Everything",  # an item
        "The backend is starting.",  # a sentence
        "{count} more in the queue.",  # one with values
        "No backend is connected.",  # why an operator is grey
        "Press Try Again.",  # what to do
        "Painting",  # a phase
    ):
        assert known in TEXTS, known


def test_phrases_are_texts_that_know_how_they_were_made() -> None:
    phrase = Phrase("{count} of {frames}", count=3, frames=Phrase("{count} frames", count=7))
    assert phrase == "3 of 7 frames"
    assert str(ValueError(phrase)) is phrase, "an error's text is still a phrase"
    assert (phrase.template, dict(phrase.values)["count"]) == ("{count} of {frames}", 3)
