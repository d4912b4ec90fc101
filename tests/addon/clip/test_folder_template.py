"""Where clips' folders go, as artists write it."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.clip.folder_template import DEFAULT, TemplateError, parse
from blender_addon.clip.ticket import FolderName
from blender_addon.clip.wish import folder_name
from tests.addon.sessions import A, request


def test_the_usual_one_is_what_it_was() -> None:
    assert parse(DEFAULT).parent == "//elevator"
    assert parse(DEFAULT).name_of(request(prompt="a red fox")) == folder_name("a red fox", A)


@pytest.mark.parametrize(
    ("text", "parent", "name"),
    [
        ("//shots/ai/{job}", "//shots/ai", "aaaaaaaa"),
        ("/media/clips/{style}_{seed}-{job}", "/media/clips", "plain_1-aaaaaaaa"),
        ("C:\\clips\\{prompt}-{job}", "C:/clips", "a-fox-aaaaaaaa"),
    ],
)
def test_folders_are_named_as_it_says(text: str, parent: str, name: str) -> None:
    template = parse(text)
    assert (template.parent, template.name_of(request())) == (parent, name)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{job}", "Name a folder for all clips"),
        ("//{job}", "Name a folder for all clips"),
        ("elevator/{job}", "Begin with //"),
        ("//{style}/{job}", "Words in braces can stand in the last part alone."),
        ("//../{job}", "Leave .. out."),
        ("//elevator/{prompt}", "The last part needs {job}"),
        ("//elevator/{job}-{user}", "Words in braces are {prompt}, {job}, {style}, {seed}."),
        ("//elevator/{job!r}", "Words in braces are"),
        ("//elevator/{job:>99}", "Words in braces are"),
        ("//elevator/{job", "A brace is opened"),
        ("//elevator/{job}.png", "The last part can hold letters"),
        ("//elevator/-{job}", "The last part can hold letters"),
        ("//elevator/{prompt}{style}{seed}{job}", "The last part can become longer than 64"),
    ],
)
def test_what_cannot_be_used_says_what_to_change(text: str, sentence: str) -> None:
    with pytest.raises(TemplateError) as caught:
        parse(text)
    assert str(caught.value).startswith(sentence)


def test_words_are_as_long_as_a_name_has_room_for() -> None:
    long = request(prompt="x" * 100, style="y" * 60, seed=2**31 - 1)
    longest = "//x/{prompt}-{style}-{job}" + "z" * 6
    assert parse(longest).name_of(long) == f"{'x' * 32}-{'y' * 16}-{'a' * 8}zzzzzz"
    assert len(parse(longest).name_of(long)) == 64
    with pytest.raises(TemplateError, match="longer than 64"):
        parse(longest + "z")
    assert parse("//x/{seed}-{job}" + "z" * 45).name_of(long) == f"2147483647-{'a' * 8}{'z' * 45}"
    with pytest.raises(TemplateError, match="longer than 64"):
        parse("//x/{seed}-{job}" + "z" * 46)


@given(st.text(max_size=200), st.text(min_size=1, max_size=64))
def test_names_are_always_those_of_a_ticket(prompt: str, style: str) -> None:
    name = parse("//x/{prompt}-{style}-{job}").name_of(request(prompt=prompt, style=style))
    assert msgspec.convert(name, FolderName) == name
