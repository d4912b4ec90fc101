"""The record beside a clip, `clip.json`, from which `python -m elevator --again` makes the clip once more.

The format is this module's: one JSON object with the fields of `Sidecar`, by their names. Files of later
versions may have more fields, which are ignored; a later `format` is refused. Importing this imports no torch.
"""

from __future__ import annotations

import codecs
import platform
from importlib import metadata
from pathlib import Path
from typing import Any, Literal

import msgspec

from ._version import VERSION
from .errors import RequestError
from .pictures.clip_folder import RECORD
from .plan import Plan
from .sources import Sources

FORMAT = 1
PACKAGES = ("torch", "diffusers", "transformers", "numpy")
"""Other people's packages on which a clip's pixels depend."""


class Pictures(msgspec.Struct, frozen=True):
    """The pictures that a clip starts from, absolute."""

    init: str | None = None
    """A folder of them, or one."""
    footage: tuple[str, ...] = ()
    """One a frame, where they do not lie in a folder `init`."""
    anchor: str | None = None
    """The look of frame 0."""
    fit: Literal["cover", "stretch"] = "cover"
    """How pictures of another size than the clip's are brought to it."""


class Device(msgspec.Struct, frozen=True):
    """Where the networks run."""

    name: str
    """As torch calls it."""
    dtype: str
    """As torch calls it."""
    offload: bool = False


class ClipSettings(msgspec.Struct, frozen=True):
    """What `elevate` was asked for."""

    prompt: str
    """Empty if there is travel."""
    negative_prompt: str
    travel: dict[int, str]
    """Prompts by frame."""
    preset: str
    """That the plan came from; the plan alone counts."""
    plan: Plan
    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    seed: int
    strength: float
    """Of the noise on init frames, 0 … 1."""
    fps: float
    """To be shown at; changes no pixel."""
    style: str = ""
    """That the prompt's words, the models and the plan came from; says nothing more."""


class File(msgspec.Struct, frozen=True):
    """A file that was read."""

    source: str
    """The field of Sources or Pictures that it belongs to, with a number where that holds several."""
    name: str
    """Its path relative to the source, with / between folders; "." if it is the source."""
    path: str
    """Where it lay."""
    size: int
    """Bytes."""
    sha256: str


class FrameFile(msgspec.Struct, frozen=True):
    """A finished frame."""

    file: str
    """Beside the sidecar."""
    sha256: str
    """Of its pixels: bytes R, G, B of each row from the left, rows from the top."""


class Sidecar(msgspec.Struct, frozen=True, kw_only=True):
    """Everything about one clip."""

    format: int = FORMAT
    made_with: dict[str, str]
    """Versions and machine."""
    sources: Sources
    """Absolute, or a name of embedded models."""
    device: Device
    settings: ClipSettings
    files: tuple[File, ...]
    seconds: dict[str, float]
    """Spent on each phase of the work."""
    notes: tuple[str, ...]
    """On what was not understood."""
    frames: tuple[FrameFile, ...]
    metrics: dict[str, Any]
    """By `elevator.pictures.metrics`; none of frames that are too small."""
    pictures: Pictures = Pictures()
    flow_fps: str = ""
    """If not empty: the frames beside the sidecar are not these, but made from these along the optical flow, so many a
    second, as a fraction such as 24000/1001."""


class _Format(msgspec.Struct, frozen=True):
    format: int


class _Earlier(msgspec.Struct, frozen=True):
    """What earlier versions wrote: pictures among the sources."""

    sources: Pictures


def encode(sidecar: Sidecar) -> bytes:
    """The sidecar as indented JSON in UTF-8."""
    return msgspec.json.format(msgspec.json.encode(sidecar), indent=1) + b"\n"


def decode(data: bytes, path: Path) -> Sidecar:
    """The sidecar in `data`, read from `path`.

    Raises RequestError if it is none or a later format's, and PlanError if its plan is impossible.
    """
    data = data.removeprefix(codecs.BOM_UTF8)  # of Notepad, where somebody has looked into it
    try:
        found = msgspec.json.decode(data, type=_Format).format
        if found != FORMAT:
            raise RequestError(f"{path} is in format {found}, not {FORMAT}; use the version of Elevator that wrote it.")
        sidecar = msgspec.json.decode(data, type=Sidecar)
        if sidecar.pictures == Pictures():
            sidecar = msgspec.structs.replace(sidecar, pictures=msgspec.json.decode(data, type=_Earlier).sources)
        if len(sidecar.frames) != sidecar.settings.frames:
            raise ValueError(f"{len(sidecar.frames)} of {sidecar.settings.frames} frames")
    except (ValueError, RecursionError) as error:  # msgspec's are ValueErrors
        raise RequestError(f"{path} is not a readable sidecar ({error}); choose the {RECORD} of a clip.") from error
    return sidecar


def read(path: Path) -> Sidecar:
    """The sidecar at `path`, or in the folder there. Raises as `decode` does, also if there is none."""
    path = path / RECORD if path.is_dir() else path
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RequestError(f"{path} cannot be read ({error.strerror}); choose the {RECORD} of a clip.") from error
    return decode(data, path)


def version() -> str:
    """Elevator's own."""
    return VERSION


def made_with() -> dict[str, str]:
    """Versions, by name, of all that a clip's pixels depend on, and the kind of machine."""
    return {
        "elevator": version(),
        "python": platform.python_version(),
        **{name: metadata.version(name) for name in PACKAGES},
        "platform": f"{platform.system()} {platform.machine()}",
    }
