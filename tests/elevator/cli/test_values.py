"""Texts of options and cells, as values or with one sentence."""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.cli import values


@pytest.mark.parametrize("empty", ["", " ", "\t"])
@pytest.mark.parametrize("read", [values.path, values.place])
def test_an_empty_path_is_not_the_folder_of_the_terminal(read, empty):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no path: write where it lies, or \. for this folder"):
        read(empty)
    assert read(".") in (Path(), str(Path.cwd()))


@pytest.mark.parametrize("text", ["inf", "-inf", "1e999", "Infinity", "nan"])
def test_a_number_is_finite(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r"is no number: write it like 0\.8"):
        values.number(text)


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_what_json_has_no_number_for_stays_a_text(text):
    """RFC 8259, section 6: so that a sentence can say what was written."""
    assert values.plain(text) == text


@given(st.text(max_size=20) | st.floats().map(json.dumps) | st.just("[" * 100_000))
def test_every_setting_is_a_value(text):
    found = values.plain(text)
    assert not isinstance(found, float) or math.isfinite(found)


@pytest.mark.parametrize("text", ["64x48", "64X48", "64×48", "64*48", "64 x 48"])
def test_sizes_as_people_write_them(text):
    assert values.size(text) == (64, 48)


def test_a_sentence_does_not_repeat_thousands_of_digits():
    with pytest.raises(argparse.ArgumentTypeError) as caught:
        values.whole("9" * 5000)
    assert len(str(caught.value)) < 100


@pytest.mark.parametrize(("text", "like"), [("0,5", "0.5"), ("-1,25", "-1.25"), ("a", "0.8"), ("1,2,3", "0.8")])
def test_a_number_with_a_comma_is_written_with_a_point(text, like):
    with pytest.raises(argparse.ArgumentTypeError, match=rf"is no number: write it like {like}$"):
        values.number(text)


def test_as_much_of_a_text_is_repeated_as_a_sentence_takes():
    for text, told in (("x" * 40, "x" * 40), ("x" * 41, f"{'x' * 39}…")):
        with pytest.raises(argparse.ArgumentTypeError) as caught:
            values.whole(text)
        assert str(caught.value) == f'"{told}" is no whole number: write it like 16'


def test_seeds_are_what_sixty_three_bits_hold():
    for text in ("0", "9223372036854775807", "-1"):
        assert values.seed(text) == int(text)
    for text in ("-2", "9223372036854775808"):
        with pytest.raises(argparse.ArgumentTypeError, match="nor -1 for a random one"):
            values.seed(text)


def test_settings_with_dots_are_tables():
    settings = [("lowpass.method", "box"), ("steps", 4), ("lowpass.d_t", 1)]
    assert values.nested(settings) == {"lowpass": {"method": "box", "d_t": 1}, "steps": 4}
    with pytest.raises(argparse.ArgumentTypeError, match=r'"steps\.x" and "steps" contradict each other'):
        values.nested([("steps", 4), ("steps.x", 1)])
    for text in ("steps", "=3"):
        with pytest.raises(argparse.ArgumentTypeError, match="has no =: write it like steps=20"):
            values.setting(text)


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("ink.safetensors:0.8", ("ink.safetensors", 0.8)),
        ("ink.safetensors", ("ink.safetensors", 1.0)),
        ("C:ink", ("C:ink", 1.0)),
        (":0.5", (":0.5", 1.0)),
        ("a:b:-1", ("a:b", -1.0)),
    ],
)
def test_a_weight_is_a_number_behind_the_last_colon(text, parts):
    assert values.weighted(text) == parts


def test_a_text_that_cannot_be_written_down_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="is not written in UTF-8"):
        values.text("\udcff")
    assert values.path("here") == str(Path.cwd() / "here")
