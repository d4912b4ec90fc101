"""What artists and scripts can do with clips."""

from __future__ import annotations

import bpy

from . import backend, clips, generate, loras, models, queue, settings, source, styles

CLASSES = tuple(
    each
    for module in (generate, clips, queue, backend, settings, loras, styles, models, source)
    for each in module.CLASSES
)


def register() -> None:
    for each in CLASSES:
        bpy.utils.register_class(each)


def unregister() -> None:
    for each in reversed(CLASSES):
        bpy.utils.unregister_class(each)
