"""What New Style and Save Style hand on, by the keys of a style's file."""

from __future__ import annotations

import msgspec
import pytest

from blender_addon.clip.choices import LoraLine
from blender_addon.clip.style_content import LoraPart, name_of, of_look, with_place
from shared_protocol.messages import LoraView
from tests.addon.sessions import STYLE


def test_what_the_look_leaves_alone_stays_the_styles() -> None:
    assert of_look(STYLE, "", [], {}) == {}


def test_quality_and_settings_are_kept() -> None:
    assert of_look(STYLE, "fast", [], {"steps": 20}) == {"preset": "fast", "plan": {"steps": 20}}


def test_the_styles_own_loras_stay_beside_those_of_the_list() -> None:
    own = msgspec.structs.replace(
        STYLE,
        loras=(
            LoraView(name="a", weight=0.5, own=True),
            LoraView(name="b", weight=0.8, own=True),
            LoraView(name="c", weight=0.9),
        ),
    )
    content = of_look(own, "", [LoraLine("b", 0.25), LoraLine("d", 1.5, on=False)], {})
    assert content == {
        "loras": [
            {"name": "a", "weight": 0.5, "on": True},
            {"name": "b", "weight": 0.25, "on": True},
            {"name": "d", "weight": 1.5, "on": False},
        ]
    }


def test_a_file_is_named_by_its_path_and_numbers_as_they_were_typed() -> None:
    assert LoraPart("ink", weight=0.123456).entry == {"name": "ink", "weight": 0.1235, "on": True}
    assert LoraPart("x.pt", "/l/x.pt", 0.800000011920929).entry == {"path": "/l/x.pt", "weight": 0.8, "on": True}


@pytest.mark.parametrize(
    ("path", "name"),
    [("/l/x.pt", "x.pt"), (r"C:\loras\ink v2.safetensors", "ink v2.safetensors"), ("folder/", "folder")],
)
def test_a_path_is_shown_by_its_last_part(path: str, name: str) -> None:
    assert name_of(path) == name


@pytest.mark.parametrize(
    ("typed", "kept"),
    [("", "{prompt}"), ("  ", "{prompt}"), ("ink", "{prompt}, ink"), (" {prompt} in ink ", "{prompt} in ink")],
)
def test_an_artists_words_always_have_a_place(typed: str, kept: str) -> None:
    assert with_place(typed) == kept
