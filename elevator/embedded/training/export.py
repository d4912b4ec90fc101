"""`python -m elevator.embedded.training.export`: the newest checkpoints as float16 diffusers folders.

Files are written beside and renamed into place, so that a reader never sees half a file.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from pathlib import Path

import diffusers
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from peft import LoraConfig
from torch import nn

from elevator.models import preview

from ..small_world.captions import known_words
from ..small_world.pictures import DrawnShapes
from ..small_world.styles import STYLES
from .judge import save_judge
from .lora import distillation_config, lora_config, save_distillation, save_lora
from .models import new_motion_adapter, new_scheduler
from .motion import save_motion
from .store import Folders, Store, averages
from .tokenizer import build_tokenizer
from .vae import encode_frames, vae_frames

_T2I_INDEX = {
    "_class_name": "StableDiffusionPipeline",
    "feature_extractor": [None, None],
    "image_encoder": [None, None],
    "requires_safety_checker": False,
    "safety_checker": [None, None],
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet2DConditionModel"],
    "vae": ["diffusers", "AutoencoderKL"],
}
# The T2V shares the T2I's VAE, so its folder has none: pass `vae=` to diffusers' pipeline.
_T2V_INDEX = {
    "_class_name": "TextToVideoSDPipeline",
    "scheduler": ["diffusers", "DDIMScheduler"],
    "text_encoder": ["transformers", "CLIPTextModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
    "unet": ["diffusers", "UNet3DConditionModel"],
    "vae": [None, None],
}


def _save_half(module: nn.Module, folder: Path) -> None:
    module.half().save_pretrained(folder, safe_serialization=True)  # type: ignore[operator]


def _save_common(folder: Path, index: dict[str, object], tokenizer_from: Path) -> None:
    new_scheduler().save_pretrained(folder / "scheduler")
    shutil.copytree(tokenizer_from, folder / "tokenizer", dirs_exist_ok=True)
    versioned = {**index, "_diffusers_version": diffusers.__version__}
    text = json.dumps(versioned, indent=2, sort_keys=True) + "\n"
    (folder / "model_index.json").write_text(text, "utf-8")


def export_t2i(store: Store, folder: Path) -> None:
    """Write the complete T2I folder."""
    unet, text = store.t2i()
    _save_half(unet, folder / "unet")
    _save_half(text, folder / "text_encoder")
    _save_half(store.vae(), folder / "vae")
    _save_common(folder, dict(_T2I_INDEX), _tokenizer_folder(store))
    (folder / "known_words.txt").write_text("\n".join(known_words()) + "\n", "utf-8")
    save_preview_map(store.vae(), folder / "vae")


def save_preview_map(vae: AutoencoderKL, folder: Path) -> None:
    """Fit and write what turns latents into the colours of a preview; drawn shapes do, so no font is needed."""
    frames = vae_frames(DrawnShapes(), 256, seed=0)
    latents = encode_frames(vae, frames) * vae.config.scaling_factor
    preview.fit(latents, torch.from_numpy(frames).movedim(-1, 1) / 127.5 - 1).save(folder)


def export_t2v(store: Store, folder: Path) -> None:
    """Write the T2V folder; it has a text encoder of its own and no VAE."""
    unet, text = store.t2v()
    _save_half(unet, folder / "unet")
    _save_half(text, folder / "text_encoder")
    _save_common(folder, dict(_T2V_INDEX), _tokenizer_folder(store))


def export_motion(store: Store, folder: Path) -> None:
    """Write the AnimateDiff-like T2V: motion adapter, its LoRA, schedule; the rest is the T2I's."""
    unet, _ = store.motion()
    save_motion(unet, new_motion_adapter(), folder)
    new_scheduler().save_pretrained(folder / "scheduler")


def export_lora(store: Store, style: str, folder: Path) -> None:
    """Write one style LoRA; without a checkpoint, one that changes nothing."""
    save_lora(_with_adapter(store, lora_config(), f"lora_{style}"), style, folder)


def export_distillation(store: Store, folder: Path) -> None:
    """Write the LCM-LoRA, in the same way."""
    save_distillation(_with_adapter(store, distillation_config(), "lcm"), folder)


def _with_adapter(store: Store, config: LoraConfig, checkpoint: str) -> UNet2DConditionModel:
    """The T2I with an adapter as it was trained last."""
    unet, _ = store.t2i()
    unet.add_adapter(config)
    stored = averages(store.folders.checkpoints / checkpoint)
    for name, parameter in unet.named_parameters():
        if name in stored:
            parameter.data.copy_(stored[name])
    return unet


def _tokenizer_folder(store: Store) -> Path:
    folder = store.folders.weights / "t2i" / "tokenizer"
    if not (folder / "vocab.json").exists():
        build_tokenizer(folder)
    return folder


def move_into_place(source: Path, target: Path) -> None:
    """Rename every file of `source` to its place in `target`, weights last."""
    files = [path for path in source.rglob("*") if path.is_file()]
    for path in sorted(files, key=lambda path: path.suffix == ".safetensors"):
        place = target / path.relative_to(source)
        place.parent.mkdir(parents=True, exist_ok=True)
        os.replace(path, place)


def safetensors_bytes(weights: Path) -> int:
    """Size of all safetensors files below a folder."""
    return sum(path.stat().st_size for path in weights.rglob("*.safetensors"))


def main() -> None:
    store = Store(Folders())
    weights = store.folders.weights
    weights.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=weights.parent, prefix=".export-") as temporary:
        export_t2i(store, Path(temporary) / "t2i")
        export_t2v(store, Path(temporary) / "zeroscope")
        export_motion(store, Path(temporary) / "animatediff")
        save_judge(store.judge(), Path(temporary) / "judge")
        for style in STYLES:
            export_lora(store, style, Path(temporary) / "loras" / style)
        export_distillation(store, Path(temporary) / "lcm")
        move_into_place(Path(temporary), weights)
    print(f"{safetensors_bytes(weights) / 1e6:.1f} MB of safetensors in {weights}")


if __name__ == "__main__":
    main()
