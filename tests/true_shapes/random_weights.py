"""Files and folders of random weights under the tensor names and shapes of the real models.

The lists in `keys/` say which tensors a real file holds; README.md says where each list comes from. `write`
makes such a file at true size (gigabytes) or tiny (a few megabytes): all widths shrunk, all names and layers kept.
"""

from __future__ import annotations

import gzip
import json
import math
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.true_shapes.configs import PARTS, SCHEDULER, TINY, Width, config, is_tiny

KEYS = Path(__file__).parent / "keys"


@dataclass(frozen=True)
class Entry:
    """One tensor of a list: -1 in its shape is the rank of a LoRA; None: the dtype that the file is written in."""

    shape: tuple[int, ...]
    dtype: torch.dtype | None = None


@dataclass(frozen=True)
class File:
    """Which lists a single file holds, each under its prefix."""

    lists: tuple[tuple[str, str], ...]
    wrapped: str | None = None
    """In pickles, the key that holds the tensors."""
    rank: int = 0
    alpha: float = 0.0


_SD1 = (
    ("model.diffusion_model.", "ldm_unet_sd1"),
    ("first_stage_model.", "ldm_vae"),
    ("cond_stage_model.transformer.", "clip_l"),
)
_SD2 = (
    ("model.diffusion_model.", "ldm_unet_sd2"),
    ("first_stage_model.", "ldm_vae"),
    ("cond_stage_model.model.", "openclip_h"),
)
_SCHEDULE = (("", "ldm_schedule"),)
FILES = {
    "sd1": File((*_SD1, *_SCHEDULE), "state_dict"),
    "sd1_ema": File((*_SD1, *_SCHEDULE, ("model_ema.", "ldm_ema_sd1")), "state_dict"),
    "sd1_bare": File(_SD1, "state_dict"),  # as merged checkpoints often are
    "sd2": File((*_SD2, *_SCHEDULE), "state_dict"),
    "vae": File((("", "ldm_vae"),), "state_dict"),
    "lavie": File((("", "lavie"),), "ema"),
    "motion_v2": File((("", "motion_v2"),)),
    "motion_v3": File((("", "motion_v3"),)),
    "motion_lcm": File((("", "motion_lcm"),)),
    "adapter_v2": File((("", "adapter_v2"),)),
    "adapter_v3": File((("", "adapter_v3"),)),
    "lightning": File((("", "adapter_v2"),)),
    "lora_kohya": File((("", "lora_kohya"),), rank=32, alpha=16),
    "lora_peft": File((("", "lora_peft"),), rank=16),
    "lora_lcm": File((("", "lora_lcm"),), rank=64, alpha=8),
    "lora_v3": File((("", "lora_v3"),), rank=128),
}
FOLDERS = {
    "sd1_folder": ("sd1", ".safetensors"),
    "sd2_folder": ("sd2", ".safetensors"),
    "zeroscope": ("zeroscope", ".bin"),
    "adapter_v2_folder": ("adapter_v2", ".safetensors"),
    "adapter_v3_folder": ("adapter_v3", ".safetensors"),
}
"""Folder family → (models in `PARTS`, suffix of its weights)."""
_TEXT_WEIGHTS = {".safetensors": "model", ".bin": "pytorch_model"}  # transformers' file names


@cache
def keys(name: str) -> dict[str, Entry]:
    """A list of `keys/`: lines of a name, its shape in brackets and, if it is not free, its dtype."""
    entries = {}
    for line in gzip.decompress((KEYS / f"{name}.txt.gz").read_bytes()).decode().splitlines():
        if not line.startswith("#"):
            key, shape, *dtype = line.split(" ")
            sides = tuple(-1 if side == "r" else int(side) for side in shape[1:-1].split(",") if side)
            entries[key] = Entry(sides, getattr(torch, dtype[0]) if dtype else None)
    return entries


def entries(name: str, width: Width = 1.0, rank: int = 0) -> dict[str, Entry]:
    """A list of `keys/` with its widths shrunk for "tiny" and the rank put in."""
    widths = (TINY[name] if is_tiny(width) else {}) | {-1: rank}
    return {
        key: Entry(tuple(widths.get(side, side) for side in entry.shape), entry.dtype)
        for key, entry in keys(name).items()
    }


def file_entries(family: str, width: Width = 1.0, rank: int | None = None) -> dict[str, Entry]:
    """All tensors of a family of `FILES`, under their names in the file."""
    file = FILES[family]
    return {
        prefix + key: entry
        for prefix, name in file.lists
        for key, entry in entries(name, width, file.rank if rank is None else rank).items()
    }


def tensors(
    wanted: dict[str, Entry], dtype: torch.dtype = torch.float16, seed: int = 0, alpha: float = 0.0
) -> dict[str, Tensor]:
    """Random values that keep activations near 1. A tensor depends on the seed, its name and its shape alone."""
    return {key: _value(key, entry, seed, alpha).to(entry.dtype or dtype) for key, entry in wanted.items()}


def write(
    family: str,
    path: Path,
    width: Width = 1.0,
    dtype: torch.dtype = torch.float16,
    seed: int = 0,
    rank: int | None = None,
    metadata: dict[str, str] | None = None,
) -> Path:
    """Write a family of `FILES` (the suffix decides: safetensors or a pickle) or of `FOLDERS`; the path again.

    rank: of a LoRA, instead of its family's. metadata: for the header of a safetensors file.
    A folder gets its weights, configs and scheduler, but no tokenizer. At true size a file is built in memory:
    2.1 GB for sd1 in float16.
    """
    if family in FOLDERS:
        return _write_folder(family, path, width, dtype, seed)
    file = FILES[family]
    held = tensors(file_entries(family, width, rank), dtype, seed, file.alpha)
    _save(held, path, file.wrapped, metadata)
    return path


def write_embedding(
    path: Path,
    style: Literal["a1111_pt", "a1111", "diffusers"],
    token: str = "<token>",
    vectors: int = 2,
    width: int = 768,
    seed: int = 0,
) -> Tensor:
    """Write a textual inversion embedding, float32, in one of its three formats; its (vectors, width) again."""
    value = _value("token_embedding.weight", Entry((vectors, width)), seed, 0.0)
    if style == "a1111_pt":
        held: dict[str, Any] = {"string_to_token": {"*": 265}, "string_to_param": {"*": value}, "name": token}
        torch.save(held | {"step": 500, "sd_checkpoint": None, "sd_checkpoint_name": None}, path)
    else:
        _save({"emb_params" if style == "a1111" else token: value}, path)
    return value


def _value(key: str, entry: Entry, seed: int, alpha: float) -> Tensor:
    generator = torch.Generator().manual_seed(zlib.crc32(f"{seed} {key}".encode()))
    shape = entry.shape
    noise = torch.empty(shape).normal_(generator=generator)
    match key.rsplit(".", 1)[-1]:
        case "position_ids":
            return torch.arange(shape[-1])[None]
        case "num_updates" | "decay":
            return torch.ones(shape)
        case "alpha":
            return torch.tensor(alpha)
        case "logit_scale":
            return torch.tensor(math.log(100.0))
        case "freqs":  # rotary embedding, arXiv 2104.09864
            return 10000.0 ** -(torch.arange(shape[0]) / shape[0])
        case "pe":
            return _sinusoids(*shape)
    if "embedding" in key and "time_embed" not in key:
        return 0.02 * noise
    if "relative_attention_bias" in key:
        return 0.5 * noise
    if len(shape) > 1:
        return noise / math.sqrt(math.prod(shape[1:]))
    # Norms scale by about 1; not by exactly 1, nor biases by 0, so that a mix-up of two layers shows.
    return 1 + 0.05 * noise if key.endswith("weight") else 0.02 * noise


def _sinusoids(batch: int, positions: int, width: int) -> Tensor:
    """(batch, positions, width) sines in even and cosines in odd places (arXiv 1706.03762, section 3.5)."""
    angles = torch.arange(positions)[:, None] * 10000.0 ** -(torch.arange(0, width, 2) / width)
    return torch.stack((angles.sin(), angles.cos()), dim=-1).reshape(1, positions, width).repeat(batch, 1, 1)


def _save(
    held: dict[str, Tensor], path: Path, wrapped: str | None = None, metadata: dict[str, str] | None = None
) -> None:
    if path.suffix == ".safetensors":
        save_file(held, path, {"format": "pt"} | (metadata or {}))
    else:
        torch.save({wrapped: held} if wrapped else held, path)


def _write_folder(family: str, path: Path, width: Width, dtype: torch.dtype, seed: int) -> Path:
    models, suffix = FOLDERS[family]
    pipeline = "unet" in PARTS[models]
    for part, name in PARTS[models].items():
        folder = path / part if pipeline else path
        _write_json(folder / "config.json", config(models, part, width))
        stem = _TEXT_WEIGHTS[suffix] if part == "text_encoder" else "diffusion_pytorch_model"
        _save(tensors(entries(name, width), dtype, seed), folder / f"{stem}{suffix}")
    if pipeline:
        _write_json(path / "scheduler" / "scheduler_config.json", SCHEDULER)
        _write_json(path / "model_index.json", dict(_index(models)))
    return path


def _index(models: str) -> Iterator[tuple[str, Any]]:
    """What model_index.json names: a library and a class for each part."""
    yield "_class_name", "TextToVideoSDPipeline" if models == "zeroscope" else "StableDiffusionPipeline"
    yield "scheduler", ["diffusers", SCHEDULER["_class_name"]]
    yield "tokenizer", ["transformers", "CLIPTokenizer"]
    yield "text_encoder", ["transformers", "CLIPTextModel"]
    for part in ("unet", "vae"):
        yield part, ["diffusers", config(models, part)["_class_name"]]


def _write_json(path: Path, content: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=2), encoding="utf-8")
