"""What a strip carries of its clip. Files come from anywhere: what is no ticket is none."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.clip.pictures import Pictures
from blender_addon.clip.ticket import Take, Ticket, decode, encode
from blender_addon.clip.wish import folder_name
from shared_protocol.messages import LoraChoice
from tests.addon.sessions import PICTURES, A, B, request
from tests.protocol.strategies import structs

TICKET = Ticket(request=request(), folder="a-fox-aaaaaaaa", fps=(8, 1), rate=(24, 1))
rates = st.tuples(st.integers(1, 100_000_000), st.integers(1, 1_000_000))


@given(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=80),
    st.integers(1, 1024),
    rates,
    st.none() | rates,
    st.lists(st.builds(LoraChoice, name=st.just("ink"), weight=st.floats(-4, 4)), max_size=2).map(tuple),
    structs(Pictures),
)
def test_a_ticket_is_read_as_it_was_written(
    prompt: str,
    frames: int,
    fps: tuple[int, int],
    rate: tuple[int, int] | None,
    loras: tuple[LoraChoice, ...],
    pictures: Pictures,
) -> None:
    asked = request(prompt=prompt, frames=frames, loras=loras, settings={"steps": 5, "window": None})
    ticket = Ticket(request=asked, folder=folder_name(prompt, A), fps=fps, rate=rate, pictures=pictures)
    assert decode(encode(ticket)) == ticket
    assert ticket.job == A


def test_what_a_strip_shows_is_counted_at_the_scenes_rate() -> None:
    assert TICKET.shown == (0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3)
    alone = Ticket(request=request(), folder="a", fps=(8, 1))
    assert alone.rate is None
    assert alone.shown == (0, 1, 2, 3)


def test_a_clip_with_new_pictures_is_delivered_at_its_rate() -> None:
    smooth = Ticket(request=request(flow_fps_numerator=24), folder="a", fps=(8, 1), rate=(24, 1))
    assert smooth.request.frames == 4
    assert (smooth.frames, smooth.shown) == (12, tuple(range(12)))
    assert TICKET.frames == 4
    later = msgspec.structs.replace(smooth, rate=(12, 1))  # in a scene of another rate
    assert later.shown == (0, 2, 4, 6, 8, 10)
    assert msgspec.structs.replace(smooth, rate=None).shown == tuple(range(12))


def test_the_same_clip_again_has_another_name() -> None:
    again = TICKET.again(B, "a-fox-bbbbbbbb")
    assert (again.job, again.folder, again.request) == (B, "a-fox-bbbbbbbb", request(B))
    assert (again.fps, again.rate, again.shown) == (TICKET.fps, TICKET.rate, TICKET.shown)
    with_pictures = msgspec.structs.replace(TICKET, pictures=PICTURES)
    assert with_pictures.again(B, "b").pictures == PICTURES, "they are read anew"
    assert TICKET.again(B, "b", 0).request.seed == 0, "0 is a seed like any other"
    assert TICKET.again(B, "b", 77).request.seed == 77


def told(**changes: object) -> str:
    """The text of a ticket with other fields."""
    return json.dumps(json.loads(encode(TICKET)) | changes)


def asked(**changes: object) -> str:
    """The text of a ticket with another request."""
    return told(request=json.loads(encode(TICKET))["request"] | changes)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "null",
        "[]",
        "{}",
        "a fox",
        "\ud800",
        '{"x":' + "[" * 100_000,
        '{"request": {}, "folder": "a", "fps": [8, 1]}',
        told(fps=[8]),
        told(fps="8"),
        told(fps=[0, 1]),
        told(rate=[24, 0]),
        told(rate=[-24, 1]),
        told(folder=None),
        asked(job="../../etc"),
        asked(frames=0),
        asked(width=-64),
    ],
)
def test_another_text_is_no_ticket(text: str) -> None:
    assert decode(text) is None


@pytest.mark.parametrize("folder", ["", ".", "..", "../x", "a/b", "a\\b", "/etc", "C:x", "a\0", "a\n", "x" * 300])
def test_a_ticket_names_no_folder_but_one_of_its_own(folder: str) -> None:
    """A file from a stranger must not have frames written elsewhere."""
    assert decode(told(folder=folder)) is None


def test_the_ends_of_what_a_ticket_holds_are_taken() -> None:
    for ends in (told(fps=[1, 1]), told(rate=[1, 1]), told(folder="x" * 64), told(folder="x")):
        assert decode(ends) is not None
    assert decode(told(folder="x" * 65)) is None


def test_fields_of_later_versions_are_passed_over() -> None:
    assert decode(told(mood="sunny")) == TICKET


@given(st.text())
def test_no_text_is_too_strange(text: str) -> None:
    assert decode(text) is None


def test_takes_are_shown_one_after_another() -> None:
    others = (Take(job=B, seed=2, folder="a-fox-bbbbbbbb"), Take(job="c" * 32, seed=3, folder="a-fox-cccccccc"))
    first = msgspec.structs.replace(TICKET, takes=others)
    assert decode(encode(first)) == first
    second = first.next()
    assert (second.request, second.folder) == (request(B, seed=2), "a-fox-bbbbbbbb")
    assert second.takes == (others[1], first.take)
    assert second.next().next() == first
    assert (second.jobs, second.folders[0]) == ((B, "c" * 32, TICKET.job), "a-fox-bbbbbbbb")
    assert first.of(others[0]) == msgspec.structs.replace(second, takes=())
