"""Finished clips into the edit."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from os import PathLike
from pathlib import Path
from typing import Any

import bpy

from shared_protocol.client import new_job_id
from shared_protocol.messages import JobView

from ..blender import clips, strips
from ..blender.clips import ClipError, Held, Place
from ..blender.operators.generate import REFUSALS, problem_of, ticket_for
from ..blender.preferences import clips_folder
from ..blender.properties import RATES
from ..clip import found
from ..clip.ticket import Ticket
from ..clip.wish import request_of
from ..machine import waiting
from ..machine.copying import CopyError, copy
from ..machine.frame_folder import FrameFolder, frame_name
from ..machine.timer import the_pump
from .asking import connect, one_of, place_of, scene_of
from .clip import Clip
from .errors import ElevatorError, stop

JOB = re.compile(r"[0-9a-f]{4,32}")


ANSWER_SECONDS = 30.0


def all_clips() -> tuple[Clip, ...]:
    """Clips of this Blender's session, oldest first: those on their way, and the last that have ended."""
    return tuple(Clip(job) for job in the_pump().session.jobs.values())


def find(job: str) -> Clip:
    """The clip of this name, or whose name begins so, in this Blender's session. Raises ElevatorError."""
    return Clip(_only(job, the_pump().session.jobs))


def insert(
    result: str | PathLike[str],
    *,
    frame_start: int | None = None,
    channel: int = 0,
    place: str = "ABOVE_ALL",
    fit: str = "FIT",
    rate: str = "SCENE",
    fps: Fraction | float | str | None = None,
    scene: Any = None,
) -> Clip:
    """Put a finished clip into the edit.

    result: a clip's name in the backend, or its beginning, whose frames are then fetched as those of any clip; or a
        folder that a command wrote, whose frames are copied to where clips' folders go, unless they lie there.
    fps: of a folder's clip, where its notes do not say it; without it each frame is one of the scene.

    Raises ElevatorError.
    """
    scene = scene_of(scene)
    where = place_of(scene.frame_current if frame_start is None else frame_start, channel, place, fit)
    rate = one_of(RATES, "rate", rate)
    if isinstance(result, str) and JOB.fullmatch(result) and not Path(result).is_dir():
        return _insert_job(result, scene, where, rate)
    return _insert_folder(Path(result), scene, where, rate, fps)


def _only(name: str, known: Mapping[str, Any]) -> Any:
    same = [job for job in known if JOB.fullmatch(name) and job.startswith(name)]
    if len(same) != 1:
        wrong = f"Several clips' names begin with {name}." if same else f"No clip is named {name}."
        stop("unknown_job", wrong, "Give at least four digits of a name that the backend lists.")
    return known[same[0]]


def _view(job: str) -> JobView:
    """What the backend knows of a finished clip."""
    pump = the_pump()
    if bpy.app.background and not any(each.startswith(job) for each in pump.session.backend.finished):
        connect()
        before = pump.session.backend.times_told
        pump.do(pump.session.backend.find_clips())
        waiting.until(lambda: pump.session.backend.times_told != before, ANSWER_SECONDS)
    view: JobView = _only(job, pump.session.backend.finished)
    return view


def _insert_job(job: str, scene: Any, place: Place, rate: str) -> Clip:
    pump = the_pump()
    ticket = ticket_for(request_of(_view(job)), pump.session.backend.styles, clips.rate_of(scene), rate)
    parent = clips.parent_folder(clips_folder(bpy.context))
    _lay_down(scene, ticket, place, parent)
    if pump.session.jobs.get(ticket.job) is None:
        pump.do(pump.session.adopt(ticket.request, str(parent / ticket.folder)))
    pump.timeline.look_at_once()
    pump.do(())
    return Clip(pump.session.jobs[ticket.job])


def _insert_folder(source: Path, scene: Any, place: Place, rate: str, fps: Fraction | float | str | None) -> Clip:
    pump, names = the_pump(), FrameFolder(source).names()
    job, parent = new_job_id(), clips.parent_folder(clips_folder(bpy.context))
    try:
        first = (source / frame_name(0)).read_bytes() if names else b""
        record, note = (
            (source / name).read_bytes() if (source / name).is_file() else b"" for name in ("clip.json", "job.json")
        )
        request, told = found.request_of_folder(source.name, first, len(names), record, note, job)
    except OSError as error:
        stop("no_clip", f"{source} cannot be read: {error.strerror}.", "Choose a folder that a command wrote.")
    except found.FoundError as error:
        stop("no_clip", f"{source} holds no clip: {error}", "Choose a folder that a command wrote.")
    rate_of_clip = Fraction(fps).limit_denominator(100_000) if fps is not None else told
    inside = source.parent == parent and re.fullmatch(r"\w[\w-]{0,63}", source.name)
    folder = source if inside else parent / clips.folder_name(request)
    scenes = clips.rate_of(scene)
    ticket = Ticket(
        request=request,
        folder=folder.name,
        fps=scenes if rate_of_clip is None else (rate_of_clip.numerator, rate_of_clip.denominator),
        rate=None if rate == "CLIP" else scenes,
    )
    if not inside:
        try:
            copy(source, folder)
        except CopyError as error:
            stop("folder_unwritable", str(error), "Save the .blend in a folder that can be written.")
    strip = _lay_down(scene, ticket, place, parent)
    try:
        clips.fill(Held(scene, strip, ticket), folder)
    except ClipError as error:
        strips.remove(scene, strip)
        stop("frames_missing", str(error), "Have the command write them again.")
    return Clip(pump.session.know(request, str(folder)))


def _lay_down(scene: Any, ticket: Ticket, place: Place, parent: Path) -> Any:
    try:
        return clips.lay_down(scene, ticket, place, parent)
    except REFUSALS as error:
        raise ElevatorError(problem_of(error)) from error
