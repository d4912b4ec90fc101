"""Weights in prompts, and what is said about the rest of the syntax."""

from __future__ import annotations

import string

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import elevator.text
from elevator.text import Fragment, parse
from elevator.text.prompt import MAX_WEIGHT


def fragments(prompt):
    return [(fragment.text, pytest.approx(fragment.weight)) for fragment in parse(prompt).fragments]


@pytest.mark.parametrize(
    ("prompt", "expected"),
    [
        ("", []),
        ("an (important) word", [("an ", 1), ("important", 1.1), (" word", 1)]),
        ("(red:1.4) and [blue]", [("red", 1.4), (" and ", 1), ("blue", 1 / 1.1)]),
        ("((a)) [[b]]", [("a", 1.21), (" ", 1), ("b", 1 / 1.21)]),
        ("(a (b:1.5) c:0.5)", [("a ", 0.5), ("b", 0.75), (" c", 0.5)]),
        ("([x]) (y:1)", [("x y", 1)]),
        ("(a:1.2)(b:1.2)", [("ab", 1.2)]),
        ("(a: .5 ) (b:+2.)", [("a", 0.5), (" ", 1), ("b", 2)]),
        ("(a, b: c)", [("a, b: c", 1.1)]),
        (r"\(a\) \[b\] (c\):2)", [("(a) [b] ", 1), ("c)", 2)]),
        ("() [] (:2)x", [("  x", 1)]),
        (r"back\slash: 3:4, BREAKFAST AND", [(r"back\slash: 3:4, BREAKFAST AND", 1)]),
        # The example in the documentation of AUTOMATIC1111's parser, its brackets completed.
        (
            "a (((house:1.3)) [on] a (hill:0.5), sun, (((sky))).)",
            [
                ("a ", 1),
                ("house", 1.573),
                (" ", 1.1),
                ("on", 1),
                (" a ", 1.1),
                ("hill", 0.55),
                (", sun, ", 1.1),
                ("sky", 1.4641),
                (".", 1.1),
            ],
        ),
    ],
)
def test_weights(prompt, expected):
    assert fragments(prompt) == expected


@pytest.mark.parametrize(
    "prompt",
    ["", "a cat", "(a:1.2) ((b)) [c]", r"\(a\)", "a: b", "I <3 it", "(embedding:x:1.1), (embedding:x)", "break"],
)
def test_what_is_understood_gets_no_note(prompt):
    assert parse(prompt).notes == ()


@pytest.mark.parametrize(
    ("prompt", "expected", "note"),
    [
        ("a (b", [("a (b", 1)], r"A ( has no partner and is read as it stands; add one, or write \(."),
        ("a:1.2) b", [("a:1.2) b", 1)], r"A ) has no partner and is read as it stands; add one, or write \)."),
        ("a] ] b", [("a] ] b", 1)], r"A ] has no partner and is read as it stands; add one, or write \]."),
        ("(a [b)", [("a [b", 1.1)], r"A [ has no partner and is read as it stands; add one, or write \[."),
        (
            "(a [b) c]",
            [("a [b", 1.1), (" c]", 1)],
            r"A ] has no partner and is read as it stands; add one, or write \].",
        ),
        (
            "(word:abc)",
            [("word:abc", 1.1)],
            "“:abc” is no weight and is read as plain words; write a number, as in (words:1.2).",
        ),
        (
            "(a:1,2)",
            [("a:1,2", 1.1)],
            "“:1,2” is no weight and is read as plain words; write a number, as in (words:1.2).",
        ),
        (
            "[a:b]",
            [("a:b", 1 / 1.1)],
            "“:b” is no weight and is read as plain words; write a number, as in (words:1.2).",
        ),
        ("(a:12)", [("a", 3)], "The weight 12 is outside 0 to 3 and is read as 3."),
        ("(a:-0.5)", [("a", 0)], "The weight -0.5 is outside 0 to 3 and is read as 0."),
        ("((a:2):2)", [("a", 3)], "The weight 4 is outside 0 to 3 and is read as 3."),
        (
            "x [a:b:0.5]",
            [("x [a:b:0.5]", 1)],
            "[a:b:0.5] is read as it stands; a prompt cannot change during sampling, so write one of its parts.",
        ),
        (
            "[a:10] x",
            [("[a:10] x", 1)],
            "[a:10] is read as it stands; a prompt cannot change during sampling, so write one of its parts.",
        ),
        (
            "[a|(b:2)]",
            [("[a|", 1), ("b", 2), ("]", 1)],
            "[a|(b:2)] is read as it stands; a prompt cannot change during sampling, so write one of its parts.",
        ),
        (
            "a <lora:film(v1):0.8>b",
            [("a b", 1)],
            "<lora:film(v1):0.8> is left out; choose the LoRA in the style instead.",
        ),
        ("(a:<LoRA:x:1>)", [("a:", 1.1)], "<LoRA:x:1> is left out; choose the LoRA in the style instead."),
        ("a BREAK b", [("a  b", 1)], "BREAK is left out; a long prompt is divided at its commas."),
        ("a AND b", [("a AND b", 1)], "AND is read as a plain word; describe all in one prompt."),
    ],
)
def test_what_is_not_understood_gets_a_note(prompt, expected, note):
    assert fragments(prompt) == expected
    assert note in parse(prompt).notes


@pytest.mark.parametrize(
    ("prompt", "syntax", "instead"),
    [
        ("a {red|blue} fox", "{red|blue}", "write one of its parts"),
        ("{2$$red|blue|old} fox", "{2$$red|blue|old}", "write one of its parts"),
        ("a __colour__ fox", "__colour__", "no lists of words"),
        ("a __animals/big-cats*__", "__animals/big-cats*__", "no lists of words"),
        ("a {red} fox", "{red}", "more weight"),
        ("<random:red,blue> fox", "<random:red,blue>", "the words that you mean"),
        ("<wildcard[2]:colours>", "<wildcard[2]:colours>", "the words that you mean"),
        ("a (red)1.3 fox", ")1.3", "another weight"),
        ("a (red)++ fox", ")++", "another weight"),
        ("a (red)-", ")-", "another weight"),
        ("a red++ fox", "++", "more weight"),
        ('("a", "b").and()', ").and(", "one prompt"),
        ("a fox --ar 16:9", "--ar 16:9", "outside of the prompt"),
        ("fox::2 snow::1", "::2", "another weight"),
        ("fox ADDCOL snow", "ADDCOL", "whole picture"),
        ("（fox：1.2）", "（fox：1.2）", "plain brackets"),
    ],
)
def test_what_other_tools_read_gets_a_note_and_stays(prompt, syntax, instead):
    note, *_ = [note for note in parse(prompt).notes if "is read as plain words; " in note]
    assert note.startswith(f"“{syntax}” is read as plain words; ")
    assert instead in note
    for word in ("red", "fox", "snow"):
        assert prompt.count(word) == "".join(fragment.text for fragment in parse(prompt).fragments).count(word)


@pytest.mark.parametrize(
    "prompt",
    [
        "a fox - in snow",
        "well-known, 16:9, 3:4",
        "C++ in neon letters",
        "snake_case, __init",
        "a (red:1.2), b",
        "1<2",
        "<3",
    ],
)
def test_plain_writing_gets_no_note(prompt):
    assert parse(prompt).notes == ()


def test_each_note_is_given_once_and_in_order():
    notes = parse("BREAK (a BREAK b) c AND [d").notes
    assert [note.split()[0] for note in notes] == ["BREAK", "AND", "A"]


SYNTAX = st.text(st.sampled_from("ab ()[]\\:.12,|-<>\n")) | st.text()


@given(SYNTAX)
def test_any_text_is_read(prompt):
    parsed = parse(prompt)
    assert all(fragment.text and 0 <= fragment.weight <= MAX_WEIGHT for fragment in parsed.fragments)
    assert all(a.weight != b.weight for a, b in zip(parsed.fragments, parsed.fragments[1:], strict=False))
    assert all(note.endswith(".") for note in parsed.notes)


@given(st.text(st.characters(exclude_characters="()[]<")))
def test_text_without_brackets_comes_back_unchanged(prompt):
    assume("BREAK" not in prompt and "AND" not in prompt)
    assert parse(prompt).fragments == ((Fragment(prompt, 1.0),) if prompt else ())


def plain(text, extra=""):
    return text.translate(dict.fromkeys(map(ord, "()[]\\" + extra)))


@given(st.text(st.sampled_from("ab ()[]\\.12,|-\n")))
def test_no_characters_are_lost_but_brackets(prompt):
    assert plain("".join(fragment.text for fragment in parse(prompt).fragments)) == plain(prompt)


@given(st.text(st.sampled_from("ab ()[]\\:.12,|-\n")))
def test_no_characters_are_lost_but_brackets_and_weights(prompt):
    extra = string.digits + ":.- \n"
    assert plain("".join(fragment.text for fragment in parse(prompt).fragments), extra) == plain(prompt, extra)


@given(st.text(st.sampled_from("ab ()[]:12|")))
def test_escaped_brackets_are_plain(text):
    prompt = "".join("\\" + letter if letter in "()[]" else letter for letter in text)
    assert parse(prompt).fragments == ((Fragment(text, 1.0),) if text else ())


def test_every_public_name_exists():
    assert {name for name in elevator.text.__all__ if not hasattr(elevator.text, name)} == set()
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = elevator.text.nothing
