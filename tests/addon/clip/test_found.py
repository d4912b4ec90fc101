"""Folders of frames that commands wrote."""

from __future__ import annotations

import json
from fractions import Fraction
from typing import Any

import pytest

from blender_addon.clip.found import FoundError, request_of_folder
from tests.addon.sessions import PNG, A, B

FIRST = PNG + b"\0\0\0\rIHDR" + (64).to_bytes(4, "big") + (48).to_bytes(4, "big")


def found(frames: int = 4, first: bytes = FIRST, record: Any = None, note: Any = None) -> Any:
    files = [told if isinstance(told, bytes) else json.dumps(told).encode() for told in (record or b"", note or b"")]
    return request_of_folder("fox-1", first, frames, files[0], files[1], A)


def test_frames_alone_tell_their_size() -> None:
    request, fps = found()
    assert (request.job, request.prompt, request.style) == (A, "fox-1", "plain")
    assert (request.frames, request.width, request.height, fps) == (4, 64, 48, None)


@pytest.mark.parametrize("frames", [1, 1024])
def test_the_shortest_and_the_longest_clip_are_found(frames: int) -> None:
    assert found(frames=frames)[0].frames == frames


def test_a_longer_prompt_than_a_request_holds_is_cut() -> None:
    assert found(record={"settings": {"prompt": "x" * 2001}})[0].prompt == "x" * 2000


def test_a_seed_of_other_tools_is_the_largest_of_ours() -> None:
    assert found(record={"settings": {"seed": 2**32}})[0].seed == 2**31 - 1


def test_the_record_tells_what_made_it() -> None:
    record = {"settings": {"prompt": "a fox", "negative_prompt": "snow", "seed": 3, "fps": 7.5, "style": "ink"}}
    request, fps = found(record=record)
    assert (request.prompt, request.negative_prompt, request.seed, request.style) == ("a fox", "snow", 3, "ink")
    assert fps == Fraction(15, 2)


def test_the_record_tells_the_rate_of_new_pictures() -> None:
    record = {"settings": {"fps": 8.0}, "flow_fps": "24000/1001"}
    assert found(record=record)[1] == Fraction(24000, 1001)
    assert found(record=record, note={"asked": {"fps": "12"}})[1] == 12, "it was conformed later"


def test_the_note_of_a_batch_tells_its_job_and_rate() -> None:
    request, fps = found(note={"job": B, "asked": {"prompt": "a fox", "fps": "30000/1001"}, "seed": 5})
    assert (request.job, request.prompt, request.seed, fps) == (B, "a fox", 5, Fraction(30000, 1001))


@pytest.mark.parametrize("damaged", [b"{", b"\xff", b"[]", b'{"settings": 3}'])
def test_damaged_notes_are_as_none(damaged: bytes) -> None:
    assert found(record=damaged, note=damaged) == found()


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        ({"frames": 0}, "0 frames"),
        ({"frames": 1025}, "1025 frames"),
        ({"first": b"GIF"}, "The first frame is no PNG"),
        ({"first": FIRST[:16] + b"\0" * 8}, "Its notes cannot be used"),
        ({"note": {"job": "../x"}}, "Its notes cannot be used"),
        ({"note": {"asked": {"fps": "often"}}}, "Its notes cannot be used"),
        ({"note": {"asked": {"fps": "1/0"}}}, "Its notes cannot be used"),
    ],
)
def test_what_is_no_clip_is_said(more: dict[str, Any], sentence: str) -> None:
    with pytest.raises(FoundError) as caught:
        found(**more)
    assert str(caught.value).startswith(sentence)
