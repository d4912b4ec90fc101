"""Elevator: generated, stylised clips as strips in your edit.

Blender imports this file. What needs the extension's wheels is imported while registering, so that a missing wheel
becomes a sentence in the panel and not silence. Nothing of Blender is imported before that either, so that the pure
files beside this one can be used, and tested, without Blender.
"""

from __future__ import annotations

import atexit
from collections.abc import Callable
from pathlib import Path

_undo: list[Callable[[], None]] = []
"""What unregistering must do, in the order in which it was done."""


def register() -> None:
    """Register the add-on."""
    from . import missing

    if wheels := missing.missing_wheels():
        missing.register(wheels)
        _undo.append(missing.unregister)
        return
    import bpy

    from .blender import (
        estimates,
        operators,
        panels,
        preferences,
        previews,
        properties,
        queue_lines,
        style_draft,
        thumbnails,
        translations,
    )
    from .machine import timer

    timer.register(Path(bpy.utils.extension_path_user(__package__, create=True)))
    _undo.append(timer.unregister)
    _undo.append(estimates.unregister)
    _undo.append(previews.unregister)
    _undo.append(thumbnails.unregister)
    for module in (translations, properties, queue_lines, style_draft, preferences, operators, panels):
        module.register()
        _undo.append(module.unregister)
    # Blender as a Python module does not unregister add-ons at its end, and some versions then crash or hang.
    atexit.register(unregister)


def unregister() -> None:
    """Unregister the add-on. May be called twice."""
    atexit.unregister(unregister)
    while _undo:
        _undo.pop()()
