"""An installation that lacks a wheel."""

from __future__ import annotations

import sys

import bpy
import harness


def install() -> None:
    """As usual, but zmq cannot be imported."""
    sys.modules["zmq"] = None  # type: ignore[assignment]
    harness.install()


def check_missing_wheel_is_said() -> None:
    panel = bpy.types.ELEVATOR_PT_missing
    assert list(panel.wheels) == ["zmq"]
    assert not hasattr(bpy.types, "ELEVATOR_PT_clip")
    assert not hasattr(bpy.types.Scene, "elevator")
