"""Wishes, their words, and what a person reads."""

from __future__ import annotations

import io
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.failures import BackendError, Failure
from backend.server.requests import resolve
from backend.styles.catalogue import Catalogue, read_catalogue
from blender_addon.clip import words
from blender_addon.clip.status import Status
from blender_addon.clip.wish import (
    EXAMPLE,
    Wish,
    WishError,
    check,
    find_style,
    folder_name,
    next_seed,
    random_seed,
    request_of,
    settle,
    slug,
)
from blender_addon.machine.terminal import ClipLines, ProgressLines
from shared_protocol import wire
from shared_protocol.messages import Generate, JobView, LoraChoice
from tests.addon.sessions import STYLE, A

GENEROUS = msgspec.structs.replace(STYLE, size_step=1, min_size=8, max_size=8192, max_frames=1024)
"""A style that makes whatever a request can hold."""


@pytest.mark.parametrize("prompt", ["", " \n\t"])
def test_a_wish_without_words_is_refused(prompt: str) -> None:
    with pytest.raises(WishError, match="The prompt is empty") as caught:
        check(Wish(prompt))
    assert caught.value.next_step.endswith(".")


def wished(**fields: Any) -> Wish:
    return Wish(**{"prompt": "a", **fields})


RANGES: dict[str, tuple[int, int, str]] = {
    "frames": (1, 1024, "A clip of {} frames"),
    "width": (8, 8192, "A width of {} pixels"),
    "height": (8, 8192, "A height of {} pixels"),
    "seed": (0, 2**31 - 1, "A seed of {}"),
}


@pytest.mark.parametrize("field", RANGES)
def test_both_ends_of_every_number_of_a_wish_are_granted_and_no_more(field: str) -> None:
    least, most, what = RANGES[field]
    for end in (least, most):
        check(wished(**{field: end}))
    # 0 frames or pixels mean that the style says it
    for beyond in (least - 1 or -1, most + 1):
        with pytest.raises(WishError) as caught:
            check(wished(**{field: beyond}))
        assert caught.value.sentence == f"{what.format(beyond)} is not possible."
        assert caught.value.next_step == f"Choose between {least} and {most}."


@pytest.mark.parametrize(("field", "name"), [("prompt", "prompt"), ("negative_prompt", "negative prompt")])
def test_the_longest_text_of_a_wish_is_granted_and_none_longer(field: str, name: str) -> None:
    check(wished(**{field: "b" * 2000}))
    with pytest.raises(WishError) as caught:
        check(wished(**{field: "b" * 2001}))
    assert (caught.value.sentence, caught.value.next_step) == (
        f"The {name} has 2001 characters.",
        "Shorten it to 2000.",
    )


@pytest.mark.parametrize(
    "wish",
    [
        Wish("a" * 2000, negative_prompt="b" * 2000, frames=1024, width=8192, height=8192, seed=2**31 - 1),
        Wish("a", frames=1, width=8, height=8, seed=0),
        Wish("a"),
    ],
)
def test_what_a_request_can_hold_is_granted(wish: Wish) -> None:
    check(wish)
    request = settle(wish, A, [GENEROUS])
    assert wire.decode_request(wire.encode(request)).message == request


def test_the_first_style_is_taken_where_none_is_chosen() -> None:
    other = msgspec.structs.replace(STYLE, name="other", frames=9, width=32, height=48)
    assert find_style("", (other, STYLE)) == other
    request = settle(Wish("a"), A, (other, STYLE))
    assert (request.style, request.frames, request.width, request.height) == ("other", 9, 32, 48)
    assert settle(Wish("a", style="plain"), A, (other, STYLE)).style == "plain"


def test_a_refusal_is_worded_as_the_backend_words_it() -> None:
    with pytest.raises(WishError) as empty:
        check(Wish(" "))
    assert str(empty.value) == str(Failure("empty_prompt", example=EXAMPLE))
    with pytest.raises(WishError) as unknown:
        find_style("nope", [STYLE])
    assert str(unknown.value) == str(Failure("unknown_style", style="nope", styles="plain"))
    with pytest.raises(WishError) as long:
        settle(Wish("a", frames=33), A, [STYLE])
    assert str(long.value) == str(Failure("frames_out_of_range", frames=33, most=32))
    with pytest.raises(WishError) as large:
        settle(Wish("a", width=136, height=64), A, [STYLE])
    details = {"width": 136, "height": 64, "least": 32, "most": 128, "step": 8}
    assert str(large.value) == str(Failure("size_out_of_range", **details))
    assert large.value.sentence == "A size of 136 × 64 pixels is not possible with this style."
    assert large.value.next_step == "Choose width and height between 32 and 128 pixels, in steps of 8."


def test_the_longest_clip_of_a_style_is_granted() -> None:
    assert settle(Wish("a", frames=32), A, [STYLE]).frames == 32


def test_the_presets_of_a_style_are_granted_and_no_other() -> None:
    style = msgspec.structs.replace(STYLE, presets=("draft", "final"))
    assert settle(Wish("a", preset="final"), A, [style]).preset == "final"
    assert settle(Wish("a"), A, [style]).preset == ""
    with pytest.raises(WishError) as caught:
        settle(Wish("a", preset="best"), A, [style])
    assert caught.value.sentence == 'There is no preset "best" in this style.'
    assert caught.value.next_step == "Choose one of these: draft, final."


def test_what_was_wished_is_what_is_asked_for() -> None:
    wish = Wish(" a fox ", " dark ", "plain", 3, 40, 48, 7, "", (LoraChoice(name="ink"),), {"steps": 5})
    assert settle(wish, A, [STYLE]) == Generate(
        job=A,
        prompt="a fox",
        negative_prompt="dark",
        style="plain",
        frames=3,
        width=40,
        height=48,
        seed=7,
        loras=(LoraChoice(name="ink"),),
        settings={"steps": 5},
    )


def test_what_is_not_wished_is_the_styles_own() -> None:
    own = Wish("a fox", "", STYLE.name, STYLE.frames, STYLE.width, STYLE.height, 0)
    assert settle(Wish("a fox"), A, [STYLE]) == settle(own, A, [STYLE])


@pytest.fixture(scope="module")
def catalogue(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalogue]:
    """The backend's own styles."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ELEVATOR_HOME", str(tmp_path_factory.mktemp("home")))
        yield read_catalogue()


sides = st.one_of(st.sampled_from([8, 24, 32, 40, 64, 128, 136]), st.integers(8, 300))


@given(sides, sides, st.integers(1, 80), st.booleans())
def test_what_the_backend_would_refuse_is_refused_in_the_same_words(
    catalogue: Catalogue, width: int, height: int, frames: int, second: bool
) -> None:
    styles = [recipe.style for recipe in catalogue.recipes.values()]
    wish = Wish("a fox", style=styles[second].name, width=width, height=height, frames=frames)
    generous = [msgspec.structs.replace(GENEROUS, name=wish.style)]
    ours = theirs = ""
    try:
        settle(wish, A, styles)
    except WishError as error:
        ours = str(error)
    try:
        resolve(settle(wish, A, generous), catalogue, fake=True)
    except BackendError as error:
        theirs = str(error)
    assert ours == theirs


def test_a_backend_without_styles_is_said() -> None:
    with pytest.raises(WishError, match="styles are not known yet"):
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


def test_the_seed_of_a_further_take_is_the_next_and_behind_the_last_comes_the_first() -> None:
    assert [next_seed(seed) for seed in (0, 7, 2**31 - 2, 2**31 - 1)] == [1, 8, 2**31 - 1, 0]


def test_what_no_request_can_carry_is_said_with_its_limits() -> None:
    with pytest.raises(WishError) as caught:
        settle(wished(loras=(LoraChoice(name="ink", weight=10),)), A, [STYLE])
    assert caught.value.sentence == (
        'This clip cannot be asked for: "weight" in entry 1 of "loras" must be between -4 and 4.'
    )
    assert caught.value.next_step == "Change what is named there."
    assert caught.value.code == "bad_request"


@pytest.mark.parametrize(("strength", "asked"), [(-0.5, 0.0), (0.0, 0.0), (0.25, 0.25), (1.0, 1.0), (2.0, 1.0)])
def test_the_strength_of_pictures_stays_within_its_ends(strength: float, asked: float) -> None:
    assert settle(wished(strength=strength), A, [STYLE]).strength == asked


def test_a_rate_with_new_pictures_is_asked_for_as_a_fraction() -> None:
    asked = settle(wished(flow_fps=Fraction(30_000, 1001)), A, [STYLE])
    assert (asked.flow_fps_numerator, asked.flow_fps_denominator) == (30_000, 1001)
    assert settle(wished(), A, [STYLE]).flow_fps is None


def test_a_clip_that_the_backend_has_is_asked_for_as_it_tells() -> None:
    view = JobView(
        job=A,
        state="done",
        mine=True,
        prompt="a fox",
        style="ink",
        frames=3,
        width=40,
        height=48,
        seed=7,
        flow_fps_numerator=24_000,
        flow_fps_denominator=1001,
    )
    assert request_of(view) == Generate(
        job=A,
        prompt="a fox",
        style="ink",
        frames=3,
        width=40,
        height=48,
        seed=7,
        flow_fps_numerator=24_000,
        flow_fps_denominator=1001,
    )
    assert request_of(msgspec.structs.replace(view, style="")).style == "plain", "one that was not told"


def test_words() -> None:
    assert words.megabytes(4_300_000_000, 4_265_000_000) == "4265 of 4265 MB"
    assert words.frames(1) == "1 frame"
    assert words.frames(16) == "16 frames"
    assert [words.clips(count) for count in (1, 2)] == ["1 clip", "2 clips"]
    assert [words.seconds(length) for length in (2, Fraction(2, 3), 0.5, 10)] == ["2 s", "0.67 s", "0.5 s", "10 s"]
    assert [words.rate(fps) for fps in (8, 23.976, 29.97, 30)] == ["8", "23.98", "29.97", "30"]


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
    for line, detail, phase in (
        ("A", "", "a"),
        ("A, 1 of 2", "", "a"),
        ("A", "", "sent"),
        ("B", "9 s", "b"),
        ("B", "8 s", "b"),
    ):
        lines.show(Status(line, detail, phase))
    lines.end(["Mind the gap."])
    assert stream.getvalue() == "Elevator: A\nElevator: B — 9 s\nElevator: note: Mind the gap.\n"


def test_progress_in_a_terminal_is_one_line() -> None:
    stream = Screen(live=True)
    lines = ProgressLines(stream)
    lines.show(Status("Painting, 10 of 12", "about 2 s left", "painting"))
    lines.show(Status("Done", "", "done"))
    lines.end([])
    first, second = stream.getvalue().rstrip("\n").split("\r")[1:]
    assert first.startswith("Elevator: Painting, 10 of 12 — about 2 s left")
    assert len(second) >= len(first.rstrip()), "nothing of the longer line stays visible"
    assert stream.getvalue().count("\n") == 1


def test_a_prompt_in_a_line_is_forty_letters_long() -> None:
    stream = io.StringIO()
    for length in (40, 41):
        ClipLines(1, stream).show(1, "x" * length, Status("In the edit", "", "done"), ended=True)
    whole, cut = stream.getvalue().splitlines()
    assert (whole, cut) == (f"Elevator: {'x' * 40}: In the edit", f"Elevator: {'x' * 39}…: In the edit")


@pytest.mark.parametrize("clips", [1, 2])
def test_of_several_clips_each_part_of_the_work_is_a_line(clips: int) -> None:
    stream = io.StringIO()
    lines = ClipLines(clips, stream)
    for number in range(1, clips + 1):
        for step in (1, 2):
            lines.show(number, "a  fox", Status(f"Painting, {step} of 2", "", "painting"), ended=False)
        for _ in range(2):
            lines.show(number, "word " * 20, Status("In the edit", "", "done"), ended=True)
    which = ["Elevator: "] if clips == 1 else ["Elevator: clip 1 of 2: ", "Elevator: clip 2 of 2: "]
    cut = f"{'word ' * 7}word…"
    assert stream.getvalue().splitlines() == [
        line for each in which for line in (f"{each}a fox: Painting, 1 of 2", f"{each}{cut}: In the edit")
    ]
