"""Styles and the models under them, read from TOML files. Imports no torch.

A base (`bases/NAME.toml`) names two models that belong together, what they can do, and presets for the sampler.
A style (`NAME.toml`) is a base with LoRAs, embeddings, words, and a preset. Users' own lie in
`config_folder()/bases` and `config_folder()/styles`. A file that cannot be used is skipped with a sentence; the others
still work. docs/STYLES.md tells users all keys.
"""

from __future__ import annotations

import hashlib
import logging
import os
import re
import sys
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache, lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias, TypeVar

import msgspec
from msgspec import Meta

from elevator import ElevatorError, Lora, Plan, Sources
from elevator.calls import calls_of
from elevator.pictures.rates import exact
from elevator.presets import FILE_NAME, presets_for, read_presets
from shared_protocol.machine import places
from shared_protocol.messages import (
    MOST_LORAS,
    MOST_NOTES,
    MOST_PRESETS,
    Frames,
    LoraView,
    Name,
    Prompt,
    Sentence,
    SidePx,
    Style,
)
from shared_protocol.texts import listed as listed_words
from shared_protocol.texts import sentence, sentences

from ..root import ROOT
from .loras import fitting, listed

log = logging.getLogger(__name__)

STYLES = Path(__file__).parent
BASES = STYLES / "bases"
_NAME = re.compile(r"[a-z0-9_]{1,64}\Z")
STYLES_BYTES = 384 << 10
"""What the styles, without their LoRAs, may take of the message that lists them."""
LISTED_BYTES = 384 << 10
"""What the LoRAs of all styles may take of it."""
FILE_BYTES = 1 << 20
"""More than any style or base needs."""
NAMED = 8
"""Names that a sentence lists at most."""
MOST_STEPS = 1000
"""Timesteps with which the models were trained; no schedule has more."""
THUMBNAIL_BYTES = 256 << 10
PNG = b"\x89PNG\r\n\x1a\n"
T = TypeVar("T")
PathText: TypeAlias = Annotated[str, Meta(min_length=1, max_length=1000, pattern=r"\A[^\0]*\Z")]
PresetNames: TypeAlias = Annotated[tuple[Name, ...], Meta(max_length=MOST_PRESETS)]
ScheduleName: TypeAlias = Literal["animatediff", "lavie", "lcm", "lightning", "stable_diffusion"]
"""The schedules that the sampler knows."""


class _LoraEntry(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A LoRA by its name in the base's folder of LoRAs, or by a path."""

    name: str = ""
    path: str = ""
    weight: Annotated[float, Meta(ge=-4, le=4)] = 1.0

    def __post_init__(self) -> None:
        if bool(self.name) == bool(self.path):
            raise ValueError("a LoRA needs a name or a path, and not both")


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Two models that belong together, as a base file describes them. Sizes and lengths default to SD 1.x's.

    Relative paths start at the project's folder in our bases, and at the base file in users' own.
    """

    title: Name
    t2i: PathText
    """Folder or file of the text-to-image model."""
    t2v: PathText
    """Folder or file of the text-to-video model."""
    vae: PathText | None = None
    """Folder or file of a VAE instead of the text-to-image model's."""
    prediction_type: Literal["epsilon", "v_prediction"] | None = None
    """What the text-to-image model predicts, where its file does not say it."""
    t2v_loras: tuple[_LoraEntry, ...] = ()
    """LoRAs that belong to the text-to-video model."""
    t2v_text: PathText | None = None
    """Folder or file whose text encoder the text-to-video model reads."""
    t2v_schedule: ScheduleName | None = None
    """Noise schedule of the text-to-video model, where its files do not say it."""
    loras: PathText = "loras"
    """Folder in which a LoRA is found by its name."""
    width: SidePx = 512
    height: SidePx = 512
    frames: Frames = 16
    """Native size, pixels, and length."""
    fps: Annotated[float, Meta(ge=0.01, le=1000)] = 8
    size_step: SidePx = 64
    min_size: SidePx = 256
    max_size: SidePx = 1024
    """Limits of width and height, pixels."""
    max_frames: Frames = 32
    presets: (
        Annotated[dict[Name, dict[str, Any]], Meta(max_length=MOST_PRESETS)]
        | Literal["zeroscope", "lavie", "animatelcm", "animatediff", "lightning"]
    ) = {}
    """Settings of the sampler's plan, by name; or whose published ones and their shorter relatives are meant. Without
    any, those that lie in the text-to-video model's own folder."""


class StyleFile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A style as its file describes it. Relative paths start at that file."""

    title: Name
    description: Sentence = ""
    base: Name
    prompt: Prompt = "{prompt}"
    negative_prompt: Prompt = ""
    preset: Name
    example_prompt: Prompt
    loras: Annotated[tuple[_LoraEntry, ...], Meta(max_length=MOST_LORAS)] = ()
    loras_on_t2v: bool = False
    """Whether the LoRAs also go on the text-to-video model, if that is made of motion modules."""
    embeddings: tuple[PathText, ...] = ()
    """Textual inversion files."""
    plan: dict[str, Any] = {}
    """Settings of the sampler's plan instead of the preset's."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A style with everything looked up: what the worker needs to make a clip in it."""

    style: Style
    """As clients see it."""
    template: str
    """The prompt's words, with `{prompt}` for the user's."""
    negative_prompt: str
    sources: Sources
    plan: Plan
    """The style's own: its preset's, with what its file changes."""
    presets: Mapping[str, Plan]
    """Plans by the names of presets, each with what the style's file changes."""
    lora_folders: tuple[Path, ...]
    """Where a LoRA is found that a client names."""
    fps: float
    thumbnail: bytes = b""
    """A PNG that shows what it looks like, or nothing."""

    def missing(self) -> Path | None:
        """The first model file or folder that is not there, or None."""
        return next((path for _, path in self.sources.paths() if not os.path.exists(path)), None)


@dataclass(frozen=True)
class Catalogue:
    """All styles that can be used, and sentences about those that cannot."""

    recipes: Mapping[str, Recipe]
    notes: tuple[str, ...]
    room: int = sys.maxsize
    """How many of them have room in the message that lists them."""

    @property
    def thumbnails(self) -> dict[str, bytes]:
        """The styles' pictures by their hashes."""
        return {recipe.style.thumbnail: recipe.thumbnail for recipe in self.recipes.values() if recipe.thumbnail}

    @property
    def styles(self) -> tuple[Style, ...]:
        """As clients see them."""
        return tuple(recipe.style for recipe in self.recipes.values())[: self.room]


class _Unusable(Exception):
    """A file cannot be used; the message says why."""


def read_catalogue(bases: Path = BASES, styles: Path = STYLES) -> Catalogue:
    """Read all files. A user's own replaces one of ours of the same name. Raises nothing about their content."""
    own = places.config_folder() / "styles"
    recipes: dict[str, Recipe] = {}
    notes: list[str] = []
    base_of = cache(partial(_read_base, bases))
    for path in (*sorted(styles.glob("*.toml")), *sorted(own.glob("*.toml"))):
        try:
            recipes[path.stem] = _read_recipe(path, base_of)
        except _Unusable as error:
            notes.append(f"The style file {path} is skipped: {error}.")
            continue
        except (OSError, ValueError) as error:  # what it names cannot be a path here, or not be looked at
            notes.append(f"The style file {path} is skipped: {str(error).rstrip('.')}.")
            continue
        try:
            recipes[path.stem] = _with_thumbnail(recipes[path.stem], path.with_suffix(".png"))
        except _Unusable as error:
            notes.append(f"A style's picture is not shown: {error}.")
    # "plain" is what the panel starts with, so it comes first.
    ordered = sorted(recipes.items(), key=lambda item: (item[0] != "plain", item[1].style.title))
    bare = [msgspec.structs.replace(recipe.style, loras=()) for _, recipe in ordered]
    room = len(fitting(bare, STYLES_BYTES))
    if room < len(ordered):
        notes.insert(0, f"{len(ordered) - room} of {len(ordered)} styles have no room in the list: give their names.")
    for note in map(sentence, notes[:MOST_NOTES]):
        log.warning("%s", note)
    found = {name: _short(recipe, LISTED_BYTES // max(room, 1)) for name, recipe in ordered}
    return Catalogue(found, sentences(notes), room)


def _with_thumbnail(recipe: Recipe, file: Path) -> Recipe:
    """With the picture that lies beside the style's file, if there is one."""
    try:
        if not file.is_file():
            return recipe
        if (size := file.stat().st_size) > THUMBNAIL_BYTES:
            raise _Unusable(f"{file} has {size} bytes, and {THUMBNAIL_BYTES} at most may be sent")
        data = file.read_bytes()
    except OSError as error:
        raise _Unusable(f"{file} cannot be read: {error.strerror}") from error
    if not data.startswith(PNG):
        raise _Unusable(f"{file} is no PNG")
    style = msgspec.structs.replace(recipe.style, thumbnail=hashlib.sha256(data).hexdigest())
    return replace(recipe, style=style, thumbnail=data)


def _short(recipe: Recipe, room: int) -> Recipe:
    """With no more LoRAs listed than have room in `Welcome`; the others can be used by their names all the same."""
    return replace(recipe, style=msgspec.structs.replace(recipe.style, loras=fitting(recipe.style.loras, room)))


Change: TypeAlias = tuple[Plan, Mapping[str, Any]]
"""A plan, and what a base's file changes of it, which alone need not be possible."""


def _read_recipe(path: Path, base_of: Callable[[str], tuple[Base, Path, Mapping[str, Change]]]) -> Recipe:
    if not _NAME.match(path.stem):
        raise _Unusable("a style's name has only the letters a–z, digits and _")
    file = _read(path, StyleFile)
    base, start, changes = base_of(file.base)
    if file.preset not in changes:
        raise _Unusable(f'base "{file.base}" has no preset "{file.preset}", only {listed_words(changes, NAMED)}')
    if file.prompt.count("{prompt}") != 1:
        raise _Unusable("its prompt must hold {prompt} once, where the user's words go")
    try:
        plans = {name: plan.changed({**settings, **file.plan}) for name, (plan, settings) in changes.items()}
        _check_plans(plans)
    except ElevatorError as error:
        raise _Unusable(str(error).rstrip(".")) from error
    loras = [_lora(entry, path.parent, start / base.loras) for entry in file.loras]
    folders = (start / base.loras, places.config_folder() / "loras")
    own = [Lora(path=str(path), weight=weight) for path, weight in loras]
    return Recipe(
        style=_public(path.stem, file, base, plans, listed(own, folders)),
        template=file.prompt,
        negative_prompt=file.negative_prompt,
        sources=Sources.of(
            start / base.t2i,
            start / base.t2v,
            vae=start / base.vae if base.vae else None,
            prediction_type=base.prediction_type,
            t2v_loras=[_lora(entry, start, start / base.loras) for entry in base.t2v_loras],
            t2v_text=start / base.t2v_text if base.t2v_text else None,
            t2v_schedule=base.t2v_schedule,
            loras=loras,
            loras_on_t2v=file.loras_on_t2v,
            embeddings=[path.parent / embedding for embedding in file.embeddings],
        ),
        plan=plans[file.preset],
        presets=plans,
        lora_folders=folders,
        fps=base.fps,
    )


def _check_plans(plans: Mapping[str, Plan]) -> None:
    """Raises _Unusable if one is more than a message can tell of."""
    for name, plan in plans.items():
        if plan.steps > MOST_STEPS:
            raise _Unusable(f'its preset "{name}" has more than {MOST_STEPS} steps')
        try:
            msgspec.json.encode(plan)
        except ValueError:  # it has more digits than Python writes out
            raise _Unusable(f'a number in its preset "{name}" is too large') from None


def _read_base(bases: Path, name: str) -> tuple[Base, Path, Mapping[str, Change]]:
    """A base by its name, the user's own first, the folder at which its relative paths start, and its presets."""
    own = places.config_folder() / "bases"
    for folder, start in ((own, own), (bases, ROOT)):
        path = folder / f"{name}.toml"
        if _NAME.match(name) and path.is_file():
            base = _read(path, Base)
            return base, start, _changes(base, start)
    raise _Unusable(f'there is no base "{name}"')


def _changes(base: Base, start: Path) -> Mapping[str, Change]:
    """By the name of a preset."""
    if isinstance(base.presets, dict) and base.presets:
        return {name: (Plan(), settings) for name, settings in base.presets.items()}
    try:
        if isinstance(base.presets, str):
            found = presets_for(base.presets)
        elif (own := start / base.t2v / FILE_NAME).is_file():
            found = read_presets(own)
        else:
            raise _Unusable(f"its base names no presets, and there is no {own}")
        msgspec.convert(tuple(found), PresetNames)
    except ElevatorError as error:
        raise _Unusable(str(error).rstrip(".")) from error
    except msgspec.ValidationError as error:
        raise _Unusable(f"a preset of its base has no such name: {error}") from error
    return {name: (preset.plan, {}) for name, preset in found.items()}


@lru_cache(maxsize=1024)
def total_calls(plan: Plan) -> int:
    """How many network calls a clip of one frame takes."""
    return calls_of(plan).total


def _public(name: str, file: StyleFile, base: Base, plans: Mapping[str, Plan], loras: tuple[LoraView, ...]) -> Style:
    rate = exact(base.fps)
    return Style(
        name=name,
        title=file.title,
        description=file.description,
        base=file.base,
        width=base.width,
        height=base.height,
        frames=base.frames,
        fps_numerator=rate.numerator,
        fps_denominator=rate.denominator,
        size_step=base.size_step,
        min_size=base.min_size,
        max_size=base.max_size,
        max_frames=base.max_frames,
        example_prompt=file.example_prompt,
        presets=tuple(plans),
        preset=file.preset,
        calls=tuple(map(total_calls, plans.values())),
        loras=loras,
    )


def _lora(entry: _LoraEntry, start: Path, folder: Path) -> tuple[Path, float]:
    """Look up a LoRA: its path and weight. `start`: where its path starts; `folder`: the base's folder of LoRAs."""
    return folder / entry.name if entry.name else start / entry.path, entry.weight


def _read(path: Path, kind: type[T]) -> T:
    name = f"{path.parent.name}/{path.name}"  # a base and its style may be called the same
    try:
        if not path.is_file() or path.stat().st_size > FILE_BYTES:  # to read a pipe would take for ever
            raise _Unusable(f"{name} is no file, or larger than {FILE_BYTES} bytes")
        return msgspec.convert(tomllib.loads(path.read_text(encoding="utf-8")), kind)
    except OSError as error:
        raise _Unusable(f"{name} cannot be read: {error.strerror}") from error
    except RecursionError:
        raise _Unusable(f"{name} has a mistake: it is nested too deeply") from None
    except (ValueError, OverflowError, msgspec.ValidationError) as error:  # tomllib says all of it by ValueErrors
        raise _Unusable(f"{name} has a mistake: {error}") from error
