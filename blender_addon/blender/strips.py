"""The sequencer of every Blender from 4.2 on. The only file that knows how its versions differ.

It asks the RNA what is there and never the version number. Frames are whole scene frames; a span is
[start, start + length).
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import bpy

LAST_CHANNEL = 128
COLOR_SPACE = "sRGB"
PLAIN_VIEWS = ("Standard", "Raw")
"""View transforms that show an sRGB picture as it is."""

Scene = Any
Strip = Any


def sequencer_scene(context: Any) -> Scene:
    """The scene whose strips the artist edits, or None: from 5.0 on a sequencer may show no scene."""
    workspace = getattr(context, "workspace", None)
    if workspace is not None and hasattr(workspace, "sequencer_scene"):
        in_sequencer = context.area is not None and context.area.type == "SEQUENCE_EDITOR"
        # A script that runs elsewhere means the context's scene.
        return workspace.sequencer_scene or (None if in_sequencer else context.scene)
    return context.scene


def find_scene(session_uid: int) -> Scene | None:
    """The scene of that id, or None if it was deleted or another file is open."""
    return next((scene for scene in bpy.data.scenes if scene.session_uid == session_uid), None)


def top_level(scene: Scene) -> Any:
    """The collection of the scene's strips that lie in no meta strip; it makes new ones."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.strips if hasattr(editor, "strips") else editor.sequences


def every_strip(scene: Scene) -> Iterator[Strip]:
    """All strips, also those inside meta strips."""
    editor = scene.sequence_editor
    if editor is not None:
        yield from editor.strips_all if hasattr(editor, "strips_all") else editor.sequences_all


def span(strip: Strip) -> tuple[int, int]:
    """First visible frame of a strip, and the first one after it."""
    if hasattr(strip, "left_handle"):
        return int(strip.left_handle), int(strip.right_handle)
    return int(strip.frame_final_start), int(strip.frame_final_end)


def free_channel(scene: Scene, start: int, length: int, lowest: int = 1) -> int | None:
    """The lowest channel from `lowest` on that is free for the whole span and not locked, or None."""
    strips = [(strip.channel, *span(strip)) for strip in top_level(scene)]
    taken = {channel for channel, first, end in strips if first < start + length and start < end}
    channels = scene.sequence_editor.channels
    for channel in range(max(1, lowest), LAST_CHANNEL + 1):
        if channel not in taken and not (channel < len(channels) and channels[channel].lock):
            return channel
    return None


def add_image_strip(
    scene: Scene, *, name: str, folder: Path, files: Sequence[str], channel: int, frame_start: int
) -> Strip:
    """One image strip that shows each file for one frame, tagged sRGB, fitted into the picture."""
    strips = top_level(scene)
    strip = strips.new_image(
        name=name, filepath=_blend_path(folder / files[0]), channel=channel, frame_start=frame_start, fit_method="FIT"
    )
    for file in files[1:]:
        strip.elements.append(file)
    tag_srgb(strip)
    return strip


def tag_srgb(strip: Strip) -> None:
    """Say that the files are sRGB, unless a studio's color configuration has no such space."""
    try:
        strip.colorspace_settings.name = COLOR_SPACE
    except TypeError:
        return  # that is how the RNA refuses an unknown name; `is_srgb` lets the caller say so


def is_srgb(strip: Strip) -> bool:
    """Whether the strip's files are taken as sRGB."""
    return strip.colorspace_settings.name == COLOR_SPACE


def remove(scene: Scene, strip: Strip) -> None:
    """Take a strip out of its scene again."""
    top_level(scene).remove(strip)


def store(strip: Strip, settings: Mapping[str, str | int | float]) -> None:
    """Keep settings on the strip as custom properties, which artists see and files keep."""
    for key, value in settings.items():
        strip[f"elevator_{key}"] = value


def stored(strip: Strip, key: str) -> Any:
    """A setting that `store` kept, or None."""
    return strip.get(f"elevator_{key}")


def select_only(scene: Scene, strip: Strip) -> None:
    """Select the strip alone and make it the active one, as Blender's own Add does."""
    for other in every_strip(scene):
        other.select = False
    strip.select = True
    scene.sequence_editor.active_strip = strip


def view_shows_colors_as_they_are(scene: Scene) -> bool:
    """Whether the view transform leaves an sRGB picture alone."""
    return scene.view_settings.view_transform in PLAIN_VIEWS


def use_plain_view(scene: Scene) -> None:
    """Have the scene show sRGB pictures as they are."""
    scene.view_settings.view_transform = PLAIN_VIEWS[0]
    scene.view_settings.look = "None"


def frame_rate(scene: Scene) -> float:
    """Frames per second of the scene."""
    return float(scene.render.fps / scene.render.fps_base)


def redraw(window_manager: Any) -> None:
    """Draw every sequencer anew."""
    for window in window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                area.tag_redraw()


def _blend_path(path: Path) -> str:
    """The path as a .blend should keep it: from the .blend's folder (`//`) if it lies in there."""
    blend = bpy.data.filepath
    if blend and path.is_relative_to(Path(blend).parent):
        return str(bpy.path.relpath(str(path)))
    return str(path)
