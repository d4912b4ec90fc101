"""Files of styles that are written are read as what was meant, and nothing is overwritten unasked."""

from __future__ import annotations

import math
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.styles import writing
from backend.styles.catalogue import read_catalogue
from backend.styles.files import STYLES, Base, LoraEntry, StyleFile, Unusable, read
from backend.styles.toml_text import toml_text

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False) | TEXTS
VALUES = PLAIN | st.lists(PLAIN, max_size=3) | st.lists(st.dictionaries(TEXTS, PLAIN, max_size=2), max_size=2)
TABLES = st.dictionaries(TEXTS, VALUES | st.dictionaries(TEXTS, VALUES, max_size=2), max_size=3)


@given(st.dictionaries(TEXTS, VALUES | TABLES, max_size=5))
def test_whatever_is_written_is_read_back(settings: dict[str, Any]) -> None:
    assert tomllib.loads(toml_text(settings)) == settings


@pytest.mark.parametrize("text", ['a"b', "C:\\models\\x", "a\nb", "\x7f\x00", "'''", '"""', "= [x]", "é\u2028"])
def test_texts_that_look_like_toml_are_texts(text: str) -> None:
    assert tomllib.loads(toml_text({"t2i": text, text: text})) == {"t2i": text, text: text}


def test_what_cannot_be_written_is_said() -> None:
    with pytest.raises(ValueError, match="no Unicode"):
        toml_text({"t2i": "/m/\udcff"})
    with pytest.raises(ValueError, match="a NoneType cannot be written"):
        toml_text({"t2i": None})


def test_numbers_that_are_none_are_written_too() -> None:
    read_back = tomllib.loads(toml_text({"a": math.nan, "b": [math.inf, -math.inf]}))
    assert math.isnan(read_back["a"])
    assert read_back["b"] == [math.inf, -math.inf]


def test_a_name_that_is_no_unicode_is_said_and_nothing_is_written(home: Path) -> None:
    with pytest.raises(Unusable, match="no Unicode"):
        writing.write("b", msgspec.structs.replace(BASE, t2i="/m/\udcff"))
    assert not (home / "config" / "bases").exists()


def test_a_style_is_found_by_its_name_the_users_own_first(home: Path) -> None:
    file, found = writing.find("neon")
    assert (file, found.title) == (STYLES / "neon.toml", "Neon")
    own = writing.write("neon", STYLE)
    assert writing.find("neon") == (own, STYLE)
    for name in ("nowhere", "../styles/neon", ""):
        with pytest.raises(Unusable, match="there is no style"):
            writing.find(name)


def test_styles_and_bases_share_their_names(home: Path) -> None:
    assert [writing.exists(name) for name in ("neon", "embedded", "s", "b")] == [True, True, False, False]
    writing.write("s", STYLE)
    writing.write("b", BASE)
    assert writing.exists("s")
    assert writing.exists("b")


BASE = Base(title="B", t2i='/m/a "b".safetensors', t2v="C:\\m\\b.ckpt", presets="animatediff")
STYLE = StyleFile(
    title="S",
    base="b",
    preset="draft",
    prompt="{prompt}, best",
    example_prompt="a fox",
    loras=(LoraEntry(path="/m/ink.safetensors", weight=0.8), LoraEntry(name="x")),
    plan={"guidance": 9.0, "lowpass": {"method": "none"}},
)


def test_a_base_and_a_style_are_files_of_their_own(home: Path) -> None:
    base, style = writing.write("b", BASE), writing.write("s", STYLE)
    assert (base, style) == (home / "config" / "bases" / "b.toml", home / "config" / "styles" / "s.toml")
    assert read(base, Base) == BASE
    assert read(style, StyleFile) == STYLE
    assert "width" not in base.read_text(encoding="utf-8"), "defaults are left out"
    catalogue = read_catalogue()
    assert not catalogue.notes
    assert catalogue.recipes["s"].sources.t2i == BASE.t2i
    assert sorted(path.name for path in style.parent.iterdir()) == ["s.toml"], "nothing is left behind"


def test_nothing_is_overwritten_unasked(home: Path) -> None:
    file = writing.write("s", STYLE)
    before = file.read_bytes()
    other = StyleFile(title="T", base="b", preset="fast", example_prompt="x")
    with pytest.raises(FileExistsError):
        writing.write("s", other)
    assert file.read_bytes() == before
    writing.write("s", other, replace=True)
    assert read(file, StyleFile) == other


@pytest.mark.parametrize("name", ["", "A", "a b", "../a", "a.toml", "é", "x" * 65])
def test_names_that_no_style_can_have_are_refused(home: Path, name: str) -> None:
    with pytest.raises(Unusable):
        writing.write(name, STYLE)
    with pytest.raises(Unusable):
        writing.remove(name)
    assert not (home / "config" / "styles").exists()


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("DreamShaper 8", "dreamshaper_8"),
        ("Café, v2!", "cafe_v2"),
        ("漫画", "style"),
        ("", "style"),
        ("x" * 80, "x" * 60),
        ("--a--", "a"),
    ],
)
def test_names_come_from_titles(title: str, name: str) -> None:
    assert writing.name_from(title) == name
    taken = {name, f"{name}_2"}
    assert writing.name_from(title, taken.__contains__) == f"{name}_3"


def test_ours_is_never_removed(home: Path) -> None:
    with pytest.raises(Unusable, match="comes with the product"):
        writing.remove("neon")
    assert (STYLES / "neon.toml").is_file()
    writing.write("neon", STYLE)
    (home / "config" / "styles" / "neon.png").write_bytes(b"x")
    assert [path.name for path in writing.remove("neon")] == ["neon.toml", "neon.png"]


def test_a_style_is_the_same_from_another_folder(home: Path) -> None:
    style = writing.moved(STYLE, Path("/elsewhere"))
    assert style == STYLE, "whole paths and names stay"
    beside = StyleFile(
        title="S", base="b", preset="p", example_prompt="x", loras=(LoraEntry(path="l.pt"),), embeddings=("e.pt",)
    )
    style = writing.moved(beside, Path("/elsewhere"))
    assert (style.loras[0].path, style.embeddings) == ("/elsewhere/l.pt", ("/elsewhere/e.pt",))
