"""Words that a model was never trained on."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from elevator import known_words, unknown_words

WORDS = frozenset({"a", "pumpkin", "moving", "right", "blue", "background", "t", "rex"})


def test_words_are_read_one_a_line(tmp_path):
    (tmp_path / "known_words.txt").write_text("Pumpkin\n\n blue \n", encoding="utf-8")
    assert known_words(tmp_path) == frozenset({"pumpkin", "blue"})


def test_a_folder_without_the_file_knows_words_in_general(tmp_path):
    assert known_words(tmp_path) is None
    assert unknown_words("any thing", None) == ()


def test_unknown_words_come_in_order_each_once():
    assert unknown_words("A zebra, moving right; Zebra with CAFÉ (blue background)", WORDS) == (
        "zebra",
        "with",
        "café",
    )


def test_hyphenated_words_are_known_by_their_parts():
    assert unknown_words("T-rex and blue-green", WORDS) == ("and", "blue-green")


@given(st.text())
def test_any_text_is_read(prompt):
    found = unknown_words(prompt, WORDS)
    assert len(set(found)) == len(found)
    assert not WORDS.intersection(found)
    assert unknown_words(" ".join(found), found) == ()
