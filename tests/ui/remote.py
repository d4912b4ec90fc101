"""Runs inside a Blender with a window: does what the tests put into a folder, in Blender's main thread."""

from __future__ import annotations

import contextlib
import glob
import importlib
import io
import os
import sys
import traceback
from pathlib import Path
from typing import Any

import bpy

FOLDER = Path(sys.argv[sys.argv.index("--") + 1])
PERIOD = 0.05
NAMES: dict[str, Any] = {"bpy": bpy, "os": os}
"""What the scripts see."""


def sequencers() -> list[tuple[Any, Any]]:
    """(window, area) of each."""
    windows = bpy.context.window_manager.windows
    return [(window, area) for window in windows for area in window.screen.areas if area.type == "SEQUENCE_EDITOR"]


def timeline() -> dict[str, Any]:
    """The context of the sequencer that shows the strips."""
    window, area = next(each for each in sequencers() if each[1].spaces.active.view_type == "SEQUENCER")
    return {"window": window, "area": area, "region": next(each for each in area.regions if each.type == "WINDOW")}


def scene() -> Any:
    """The scene that the sequencer shows."""
    window = bpy.context.window_manager.windows[0]
    return getattr(window.workspace, "sequencer_scene", None) or window.scene


def strips() -> list[Any]:
    """All strips of the scene, those inside meta strips too."""
    editor = scene().sequence_editor
    return [] if editor is None else list(editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all)


def told() -> list[dict[str, Any]]:
    """What the tests ask of each strip."""
    inside = {child for strip in strips() if strip.type == "META" for child in _children(strip)}
    return [
        {
            "name": strip.name,
            "type": strip.type,
            "channel": strip.channel,
            "first": int(strip.left_handle if hasattr(strip, "left_handle") else strip.frame_final_start),
            "length": int(strip.duration if hasattr(strip, "duration") else strip.frame_final_duration),
            "select": strip.select,
            "job": strip.get("elevator_job", ""),
            "inside": strip in inside,
            "files": [element.filename for element in getattr(strip, "elements", ())],
            "folder": bpy.path.abspath(getattr(strip, "directory", "")),
        }
        for strip in strips()
    ]


def _children(meta: Any) -> list[Any]:
    return list(meta.strips if hasattr(meta, "strips") else meta.sequences)


def part(name: str) -> Any:
    """A module of the installed extension."""
    return importlib.import_module(f"bl_ext.user_default.video_elevator.{name}")


def show_editing() -> None:
    """The workspace Video Editing, and its sequencer with a scene."""
    window = bpy.context.window_manager.windows[0]
    if "Video Editing" not in bpy.data.workspaces:
        template = "scripts/startup/bl_app_templates_system/Video_Editing/startup.blend"
        (file,) = glob.glob(os.path.join(bpy.utils.resource_path("SYSTEM"), template))
        with bpy.context.temp_override(window=window):
            bpy.ops.workspace.append_activate(idname="Video Editing", filepath=file)
    window.workspace = bpy.data.workspaces["Video Editing"]
    if hasattr(window.workspace, "sequencer_scene"):
        window.workspace.sequencer_scene = window.scene


def show_tab(name: str) -> None:
    """Open the sidebar at a tab. It must have been drawn once before: call it twice."""
    area = timeline()["area"]
    area.spaces.active.show_region_ui = True
    for region in area.regions:
        if region.type == "UI" and region.width > 1:
            with contextlib.suppress(TypeError, AttributeError):  # no panel has been drawn there yet
                region.active_panel_category = name
    area.tag_redraw()


def boxes() -> dict[str, tuple[int, int, int, int]]:
    """(left, top, width, height) on the screen of the timeline and of its sidebar."""
    window, area = (timeline()[name] for name in ("window", "area"))
    return {
        region.type: (region.x, window.height - region.y - region.height, region.width, region.height)
        for region in area.regions
        if region.type in ("UI", "WINDOW")
    }


def look() -> float:
    """Run the scripts that have arrived."""
    for file in sorted((FOLDER / "asked").glob("*.py")):
        source, said = file.read_text(encoding="utf-8"), io.StringIO()
        file.unlink()
        try:
            with contextlib.redirect_stdout(said):
                exec(compile(source, file.stem, "exec"), NAMES)  # noqa: S102 - that is what a remote control does
        except Exception:  # noqa: BLE001 - the test at the other end shows it
            said.write("!" + traceback.format_exc())
        answer = FOLDER / "said" / file.stem
        answer.with_suffix(".tmp").write_text(said.getvalue(), encoding="utf-8")
        answer.with_suffix(".tmp").rename(answer)
    return PERIOD


for each in (sequencers, timeline, scene, strips, told, part, show_editing, show_tab, boxes):
    NAMES[each.__name__] = each
bpy.context.preferences.view.show_splash = False
bpy.app.timers.register(look, first_interval=0.5, persistent=True)
(FOLDER / "up").write_text(str(os.getpid()))
