"""What a clip starts from: pictures of a strip, and a picture for its first frame. Only names of files: a process reads
them."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import bpy

from ..clip.pictures import Picture, Pictures, scene_frames
from ..clip.ticket import Ticket
from ..clip.words import Phrase
from . import clips, strips
from .clips import ClipError


@dataclass(frozen=True)
class Input:
    """What the artist chose; empty means none."""

    footage: str = ""
    """Name of the strip whose pictures the clip starts from."""
    anchor: str = ""
    """Name of the strip whose picture at the clip's start is frame 0."""
    anchor_file: str = ""
    """A picture file that is frame 0."""


NOTHING = Input()


class SourceError(ClipError):
    """The clip cannot start from these pictures: what is said of them."""


def chosen(settings: Any) -> Input:
    """What the panel's fields ask for."""
    return Input(
        footage=settings.source if settings.use_footage else "",
        anchor=settings.source if settings.anchor == "STRIP" else "",
        anchor_file=settings.anchor_file if settings.anchor == "FILE" else "",
    )


def pictures(wanted: Input, scene: Any, ticket: Ticket, start: int) -> Pictures:
    """The files for a clip that begins at a frame of the scene. Raises SourceError."""
    footage: tuple[Picture, ...] = ()
    if wanted.footage:
        strip = _strip(scene, wanted.footage)
        rate = None if ticket.rate is None else Fraction(*ticket.rate)
        frames = list(scene_frames(ticket.request.frames, Fraction(*ticket.fps), rate, start))
        first, end = strips.span(strip)
        if not (first <= frames[0] and frames[-1] < end):
            raise SourceError(
                Phrase(
                    "The clip needs frames {first} to {last} of the scene, and the strip {strip} has {begin} to {end}."
                    " Move the playhead, or make the clip shorter.",
                    first=frames[0],
                    last=frames[-1],
                    strip=strip.name,
                    begin=first,
                    end=end - 1,
                )
            )
        footage = tuple(_picture(strip, frame) for frame in frames)
    anchor = None
    if wanted.anchor:
        strip = _strip(scene, wanted.anchor)
        first, end = strips.span(strip)
        if not first <= start < end:
            raise SourceError(
                Phrase(
                    "The strip {strip} has no picture at frame {frame}. Move the playhead over it.",
                    strip=strip.name,
                    frame=start,
                )
            )
        anchor = _picture(strip, start)
    elif wanted.anchor_file:
        path = Path(bpy.path.abspath(wanted.anchor_file))
        if not path.is_file():
            raise SourceError(Phrase("There is no picture {path}. Choose another one for the first frame.", path=path))
        anchor = Picture(str(path))
    return Pictures(footage=footage, anchor=anchor)


def why_not(strip: Any) -> str:
    """Why a strip's pictures cannot be used, in one sentence; empty if they can."""
    if strip.type not in ("IMAGE", "MOVIE"):
        return Phrase("The strip {strip} is no image and no movie: choose one of those.", strip=strip.name)
    ticket = clips.ticket_of(strip)
    if ticket is not None and strips.folder(strip).name != ticket.folder:
        return Phrase("The strip {strip} waits for its own clip: wait until that is there.", strip=strip.name)
    if strip.type == "MOVIE" and strips.is_retimed(strip):
        return Phrase("The strip {strip} is retimed or plays backward: render it to a file first.", strip=strip.name)
    return ""


def _strip(scene: Any, name: str) -> Any:
    strip = next((strip for strip in strips.every_strip(scene) if strip.name == name), None)
    if strip is None:
        raise SourceError(Phrase("There is no strip {name}. Choose another one in the panel Input.", name=name))
    if sentence := why_not(strip):
        raise SourceError(sentence)
    return strip


def _picture(strip: Any, frame: int) -> Picture:
    if strip.type == "MOVIE":
        return Picture(bpy.path.abspath(strip.filepath), strips.movie_frame(strip, frame))
    path = strips.folder(strip) / strip.strip_elem_from_frame(frame).filename
    return Picture(str(path))
