"""What a strip carries of its clip: enough to fill it when the frames are there, and to make the clip again. Pure.

It travels with the strip through copies, splits, undo, metas and files, so the edit itself says what it waits for.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta

from shared_protocol.messages import Generate, JobId, Seed

from .pictures import NONE as NO_PICTURES
from .pictures import Pictures
from .timing import length, shown

Positive: TypeAlias = Annotated[int, Meta(ge=1)]
Rate: TypeAlias = tuple[Positive, Positive]
"""Numerator and denominator, frames a second."""
FolderName: TypeAlias = Annotated[str, Meta(pattern=r"\A\w[\w-]*\Z", max_length=64)]
"""As `wish.folder_name` makes them: a strange file must not lead us to another place."""


class Take(msgspec.Struct, frozen=True, kw_only=True):
    """Another clip of the same words that the strip can show."""

    job: JobId
    seed: Seed
    folder: FolderName


class Ticket(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One clip in an edit."""

    request: Generate
    """As it was sent; its `job` is the clip's name in the backend."""
    folder: FolderName
    """Name of the folder of its frames, below the one that holds all clips of the project."""
    fps: Rate
    """Of the style: at which the clip is sampled, and delivered unless the request names another."""
    rate: Rate | None = None
    """Of the scene when the strip was laid down; None: the strip shows each frame of the clip once."""
    pictures: Pictures = NO_PICTURES
    """From the edit. The request names none: they are read anew whenever the clip is asked for."""
    takes: tuple[Take, ...] = ()
    """The strip's other takes, in the order in which they are shown next."""

    @property
    def job(self) -> str:
        """The clip's name in the backend."""
        return self.request.job

    @property
    def frames(self) -> int:
        """How many frames the backend delivers."""
        flow = self.request.flow_fps
        return self.request.frames if flow is None else length(self.request.frames, Fraction(*self.fps), flow)

    @property
    def shown(self) -> tuple[int, ...]:
        """Which frame of the clip each of the strip's elements shows, from 0."""
        rate = None if self.rate is None else Fraction(*self.rate)
        return shown(self.frames, self.request.flow_fps or Fraction(*self.fps), rate)

    @property
    def take(self) -> Take:
        """The clip that the strip shows, among its takes."""
        return Take(job=self.job, seed=self.request.seed, folder=self.folder)

    @property
    def jobs(self) -> tuple[str, ...]:
        """The names of all of the strip's takes in the backend, that which it shows first."""
        return (self.job, *(take.job for take in self.takes))

    @property
    def folders(self) -> tuple[str, ...]:
        """The names of all of its takes' folders, likewise."""
        return (self.folder, *(take.folder for take in self.takes))

    def of(self, take: Take) -> Ticket:
        """A ticket of another take alone."""
        return msgspec.structs.replace(self.again(take.job, take.folder, take.seed), takes=())

    def next(self) -> Ticket:
        """The strip with its next take shown, and this one as the last to come."""
        first, *others = self.takes
        return msgspec.structs.replace(self.of(first), takes=(*others, self.take))

    def again(self, job: str, folder: str, seed: int | None = None) -> Ticket:
        """The same clip under another name, and with another seed if one is given."""
        request = msgspec.structs.replace(self.request, job=job, seed=self.request.seed if seed is None else seed)
        return msgspec.structs.replace(self, request=request, folder=folder)


def encode(ticket: Ticket) -> str:
    """As text, for a strip's property."""
    return msgspec.json.encode(ticket).decode()


@lru_cache(maxsize=1024)
def decode(text: str) -> Ticket | None:
    """The ticket of such a text; None if it is none that this version understands."""
    try:
        return msgspec.json.decode(text, type=Ticket)
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
