"""From what an artist sets in the panel to what stands in a style's file. Pure.

The keys are those of docs/STYLES.md.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from shared_protocol.messages import Style

from .choices import LoraLine

PLACE = "{prompt}"
"""Where the artist's own words go in a style's prompt."""


@dataclass(frozen=True)
class LoraPart:
    """A LoRA of a style: by its name as the backend lists it, or by a path."""

    name: str
    path: str = ""
    weight: float = 1.0
    on: bool = True

    @property
    def entry(self) -> dict[str, Any]:
        """As a style's file names it."""
        place = {"path": self.path} if self.path else {"name": self.name}
        return {**place, "weight": round(self.weight, 4), "on": self.on}


def of_look(
    style: Style,
    preset: str,
    loras: Iterable[LoraLine],
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """What a style like another one has of its own, so that its clips look like the panel's next one."""
    content: dict[str, Any] = {}
    lines = {line.name: line for line in loras}
    own = [LoraLine(view.name, view.weight) for view in style.loras if view.own and view.name not in lines]
    if lines:
        content["loras"] = [LoraPart(each.name, "", each.weight, each.on).entry for each in (*own, *lines.values())]
    if preset:
        content["preset"] = preset
    if settings:
        content["plan"] = dict(settings)
    return content


def name_of(path: str) -> str:
    """What a LoRA that is named by its path is called in a list."""
    return PurePath(path.replace("\\", "/")).name


def with_place(prompt: str) -> str:
    """A style's prompt with a place for the artist's words: in front, if it has none."""
    prompt = prompt.strip()
    if PLACE in prompt:
        return prompt
    return f"{PLACE}, {prompt}" if prompt else PLACE
