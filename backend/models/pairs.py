"""Which of the models that were found would make a style together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from elevator.checkpoints import Algorithm, Family, Kind, Layout
from elevator.checkpoints.uses import PresetsOf, presets_of
from shared_protocol.machine.launcher import launcher

from .scanning import Found


@dataclass(frozen=True)
class Pair:
    """A text-to-image and a text-to-video model that fit each other, and the presets for them (docs/STYLES.md)."""

    t2i: Found
    t2v: Found
    presets: PresetsOf
    t2v_lora: Found | None = None
    """That belongs on the motion modules, as AnimateLCM's does."""


def pairs(found: Sequence[Found]) -> list[Pair]:
    """All of them, in the order of what was found."""
    lora = next((each for each in found if is_lora_of_animatelcm(each)), None)
    made = []
    for t2v in filter(is_t2v, found):
        presets = presets_of(t2v.kind, t2v.layout, t2v.distilled)
        for t2i in filter(is_t2i, found):
            if t2v.kind is not Kind.MOTION_MODULE or t2i.family is Family.SD1:
                made.append(Pair(t2i, t2v, presets, lora if presets == "animatelcm" else None))
    return made


def is_t2i(found: Found) -> bool:
    """Whether it can be a style's text-to-image model."""
    return (
        found.kind is Kind.T2I
        and not found.problem
        and found.family in (Family.SD1, Family.SD2)
        and found.layout in (Layout.LDM, Layout.FOLDER)
        and found.channels in (None, 4)
    )


def is_t2v(found: Found) -> bool:
    """Whether it can be a style's text-to-video model."""
    if found.problem:
        return False
    if found.kind is Kind.MOTION_MODULE:
        return found.family is Family.SD1
    return found.kind is Kind.T2V and found.layout in (Layout.FOLDER, Layout.LAVIE)


def is_lora_of_animatelcm(found: Found) -> bool:
    """Whether it is the LoRA that belongs to AnimateLCM, by its name."""
    name = Path(found.path).name.lower()
    return found.kind is Kind.LORA and found.algorithm is Algorithm.LORA and "animatelcm" in name and "t2v" in name


def why_not(found: Iterable[Found]) -> str:
    """Why nothing of it makes a style: a sentence with what is lacking."""
    everything = list(found)
    has_t2i, has_t2v = any(map(is_t2i, everything)), any(map(is_t2v, everything))
    if has_t2i and has_t2v:
        return "No pair of these fits: motion modules are for SD 1.x."
    if has_t2i:
        return f'A text-to-video model is lacking: "{launcher()} models get animatelcm animatelcm_lora" gets one.'
    if has_t2v:
        return f'A text-to-image model of SD 1.x or 2.x is lacking: "{launcher()} models get dreamshaper" gets one.'
    return f'No models that can be used lie there: "{launcher()} models get dreamshaper_animatelcm" gets a first set.'
