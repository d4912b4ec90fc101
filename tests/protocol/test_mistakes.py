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
    ],
)
def test_a_limit_is_said_with_what_belongs_there(fields: dict[str, Any], words: str) -> None:
    assert said(**fields) == words
    assert "`" not in words


def test_what_is_not_known_is_passed_on() -> None:
    assert mistakes.of_request("JSON is malformed: invalid character (byte 3)").startswith("JSON is malformed")
