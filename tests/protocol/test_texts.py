"""What people read in a terminal and in Blender alike, and what of it a message can carry."""

from __future__ import annotations

import pytest

from shared_protocol.messages import MOST_NOTES, NAME_LENGTH, PATH_LENGTH, SENTENCE_LENGTH
from shared_protocol.texts import cut, duration, listed, path_text, sentence, sentences, short_name


def test_durations_are_rounded_as_people_do() -> None:
    assert [duration(seconds) for seconds in (0.1, 99.4, 99.6, 5900, 5940, 5990, 7500, 90_000)] == [
        "1 s",
        "99 s",
        "2 min",
        "98 min",
        "99 min",
        "1 h 40 min",
        "2 h 5 min",
        "25 h 0 min",
    ]


def test_a_text_that_is_too_long_ends_with_an_ellipsis() -> None:
    assert [cut(text, 4) for text in ("", "abc", "abcd", "abcde")] == ["", "abc", "abcd", "abc…"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a fox", "a fox"),
        ("a\r\n\tfox\n\nhere", "a fox here"),
        ("a\x00b\x1bc\x7fd\x85e", "a�b�c�d�e"),
        ("a\udcffb", "a�b"),
        ("ein Füchslein 影", "ein Füchslein 影"),
    ],
)
def test_a_sentence_is_one_line_of_signs_that_are_seen(text: str, said: str) -> None:
    assert sentence(text) == said


def test_a_sentence_is_as_long_as_a_message_can_carry() -> None:
    assert sentence("x" * SENTENCE_LENGTH) == "x" * SENTENCE_LENGTH
    assert sentence("x" * (SENTENCE_LENGTH + 1)) == "x" * (SENTENCE_LENGTH - 1) + "…"


def test_of_too_many_notes_the_first_are_told_and_how_many_more_there_are() -> None:
    notes = [f"note\n{number}" for number in range(MOST_NOTES + 1)]
    assert sentences(notes[:MOST_NOTES]) == tuple(f"note {number}" for number in range(MOST_NOTES))
    told = sentences(iter(notes))
    assert len(told) == MOST_NOTES
    assert told[-2:] == (f"note {MOST_NOTES - 2}", "There are 2 more such notes.")


def test_a_name_is_never_empty() -> None:
    assert (short_name(""), short_name("Blender")) == ("?", "Blender")
    assert [len(short_name("x" * length)) for length in (NAME_LENGTH, NAME_LENGTH + 1)] == [NAME_LENGTH] * 2


def test_half_a_path_is_none() -> None:
    assert path_text("x" * PATH_LENGTH) == "x" * PATH_LENGTH
    assert path_text("x" * (PATH_LENGTH + 1)) == ""
    assert path_text("/clips/\udcff") == ""


def test_of_too_many_words_the_first_are_listed() -> None:
    assert [listed(words, 2) for words in ("", "a", "ab", "abc", "abcde")] == [
        "",
        "a",
        "a, b",
        "a, b and 1 more",
        "a, b and 3 more",
    ]
