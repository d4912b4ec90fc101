"""Styles and the models under them, read from TOML files. Imports no torch.

A base (`backend/bases/NAME.toml`) names the folders of two models that belong together, what they can do, and presets
for the sampler. A style (`backend/styles/NAME.toml`, or a user's own in `config_folder()/styles`) is a base with LoRAs,
words, and a preset. A file that cannot be used is skipped with a sentence; the others still work.
"""

from __future__ import annotations

import logging
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
from msgspec import Meta

from elevator import ElevatorError, Plan
from shared_protocol import places
from shared_protocol.messages import Frames, Name, Pixels, Prompt, Sentence, Style

from .orders import Lora
from .settings import ROOT

log = logging.getLogger(__name__)

BASES = ROOT / "backend" / "bases"
STYLES = ROOT / "backend" / "styles"
_NAME = re.compile(r"[a-z0-9_]{1,64}\Z")
T = TypeVar("T")


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two models that belong together, as a base file describes them."""

    title: Name
    t2i: str
    """Folder of the text-to-image model; relative paths start at the project's folder."""
    t2v: str
    """Folder of the text-to-video model."""
    loras: str
    """Folder in which a style's LoRA is found by its name."""
    width: Pixels
    height: Pixels
    frames: Frames
    """Native size, pixels, and length."""
    fps: Annotated[float, Meta(gt=0, le=1000)]
    size_step: Pixels
    min_size: Pixels
    max_size: Pixels
    """Limits of width and height, pixels."""
    max_frames: Frames
    presets: dict[str, dict[str, Any]]
    """Settings of the sampler's plan, by name."""


class _LoraEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    name: str = ""
    path: str = ""
    weight: Annotated[float, Meta(ge=-4, le=4)] = 1.0


class _StyleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    title: Name
    description: Sentence = ""
    base: Name
    prompt: Prompt = "{prompt}"
    negative_prompt: Prompt = ""
    preset: Name
    example_prompt: Prompt
    loras: tuple[_LoraEntry, ...] = ()
    plan: dict[str, Any] = {}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A style with everything looked up: what the worker needs to make a clip in it."""

    style: Style
    """As clients see it."""
    template: str
    """The prompt's words, with `{prompt}` for the user's."""
    negative_prompt: str
    t2i: Path
    t2v: Path
    loras: tuple[Lora, ...]
    plan: Mapping[str, Any]
    fps: float

    def missing(self) -> Path | None:
        """The first model file or folder that is not there, or None."""
        paths = (self.t2i, self.t2v, *(Path(lora.path) for lora in self.loras))
        return next((path for path in paths if not path.exists()), None)


@dataclass(frozen=True)
class Catalogue:
    """All styles that can be used, and sentences about those that cannot."""

    recipes: Mapping[str, Recipe]
    notes: tuple[str, ...]

    @property
    def styles(self) -> tuple[Style, ...]:
        """As clients see them."""
        return tuple(recipe.style for recipe in self.recipes.values())


class _Unusable(Exception):
    """A file cannot be used; the message says why."""


def read_catalogue(bases: Path = BASES, styles: Path = STYLES, own_styles: Path | None = None) -> Catalogue:
    """Read all files. A user's own style replaces one of ours of the same name. Raises nothing about their content."""
    own = places.config_folder() / "styles" if own_styles is None else own_styles
    recipes: dict[str, Recipe] = {}
    notes: list[str] = []
    for path in (*sorted(styles.glob("*.toml")), *sorted(own.glob("*.toml"))):
        try:
            recipes[path.stem] = _read_recipe(path, bases)
        except _Unusable as error:
            notes.append(f"The style file {path} is skipped: {error}.")
            log.warning("The style file %s is skipped: %s.", path, error)
    # "plain" is what the panel starts with, so it comes first.
    ordered = sorted(recipes.items(), key=lambda item: (item[0] != "plain", item[1].style.title))
    return Catalogue(dict(ordered), tuple(notes))


def _read_recipe(path: Path, bases: Path) -> Recipe:
    if not _NAME.match(path.stem):
        raise _Unusable("a style's name has only the letters a–z, digits and _")
    file = _read(path, _StyleFile)
    if not _NAME.match(file.base) or not (bases / f"{file.base}.toml").is_file():
        raise _Unusable(f'there is no base "{file.base}"')
    base = _read(bases / f"{file.base}.toml", Base)
    if file.preset not in base.presets:
        raise _Unusable(f'base "{file.base}" has no preset "{file.preset}", only {", ".join(base.presets)}')
    if file.prompt.count("{prompt}") != 1:
        raise _Unusable("its prompt must hold {prompt} once, where the user's words go")
    plan = {**base.presets[file.preset], **file.plan}
    try:
        Plan.from_mapping(plan)
    except ElevatorError as error:
        raise _Unusable(str(error).rstrip(".")) from error
    return Recipe(
        style=_public(path.stem, file, base),
        template=file.prompt,
        negative_prompt=file.negative_prompt,
        t2i=ROOT / base.t2i,
        t2v=ROOT / base.t2v,
        loras=tuple(_lora(entry, path, ROOT / base.loras) for entry in file.loras),
        plan=plan,
        fps=base.fps,
    )


def _public(name: str, file: _StyleFile, base: Base) -> Style:
    return Style(
        name=name,
        title=file.title,
        description=file.description,
        width=base.width,
        height=base.height,
        frames=base.frames,
        size_step=base.size_step,
        min_size=base.min_size,
        max_size=base.max_size,
        max_frames=base.max_frames,
        example_prompt=file.example_prompt,
    )


def _lora(entry: _LoraEntry, style_file: Path, folder: Path) -> Lora:
    """A LoRA by its name among the base's, or by a path that starts at the style's file."""
    if bool(entry.name) == bool(entry.path):
        raise _Unusable("each of its loras needs a name or a path, and not both")
    path = folder / entry.name if entry.name else style_file.parent / entry.path
    return Lora(path=str(path), weight=entry.weight)


def _read(path: Path, kind: type[T]) -> T:
    try:
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise _Unusable(f"{path.name} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, msgspec.ValidationError) as error:
        raise _Unusable(f"{path.name} has a mistake: {error}") from error
