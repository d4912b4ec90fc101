"""From the files of a style and its base to what the worker needs. Imports no torch."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import msgspec

from elevator import ElevatorError, Lora, Plan, Sources
from elevator.calls import calls_of
from elevator.checkpoints.identity import distilled_of_t2i, t2i_embeds_guidance
from elevator.checkpoints.training import NOT_DISTILLED
from elevator.pictures.rates import exact
from elevator.presets import EMBEDDED_GUIDANCE, FILE_NAME, TURBO, presets_for, read_presets, why_not
from shared_protocol.machine import places
from shared_protocol.messages import LoraView, Style
from shared_protocol.texts import listed as listed_words

from ..root import ROOT
from . import mistakes
from .files import Base, LoraEntry, PresetNames, StyleFile, Unusable, is_name, own_bases, path_in, read
from .loras import Listed, listed

T = TypeVar("T")
NAMED = 8
"""Names that a sentence lists at most."""
MOST_STEPS = 1000
"""Timesteps with which the models were trained; no schedule has more."""
THUMBNAIL_BYTES = 256 << 10
PNG = b"\x89PNG\r\n\x1a\n"
LookAt: TypeAlias = Callable[[Path], None]
"""Is told of each file before it is looked at, there or not."""


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
    spare_loras: tuple[Lora, ...] = ()
    """LoRAs that the style's file has switched off: a client can put them on."""
    fps: float
    thumbnail: bytes = b""
    """A PNG that shows what it looks like, or nothing."""

    def missing(self) -> Path | None:
        """The first model file or folder that is not there, or None."""
        return next((path for _, path in self.sources.paths() if not os.path.exists(path)), None)


def with_thumbnail(recipe: Recipe, picture: bytes) -> Recipe:
    """With a picture, if it is one."""
    if not picture:
        return recipe
    style = msgspec.structs.replace(recipe.style, thumbnail=hashlib.sha256(picture).hexdigest())
    return replace(recipe, style=style, thumbnail=picture)


def read_thumbnail(file: Path) -> bytes:
    """A style's picture, or nothing if there is none. Raises Unusable if it cannot be shown."""
    try:
        if not file.is_file():
            return b""
        if (size := file.stat().st_size) > THUMBNAIL_BYTES:
            raise Unusable(f"{file} has {size} bytes, and {THUMBNAIL_BYTES} at most may be sent")
        data = file.read_bytes()
    except OSError as error:
        raise Unusable(f"{file} cannot be read: {error.strerror}") from error
    if not data.startswith(PNG):
        raise Unusable(f"{file} is no PNG")
    return data


class Change(NamedTuple):
    """A preset of a base."""

    plan: Plan
    settings: Mapping[str, Any]
    """What the base's file changes of the plan; alone it need not be possible."""
    few_steps: bool | None = None
    """Whether it is for text-to-image models that were distilled to a few steps; None: a base's own, for its own."""


class BaseRead(NamedTuple):
    """A base, looked up."""

    base: Base
    start: Path
    """Where its relative paths start."""
    changes: Mapping[str, Change]
    """By the name of a preset; `presets_for` says which of them fit."""
    distilled: str | None = None
    """How its text-to-image model was distilled to a few steps, as its file or that model's folder says."""

    @classmethod
    def of(cls, base: Base, start: Path, look_at: LookAt = lambda path: None) -> BaseRead:
        """Of what stands in a file, or is to stand there. Raises Unusable."""
        return cls(base, start, _changes(base, start, look_at), base.distilled or _distilled(base, start, look_at))

    def presets_for(self, distilled: str | None) -> Mapping[str, Change]:
        """By name, the presets for a style that says how its models are distilled, or nothing of it."""
        few_steps = (distilled or self.distilled or NOT_DISTILLED) != NOT_DISTILLED
        return {name: each for name, each in self.changes.items() if each.few_steps in (few_steps, None)}


def read_recipe(path: Path, base_of: Callable[[str], BaseRead], in_folder: Callable[[Path], Listed]) -> Recipe:
    """A style by its file. `base_of` finds a base by its name, `in_folder` the LoRAs of a folder. Raises Unusable,
    and OSError or ValueError if what it names cannot be a path here, or not be looked at."""
    if not is_name(path.stem):
        raise Unusable("a style's name has only the letters a–z, digits and _")
    return recipe_of(path.stem, read(path, StyleFile), path.parent, base_of, in_folder)


def recipe_of(
    name: str,
    file: StyleFile,
    folder: Path,
    base_of: Callable[[str], BaseRead],
    in_folder: Callable[[Path], Listed],
) -> Recipe:
    """The same of what stands in a file, or is to stand there: one in `folder`."""
    found = base_of(file.base)
    base, start, changes = found.base, found.start, found.presets_for(file.distilled)
    if file.preset not in changes:
        if file.preset == TURBO:
            raise Unusable(why_not(TURBO, changes))
        raise Unusable(f'base "{file.base}" has no preset "{file.preset}", only {listed_words(changes, NAMED)}')
    if file.prompt.count("{prompt}") != 1:
        raise Unusable("its prompt must hold {prompt} once, where the user's words go")
    try:
        plans = {name: plan.changed({**settings, **file.plan}) for name, (plan, settings, _) in changes.items()}
        _check_plans(plans)
    except ElevatorError as error:
        raise Unusable(str(error).rstrip(".")) from error
    folders = (path_in(start, base.loras), places.config_folder() / "loras")
    loras = [_lora(entry, folder, folders[0]) for entry in file.loras if entry.on]
    spare = [_spare(entry, folder, folders[0]) for entry in file.loras if not entry.on]
    own = [Lora(path=str(path), weight=weight) for path, weight in loras]
    return Recipe(
        style=_public(name, file, base, plans, listed(own, folders, in_folder, spare)),
        template=file.prompt,
        negative_prompt=file.negative_prompt,
        sources=Sources.of(
            path_in(start, base.t2i),
            path_in(start, base.t2v),
            vae=path_in(start, base.vae) if base.vae else None,
            prediction_type=base.prediction_type,
            rescale_betas_zero_snr=base.rescale_betas_zero_snr,
            distilled=file.distilled or base.distilled,
            t2v_loras=[_lora(entry, start, folders[0]) for entry in base.t2v_loras if entry.on],
            t2v_text=path_in(start, base.t2v_text) if base.t2v_text else None,
            t2v_schedule=base.t2v_schedule,
            loras=loras,
            loras_on_t2v=file.loras_on_t2v,
            embeddings=[path_in(folder, embedding) for embedding in file.embeddings],
        ),
        plan=plans[file.preset],
        presets=plans,
        lora_folders=folders,
        spare_loras=tuple(spare),
        fps=base.fps,
    )


def _check_plans(plans: Mapping[str, Plan]) -> None:
    """Raises Unusable if one is more than a message can tell of."""
    for name, plan in plans.items():
        if plan.steps > MOST_STEPS:
            raise Unusable(f'its preset "{name}" has more than {MOST_STEPS} steps')
        try:
            msgspec.json.encode(plan)
        except ValueError:  # it has more digits than Python writes out
            raise Unusable(f'a number in its preset "{name}" is too large') from None


def read_base(bases: Path, name: str, look_at: LookAt) -> BaseRead:
    """A base by its name, the user's own first. Raises Unusable."""
    own = own_bases()
    for folder, start in ((own, own), (bases, ROOT)):
        if is_name(name):
            look_at(path := folder / f"{name}.toml")
            if path.is_file():
                return BaseRead.of(read(path, Base), start, look_at)
    raise Unusable(f'there is no base "{name}"')


def _changes(base: Base, start: Path, look_at: LookAt) -> Mapping[str, Change]:
    """By the name of a preset."""
    if isinstance(base.presets, dict) and base.presets:
        return {name: Change(Plan(), settings) for name, settings in base.presets.items()}
    try:
        if isinstance(base.presets, str):
            found = presets_for(base.presets)
        else:
            look_at(own := path_in(start, base.t2v) / FILE_NAME)
            if not own.is_file():
                raise Unusable(f"its base names no presets, and there is no {own}")
            found = read_presets(own)
        msgspec.convert(tuple(found), PresetNames)
    except ElevatorError as error:
        raise Unusable(str(error).rstrip(".")) from error
    except msgspec.ValidationError as error:
        raise Unusable(f"a preset of its base has no such name: {mistakes.of_types(error, Base)}") from error
    guidance = {"guidance": EMBEDDED_GUIDANCE} if _embeds_guidance(base, start, look_at) else {}
    return {name: Change(preset.plan, guidance, preset.few_steps) for name, preset in found.items()}


def _distilled(base: Base, start: Path, look_at: LookAt) -> str | None:
    """As the folder of its text-to-image model says. Raises Unusable."""
    return _told(distilled_of_t2i, base, start, look_at)


def _embeds_guidance(base: Base, start: Path, look_at: LookAt) -> bool:
    """Whether its text-to-image model reads the guidance beside the timestep. Raises Unusable."""
    return _told(t2i_embeds_guidance, base, start, look_at)


def _told(ask: Callable[[Path], T], base: Base, start: Path, look_at: LookAt) -> T:
    folder = path_in(start, base.t2i)
    for config in (folder / "scheduler" / "scheduler_config.json", folder / "unet" / "config.json"):
        look_at(config)
    try:
        return ask(folder)
    except ElevatorError as error:
        raise Unusable(str(error).rstrip(".")) from error


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


def _lora(entry: LoraEntry, start: Path, folder: Path) -> tuple[Path, float]:
    """Look up a LoRA: its path and weight. `start`: where its path starts; `folder`: the base's folder of LoRAs."""
    return folder / entry.name if entry.name else path_in(start, entry.path), entry.weight


def _spare(entry: LoraEntry, start: Path, folder: Path) -> Lora:
    path, weight = _lora(entry, start, folder)
    return Lora(path=str(path), weight=weight)
