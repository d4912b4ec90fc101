"""What a preset is called in the panel."""

from __future__ import annotations

import msgspec
import pytest

from blender_addon.clip import quality
from tests.addon.sessions import STYLE

NAMES = ("published", "balanced", "fast", "draft", "turbo", "my_own")
STYLED = msgspec.structs.replace(STYLE, presets=NAMES, calls=(244, 107, 33, 16, 8, 200))


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("published", "Published: the longest"),
        ("balanced", "Balanced: half of the longest"),
        ("fast", "Fast: a seventh of the longest"),
        ("draft", "Draft: 1/15 of the longest"),
        ("turbo", "Turbo: 1/30 of the longest"),
        ("my_own", "My own: 82% of the longest"),
        ("gone", "Gone"),
    ],
)
def test_without_a_measured_time_a_preset_says_its_share(name: str, label: str) -> None:
    assert quality.label(STYLED, name) == label


@pytest.mark.parametrize(
    ("part", "share"),
    [
        (2, "half"),
        (3, "a third"),
        (4, "a quarter"),
        (5, "a fifth"),
        (6, "a sixth"),
        (7, "a seventh"),
        (8, "an eighth"),
        (9, "a ninth"),
        (10, "a tenth"),
        (11, "1/11"),
    ],
)
def test_shares_have_their_words(part: int, share: str) -> None:
    style = msgspec.structs.replace(STYLE, presets=("published", "fast"), calls=(part * 20, 20))
    assert quality.label(style, "fast") == f"Fast: {share} of the longest"


def test_a_preset_that_takes_next_to_nothing_has_a_share_too() -> None:
    for least in (0, 1):
        style = msgspec.structs.replace(STYLE, presets=("published", "fast"), calls=(8, least))
        assert quality.label(style, "fast") == "Fast: an eighth of the longest"


def test_presets_that_come_with_the_product_are_described() -> None:
    assert quality.description("fast") == "Nearly as steady"


def test_the_only_preset_is_compared_with_none() -> None:
    style = msgspec.structs.replace(STYLE, presets=("turbo",), calls=(8,))
    assert quality.label(style, "turbo") == "Turbo"


def test_with_a_measured_time_a_preset_says_it() -> None:
    assert quality.label(STYLED, "balanced", 0.4) == "Balanced: about 43 s"


def test_a_style_that_tells_no_calls_has_titles_alone() -> None:
    assert quality.label(msgspec.structs.replace(STYLE, presets=NAMES), "fast") == "Fast"
    assert quality.description("my_own") == ""
