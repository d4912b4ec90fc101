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
