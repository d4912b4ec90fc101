"""How a model was trained: what it predicts, and whether it was distilled. Files say it in several ways, or not at all.

Of text-to-image models that were distilled to a few steps, a folder's configs say it, and of LoRAs the metadata, if
anything does: LCM-LoRA's and Hyper-SD's own files hold tensors alone. What names say is a hint, and nothing more.

Sources: ComfyUI's `supported_models.py` (the deviation of a bias; the empty tensors `v_pred` and `ztsnr`), the
numbers of steps in Stability's pickles and the `.yaml` files beside them, kohya's metadata, and
ComfyUI-AnimateDiff-Evolved (AnimateLCM's motion module has no table of positions).
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias

from .header import Header
from .kinds import Family, Layout
from .values import values_of

Prediction: TypeAlias = Literal["epsilon", "v_prediction", "sample"]
PREDICTIONS: dict[str, Prediction] = {
    "epsilon": "epsilon",
    "v": "v_prediction",
    "v_prediction": "v_prediction",
    "sample": "sample",
}
Distilled: TypeAlias = Literal["animatelcm", "lightning"]
"""How motion modules were distilled."""
FewSteps: TypeAlias = Literal["lcm", "hyper", "lightning", "turbo"]
"""How text-to-image models were, and LoRAs for them."""
NOT_DISTILLED = "none"
"""What a base says of a text-to-image model that looks as if it were, and is not."""
FEW_STEPS: dict[FewSteps, str] = {"lcm": "LCM", "hyper": "Hyper-SD", "lightning": "Lightning", "turbo": "Turbo"}

OPENCLIP = ("cond_stage_model.model.", "conditioner.embedders.0.model.")
"""Before the names of SD 2.x's text encoder, in Stability's first code and in its later one."""
_STEPS: dict[int, Prediction] = {875000: "epsilon", 220000: "epsilon", 140000: "v_prediction", 110000: "v_prediction"}
"""`global_step` of SD 2.0 and 2.1 as published: of 512 pixels, and of 768."""
_BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
_DEVIATION = 0.09
"""Above it, a SD 2.x predicts v."""
_PARAMETERIZATION = re.compile(r"^\s*parameterization\s*:\s*[\"']?(\w+)", re.MULTILINE)
_MOST_TEXT = 1 << 20

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_WORDS: dict[str, Distilled] = {
    "lcm": "animatelcm",
    "animatelcm": "animatelcm",
    "lightning": "lightning",
    "animatedifflightning": "lightning",
}
_FEW_STEPS_WORDS: tuple[tuple[FewSteps, frozenset[str], frozenset[str]], ...] = (
    ("lcm", frozenset({"lcm"}), frozenset()),
    ("hyper", frozenset({"hyper"}), frozenset({"sd", "sdxl"})),
    ("hyper", frozenset({"hypersd"}), frozenset()),
    ("lightning", frozenset({"lightning"}), frozenset({"step", "steps", "sd", "sdxl"})),
    ("turbo", frozenset({"turbo"}), frozenset({"sd", "sdxl"})),
)
"""Words that all stand in a name, and others of which one does, for words like these have other meanings, too."""
_TITLES = ("modelspec.title", "ss_output_name", "name")
_EULER = ("EulerDiscreteScheduler", "EulerAncestralDiscreteScheduler")
_OWN_WORDS = {"mm", "animatediff"}
"""In names of motion modules that were not distilled: then no folder's name counts."""
_NO_NAME = re.compile(
    r"[0-9a-f]{8,}|snapshots|blobs|main|unet|motion_adapter|diffusion_pytorch_model.*|model", re.IGNORECASE
)
"""Files and folders that many models have, and the hashes of a hub's cache."""
_HUB = "models--"
"""Before the name of a model's folder in Hugging Face's cache, whose parts are joined by the same two dashes."""
_MOST_PARENTS = 4


@dataclass(frozen=True)
class Objective:
    """What a text-to-image model was trained to predict, and on which levels of noise."""

    prediction: Prediction | None = None
    """None: nothing says it."""
    zero_snr: bool = False
    """Whether the last level is noise alone (zero terminal SNR)."""
    note: str = ""
    """A sentence, where it is a guess."""


def objective_of(path: Path, header: Header, family: Family, channels: int | None, *, whole: bool) -> Objective:
    """Of a single file: by its metadata, a mark in it, the `.yaml` beside it, its training run, or its weights.

    whole: whether it is a text-to-image model; of a LoRA, only metadata count.
    """
    metadata = {key: value.lower() for key, value in header.metadata.items() if len(value) < 100}
    zero_snr = "ztsnr" in header.shapes or metadata.get("ss_zero_terminal_snr") == "true"
    stated = _stated(metadata, header) or (_beside(path) if whole else None)
    if stated is None and whole and (family is Family.SD2 or any(name.startswith(OPENCLIP) for name in header.shapes)):
        stated = _STEPS.get(header.step or 0)
        if stated is None and channels == 4 and _deviates(path, header):
            note = f"{path.name} is taken as a model that predicts v, by its weights; if its pictures are noise, set "
            return Objective("v_prediction", zero_snr, f"{note}prediction_type to epsilon.")
    return Objective(stated, zero_snr)


def _stated(metadata: dict[str, str], header: Header) -> Prediction | None:
    if stated := PREDICTIONS.get(metadata.get("modelspec.prediction_type", "")):
        return stated
    version = metadata.get("ss_base_model_version", "")
    if "v_pred" in header.shapes or metadata.get("ss_v_parameterization") == "true" or version.endswith("_v"):
        return "v_prediction"
    return "epsilon" if version.startswith("sd_") or metadata.get("ss_v_parameterization") == "false" else None


def yaml_beside(path: Path) -> Path | None:
    """The file beside a checkpoint that has its settings, as Stability's code wrote it and the web UI reads it."""
    beside = (path.with_suffix(suffix) for suffix in (".yaml", ".yml"))
    return next((file for file in beside if file.is_file()), None)


def _beside(path: Path) -> Prediction | None:
    """What the settings beside a file say; those of Stability's code mean epsilon where they do not say v."""
    file = yaml_beside(path)
    try:
        text = file.read_text(encoding="utf-8-sig") if file and file.stat().st_size <= _MOST_TEXT else ""
    except (OSError, ValueError):
        return None
    if found := _PARAMETERIZATION.search(text):
        return {"v": "v_prediction", "eps": "epsilon", "x0": "sample"}.get(found[1])  # type: ignore[return-value]
    return "epsilon" if "LatentDiffusion" in text else None


def _deviates(path: Path, header: Header) -> bool:
    values = values_of(path, header, _BIAS)
    return bool(values) and statistics.pstdev(values) > _DEVIATION


def distilled_of(path: Path, layout: Layout, header: Header | None) -> tuple[Distilled | None, str]:
    """How a motion module was distilled, and a sentence where only a name says so.

    AnimateLCM's own file has no table of positions, which every other one in AnimateDiff's layout has. In diffusers'
    layout all look alike. header: None of a folder.
    """
    if header is not None and layout is Layout.ANIMATEDIFF and not any("pos_encoder" in name for name in header.shapes):
        return "animatelcm", ""
    if header is None and any(path.glob("*AnimateLCM*_lora.safetensors")):
        return "animatelcm", ""
    for name in names_of(path):
        words = words_of(name)
        found = next((kind for word, kind in _WORDS.items() if word in words), None)
        if found:
            title = {"animatelcm": "AnimateLCM", "lightning": "AnimateDiff-Lightning"}[found]
            note = f'{path.name} is taken as {title}, because of the name "{name}"; if it is another, set t2v_schedule.'
            return found, note
        if words & _OWN_WORDS:
            break
    return None, ""


def words_of(name: str) -> set[str]:
    """ "sdXL_v10VAEFix" → sd, xl, v, 10, vae, fix."""
    return {word.lower() for word in _WORD.findall(name)}


def few_steps_of_folder(path: Path, config: Callable[[Path], Mapping[str, object]]) -> tuple[FewSteps | None, str]:
    """How the text-to-image model in a folder was distilled to a few steps, and a sentence where that is a guess.

    config: reads a config's file, empty where there is none. LCMs have their own scheduler, or a UNet that reads its
    guidance beside the timestep. Euler's scheduler with trailing timesteps is SD-Turbo's, and Lightning's alike.
    """
    scheduler = config(path / "scheduler" / "scheduler_config.json")
    if scheduler.get("_class_name") == "LCMScheduler" or embeds_guidance(path, config):
        return "lcm", ""
    trailing = scheduler.get("_class_name") in _EULER and scheduler.get("timestep_spacing") == "trailing"
    if trailing and not scheduler.get("rescale_betas_zero_snr"):
        return "turbo", (
            f"{path.name} is taken as distilled to a few steps, because its scheduler is Euler's with trailing "
            'timesteps; if it was not, set distilled to "none".'
        )
    return None, ""


def embeds_guidance(path: Path, config: Callable[[Path], Mapping[str, object]]) -> bool:
    """Whether the UNet of a folder reads its guidance beside the timestep, as whole LCMs do and LCM-LoRAs do not."""
    return config(path / "unet" / "config.json").get("time_cond_proj_dim") is not None


def few_steps_of_file(path: Path, header: Header) -> tuple[FewSteps | None, str]:
    """How a file of a text-to-image model or a LoRA was distilled by its metadata, and what is to be done about it.

    Where its name alone tells, that is but a hint in the sentence.
    """
    for key in _TITLES:
        if found := _few_steps(header.metadata.get(key, "")):
            return (
                found,
                f'{path.name} is {FEW_STEPS[found]}\'s, as it says; where it is used, set distilled to "{found}".',
            )
    for name in names_of(path):
        if found := _few_steps(name):
            hint = (
                f'{path.name} may be {FEW_STEPS[found]}\'s, by the name "{name}"; if it is, set distilled to "{found}".'
            )
            return None, hint
    return None, ""


def _few_steps(name: str) -> FewSteps | None:
    words = words_of(name)
    return next(
        (kind for kind, all_of, one_of in _FEW_STEPS_WORDS if all_of <= words and (not one_of or one_of & words)), None
    )


def names_of(path: Path) -> list[str]:
    """The names that may tell: the file's or folder's, its folder's, and further up while those say nothing."""
    path = path.absolute()
    names = [path.stem if path.is_file() else path.name]
    for parent in list(path.parents)[:_MOST_PARENTS]:
        names.append(parent.name)
        if not _NO_NAME.fullmatch(parent.name):
            break
    return [name.removeprefix(_HUB).rpartition("--")[2] for name in names if name and not _NO_NAME.fullmatch(name)]
