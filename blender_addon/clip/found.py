"""What a folder of frames tells of its clip, which some command wrote. Pure: no bpy, no I/O."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import msgspec

from shared_protocol.messages import Generate

from . import limits
from .words import Phrase

PNG_SIZE = slice(16, 24)
"""Of a PNG file: width and height, four bytes each."""


class FoundError(Exception):
    """The folder holds no clip that can be used. The text is one sentence."""


class _Settings(msgspec.Struct):
    prompt: str = ""
    negative_prompt: str = ""
    seed: int = 0
    fps: float = 0.0
    style: str = ""


class _Record(msgspec.Struct):
    """`clip.json`, as backend and sampler write it."""

    settings: _Settings = msgspec.field(default_factory=_Settings)
    flow_fps: str = ""


class _Asked(msgspec.Struct):
    prompt: str = ""
    negative_prompt: str = ""
    style: str = ""
    fps: str | None = None


class _Note(msgspec.Struct):
    """`job.json`, as a batch writes it."""

    job: str = ""
    asked: _Asked = msgspec.field(default_factory=_Asked)
    seed: int = 0


def request_of_folder(
    name: str, first: bytes, frames: int, record: bytes, note: bytes, job: str
) -> tuple[Generate, Fraction | None]:
    """The request for a clip that lies in a folder, and its frame rate if that is told. Raises FoundError.

    name: of the folder. first: the beginning of the first frame. record, note: `clip.json` and `job.json`, or nothing.
    job: the clip's name if none is told.
    """
    if not 0 < frames <= limits.FRAMES.most:
        raise FoundError(
            Phrase(
                "{count} frames frame_0001.png … are in there, and a strip shows 1 to {most}.",
                count=frames,
                most=limits.FRAMES.most,
            )
        )
    if first[:8] != b"\x89PNG\r\n\x1a\n" or len(first) < PNG_SIZE.stop:
        raise FoundError("The first frame is no PNG picture.")
    size = first[PNG_SIZE]
    recorded, asked = _decoded(record, _Record), _decoded(note, _Note)
    made = recorded.settings
    told = {
        "job": asked.job or job,
        "prompt": (made.prompt or asked.asked.prompt or name)[: limits.PROMPT.most],
        "negative_prompt": made.negative_prompt or asked.asked.negative_prompt,
        "style": made.style or asked.asked.style or "plain",
        "frames": frames,
        "width": int.from_bytes(size[:4], "big"),
        "height": int.from_bytes(size[4:], "big"),
        "seed": min(made.seed or asked.seed, limits.SEED.most),
    }
    try:
        fps = Fraction(asked.asked.fps or recorded.flow_fps or made.fps).limit_denominator(100_000)
        return msgspec.convert(told, Generate), fps or None
    except (ValueError, ArithmeticError) as error:  # msgspec's are ValueErrors
        raise FoundError(Phrase("Its notes cannot be used: {error}.", error=str(error))) from error


def _decoded(data: bytes, kind: Any) -> Any:
    try:
        return msgspec.json.decode(data, type=kind) if data else kind()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return kind()
