"""The sequencer of every Blender from 4.2 on. The only file that knows how its versions differ.

It asks the RNA what is there and never the version number. Frames are whole scene frames; a span is
[start, start + length).
"""
# mypy: disable-error-code="no-any-return"

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from ..clip.placing import Taken

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


def open_holder(scene: Scene) -> Any:
    """What holds the strips that the artist edits: the meta strip that is open, or the scene's editor."""
    editor = scene.sequence_editor or scene.sequence_editor_create()
    return editor.meta_stack[-1] if len(editor.meta_stack) else editor


def strips_of(holder: Any) -> Any:
    """The strips that lie directly in an editor or a meta strip; the collection makes new ones."""
    return holder.strips if hasattr(holder, "strips") else holder.sequences


def holder_of(scene: Scene, strip: Strip) -> Any:
    """The editor or the meta strip in which a strip lies."""
    metas = (other for other in every_strip(scene) if other.type == "META")
    return next((meta for meta in metas if strip.name in strips_of(meta)), scene.sequence_editor)


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


def all_strips_name(scene: Scene) -> str:
    """What the editor calls its collection of all strips, for a field that searches it."""
    return "strips_all" if hasattr(scene.sequence_editor, "strips_all") else "sequences_all"


def is_retimed(strip: Strip) -> bool:
    """Whether a movie plays at a changing speed, or backward."""
    return bool(strip.use_reverse_frames) or len(getattr(strip, "retiming_keys", ())) > 0


def movie_frame(strip: Strip, frame: int) -> int:
    """Which frame of its movie a strip that is not retimed shows at a frame of the scene, from 0. A movie of another
    frame rate that was added at its own speed has more or fewer frames than the strip."""
    start, end = span(strip)
    before, after = strip.frame_offset_start, strip.frame_offset_end
    share = strip.frame_duration / max(end - start + before + after, 1)
    index = math.floor((frame - start + before) * share)
    return int(strip.animation_offset_start + min(max(index, 0), strip.frame_duration - 1))


def taken(holder: Any) -> list[Taken]:
    """What the strips in there take."""
    return [Taken(strip.channel, *span(strip)) for strip in strips_of(holder)]


def closed(holder: Any) -> set[int]:
    """Channels that are locked or muted."""
    return {number for number, channel in enumerate(holder.channels) if channel.lock or channel.mute}


def add_image_strip(
    holder: Any, *, name: str, folder: Path, file: str, length: int, channel: int, frame_start: int, fit: str
) -> Strip:
    """One image strip that shows a file for so many frames, tagged sRGB. fit: FIT, FILL, STRETCH or ORIGINAL."""
    strip = strips_of(holder).new_image(
        name=name, filepath=blend_path(folder / file), channel=channel, frame_start=frame_start, fit_method=fit
    )
    for _ in range(length - 1):
        strip.elements.append(file)
    tag_srgb(strip)
    return strip


def show(strip: Strip, folder: Path, files: Sequence[str]) -> None:
    """Let an image strip's elements show other files, where it lies and as it is cut; the last one fills up."""
    strip.directory = blend_path(folder)
    last = len(files) - 1
    for number, element in enumerate(strip.elements):
        element.filename = files[min(number, last)]


def folder(strip: Strip) -> Path:
    """Where an image strip's files lie."""
    return Path(bpy.path.abspath(strip.directory))


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
    strips_of(holder_of(scene, strip)).remove(strip)


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


def frame_rate(scene: Scene) -> Fraction:
    """Frames a second of the scene, exactly: Blender keeps 29.97 as 30 / 1.001, in a float of six digits."""
    return Fraction(scene.render.fps) / Fraction(f"{scene.render.fps_base:.6g}")


def range_of(scene: Scene) -> int:
    """How many frames the preview range has, or the scene where there is none."""
    if scene.use_preview_range:
        return int(scene.frame_preview_end - scene.frame_preview_start + 1)
    return int(scene.frame_end - scene.frame_start + 1)


def aspect(scene: Scene) -> Fraction:
    """Width by height of the scene's picture."""
    render = scene.render
    pixels = Fraction(render.pixel_aspect_x).limit_denominator(1000) / Fraction(
        render.pixel_aspect_y
    ).limit_denominator(1000)
    return Fraction(render.resolution_x, render.resolution_y) * pixels


def hands_are_busy(context: Any) -> bool:
    """Whether the artist is in the middle of moving or cutting something, or a render runs."""
    if bpy.app.is_job_running("RENDER"):
        return True
    operators = (each for window in context.window_manager.windows for each in window.modal_operators)
    return any(each.bl_idname.startswith(("TRANSFORM_", "SEQUENCER_")) for each in operators)


def redraw(window_manager: Any, region_type: str | None = None) -> None:
    """Draw every sequencer anew, or only its regions of one type: "UI" is the sidebar."""
    for window in window_manager.windows:
        for area in window.screen.areas:
            if area.type == "SEQUENCE_EDITOR":
                for region in area.regions:
                    if region_type in (None, region.type):
                        region.tag_redraw()


def blend_path(path: Path) -> str:
    """The path as a .blend should keep it: from the .blend's folder (`//`) if it lies in there."""
    blend = bpy.data.filepath
    if blend and path.is_relative_to(Path(blend).parent):
        return str(bpy.path.relpath(str(path)))
    return str(path)
