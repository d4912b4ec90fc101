"""Styles of one's own, by the backend's command `styles`. No bpy."""

from __future__ import annotations

from typing import Any, TypeAlias

import msgspec

from shared_protocol.machine import places

from .told_commands import Error, ToldCommands


class StyleLora(msgspec.Struct, frozen=True):
    """A LoRA as a style's file names it: by a name in its base's folder, or by a path."""

    name: str = ""
    path: str = ""
    weight: float = 1.0
    on: bool = True


class StyleSettings(msgspec.Struct, frozen=True):
    """What stands in a style's file, as far as the panel has fields for it."""

    title: str
    base: str
    preset: str
    description: str = ""
    prompt: str = "{prompt}"
    negative_prompt: str = ""
    example_prompt: str = ""
    loras: tuple[StyleLora, ...] = ()


class StyleLine(msgspec.Struct, frozen=True, tag=True):
    """A style's file, as the commands tell of it."""

    name: str
    own: bool
    settings: StyleSettings


class BaseLine(msgspec.Struct, frozen=True, tag=True):
    """Two models on which a style can be made."""

    name: str
    title: str
    presets: tuple[str, ...]


_Line: TypeAlias = StyleLine | BaseLine | Error
_LINE = msgspec.json.Decoder(_Line)


class StyleCommands(ToldCommands):
    """`styles`."""

    GROUP = "styles"

    def __init__(self) -> None:
        super().__init__()
        self.bases: tuple[BaseLine, ...] = ()
        """As they were when a style was asked for last."""
        self.shown: StyleLine | None = None
        """A style that was asked for and has come."""
        self.written: StyleLine | None = None
        """A style that was written and is not yet chosen."""
        self._heard_bases: list[BaseLine] = []
        self._heard: StyleLine | None = None
        self._wanted = ""

    def show(self, name: str) -> None:
        """Ask what stands in a style's file, and which bases there are."""
        if self._begin("bases"):
            self._wanted = name

    def copy(self, name: str, title: str, content: dict[str, Any]) -> None:
        """Write a style like another one. content: what is different, by the keys of a style's file."""
        self._begin("copy", name, title, content=content)

    def edit(self, name: str, content: dict[str, Any]) -> None:
        """Change a style; of one that comes with the backend, a copy."""
        self._begin("edit", name, content=content)

    def remove(self, name: str) -> None:
        """Delete a style of the user's own."""
        self._begin("remove", name)

    def picture(self, name: str) -> None:
        """Have a style's picture made, in place of one that it has."""
        self._begin("thumbnail", name, overwrite=True)

    def _begin(self, name: str, *values: str, content: dict[str, Any] | None = None, overwrite: bool = False) -> bool:
        options = ["--overwrite"] if overwrite else []
        if content:
            options += ["--content", msgspec.json.encode(content).decode()]
        if not self._start(name, *values, options=options):
            return False
        self._heard_bases, self._heard = [], None
        return True

    def _hear(self, line: bytes) -> None:
        try:
            told = _LINE.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError):
            return
        if isinstance(told, Error):
            self._error = told
        elif isinstance(told, BaseLine):
            self._heard_bases.append(told)
        else:
            self._heard = told

    def _took(self, name: str) -> None:
        if name == "bases":
            self.bases = tuple(self._heard_bases)
            self._begin("show", self._wanted)
        elif name == "show":
            self.shown = self._heard
        else:
            self.made += 1
            self.written = self._heard if name in ("copy", "edit") else None


def is_own(name: str) -> bool:
    """Whether a style's file lies in the user's settings folder."""
    return bool(name) and (places.config_folder() / "styles" / f"{name}.toml").is_file()
