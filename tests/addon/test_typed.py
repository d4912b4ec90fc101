"""Texts of Blender's properties, whose length Blender counts in bytes (`maxlen` of `StringProperty`)."""

from __future__ import annotations

import ast

import pytest

from blender_addon.blender.typed import text_of
from tests.addon.blenders import ROOT


class Owner:
    """Gives bytes as Blender gives a property that was cut inside of a sign."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    @property
    def prompt(self) -> str:
        return self.data.decode("utf-8")


@pytest.mark.parametrize("sign", ["a", "é", "東", "🦊"])
def test_a_text_that_was_cut_inside_of_a_sign_is_read(sign: str) -> None:
    data = (sign * 4).encode()
    for length in range(len(data) + 1):
        assert text_of(Owner(data[:length]), "prompt") == sign * (length // len(sign.encode()))


def test_no_text_is_held_to_a_number_of_bytes() -> None:
    found = [
        file.name
        for file in (ROOT / "blender_addon").rglob("*.py")
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8")))
        if isinstance(node, ast.keyword) and node.arg == "maxlen"
    ]
    assert not found
