"""Wishes, their words, and what a person reads."""

from __future__ import annotations

import io

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon import words
from blender_addon.terminal import ProgressLines
from blender_addon.wish import (
    MAX_FRAMES,
    MAX_PROMPT,
    MAX_SEED,
    MAX_SIZE,
    MIN_SIZE,
    Wish,
    WishError,
    check,
    find_style,
    folder_name,
    random_seed,
    settle,
    slug,
)
from shared_protocol.messages import Generate
from tests.addon.sessions import STYLE, A


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish(""), "The prompt is empty."),
        (Wish(" \n\t"), "The prompt is empty."),
        (Wish("a" * 2001), "The prompt has 2001 characters."),
        (Wish("a", negative_prompt="b" * 3000), "The negative prompt has 3000 characters."),
        (Wish("a", frames=-1), "-1 frames cannot be made."),
        (Wish("a", frames=1025), "1025 frames cannot be made."),
        (Wish("a", width=7), "A width of 7 pixels cannot be made."),
        (Wish("a", height=8193), "A height of 8193 pixels cannot be made."),
        (Wish("a", seed=-1), "The seed -1 cannot be used."),
        (Wish("a", seed=MAX_SEED + 1), "The seed 2147483648 cannot be used."),
    ],
)
def test_bad_wishes(wish: Wish, sentence: str) -> None:
    with pytest.raises(WishError) as caught:
        check(wish)
    assert caught.value.sentence == sentence
    assert caught.value.next_step.endswith(".")


@pytest.mark.parametrize(
    ("field", "least", "most"),
    [
        ("frames", 1, MAX_FRAMES),
        ("width", MIN_SIZE, MAX_SIZE),
        ("height", MIN_SIZE, MAX_SIZE),
        ("seed", 0, MAX_SEED),
    ],
)
def test_both_ends_of_a_range_can_be_wished_for(field: str, least: int, most: int) -> None:
    for value in (least, most):
        check(Wish("a fox", **{field: value}))
    for value in (-1, most + 1):
        with pytest.raises(WishError):
            check(Wish("a fox", **{field: value}))


def test_a_longest_prompt_can_be_wished_for() -> None:
    check(Wish("a" * MAX_PROMPT, negative_prompt="b" * MAX_PROMPT))


def test_limits_are_those_of_the_protocol() -> None:
    """Nothing that may be wished for is refused on its way, and nothing that may be sent cannot be wished for."""
    info = msgspec.inspect.type_info(Generate)
    assert isinstance(info, msgspec.inspect.StructType)
    types = {field.name: field.type for field in info.fields}
    for name, least, most in (
        ("frames", 1, MAX_FRAMES),
        ("width", MIN_SIZE, MAX_SIZE),
        ("height", MIN_SIZE, MAX_SIZE),
        ("seed", 0, MAX_SEED),
    ):
        assert (types[name].ge, types[name].le) == (least, most), name
    assert {types[name].max_length for name in ("prompt", "negative_prompt")} == {MAX_PROMPT}


def test_both_ends_of_what_a_style_makes_are_granted() -> None:
    for size in (STYLE.min_size, STYLE.max_size):
        request = settle(Wish("a fox", width=size, height=size, frames=STYLE.max_frames), A, (STYLE,))
        assert (request.width, request.height, request.frames) == (size, size, STYLE.max_frames)
    assert settle(Wish("a fox", frames=1), A, (STYLE,)).frames == 1


@pytest.mark.parametrize(
    ("wish", "sentence"),
    [
        (Wish("a", frames=33), "makes at most 32 frames, not 33."),
        (Wish("a", width=24), "cannot make a width of 24 pixels."),
        (Wish("a", width=136), "cannot make a width of 136 pixels."),
        (Wish("a", height=24), "cannot make a height of 24 pixels."),
        (Wish("a", height=136), "cannot make a height of 136 pixels."),
        (Wish("a", height=60), "cannot make a height of 60 pixels."),
    ],
)
def test_what_lies_beyond_a_style_is_said(wish: Wish, sentence: str) -> None:
    with pytest.raises(WishError) as caught:
        settle(wish, A, (STYLE,))
    assert caught.value.sentence == f"The style “plain” {sentence}"


def test_a_backend_without_styles_is_said() -> None:
    with pytest.raises(WishError, match="no style"):
        find_style("", ())


@pytest.mark.parametrize(
    ("prompt", "name"),
    [
        ("a pumpkin moving right, blue background", "a-pumpkin-moving-right-blue"),
        ("Ein Kürbis!", "ein-kürbis"),
        ("南瓜", "南瓜"),
        ("../../etc/passwd", "etc-passwd"),
        ("???", "clip"),
        ("CON", "con"),
        ("x" * 99, "x" * 32),
    ],
)
def test_folders_are_named_after_prompts(prompt: str, name: str) -> None:
    assert slug(prompt) == name
    assert folder_name(prompt, "0123456789abcdef" * 2) == f"{name}-01234567"


@given(st.text())
def test_folder_names_are_safe(prompt: str) -> None:
    name = slug(prompt)
    assert 1 <= len(name) <= 32
    assert not set(name) & set('/\\:*?"<>| .\0\n')


def test_random_seeds_can_be_used() -> None:
    seeds = {random_seed() for _ in range(50)}
    assert len(seeds) > 40
    for seed in seeds:
        check(Wish("a", seed=seed))


def test_words() -> None:
    assert words.progress("painting", "12 of 25", 8.7) == "Painting, 12 of 25 — about 9 s left"
    assert words.progress("loading", "", None) == "Loading the models"
    assert words.megabytes(4_300_000_000, 4_265_000_000) == "4265 of 4265 MB"
    assert [words.duration(s) for s in (0.1, 99, 100, 5990, 7500)] == [
        "1 s",
        "99 s",
        "2 min",
        "1 h 40 min",
        "2 h 5 min",
    ]
    assert words.frames(1) == "1 frame"
    assert words.rate_notice(24, 23.976) is None
    assert words.rate_notice(8, 24) == (
        "The clip was made for 8 frames per second and the scene has 24: it plays 3 times as fast."
    )
    assert words.rate_notice(23.976, 12) == (
        "The clip was made for 23.98 frames per second and the scene has 12: it plays at 50% of its speed."
    )


class Screen(io.StringIO):
    """A stream that is, or is not, a terminal."""

    def __init__(self, live: bool) -> None:
        super().__init__()
        self._live = live

    def isatty(self) -> bool:
        return self._live


def test_progress_in_a_file_is_a_line_a_phase() -> None:
    stream = Screen(live=False)
    lines = ProgressLines(stream)
    for text, phase in (("A", "a"), ("A, 1 of 2", "a"), ("A", "sent"), ("B", "b"), ("B", "b")):
        lines.show(text, phase)
    lines.end(["Mind the gap."])
    assert stream.getvalue() == "Elevator: A\nElevator: B\nElevator: note: Mind the gap.\n"


def test_progress_in_a_terminal_is_one_line() -> None:
    stream = Screen(live=True)
    lines = ProgressLines(stream)
    lines.show("Painting, 10 of 12", "painting")
    lines.show("Done", "done")
    lines.end([])
    first, second = stream.getvalue().rstrip("\n").split("\r")[1:]
    assert first.startswith("Elevator: Painting, 10 of 12")
    assert len(second) >= len(first.rstrip()), "nothing of the longer line stays visible"
    assert stream.getvalue().count("\n") == 1
