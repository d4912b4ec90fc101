"""What operators share."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from ...clip.link import Link
from ...clip.words import Phrase
from ...machine.timer import the_pump
from .. import strips
from ..translations import told

HIDDEN: set[str] = {"SKIP_SAVE"}
"""A script that leaves an argument out means its default, not what was given last time."""


class Connected:
    """An operator that needs a backend."""

    @classmethod
    def poll(cls, _context: Any) -> bool:
        """There must be a backend."""
        if the_pump().session.link is not Link.READY:
            cls.poll_message_set("No backend is connected.")  # type: ignore[attr-defined]  # Operator has it
            return False
        return True


def scene_name(context: Any) -> str:
    """Name of the scene whose strips the artist edits, or nothing: a sequencer may show none."""
    scene = strips.sequencer_scene(context)
    return "" if scene is None else str(scene.name)


def follow(context: Any) -> set[str]:
    """Go on in the next ticks with the command about models or styles that was begun; a style that it makes is for this
    scene."""
    pump = the_pump()
    pump.scene_name = scene_name(context)
    pump.do(())
    return {"FINISHED"}


def refused(operator: Any, sentence: str) -> set[str]:
    """Say why the operator does nothing."""
    operator.report({"ERROR"}, told(sentence))
    return {"CANCELLED"}


def ask_for_path(operator: Any, context: Any) -> set[str]:
    """Let the artist choose a file or folder; then the operator is executed."""
    context.window_manager.fileselect_add(operator)
    return {"RUNNING_MODAL"}


def open_path(operator: Any, path: Path) -> set[str]:
    """Open a file or folder with this computer's program for it."""
    try:
        bpy.ops.wm.path_open(filepath=str(path))
    except RuntimeError:  # no such program: Blender prints a traceback and says nothing in the interface
        operator.report({"ERROR"}, told(Phrase("This computer has no program that opens it. It is {path}", path=path)))
        return {"CANCELLED"}
    return {"FINISHED"}


def confirm(operator: Any, context: Any, event: Any, *, title: str, message: str, button: str) -> set[str]:
    """Ask before the operator is executed."""
    answer: set[str] = context.window_manager.invoke_confirm(
        operator, event, title=title, message=told(message), confirm_text=button, icon="WARNING"
    )
    return answer
