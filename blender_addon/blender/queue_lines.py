"""The lines of the panel's queue. A list of Blender's needs properties to show: they live with the window, not in the
.blend."""
# mypy: disable-error-code="misc"

from __future__ import annotations

from collections.abc import Iterable

import bpy
from bpy.props import CollectionProperty, IntProperty


class QueueLine(bpy.types.PropertyGroup):
    """A line of the queue; its name is the job's."""


def show(jobs: Iterable[str]) -> None:
    """Let the queue have these lines; the chosen one stays chosen. Not to be called in a draw."""
    window_manager = bpy.context.window_manager
    lines, names = window_manager.elevator_queue, list(jobs)
    before = [line.name for line in lines]
    if before == names:
        return
    chosen = before[window_manager.elevator_queue_index : window_manager.elevator_queue_index + 1]
    lines.clear()
    for name in names:
        lines.add().name = name
    window_manager.elevator_queue_index = names.index(chosen[0]) if chosen and chosen[0] in names else 0


def register() -> None:
    """Give the window manager its lines."""
    bpy.utils.register_class(QueueLine)
    bpy.types.WindowManager.elevator_queue = CollectionProperty(type=QueueLine)
    bpy.types.WindowManager.elevator_queue_index = IntProperty()


def unregister() -> None:
    del bpy.types.WindowManager.elevator_queue_index
    del bpy.types.WindowManager.elevator_queue
    bpy.utils.unregister_class(QueueLine)
