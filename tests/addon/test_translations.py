"""Every text of the add-on is in its catalogues, and says the same with the same values."""

from __future__ import annotations

import ast
import re
import string
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from blender_addon.blender.german import GERMAN
from blender_addon.clip.folder_template import TemplateError
from blender_addon.clip.found import FoundError
from blender_addon.clip.wish import WishError
from blender_addon.clip.words import Phrase, sentences
from blender_addon.machine.backend_process import BackendError
from blender_addon.machine.copying import CopyError
from blender_addon.machine.frame_folder import FrameFileError
from blender_addon.machine.leftovers import UnreadableBlendError
from blender_addon.machine.reading import ReadError
from tests.addon.blenders import ROOT

ADDON = ROOT / "blender_addon"
ROOMS = ("blender", "clip", "machine")
CLIENT = ROOT / "shared_protocol" / "client.py"
"""It says how a connection was lost."""
CATALOGUES = {"de_DE": GERMAN}
SAID = {"text": 2, "told": 0, "Phrase": 0, "poll_message_set": 0, "shortened": 0}
"""What shows its argument to a person: the argument's place."""
ERRORS = {
    "BackendError",
    "ClipError",
    "CopyError",
    "FoundError",
    "FrameFileError",
    "NothingThereError",
    "Problem",
    "ReadError",
    "SourceError",
    "TemplateError",
    "UnreadableBlendError",
    "WishError",
}
"""What carries sentences: all arguments, but for commands and codes."""
RETURNED = {"status.py", "backend_words.py", "copying.py"}
"""Files whose functions return what is said."""
WHOLE = {**SAID, **dict.fromkeys(ERRORS, 0), "phrase": 0, "sentences": 0, "report": 1, "_fail": 0}
"""What is to be given whole sentences: the place of the first one."""
IN_ENGLISH = {
    "clip/rows.py": "tables are read for scripts alone",
    "machine/copying.py": "it runs as a script, which imports nothing of ours, and says its sentences to this Blender",
}
"""Files whose sentences are not looked up, and why."""
DRAWN = {"label", "operator", "prop", "progress"}
ITEMS = {"RATES", "FITS", "PLACES", "LENGTHS", "SIZES", "ANCHORS", "LOWPASSES", "_LOST"}
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
        elif isinstance(node, ast.Return) and file.name in RETURNED:
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
    elif name in ("Status", "Lost"):
        yield from _of_words(node, "reason")
        yield from (text for each in node.args[:1] for text in _written(each))
    elif name == "Number":
        for each in node.args[1:3]:
            yield from _written(each)
        yield from (f"Set {title}" for title in _written(node.args[1]))
    elif name == "_switch":
        yield from (f"Set {title}" for title in _written(node.args[0]))
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
        else:
            yield from _written(item)


def _written(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value


STYLES = {
    tomllib.loads(file.read_text("utf-8"))["description"] for file in (ROOT / "backend" / "styles").glob("*.toml")
}
"""What the backend says of its own styles."""
TEXTS = STYLES | {
    text
    for file in (*(file for room in ROOMS for file in (ADDON / room).rglob("*.py")), CLIENT)
    if file.name != "german.py"
    for text in texts(file)
    if any(sign.isalpha() for sign in re.sub(r"\{\w*\}", "", text))
}


def glued(file: Path) -> Iterator[str]:
    """Sentences of a file whose values are filled in before anybody can look them up."""
    tree = ast.parse(file.read_text(encoding="utf-8"))
    named = {
        ast.unparse(target)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign | ast.AugAssign) and _holds_glued(node.value)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
    }
    harmless = {
        id(part)
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "AssertionError"  # no artist reads it
        for part in ast.walk(node)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            place = WHOLE.get(ast.unparse(node.func).rpartition(".")[2])
            told = [] if place is None else node.args[place : place + 2]
            told += [word.value for word in node.keywords if word.arg == "message"]
            if any(_holds_glued(each) or (isinstance(each, ast.Name) and each.id in named) for each in told):
                yield f"{file.name}, line {node.lineno}: {ast.unparse(node)}"
        elif isinstance(node, ast.JoinedStr) and id(node) not in harmless and SENTENCE.search(_plain(node)):
            yield f"{file.name}, line {node.lineno}: {ast.unparse(node)}"


SENTENCE = re.compile(r"[a-z]+ .*\.\Z|\{\}: [a-z]|\{\} [a-z]+ [a-z]")


def _plain(node: ast.JoinedStr) -> str:
    return "".join(str(part.value) if isinstance(part, ast.Constant) else "{}" for part in node.values)


def _holds_glued(node: ast.AST) -> bool:
    """Whether an f-string is in it, but for the values of a phrase."""
    if isinstance(node, ast.JoinedStr):
        return True
    parts = [node.args[0]] if isinstance(node, ast.Call) and _makes_phrase(node) else ast.iter_child_nodes(node)
    return any(_holds_glued(part) for part in parts)


def _makes_phrase(node: ast.Call) -> bool:
    return ast.unparse(node.func).rpartition(".")[2] == "Phrase"


def test_no_sentence_is_filled_in_before_it_is_looked_up() -> None:
    found = [
        sentence
        for room in ROOMS
        for file in sorted((ADDON / room).rglob("*.py"))
        if file.relative_to(ADDON).as_posix() not in IN_ENGLISH
        for sentence in glued(file)
    ]
    assert not found, "make each of these a Phrase:\n" + "\n".join(found)


@pytest.mark.parametrize(
    "line",
    [
        'raise WishError(f"No style {name}.", "Choose one.")',
        'raise WishError("There is none.", f"Choose {name}.")',
        'self.report({"ERROR"}, f"{path} is gone")',
        'said = f"{count} clips"\nself.report({"INFO"}, said)',
        'layouts.text(layout, context, f"{count}")',
        'self._fail(f"{first} {second}".strip())',
        'Problem(words[-1] if words else f"Exit code {code}.")',
        'confirm(self, context, event, title="Stop", message=f"{count} end")',
        'Phrase(f"{count} clips")',
        'def why_not(strip):\n    return f"The strip {strip.name} is none."',
    ],
)
def test_what_is_glued_is_found(line: str, tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text(line)
    assert list(glued(file))


def test_values_of_phrases_may_be_glued(tmp_path: Path) -> None:
    file = tmp_path / "some.py"
    file.write_text('raise WishError(Phrase("{size} MB are too many.", size=f"{size:.1f}"), "", f"run {name}")')
    assert not list(glued(file))


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


def test_texts_are_put_together_as_phrases() -> None:
    several = sentences(Phrase("{count} frames", count=7), "", 'Write {"neon": 0.8}.')
    assert several == '7 frames Write {"neon": 0.8}.'
    assert [each.template for each in several.values.values() if isinstance(each, Phrase)][:1] == ["{count} frames"]
    assert sentences("", "") == ""
    assert dict(sentences("One.").values) == {"text0": "One."}


@pytest.mark.parametrize(
    "error", [BackendError, CopyError, FoundError, FrameFileError, ReadError, TemplateError, UnreadableBlendError]
)
def test_errors_keep_phrases(error: type[Exception]) -> None:
    said = str(error(Phrase("{count} frames", count=7)))
    assert isinstance(said, Phrase)


def test_a_wish_error_keeps_its_two_sentences_apart() -> None:
    error = WishError(Phrase("{count} frames", count=7), "Choose 3.")
    assert isinstance(error.sentence, Phrase)
    assert str(error) == "7 frames Choose 3."
