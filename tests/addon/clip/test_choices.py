"""LoRAs and settings: from the panel's list and an operator's text to a request, and back."""

from __future__ import annotations

import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from blender_addon.clip.advanced import LOWPASSES, NUMBERS, Number
from blender_addon.clip.choices import (
    LoraLine,
    lines_of,
    loras_of,
    read_loras,
    read_settings,
    write_loras,
    write_settings,
)
from blender_addon.clip.wish import Wish, WishError, check
from elevator import Plan
from elevator.errors import PlanError
from elevator.plan import LowPass
from shared_protocol.messages import Generate, LoraChoice, LoraView, Setting
from tests.addon.sessions import STYLE, request
from tests.protocol.strategies import structs, values

NEON = msgspec.structs.replace(STYLE, loras=(LoraView(name="neon", weight=0.9, own=True), LoraView(name="ink")))


@pytest.mark.parametrize(
    ("line", "weights"),
    [
        (LoraLine("neon", 0.4), {"neon": 0.4}),
        (LoraLine("neon", 0.4, on=False), {"neon": 0.0}),
        (LoraLine("ink", 0.4), {"ink": 0.4}),
        (LoraLine("ink", 0.4, on=False), {}),
    ],
)
def test_only_a_switched_off_lora_of_the_style_is_spoken_of(line: LoraLine, weights: dict[str, float]) -> None:
    assert {lora.name: lora.weight for lora in loras_of([line], NEON)} == weights


def test_without_a_style_what_is_off_is_left_out() -> None:
    lines = [LoraLine("neon", on=False), LoraLine("ink")]
    assert loras_of(lines, None) == (LoraChoice(name="ink"),)


@given(st.lists(structs(LoraChoice), max_size=16, unique_by=lambda lora: lora.name))
def test_texts_of_an_operator_hold_all_loras(loras: list[LoraChoice]) -> None:
    assert read_loras(write_loras(loras)) == tuple(loras)


def kind_of(name: str) -> msgspec.inspect.Type:
    """The type of a field of `Generate`."""
    told = msgspec.inspect.type_info(Generate)
    assert isinstance(told, msgspec.inspect.StructType)
    return next(field.type for field in told.fields if field.name == name)


@given(values(kind_of("settings")))
def test_texts_of_an_operator_hold_all_settings(settings: dict[str, Setting]) -> None:
    assert read_settings(write_settings(settings)) == settings


def test_lines_ask_again_for_what_made_a_clip() -> None:
    loras = (LoraChoice(name="neon", weight=0), LoraChoice(name="ink", weight=-2.5))
    assert loras_of(lines_of(request(loras=loras)), NEON) == loras


@pytest.mark.parametrize(
    "text", ["neon", "[]", '{"neon": 4.1}', '{"neon": -4.1}', '{"neon": "strong"}', '{"": 1}', "[" * 10_000]
)
def test_texts_that_are_no_loras_are_refused(text: str) -> None:
    with pytest.raises(WishError) as caught:
        read_loras(text)
    assert caught.value.next_step == 'Give a JSON object such as {"neon": 0.8}.'


def test_no_more_loras_than_a_request_holds() -> None:
    loras = tuple(LoraChoice(name=f"l{number}") for number in range(17))
    kind = kind_of("loras")
    assert isinstance(kind, msgspec.inspect.VarTupleType)
    assert kind.max_length == 16
    check(Wish("a", loras=loras[:16]))
    with pytest.raises(WishError, match="cannot have 17 LoRAs"):
        check(Wish("a", loras=loras))


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: number.key)
def test_settings_are_the_plans_and_start_within_their_limits(number: Number) -> None:
    needs = {"overlap": {"window": 16}}.get(number.key, {})
    for value in (number.start, number.least):
        if (number.key, value) != ("steps", 1):  # fewer steps than the refinements need
            assert getattr(Plan().changed({number.key: value, **needs}), number.key) == value
    assert number.least <= number.start <= number.most
    assert math.isfinite(number.most)


def test_what_is_proposed_is_the_plans_own_where_it_has_one() -> None:
    plan = Plan()
    own = {number.key: getattr(plan, number.key) for number in NUMBERS}
    left_open = {"chunk", "window", "overlap", "tile"}
    assert {key for key, value in own.items() if not value and key != "eta"} == left_open
    assert {number.key: number.start for number in NUMBERS if number.key not in left_open} == {
        key: value for key, value in own.items() if key not in left_open
    }


@pytest.mark.parametrize("number", [number for number in NUMBERS if isinstance(number.start, int)], ids=lambda n: n.key)
def test_the_least_of_a_whole_number_is_the_plans(number: Number) -> None:
    with pytest.raises(PlanError, match=f"{number.key} is {number.least - 1}; choose {number.least} or more"):
        Plan().changed({number.key: number.least - 1})


def test_filters_are_the_plans() -> None:
    for name, _, _ in LOWPASSES:
        assert isinstance(Plan().changed({"lowpass": name}).lowpass, LowPass)
