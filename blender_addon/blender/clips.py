"""Clips in the edit: the strip that waits for one, what it shows, and where its files lie.

A strip that belongs to a clip carries its ticket (`clip.ticket`) and the clip's id as custom properties. While the
frames are not there it lies in the folder of all clips and shows a picture of stripes; when they come it is turned to
the clip's own folder, where it lies and as it is cut, without an undo step.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from shared_protocol.machine import places
from shared_protocol.messages import Generate

from ..clip import folder_template, placing, timing, words
from ..clip.job import Job, State
from ..clip.placing import Where
from ..clip.ticket import Ticket, decode, encode
from ..clip.words import Phrase
from ..machine import leftovers, stripes
from ..machine.frame_folder import FrameFileError, FrameFolder, frame_name
from ..machine.reasons import reason
from . import strips

JOB, TICKET, NAMED = "elevator_job", "elevator_clip", "elevator_name"
"""Custom properties of a strip: the clip's id, its ticket, and the name that we gave the strip last."""
NAME_LENGTH = 40
"""Characters of the prompt in a strip's name: Blender keeps 63 bytes."""


class Folders:
    """Where clips' folders go and how they are called, as the preferences have it."""

    template = folder_template.parse(folder_template.DEFAULT)

    @classmethod
    def parent(cls, blend: Path | None) -> Path | None:
        """The folder that holds all clips of a .blend; None: the file must be saved first."""
        relative = cls.template.parent.removeprefix("//")
        if relative == cls.template.parent:
            return Path(relative)
        return None if blend is None else blend.parent / relative


class ClipError(Exception):
    """The strip cannot be made. The text is one sentence."""


@dataclass(frozen=True)
class Place:
    """Where the artist wants the strip."""

    frame_start: int
    where: Where = Where.ABOVE_ALL
    channel: int = 0
    """With Where.CHANNEL: the channel, or the first one to try."""
    fit: str = "FIT"


@dataclass(frozen=True, eq=False)
class Held:
    """A strip with its ticket."""

    scene: Any
    strip: Any
    ticket: Ticket

    @property
    def folder(self) -> Path:
        """Where the clip's frames lie, or will."""
        now = strips.folder(self.strip)
        return now if self.filled else now / self.ticket.folder

    @property
    def filled(self) -> bool:
        """Whether the strip shows its clip."""
        return strips.folder(self.strip).name == self.ticket.folder


def parent_folder(chosen: str = "") -> Path:
    """Where clips' folders go now: as the template says; of an unsaved file the chosen folder, or else one of ours."""
    parent = Folders.parent(Path(bpy.data.filepath) if bpy.data.filepath else None)
    if parent is not None:
        return parent
    return Path(bpy.path.abspath(chosen)) if chosen else spare_folder()


def folder_name(request: Generate) -> str:
    """How the folder of a new clip is called."""
    return Folders.template.name_of(request)


def spare_folder() -> Path:
    """A folder that is there when no other is. Not the extension's own: Blender deletes that with the extension."""
    return places.state_folder() / "clips"


# The strip that waits ----------------------------------------------------------------------------------------


def lay_down(scene: Any, ticket: Ticket, place: Place, parent: Path) -> Any:
    """Make the strip that waits for a clip, where nothing else is. Raises ClipError or FrameFileError."""
    request, holder = ticket.request, strips.open_holder(scene)
    length = len(ticket.shown)
    channel = _channel(scene, holder, place, length)
    if channel is None:
        raise ClipError(
            Phrase(
                "No channel is free for {frames} at frame {start}.",
                frames=words.frames(length),
                start=place.frame_start,
            )
        )
    strip = strips.add_image_strip(
        holder,
        name=_name(request.prompt),
        folder=parent,
        file=_stripes(parent, stripes.WAITING, ticket),
        length=length,
        channel=channel,
        frame_start=place.frame_start,
        fit=place.fit,
    )
    strip[JOB], strip[TICKET], strip[NAMED] = ticket.job, encode(ticket), strip.name
    if strips.span(strip) != (place.frame_start, place.frame_start + length):
        strips.remove(scene, strip)
        raise ClipError("Blender made a strip of another length than asked for.")
    strips.select_only(scene, strip)
    return strip


def _channel(scene: Any, holder: Any, place: Place, length: int) -> int | None:
    start, end = place.frame_start, place.frame_start + length
    taken, closed = strips.taken(holder), strips.closed(holder)
    if place.where is Where.CHANNEL:
        return placing.free_from(place.channel, taken, start, end, closed)
    active = scene.sequence_editor.active_strip
    if place.where is Where.ABOVE_ACTIVE and active is not None:
        return placing.free_from(active.channel + 1, taken, start, end, closed)
    return placing.above_all(taken, start, end, closed)


def _stripes(parent: Path, kind: str, ticket: Ticket) -> str:
    try:
        return stripes.put(parent, kind, ticket.request.width, ticket.request.height)
    except OSError as error:
        raise FrameFileError(
            Phrase("The folder {folder} cannot be written: {why}.", folder=parent, why=reason(error))
        ) from error


def _stripes_or_none(parent: Path, kind: str, ticket: Ticket) -> str:
    """The same for a strip that lies there already: on a disk that takes nothing its name must say it alone."""
    try:
        return _stripes(parent, kind, ticket)
    except FrameFileError:
        return stripes.name(kind, ticket.request.width, ticket.request.height)


def ticket_of(strip: Any) -> Ticket | None:
    """The ticket that a strip carries, or None."""
    text = strip.get(TICKET) if strip.type == "IMAGE" else None
    return decode(text) if isinstance(text, str) else None


def held() -> Iterator[Held]:
    """Every strip of the open file that belongs to a clip, in all scenes and meta strips."""
    for scene in bpy.data.scenes:
        for strip in strips.every_strip(scene):
            if (ticket := ticket_of(strip)) is not None:
                yield Held(scene, strip, ticket)


def active(scene: Any) -> Held | None:
    """The active strip of a scene, if it belongs to a clip."""
    strip = scene.sequence_editor.active_strip if scene is not None and scene.sequence_editor else None
    ticket = ticket_of(strip) if strip is not None else None
    return Held(scene, strip, ticket) if ticket is not None else None


# What it shows -----------------------------------------------------------------------------------------------


def fill(each: Held, folder: Path) -> None:
    """Turn a strip to its clip's frames. No undo step, no change of selection. Raises ClipError."""
    if not FrameFolder(folder).holds(each.ticket.frames):
        raise ClipError(Phrase("Frames are missing in {folder}.", folder=folder))
    strips.show(each.strip, folder, [frame_name(index) for index in each.ticket.shown])
    if folder.name != each.ticket.folder:
        raise AssertionError(f"{folder} is not the folder of {each.ticket.job}")
    _call(each.strip, _name(each.ticket.request.prompt))
    _color(each.strip, failed=False)


def show_failed(each: Held, *, cancelled: bool) -> None:
    """Let a strip say that there will be no frames, and why."""
    parent = strips.folder(each.strip)
    strips.show(each.strip, parent, [_stripes_or_none(parent, stripes.FAILED, each.ticket)])
    _call(each.strip, f"{'Cancelled' if cancelled else 'Failed'}: {_name(each.ticket.request.prompt)}")
    _color(each.strip, failed=True)


def says_failed(each: Held) -> bool:
    """Whether a strip says that there will be no frames."""
    return bool(each.strip.elements[0].filename.startswith(stripes.FAILED))


def show_waiting(each: Held, job: Job) -> None:
    """Let a strip's name say how far its clip is."""
    far = f" · {job.fraction:.0%}" if job.steps or job.state in (State.MADE, State.FETCHING, State.FILLING) else " · …"
    _call(each.strip, _name(each.ticket.request.prompt) + far)


def exchange(each: Held, ticket: Ticket) -> None:
    """Let a strip wait for another clip of the same length and size."""
    parent = strips.folder(each.strip).parent if each.filled else strips.folder(each.strip)
    strips.show(each.strip, parent, [_stripes_or_none(parent, stripes.WAITING, ticket)])
    each.strip[JOB], each.strip[TICKET] = ticket.job, encode(ticket)
    _color(each.strip, failed=False)


def _call(strip: Any, name: str) -> None:
    """Name a strip, unless the artist has named it. Blender itself adds ".001" to a second one."""
    if strip.name == strip.get(NAMED) and re.sub(r"\.\d{3,}\Z", "", strip.name) != name:
        strip.name = name
        strip[NAMED] = strip.name


def _name(prompt: str) -> str:
    return " ".join(prompt.split())[:NAME_LENGTH]


FAILED_COLOR = "COLOR_01"


def _color(strip: Any, *, failed: bool) -> None:
    """Mark a strip red, or take our own mark away again."""
    if failed:
        strip.color_tag = FAILED_COLOR
    elif strip.color_tag == FAILED_COLOR:
        strip.color_tag = "NONE"


def rate_of(scene: Any) -> tuple[int, int]:
    """The scene's frames a second, as a ticket keeps them."""
    rate = strips.frame_rate(scene)
    return rate.numerator, rate.denominator


def scene_frames(frames: int, fps: Fraction, scene: Any) -> int:
    """How many frames of the scene a clip takes."""
    return timing.length(frames, fps, strips.frame_rate(scene))


# Where its files lie -----------------------------------------------------------------------------------------


def follow_to(blend: Path) -> None:
    """An unsaved file gets its place: its clips' files go beside it. Raises FrameFileError once all were tried."""
    parent, problem = Folders.parent(blend), None
    assert parent is not None
    for each in list(held()):
        now = strips.folder(each.strip)
        try:
            for take in each.ticket.takes if each.folder.parent != parent else ():
                if (each.folder.parent / take.folder).is_dir():
                    FrameFolder(each.folder.parent / take.folder).move_to(parent)
            if each.filled:
                show_from(each, FrameFolder(now).move_to(parent).path if now.parent != parent else now)
            else:
                wait_in(each, parent)
        except FrameFileError as error:
            problem = error
    if problem is not None:
        raise problem


def wait_in(each: Held, parent: Path) -> None:
    """Let a strip wait for its frames, or say that there are none, in another folder. Raises FrameFileError."""
    kind = stripes.FAILED if says_failed(each) else stripes.WAITING
    strips.show(each.strip, parent, [_stripes(parent, kind, each.ticket)])


def show_from(each: Held, folder: Path) -> None:
    """Let a strip that shows its clip find the frames in another folder."""
    strips.show(each.strip, folder, [element.filename for element in each.strip.elements])


def note_where(blend: Path) -> None:
    """A file is saved whose clips may lie beside another one: let them be left alone there. Raises OSError."""
    for parent in {each.folder.parent for each in held() if each.filled} - {spare_folder()}:
        if parent.parent != blend.parent and parent.is_dir():
            leftovers.note(parent, blend)


def take_away(job: str) -> None:
    """Remove the strips that wait for a clip which a script did not get."""
    for each in list(held()):
        if each.ticket.job == job and not each.filled:
            strips.remove(each.scene, each.strip)
