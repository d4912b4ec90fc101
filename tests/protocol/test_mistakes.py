"""Limits of requests in a person's words."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from shared_protocol import mistakes
from shared_protocol.messages import Generate

GOOD: dict[str, Any] = {
    "type": "Generate",
    "job": "0" * 32,
    "prompt": "a fox",
    "style": "plain",
    "frames": 1,
    "width": 64,
    "height": 64,
    "seed": 1,
}


def said(**fields: Any) -> str:
    content = {name: value for name, value in {**GOOD, **fields}.items() if value != "absent"}
    with pytest.raises(msgspec.ValidationError) as error:
        msgspec.json.decode(msgspec.json.encode(content), type=Generate)
    return mistakes.of_request(error.value)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"seed": -2}, '"seed" must be between 0 and 2147483647'),
        ({"seed": 2**32 - 1}, '"seed" must be between 0 and 2147483647'),
        ({"frames": 0}, '"frames" must be between 1 and 1024'),
        ({"width": 99_999}, '"width" must be between 8 and 8192'),
        ({"strength": 1.5}, '"strength" must be between 0 and 1'),
        ({"loras": [{"name": "ink", "weight": 5}]}, '"weight" in entry 1 of "loras" must be between -4 and 4'),
        ({"loras": [{"name": "x"}] * 17}, '"loras" must have at most 16 entries'),
        ({"prompt": "x" * 2001}, '"prompt" must have at most 2000 letters'),
        ({"style": ""}, '"style" must not be empty'),
        ({"frames": 1.5}, '"frames" must be a whole number, not a broken number'),
        ({"job": "x"}, '"job" is not written as it must be'),
        ({"prompt": "absent"}, '"prompt" is missing'),
        ({"flow_fps_denominator": 0}, '"flow_fps_denominator" must be between 1 and 1000000'),
        ({"settings": {"x" * 65: 1}}, 'a name in "settings" must have at most 64 letters'),
        ({"settings": {"a": [0] * 201}}, 'an entry of "settings" must have at most 200 entries'),
        ({"settings": {"a": 2**31}}, 'an entry of "settings" must be 2147483647 or less'),
        ({"settings": {"a": -(2**31) - 1}}, 'an entry of "settings" must be -2147483648 or more'),
        ({"settings": []}, '"settings" must be a table of settings, not a list'),
        (
            {"settings": {"a": {"b": []}}},
            'an entry of an entry of "settings" must be a number or text in quotes, not a list',
        ),
        ({"loras": [{"name": "a"}, {"name": ""}]}, '"name" in entry 2 of "loras" must not be empty'),
        ({"loras": [3]}, 'entry 1 of "loras" must be a table of settings, not a whole number'),
        ({"footage": ["x"]}, 'entry 1 of "footage" is not written as it must be'),
        ({"footage": "x"}, '"footage" must be a list in brackets, not text'),
        ({"previews": "yes"}, '"previews" must be true or false, not text'),
        ({"type": "Cancel"}, "\"type\": Invalid value 'Cancel'"),
    ],
)
def test_a_limit_is_said_with_what_belongs_there(fields: dict[str, Any], words: str) -> None:
    assert said(**fields) == words
    assert "`" not in words


def test_what_is_not_known_is_passed_on() -> None:
    assert mistakes.of_request("JSON is malformed: invalid character (byte 3)").startswith("JSON is malformed")
