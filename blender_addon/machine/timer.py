"""The one pump of this Blender, and the timer and handlers through which Blender drives it."""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bpy
from bpy.app.handlers import persistent

from ..blender import clips, previews, queue_lines, strips
from ..clip.job import Problem
from ..clip.words import Phrase
from .frame_folder import FrameFileError
from .pump import PERIOD, Pump
from .timeline import LOOK_SECONDS

log = logging.getLogger(__name__)

_pump: Pump | None = None


def the_pump() -> Pump:
    """The pump of this Blender."""
    if _pump is None:
        raise RuntimeError("The add-on is not registered.")
    return _pump


_asked: set[Callable[[], None]] = set()
"""What was asked for because somebody looked; nothing is asked for twice by itself."""


def ask_for_styles() -> None:
    """Have the backend say its styles soon, for a Blender that has never heard them; once. May be called in a draw."""
    _ask_once(_ask_for_styles)


def ask_for_models() -> None:
    """Have it said soon which models there are to get; once. May be called in a draw."""
    _ask_once(_ask_for_models)


def _ask_once(question: Callable[[], None]) -> None:
    if question not in _asked and not bpy.app.background:
        _asked.add(question)
        bpy.app.timers.register(question, first_interval=PERIOD)


def _ask_for_styles() -> None:
    if _pump is not None:
        _pump.do(_pump.session.reach())


def _ask_for_models() -> None:
    if _pump is not None:
        _pump.models.list()
        _pump.do(())


def _wake() -> None:
    if not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=PERIOD, persistent=True)


def _on_timer() -> float | None:
    if _pump is None:
        return None
    try:
        again = _pump.tick()
    except Exception as error:  # the outer edge: an escaping exception would end the timer in silence
        log.exception("The add-on made a mistake")
        _pump.fail(
            Problem(
                Phrase("The add-on made a mistake: {error}.", error=str(error)),
                "Please report what stands in Blender's terminal.",
                code="internal",
            )
        )
        again = None
    turned = previews.turn(_pump.session.foremost)
    if _pump.session.changed:
        queue_lines.show(job.id for job in _pump.session.lines)
    if _pump.session.changed or turned:
        _pump.session.changed = False
        strips.redraw(bpy.context.window_manager, "UI")
    return again


@persistent
def _on_load_pre(*_: Any) -> None:
    if _pump is not None:
        _pump.set_loading(True)


@persistent
def _on_load_post(*_: Any) -> None:
    if _pump is not None:
        _pump.set_loading(False)
        _pump.edit_changed()


@persistent
def _on_undo_post(*_: Any) -> None:
    if _pump is not None:
        _pump.edit_changed()


@persistent
def _on_depsgraph_update_post(*_: Any) -> None:
    """Something was edited: a strip that waits may have been taken away, or a copy of it pasted."""
    if not bpy.app.is_job_running("RENDER") and not bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.register(_on_timer, first_interval=LOOK_SECONDS, persistent=True)


@persistent
def _on_save_pre(path: Any = "", *_: Any) -> None:
    """The first save of a file gives its clips their place beside it; clips that stay elsewhere are noted there."""
    if _pump is None or not isinstance(path, str) or not path:
        return
    try:
        if not bpy.data.filepath:
            _pump.follow_to(Path(path))
        clips.note_where(Path(path))
    except OSError:
        return  # a folder that cannot be written is one from which nothing can be removed
    except FrameFileError as error:
        _pump.do(_pump.session.refuse(Problem(str(error), "The clips stay where they were.")))


_HANDLERS: dict[str, Callable[..., None]] = {
    "load_pre": _on_load_pre,
    "load_post": _on_load_post,
    "load_post_fail": _on_load_post,
    "undo_post": _on_undo_post,
    "redo_post": _on_undo_post,
    "save_pre": _on_save_pre,
    "depsgraph_update_post": _on_depsgraph_update_post,
}


def register(folder: Path | None) -> None:
    """Make the pump and listen to Blender's loading of files. `folder`: where the add-on keeps files of its own."""
    global _pump
    _pump = Pump(folder, _wake)
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Stop everything."""
    global _pump
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
    if bpy.app.timers.is_registered(_on_timer):
        bpy.app.timers.unregister(_on_timer)
    if _pump is not None:
        _pump.close()
        _pump = None
