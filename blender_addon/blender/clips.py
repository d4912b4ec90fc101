"""From finished frames to a strip, and where frames go. The only file that adds strips."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import bpy

from shared_protocol import VERSION
from shared_protocol.machine import places

from ..clip import words
from ..clip.job import Job, Place
from ..machine.frame_folder import FrameFolder
from . import strips

FOLDER = "elevator"
"""Folder beside the .blend that holds a folder for each clip."""


class ClipError(Exception):
    """The strip cannot be made. The text is one sentence."""


def parent_folder(chosen: str = "") -> Path:
    """Where clips' folders go now: beside the .blend, or else the chosen folder, or else one of ours."""
    if bpy.data.filepath:
        return Path(bpy.data.filepath).parent / FOLDER
    return Path(bpy.path.abspath(chosen)) if chosen else spare_folder()


def spare_folder() -> Path:
    """A folder that is there when no other is. Not the extension's own: Blender deletes that with the extension."""
    return places.state_folder() / "clips"


def may_change_scene() -> bool:
    """Whether the scene may be touched now."""
    return not bpy.app.is_job_running("RENDER")


def add(job: Job) -> tuple[str, list[str]]:
    """Make the strip, as one undo step. Returns what was done and what the artist should know. Raises ClipError."""
    done, request = job.done, job.request
    if done is None or request is None:
        raise ClipError("The clip is not finished.")
    place, folder = job.place, FrameFolder.of(job)
    scene = strips.find_scene(place.scene)
    if scene is None:
        raise ClipError("The scene that the clip was meant for is gone.")
    files = folder.names()[: request.frames]
    if len(files) < request.frames:
        raise ClipError("Some frames have vanished from the clip's folder.")
    channel = strips.free_channel(scene, place.frame_start, request.frames, place.channel or 1)
    if channel is None:
        raise ClipError(f"No channel is free for {words.frames(request.frames)} at frame {place.frame_start}.")
    strip = strips.add_image_strip(
        scene,
        name=request.prompt[:60],
        folder=folder.path,
        files=files,
        channel=channel,
        frame_start=place.frame_start,
    )
    if strips.span(strip) != (place.frame_start, place.frame_start + request.frames):
        strips.remove(scene, strip)
        raise ClipError("Blender made a strip of another length than asked for.")
    strips.store(strip, _settings(job))
    strips.select_only(scene, strip)
    bpy.ops.ed.undo_push(message="Generate Clip")
    text = f"{words.frames(request.frames)} added on channel {channel} at frame {place.frame_start}."
    return text, _warnings(scene, strip, job, place, channel)


def _settings(job: Job) -> dict[str, str | int | float]:
    assert job.request is not None
    assert job.done is not None
    request, done = job.request, job.done
    return {
        "job": job.id,
        "prompt": request.prompt,
        "negative_prompt": request.negative_prompt,
        "style": request.style,
        "seed": done.seed,
        "width": request.width,
        "height": request.height,
        "frames": request.frames,
        "fps": float(done.fps),
        "version": VERSION,
    }


def _warnings(scene: Any, strip: Any, job: Job, place: Place, channel: int) -> list[str]:
    warnings = []
    if place.channel and channel != place.channel:
        warnings.append(f"Channel {place.channel} is taken there, so the strip is on channel {channel}.")
    assert job.done is not None
    if notice := words.rate_notice(float(job.done.fps), strips.frame_rate(scene)):
        warnings.append(notice)
    if not strips.is_srgb(strip):
        warnings.append("This Blender's color configuration has no sRGB: check the strip's color space.")
    return warnings
