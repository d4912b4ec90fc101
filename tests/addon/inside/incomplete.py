"""An installation that lacks a wheel."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import bpy
import harness


def install() -> None:
    """As usual, but zmq cannot be imported."""
    sys.modules["zmq"] = None  # type: ignore[assignment]
    harness.install()


def check_missing_wheel_is_said() -> None:
    panel = bpy.types.ELEVATOR_PT_missing
    assert list(panel.wheels) == ["zmq"]
    said: list[str] = []
    column = SimpleNamespace(label=lambda text, icon="": said.append(text))
    panel.draw(SimpleNamespace(layout=SimpleNamespace(column=lambda align: column), wheels=panel.wheels), None)
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert said[1:3] == [f"zmq is missing for Python {python}.", "Install the extension's zip again,"]
    assert not hasattr(bpy.types, "ELEVATOR_PT_clip")
    assert not hasattr(bpy.types.Scene, "elevator")
