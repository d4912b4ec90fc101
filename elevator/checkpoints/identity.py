"""Says what a model file or folder is, without reading its weights."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ..errors import ModelError
from . import vaes
from .header import Header, read_header
from .kinds import (
    ALGORITHMS,
    ARCHITECTURES,
    CLASSES,
    LORA_LAYOUTS,
    OTHER_FAMILIES,
    SDXL_MARKS,
    STRUCTURES,
    WIDTHS,
    Algorithm,
    Family,
    Kind,
    Layout,
)
from .lora_files import lora_files
from .training import (
    PREDICTIONS,
    Distilled,
    FewSteps,
    Objective,
    Prediction,
    distilled_of,
    embeds_guidance,
    few_steps_of_file,
    few_steps_of_folder,
    objective_of,
)

FILE_NAMES = ("diffusion_pytorch_model", "pytorch_lora_weights", "adapter_model", "model", "learned_embeds")
"""What diffusers and transformers call any model's file; its folder's name says more."""
WEIGHTS = {".safetensors", ".bin", ".ckpt", ".pt", ".pth"}
"""How names of files of weights end."""
NAMELESS = ("*", "emb_params", "clip_l", "clip_g", "t5xxl", "text_encoders_0")
"""What stands in an embedding's file where no name does."""
PARTS = ("unet", "motion_adapter")
"""Folders in a pipeline's folder that say what it is."""
BASE_NAMES = ("ss_sd_model_name", "ss_base_model_version", "sd_checkpoint_name")
"""Metadata that name the model that something was trained on; the first that is there counts."""
TRIGGER_WORDS = 5
"""How many of the tags that a LoRA was trained on count as its trigger words."""

_TEXT_INPUT = re.compile(
    r"attn2[._](?:processor\.)?to_k(?:\.weight|(?:_lora|\.lora)\.down\.weight|\.lora_(?:down|A)(?:\.default)?\.weight"
    r"|\.hada_w1_b|\.a2\.weight|\.diff)$"
)
_ENCODER_INPUT = re.compile(
    r"(?:token_embedding\.weight|self_attn[._](?:q_proj|to_q)(?:\.lora_linear_layer|_lora|\.lora)?[._](?:down|A)\.weight)$"
)
_MOTION_LEVEL = re.compile(r"up_blocks[._](\d+)[._]motion_modules")


_WHOLE = "{} holds a whole UNet beside its motion modules; the text-to-image model's own layers are used instead."


@dataclass(frozen=True)
class Identity:
    """What a file or folder is."""

    path: Path
    kind: Kind
    family: Family
    """Of a T2V: that of its text encoder; SD 1.x and SD 2.x have the same latents."""
    layout: Layout
    size: int
    """Bytes."""
    title: str
    """The file's own, or else its name."""
    channels: int | None = None
    """That the UNet takes: 4, or 9 if it fills in parts of pictures."""
    prediction: Prediction | None = None
    """What the network was trained to predict, where the file says it."""
    width: int | None = None
    """Of the text embeddings that it reads, or as a text encoder or an embedding that it gives."""
    algorithm: Algorithm | None = None
    """Of a LoRA."""
    base_model: str | None = None
    """That it was trained on, by name."""
    trigger_words: tuple[str, ...] = ()
    """The most frequent first."""
    zero_snr: bool = False
    """Whether the network was trained on levels of noise whose last is noise alone."""
    distilled: Distilled | FewSteps | None = None
    """How a motion module, a text-to-image model or a LoRA for one was made fast, where it was."""
    class_name: str | None = None
    """That a folder's config names."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that is a guess, or that is left out."""


def identify(path: Path, *, torch: bool = True) -> Identity:
    """Say what a model is: a safetensors or PyTorch file, or a folder in diffusers layout.

    Reads headers and configs only. torch: whether it may be imported, for the few files that nothing else understands;
    else those raise `NeedsTorch`. Raises ModelError if there is no model, or it is broken or holds code.
    """
    path = Path(path)
    if not path.is_dir():
        return _of_file(path, read_header(path, torch=torch))
    if (path / "model_index.json").is_file() or any((path / part / "config.json").is_file() for part in PARTS):
        return _of_pipeline(path)
    if (path / "config.json").is_file():
        return _of_component(path)
    if files := lora_files(path):
        first = identify(files[0], torch=torch)
        if files[0].parent == path:
            return first
        return replace(first, path=path, title=path.name, size=sum(file.stat().st_size for file in files))
    if inside := sorted(file.name for file in path.iterdir() if file.suffix in WEIGHTS):
        raise ModelError(f"{path} is a folder with files of weights, such as {inside[0]}; choose one of them.")
    raise ModelError(f"{path} holds no model; choose a model file or a folder in diffusers layout.")


def distilled_of_t2i(path: Path) -> FewSteps | None:
    """How the text-to-image model in a folder was distilled to a few steps, by its configs; None of files.

    Raises ModelError if a config cannot be read.
    """
    return few_steps_of_folder(path, _config_if_any)[0] if path.is_dir() else None


def t2i_embeds_guidance(path: Path) -> bool:
    """Whether the text-to-image model in a folder reads its guidance beside the timestep; of files, none is known.

    Raises ModelError if a config cannot be read.
    """
    return path.is_dir() and embeds_guidance(path, _config_if_any)


def family_of_width(width: object) -> Family:
    """The family whose text embeddings are this wide."""
    return WIDTHS.get(width, Family.UNKNOWN) if isinstance(width, int) else Family.UNKNOWN


def _of_file(path: Path, header: Header) -> Identity:
    names = "\n".join(("", *header.shapes, ""))
    metadata = {key: value for key, value in header.metadata.items() if value not in ("", "None")}
    algorithm = _algorithm(names, header)
    kind, layout = _lora(names) if algorithm else _structure(names, header)
    first = header.shapes.get("conv_in.weight", header.shapes.get("model.diffusion_model.input_blocks.0.0.weight", ()))
    channels = first[1] if len(first) == 4 else None
    family = _family(kind, names, header)
    objective = objective_of(path, header, family, channels, whole=kind in (Kind.T2I, Kind.UNET))
    distilled, guess = _distilled_file(path, kind, layout, header)
    if kind is Kind.VAE and family is Family.UNKNOWN:
        family = vaes.family_beside(path)
        guess = vaes.guess(path) if family is Family.UNKNOWN else ""
    beside = _WHOLE.format(path.name) if kind is Kind.MOTION_MODULE and "\nconv_in.weight\n" in names else ""
    return Identity(
        path=path,
        kind=kind,
        family=family,
        layout=layout,
        size=header.size,
        title=metadata.get("modelspec.title") or metadata.get("ss_output_name") or metadata.get("name") or _name(path),
        channels=channels,
        prediction=objective.prediction,
        width=_vectors(header)[-1] if kind is Kind.EMBEDDING else _text_width(header, kind),
        algorithm=algorithm,
        base_model=next((metadata[key] for key in BASE_NAMES if key in metadata), None),
        trigger_words=_names_of(path, header) if kind is Kind.EMBEDDING else _trigger_words(metadata),
        zero_snr=objective.zero_snr,
        distilled=distilled,
        notes=tuple(note for note in (objective.note, guess, beside) if note),
    )


def _distilled_file(path: Path, kind: Kind, layout: Layout, header: Header) -> tuple[Distilled | FewSteps | None, str]:
    if kind is Kind.MOTION_MODULE:
        return distilled_of(path, layout, header)
    return few_steps_of_file(path, header) if kind in (Kind.T2I, Kind.UNET, Kind.LORA) else (None, "")


def _name(path: Path) -> str:
    return path.resolve().parent.name if path.stem in FILE_NAMES else path.stem


def _algorithm(names: str, header: Header) -> Algorithm | None:
    """A LoRA's; None if the file is none."""
    found = next((algorithm for mark, algorithm in ALGORITHMS if mark in names), None)
    if found is Algorithm.OFT and any(len(s) == 4 for name, s in header.shapes.items() if name.endswith(".oft_blocks")):
        return Algorithm.BOFT
    return found


def _lora(names: str) -> tuple[Kind, Layout]:
    """Kind and layout of a file of low-rank tensors."""
    kind = Kind.MOTION_LORA if "motion_modules" in names else Kind.LORA
    return kind, next((layout for mark, layout in LORA_LAYOUTS if mark in names), Layout.PEFT)


def _structure(names: str, header: Header) -> tuple[Kind, Layout]:
    """Kind and layout of any other file."""
    for marks, kind, layout in STRUCTURES:
        if all(mark in names for mark in marks):
            return kind, layout
    return (Kind.EMBEDDING, Layout.TEXTUAL_INVERSION) if _vectors(header) else (Kind.OTHER, Layout.OTHER)


def _vectors(header: Header) -> tuple[int, ...]:
    """The shape of a textual inversion's vectors, ({n, }width), or () if the file is none."""
    for name, shape in header.shapes.items():
        if name in ("emb_params", "clip_l", "clip_g") or name.startswith("string_to_param."):
            return shape
    # diffusers' files hold one tensor, whose name is the word that stands for it.
    name, shape = next(iter(header.shapes.items()))
    return shape if len(header.shapes) == 1 and len(shape) in (1, 2) and shape[-1] in WIDTHS else ()


def _family(kind: Kind, names: str, header: Header) -> Family:
    """From the widths of layers where they tell, then from the metadata."""
    if kind is Kind.MOTION_MODULE:
        return _motion_family({name.split(".")[1] for name in header.shapes if name.startswith("up_blocks.")})
    if kind is Kind.MOTION_LORA:
        return _motion_family({found[1] for name in header.shapes if (found := _MOTION_LEVEL.search(name))})
    if kind is Kind.EMBEDDING:
        return Family.SDXL if "clip_g" in header.shapes else family_of_width(_vectors(header)[-1])
    if kind is Kind.VAE:
        latents = next((shape for name, shape in header.shapes.items() if name.endswith("decoder.conv_in.weight")), ())
        return Family.OTHER if len(latents) == 4 and latents[1] != 4 else _stated_family(header)
    if any(mark in names for mark in OTHER_FAMILIES):
        return Family.OTHER
    if (family := family_of_width(_width(_TEXT_INPUT, header))) is not Family.UNKNOWN:
        return family
    if any(mark in names for mark in SDXL_MARKS):
        return Family.SDXL
    stated = _stated_family(header)
    # The first of several text encoders, which SDXL has from SD 1.x, or another trainer's only one.
    if stated is not Family.UNKNOWN or "lora_te1_" in names:
        return stated
    return family_of_width(_width(_ENCODER_INPUT, header))


def _width(pattern: re.Pattern[str], header: Header) -> int | None:
    """The input width of the first layer whose name fits."""
    fitting = (shape[1] for name, shape in header.shapes.items() if len(shape) > 1 and pattern.search(name))
    return next(fitting, None)


def _text_width(header: Header, kind: Kind) -> int | None:
    """Of the text embeddings that cross-attention reads, or else of those that a text encoder gives."""
    if kind is Kind.MOTION_LORA:
        return None  # motion modules read no text
    return _width(_TEXT_INPUT, header) or _width(_ENCODER_INPUT, header)


def _motion_family(levels: Collection[str | int]) -> Family:
    """By the UNet's levels, of which SDXL has three, and Stable Diffusion before it four."""
    return {3: Family.SDXL, 4: Family.SD1}.get(len(levels), Family.UNKNOWN)


def _stated_family(header: Header) -> Family:
    stated = [header.metadata.get(key, "") for key in ("modelspec.architecture", "ss_base_model_version")]
    found = [family for start, family in ARCHITECTURES for text in stated if text.lower().startswith(start)]
    return found[0] if found else Family.UNKNOWN


def _trigger_words(metadata: Mapping[str, str]) -> tuple[str, ...]:
    """The phrase that the file names, or the most frequent tags of all the folders that it was trained on."""
    if phrase := metadata.get("modelspec.trigger_phrase"):
        return tuple(word.strip() for word in phrase.split(",") if word.strip())
    try:
        folders = json.loads(metadata.get("ss_tag_frequency", "{}"))
    except (ValueError, RecursionError):
        return ()
    counts: Counter[str] = Counter()
    for tags in folders.values() if isinstance(folders, dict) else ():
        for tag, count in tags.items() if isinstance(tags, dict) else ():
            counts[tag.strip()] += count if isinstance(count, int) else 0
    return tuple(tag for tag, _ in counts.most_common(TRIGGER_WORDS) if tag)


def _names_of(path: Path, header: Header) -> tuple[str, ...]:
    """The names by which prompts call an embedding: the one in its file, and the file's."""
    (only, *more), named = header.shapes, header.metadata.get("name")
    own = named or ("" if more or only in NAMELESS or only.startswith("string_to_param.") else only)
    names = [own, "" if path.stem in FILE_NAMES else path.stem]
    return tuple(dict.fromkeys(name for name in names if name and name not in NAMELESS)) or (path.stem,)


def _of_pipeline(path: Path) -> Identity:
    """A folder of parts: a whole pipeline, or as much of one as a T2V needs."""
    if (path / "unet" / "config.json").is_file():
        config = _config(path / "unet" / "config.json")
        kind, family, channels, width = _of_config(config)
        if kind is Kind.UNET:
            kind = Kind.T2V if (path / "motion_adapter").is_dir() else Kind.T2I
    elif (path / "motion_adapter" / "config.json").is_file():
        kind, family, channels, width = _of_config(_config(path / "motion_adapter" / "config.json"))
    else:
        kind, family, channels, width = Kind.OTHER, Family.OTHER, None, None
    index = path / "model_index.json"
    distilled, note = _distilled(path, kind)
    objective = _scheduled(path / "scheduler" / "scheduler_config.json")
    return Identity(
        path=path,
        kind=kind,
        family=family,
        layout=Layout.FOLDER,
        size=_folder_size(path),
        title=path.name,
        channels=channels,
        prediction=objective.prediction,
        width=width,
        zero_snr=objective.zero_snr,
        distilled=distilled,
        class_name=_class_name(_config(index)) if index.is_file() else None,
        notes=(note,) if note else (),
    )


def _scheduled(file: Path) -> Objective:
    """What a folder's scheduler says, if there is one."""
    if not file.is_file():
        return Objective()
    config = _config(file)
    stated = PREDICTIONS.get(str(config.get("prediction_type", "epsilon")))
    return Objective(stated, zero_snr=config.get("rescale_betas_zero_snr") is True)


def _distilled(path: Path, kind: Kind) -> tuple[Distilled | FewSteps | None, str]:
    """Of a folder with motion modules: by its scheduler, or else by names. Of a text-to-image model's: by configs."""
    if kind is Kind.T2I:
        return few_steps_of_folder(path, _config_if_any)
    if kind is not Kind.MOTION_MODULE:
        return None, ""
    file = path / "scheduler" / "scheduler_config.json"
    if file.is_file() and _config(file).get("_class_name") == "LCMScheduler":
        return "animatelcm", ""
    return distilled_of(path, Layout.FOLDER, None)


def _of_component(path: Path) -> Identity:
    config = _config(path / "config.json")
    kind, family, channels, width = _of_config(config)
    distilled, note = _distilled(path, kind)
    return Identity(
        path=path,
        kind=kind,
        family=family,
        layout=Layout.COMPONENT,
        size=_folder_size(path),
        title=path.name,
        channels=channels,
        width=width,
        distilled=distilled,
        class_name=_class_name(config),
        notes=(note,) if note else (),
    )


def _class_name(config: Mapping[str, Any]) -> str | None:
    """The class that a config names, in diffusers' way or transformers'."""
    names = config.get("architectures")
    name = config.get("_class_name") or (names[0] if isinstance(names, list) and names else None)
    return None if name is None else str(name)


def _of_config(config: dict[str, Any]) -> tuple[Kind, Family, int | None, int | None]:
    """Kind, family, a UNet's input channels and the width of text embeddings from a part's config."""
    kind = CLASSES.get(str(_class_name(config)), Kind.OTHER)
    if kind is Kind.VAE:
        other = config.get("latent_channels") != 4
        return kind, Family.OTHER if other else vaes.family_of_scale(config), None, None
    if kind is Kind.MOTION_MODULE:
        levels = config.get("block_out_channels")
        return kind, _motion_family(levels if isinstance(levels, list) else ()), None, None
    width = config.get("hidden_size" if kind is Kind.TEXT_ENCODER else "cross_attention_dim")
    channels = config.get("in_channels")
    whole = (number if isinstance(number, int) else None for number in (channels, width))
    return kind, family_of_width(width), *whole  # type: ignore[return-value]


def _config_if_any(file: Path) -> dict[str, Any]:
    return _config(file) if file.is_file() else {}


def _config(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{file} is not a readable config; download or copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{file} is not a readable config; download or copy it again.")
    return content


def _folder_size(path: Path) -> int:
    """Bytes of the folder's files, those behind links too."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
