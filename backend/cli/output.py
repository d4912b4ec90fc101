"""What commands print: sentences and tables for people, or one JSON object a line for scripts."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import msgspec

from elevator.arguments import drop_output
from shared_protocol.machine.launcher import command_line, launcher

from ..failures import BackendError
from .failures import CommandFailure

_STEERS = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""What does something to a terminal instead of being seen there."""


class JsonLine(msgspec.Struct, frozen=True, kw_only=True, tag_field="type"):
    """Base of the lines that are no messages of the protocol; `type` holds the class name."""


class Saved(JsonLine, frozen=True, kw_only=True, tag=True):
    """A clip lies in a folder of the user's, as frames or as a film."""

    job: str
    folder: str
    film: str = ""
    """The film's name; empty: there are frames."""
    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    fps: float
    seed: int


class Skipped(JsonLine, frozen=True, kw_only=True, tag=True):
    """A row of a batch whose clip was there already."""

    folder: str


class Foreseen(JsonLine, frozen=True, kw_only=True, tag=True):
    """What a clip would take."""

    frames: int
    width: int
    """Pixels."""
    height: int
    """Pixels."""
    calls: int
    """Of the networks."""
    memory: int
    """Bytes, at most."""
    tflop: float
    """10¹² floating-point operations."""
    disk: int
    """Bytes of the result, at most."""
    fits: bool
    """Whether this machine has so much memory."""


class Error(JsonLine, frozen=True, kw_only=True, tag=True):
    """What failed."""

    code: str
    message: str
    """What happened, one sentence."""
    next_step: str
    """What to do now, one sentence."""
    exit_code: int

    @classmethod
    def of(cls, error: BackendError) -> Error:
        """The line for an error."""
        return cls(code=error.code, message=error.sentence, next_step=error.next_step, exit_code=error.exit_code)


class Output:
    """Standard output of one command."""

    def __init__(self, *, json: bool) -> None:
        self.json = json

    def say(self, text: str) -> None:
        """Print a text for people."""
        if not self.json:
            _print(shown(text))

    def line(self, record: msgspec.Struct, **more: object) -> None:
        """Print a line for scripts: all fields of `record` but the name of its request, and `more`."""
        self.object({**{name: value for name, value in _fields(record) if name != "request_id"}, **more})

    def object(self, fields: Mapping[str, Any]) -> None:
        """Print a line for scripts."""
        if self.json:
            _print(json_line(fields))

    def table(self, head: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Print rows below each other, for people."""
        widths = [max(len(cell) for cell in column) for column in zip(head, *rows, strict=True)]
        for row in (head, *rows):
            self.say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _print(text: str) -> None:
    """Raises BrokenPipeError if nobody reads it any longer, and BackendError if it cannot be written."""
    try:
        print(text, flush=True)
    except BrokenPipeError:
        raise
    except OSError as error:
        drop_output()
        raise CommandFailure("output_unwritten", detail=error.strerror) from error


def _fields(record: msgspec.Struct) -> Iterable[tuple[str, Any]]:
    fields: dict[str, Any] = msgspec.to_builtins(record)
    return fields.items()


def typed(*words: str) -> str:
    """A command of the backend as it can be typed here."""
    return f"{launcher()} {command_line(*words)}"


def json_line(value: object) -> str:
    """A value as one line for scripts: readable where the output is UTF-8, else in ASCII, which is UTF-8 as well."""
    readable = (sys.stdout.encoding or "").lower().replace("-", "").replace("_", "") == "utf8"
    return json.dumps(value, ensure_ascii=not readable)


def warn(sentence: str) -> None:
    """Say something that stops nothing, on standard error."""
    print(shown(sentence), file=sys.stderr, flush=True)


def shown(text: str) -> str:
    """The text without power over the terminal: prompts and sentences come from elsewhere. Lines stay lines."""
    return _STEERS.sub(lambda sign: sign[0].encode("unicode_escape").decode("ascii"), text)


def size_text(count: int) -> str:
    """ "12 kB", "3.4 MB", "1.20 GB"."""
    if count < 1_000_000:
        return f"{count / 1e3:.0f} kB"
    return f"{count / 1e6:.1f} MB" if count < 1_000_000_000 else f"{count / 1e9:.2f} GB"


def shortened(text: str, length: int = 40) -> str:
    """A text on one line, cut where it is too long."""
    text = " ".join(text.split())
    return text if len(text) <= length else text[: length - 1] + "…"
