"""What a person or a script wishes becomes a request, with the style's own where nothing is said."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import pytest

from backend.client import uploading
from backend.client.uploading import read_picture
from backend.client.wish import FOOTAGE_STRENGTH, MAX_SEED, Wish
from backend.failures import BackendError
from backend.styles.catalogue import read_catalogue
from shared_protocol.messages import Generate, LoraChoice, Style


@pytest.fixture(scope="module")
def style() -> Style:
    return read_catalogue().recipes["plain"].style


def request(wish: Wish, style: Style | None, **more: Any) -> Generate:
    """With the name of a picture's file in the place of its hash."""
    return wish.request(style, lambda path: path.name, **more)


def test_what_is_not_said_is_the_styles_own(style: Style) -> None:
    asked = request(Wish("a fox"), style)
    assert (asked.style, asked.frames, asked.width, asked.height) == ("plain", style.frames, style.width, style.height)
    assert (asked.preset, asked.negative_prompt, asked.settings, asked.loras) == ("", "", {}, ())
    assert (asked.footage, asked.strength, asked.anchor) == ((), 1.0, "")
    assert (asked.flow_fps_numerator, asked.flow_fps_denominator, asked.previews) == (0, 1, False)
    other = request(Wish("a fox"), style)
    assert other.job != asked.job
    assert 0 <= asked.seed < MAX_SEED
    with pytest.raises(msgspec.ValidationError, match="seed"):
        msgspec.convert({**msgspec.to_builtins(asked), "seed": MAX_SEED + 1}, Generate)
    assert msgspec.convert({**msgspec.to_builtins(asked), "seed": MAX_SEED}, Generate).seed == MAX_SEED


def test_what_is_said_is_asked_for(style: Style) -> None:
    wish = Wish(
        "a fox",
        frames=5,
        width=96,
        height=128,
        seed=7,
        settings={"steps": 3},
        loras=[("ink", 0.5), LoraChoice(name="neon", weight=2)],
        anchor="a.png",
        flow_fps=Fraction(30000, 1001),
    )
    asked = request(wish, style, previews=True)
    assert (asked.frames, asked.width, asked.height, asked.seed, asked.settings) == (5, 96, 128, 7, {"steps": 3})
    assert asked.loras == (LoraChoice(name="ink", weight=0.5), LoraChoice(name="neon", weight=2))
    assert (asked.anchor, asked.flow_fps_numerator, asked.flow_fps_denominator) == ("a.png", 30000, 1001)
    assert asked.previews
    assert request(Wish("a fox", seed=0), style).seed == 0


def test_there_are_as_many_frames_as_footage_and_no_more_footage_than_frames(style: Style) -> None:
    shots = [Path(f"{number}.png") for number in range(3)]
    asked = request(Wish("a fox", footage=shots), style)
    assert (asked.frames, asked.footage, asked.strength) == (3, ("0.png", "1.png", "2.png"), FOOTAGE_STRENGTH)
    asked = request(Wish("a fox", footage=shots, frames=2, strength=0.0), style)
    assert (asked.frames, asked.footage, asked.strength) == (2, ("0.png", "1.png"), 0.0)


def test_a_style_that_there_is_not_may_be_asked_for() -> None:
    """The backend answers with a list of those that there are."""
    assert request(Wish("a fox", style="nouveau"), None).style == "nouveau"


def test_a_picture_may_be_as_large_as_the_backend_takes_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.png"
    assert cv2.imwrite(str(path), np.zeros((64, 64, 3), np.uint8))
    size = path.stat().st_size
    monkeypatch.setattr(uploading, "MAX_UPLOAD_BYTES", size)
    assert read_picture(path) == path.read_bytes()
    monkeypatch.setattr(uploading, "MAX_UPLOAD_BYTES", size - 1)
    with pytest.raises(BackendError, match="is too large") as caught:
        read_picture(path)
    assert caught.value.code == "no_picture"
