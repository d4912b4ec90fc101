"""What a model's file can be used as here, and what it needs besides."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from ..errors import ModelError
from .fitting import unfit
from .folders import chosen_files
from .header import read_header
from .identity import PARTS, Identity, identify
from .kinds import Family, Kind, Layout

FIELDS = {
    Kind.T2I: "t2i",
    Kind.UNET: "t2i",
    Kind.T2V: "t2v",
    Kind.MOTION_MODULE: "t2v",
    Kind.VAE: "vae",
    Kind.LORA: "loras",
    Kind.MOTION_LORA: "t2v_loras",
    Kind.EMBEDDING: "embeddings",
}
"""The field of Sources that names such a file."""
_PLACES = {
    "t2i": "t2i of a base, --t2i",
    "t2v": "t2v of a base, --t2v",
    "vae": "vae of a base, --vae",
    "t2v_loras": "t2v_loras of a base, --t2v-lora",
    "loras": "loras of a style, --lora",
    "embeddings": "embeddings of a style, --embedding",
}
PresetsOf: TypeAlias = Literal["zeroscope", "lavie", "animatelcm", "animatediff", "lightning"]
"""The kinds of text-to-video models that have presets."""
_SCHEDULES: dict[PresetsOf, str] = {"animatelcm": "lcm", "lightning": "lightning", "animatediff": "animatediff"}
_FOLDERS = (*PARTS, "vae", "text_encoder", "transformer", ".")
_LITTLE = 0.01
"""Share of a file's numbers below which a type of them is not worth a word, as that of a few scales."""


@dataclass(frozen=True)
class Use:
    """What can be done with a file."""

    place: str
    """Where a base, a style or a command names it; empty if it is not used here."""
    problem: str
    """Why not, a clause; empty if it is."""
    needs: tuple[str, ...]
    """Other models, each a noun."""
    schedule: str
    """Of timesteps, by its name in a base; empty where it has none."""


def use_of(identity: Identity) -> Use:
    """What can be done with a file or folder that was identified. Reads headers, and raises ModelError if they fail."""
    field = FIELDS.get(identity.kind)
    if field is None:
        what = f"the class {identity.class_name}" if identity.class_name else identity.kind
        whose = "text_encoder/ of a folder that t2v_text names" if identity.kind is Kind.TEXT_ENCODER else ""
        return Use(whose, "" if whose else f"{what} has no place here", (), "")
    problem = unfit(field, identity)
    if not problem and identity.kind is Kind.MOTION_MODULE and identity.family in (Family.SDXL, Family.OTHER):
        problem = f"motion modules for {identity.family} are not used here"
    if problem:
        return Use("", problem.removeprefix(f"{identity.path} "), (), "")
    return Use(_PLACES[field], "", tuple(_needs(identity)), _schedule(identity))


def presets_of(kind: Kind | None, layout: Layout | None, distilled: str | None) -> PresetsOf:
    """Whose presets fit a text-to-video model: by what it is and, for motion modules, by how they were distilled."""
    if kind is Kind.T2V:
        return "lavie" if layout is Layout.LAVIE else "zeroscope"
    return "animatelcm" if distilled == "animatelcm" else "lightning" if distilled == "lightning" else "animatediff"


def precision_of(path: Path) -> str:
    """The types of a model's numbers, most first, such as "float16" or "float16, float32"; empty if nothing says it."""
    files = [path] if path.is_file() else [file for part in _FOLDERS for file in chosen_files(path / part)]
    counts: Counter[str] = Counter()
    for file in files:
        for tensor in read_header(file).stored.values():
            if tensor.dtype.startswith(("float", "bfloat")):
                counts[tensor.dtype] += math.prod(tensor.shape)
    least = _LITTLE * sum(counts.values())
    return ", ".join(name for name, count in counts.most_common() if count >= least)


def _needs(identity: Identity) -> Iterator[str]:
    path, family = identity.path, identity.family
    made_for = "" if family is Family.UNKNOWN else f" of {family}"
    match identity.kind:
        case Kind.T2I:
            yield "a text-to-video model"
            if not _has_vae(path):
                yield f"a VAE, such as that{made_for}"
        case Kind.MOTION_MODULE:
            yield f"a text-to-image model{made_for}, whose layers, text encoder and VAE it uses"
            if identity.distilled == "animatelcm":
                yield "for good clips its LoRA, AnimateLCM_sd15_t2v_lora.safetensors, as t2v_loras"
        case Kind.T2V:
            yield "a text-to-image model of SD 1.x or SD 2.x"
            if identity.layout is Layout.LAVIE:
                yield "the text encoder of SD 1.4, as t2v_text"
            elif not (path / "text_encoder").is_dir():
                yield f"a text encoder of width {identity.width}, as t2v_text"
        case Kind.VAE:
            yield "a text-to-image model of SD 1.x or SD 2.x"
            if family is Family.UNKNOWN:
                yield "to be a VAE of those, and not of SDXL, which looks the same"
        case Kind.MOTION_LORA:
            yield "a motion module"
        case _:
            yield f"a text-to-image model{made_for}"


def _has_vae(path: Path) -> bool:
    if path.is_dir():
        return (path / "vae").is_dir()
    return any(name.startswith("first_stage_model.") for name in read_header(path).shapes)


def _schedule(identity: Identity) -> str:
    match identity.kind:
        case Kind.T2I:
            walk = {None: "", "lcm": ", LCM steps"}.get(identity.distilled, ", trailing")
            return "stable_diffusion" + (", zero terminal SNR" if identity.zero_snr else "") + walk
        case Kind.MOTION_MODULE:
            return _SCHEDULES[presets_of(identity.kind, identity.layout, identity.distilled)]
        case Kind.T2V:
            return "lavie" if identity.layout is Layout.LAVIE else "its own"
    return ""


def described(path: Path, identity: Identity) -> dict[str, object]:
    """Everything that is said of a file, by name; plain values. Raises ModelError if a part of a folder is damaged."""
    use = use_of(identity)
    return {
        "path": str(path),
        "title": identity.title,
        "kind": str(identity.kind),
        "layout": str(identity.layout),
        "family": str(identity.family),
        "class": identity.class_name,
        "prediction": identity.prediction,
        "zero_snr": identity.zero_snr,
        "distilled": identity.distilled,
        "size": identity.size,
        "precision": precision_of(path) or None,
        "channels": identity.channels,
        "width": identity.width,
        "algorithm": None if identity.algorithm is None else str(identity.algorithm),
        "base_model": identity.base_model,
        "trigger_words": list(identity.trigger_words),
        "used_as": use.place or None,
        "problem": use.problem or None,
        "needs": list(use.needs),
        "schedule": use.schedule or None,
        "notes": list(identity.notes),
    }


def identified(path: Path) -> dict[str, object]:
    """`described`, or the path and the sentence that says why it is no model, under `error`."""
    try:
        return described(path, identify(path))
    except ModelError as error:
        return {"path": str(path), "error": str(error)}
    except OSError as error:
        return {"path": str(path), "error": f"{path} cannot be read ({error.strerror}); check that you may open it."}
