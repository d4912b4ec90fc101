"""What the commands about styles say, and where they find one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..styles import writing
from ..styles.files import STYLES, StyleFile, Unusable
from .failures import CommandFailure
from .output import JsonLine, typed


class StyleLine(JsonLine, frozen=True, kw_only=True, tag=True):
    """A style, as its file says it."""

    name: str
    file: str
    own: bool
    """Whether it is in the user's settings folder."""
    settings: dict[str, Any]
    """As docs/STYLES.md lists them; those of the defaults are left out."""
    problem: str = ""
    """Why it cannot be used; empty: it can."""


class BaseLine(JsonLine, frozen=True, kw_only=True, tag=True):
    """Two models on which styles can be made."""

    name: str
    title: str
    presets: tuple[str, ...]
    own: bool
    """Whether its file is in the user's settings folder."""


class Removed(JsonLine, frozen=True, kw_only=True, tag=True):
    """Files that were deleted."""

    files: tuple[str, ...]


def found(name: str) -> tuple[Path, StyleFile]:
    """A style's file and what stands in it. Raises BackendError."""
    try:
        return writing.find(name)
    except Unusable as error:
        raise CommandFailure("style_unwritten", detail=error, step=see_list()) from error


def see_list() -> str:
    """Where the styles are told."""
    return f'See "{typed("styles", "list")}".'


def line_of(name: str) -> StyleLine:
    """The line about a style that there is."""
    file, style = writing.find(name)
    own = file.parent != STYLES
    settings = writing.settings_of(style if own else writing.moved(style, file.parent))
    return StyleLine(name=name, file=str(file), own=own, settings=settings)
