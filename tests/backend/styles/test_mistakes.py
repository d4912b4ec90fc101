"""What is wrong in a file is said in a person's words."""

from __future__ import annotations

import re
import tomllib

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.styles import mistakes
from backend.styles.files import Base, StyleFile
from shared_protocol.messages import MOST_LORAS, MOST_PRESETS

GOOD = {"title": "T", "base": "b", "preset": "p", "example_prompt": "a cat", "t2i": "a", "t2v": "b"}
PROGRAMMERS = re.compile(r"`|\$|\bExpected\b|\bgot\b|\bobject\b|\barray\b|\bstr\b|\bint\b|\bnull\b|regex|enum")


def said(kind: type[Base | StyleFile], **fields: object) -> str:
    known = {key: value for key, value in GOOD.items() if key in kind.__struct_fields__}
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({**known, **fields}, kind)
    words = mistakes.of_types(error.value, kind)
    assert not PROGRAMMERS.search(words), words
    return words


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"loras": ["ink"]}, 'entry 1 of "loras" must be a table of settings, not text'),
        ({"loras": "ink"}, '"loras" must be a list in brackets, not text'),
        ({"loras": [{"name": "a"}, {"name": "b", "weight": "x"}]}, '"weight" in entry 2 of "loras" must be a number, '),
        ({"loras": [{"name": "a", "weight": 9}]}, '"weight" in entry 1 of "loras" must be 4 or less'),
        ({"loras": [{}]}, 'entry 1 of "loras": a LoRA needs a name or a path, and not both'),
        ({"loras": [{"nam": "a"}]}, 'there is no setting "nam" in entry 1 of "loras"; "name" may be meant'),
        ({"loras": [{"name": "a"}] * 257}, '"loras" must have at most 256 entries'),
        ({"title": ""}, '"title" must not be empty'),
        ({"title": 3}, '"title" must be text in quotes, not a whole number'),
        ({"title": "x" * 65}, '"title" must have at most 64 letters'),
        ({"loras_on_t2v": 1}, '"loras_on_t2v" must be true or false, not a whole number'),
        ({"embeddings": ["a\0"]}, 'entry 1 of "embeddings" holds a letter that no path can have'),
        ({"colour": 1}, 'there is no setting "colour"'),
    ],
)
def test_mistakes_in_a_style(fields: dict[str, object], words: str) -> None:
    assert said(StyleFile, **fields).startswith(words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"width": 4}, '"width" must be 8 or more'),
        ({"width": 5.5}, '"width" must be a whole number, not a broken number'),
        ({"prediction_type": "x"}, '"prediction_type" cannot be "x"'),
        ({"presets": 3}, '"presets" must be text in quotes or a table of settings, not a whole number'),
        ({"presets": {"a": 3}}, 'an entry of "presets" must be a table of settings, not a whole number'),
        ({"presets": {"x" * 65: {}}}, 'a name in "presets" must have at most 64 letters'),
        ({"vae": 3}, '"vae" must be text in quotes, not a whole number'),
    ],
)
def test_mistakes_in_a_base(fields: dict[str, object], words: str) -> None:
    assert said(Base, **fields) == words


@pytest.mark.parametrize(
    ("kind", "fields", "beyond"),
    [
        (Base, {"width": 8}, {"width": 7}),
        (Base, {"fps": 0.01}, {"fps": 0.009}),
        (Base, {"fps": 1000}, {"fps": 1000.5}),
        (Base, {"t2i": "a"}, {"t2i": ""}),
        (Base, {"t2i": "a" * 1000}, {"t2i": "a" * 1001}),
        (Base, {"presets": {f"p{n}": {} for n in range(MOST_PRESETS)}}, {"presets": {"x" * 65: {}}}),
        (StyleFile, {"loras": [{"name": "a", "weight": 4}]}, {"loras": [{"name": "a", "weight": 4.01}]}),
        (StyleFile, {"loras": [{"name": "a", "weight": -4}]}, {"loras": [{"name": "a", "weight": -4.01}]}),
        (StyleFile, {"loras": [{"name": "a"}] * MOST_LORAS}, {"loras": [{"name": "a"}] * (MOST_LORAS + 1)}),
        (StyleFile, {"embeddings": ["a" * 1000]}, {"embeddings": ["a" * 1001]}),
    ],
)
def test_what_is_at_a_limit_is_taken(
    kind: type[Base | StyleFile], fields: dict[str, object], beyond: dict[str, object]
) -> None:
    known = {key: value for key, value in GOOD.items() if key in kind.__struct_fields__}
    msgspec.convert({**known, **fields}, kind)
    assert said(kind, **beyond)


def test_what_a_base_does_not_say_is_that_of_its_kind() -> None:
    """docs/STYLES.md has the same."""
    base = Base(title="B", t2i="a", t2v="b")
    assert (base.width, base.height, base.frames, base.fps) == (512, 512, 16, 8)
    assert (base.size_step, base.min_size, base.max_size, base.max_frames) == (64, 256, 1024, 32)


def test_what_is_missing_is_named() -> None:
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.convert({"title": "T"}, Base)
    assert mistakes.of_types(error.value, Base) == '"t2i" is missing'


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('title = "T"\nt2i = "C:\\models\\x"', "in line 2, in paths write / for \\, or use single quotes"),
        ('title = "T"\nt2i = "C:\\Users\\x"', "in line 2, in paths write / for \\, or use single quotes"),
        ("title = T", "in line 1, the value cannot be read: text stands in quotes"),
        ("title", "at its end or before, a line is KEY = VALUE, with = between the two"),
        ('title = "T', "at its end or before, a quotation mark is missing at the end of a text"),
        ("a = 1\na = 2\nb = 3", "in line 2, a key stands there twice"),
        ("a = 1 b = 2", "in line 1, one line holds more than one KEY = VALUE"),
    ],
)
def test_mistakes_in_the_writing(text: str, words: str) -> None:
    with pytest.raises(tomllib.TOMLDecodeError) as error:
        tomllib.loads(text)
    assert mistakes.of_toml(error.value) == words


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats() | st.text(max_size=3) | st.datetimes(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["name", "weight", "q"]), inner),
    max_leaves=4,
)


@given(st.dictionaries(st.sampled_from(sorted({*Base.__struct_fields__, "x"})), VALUES))
def test_no_mistake_is_said_in_a_programmers_words(content: dict[str, object]) -> None:
    said = ""
    try:
        msgspec.convert({**{key: GOOD[key] for key in ("title", "t2i", "t2v")}, **content}, Base)
    except msgspec.ValidationError as error:
        said = mistakes.of_types(error, Base)
    assert not PROGRAMMERS.search(re.sub(r'"[^"]*"', "", said)), said
