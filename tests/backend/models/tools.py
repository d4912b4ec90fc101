"""Folders as other tools lay them out, with small files of the true names of tensors."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Mapping
from pathlib import Path

from tests.elevator.checkpoints.written import ldm_checkpoint, write

TEMPORAL = "motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0.to_q.weight"
DOWN = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight"
LCM_MOTION = {f"{side}_blocks.{n}.{TEMPORAL}": (320, 320) for side in ("down", "up") for n in range(4)}
"""AnimateLCM's module has no table of positions."""
MOTION = LCM_MOTION | {f"up_blocks.0.{TEMPORAL.replace('to_q.weight', 'pos_encoder.pe')}": (1, 32, 320)}
LORA = {DOWN: (8, 768), DOWN.replace("down.weight", "up.weight"): (320, 8)}
VAE = {"encoder.down.0.block.0.conv1.weight": (128, 128, 3, 3), "decoder.conv_in.weight": (512, 4, 3, 3)}
EMBEDDING = {"emb_params": (2, 768)}
SD1, SD2 = ldm_checkpoint(), ldm_checkpoint(1024, "cond_stage_model.model.transformer.resblocks.")
LAVIE = {
    "down_blocks.0.attentions.0.transformer_blocks.0.attn_temp.to_q.weight": (320, 320),
    "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k.weight": (320, 768),
}


def model(path: Path, shapes: Mapping[str, tuple[int, ...]], **metadata: str) -> Path:
    """A safetensors file whose weights are a hole."""
    path.parent.mkdir(parents=True, exist_ok=True)
    return write(path, shapes, metadata)


def diffusers(folder: Path, name: str = "UNet2DConditionModel", width: int = 768) -> Path:
    """A model in diffusers' layout."""
    for part, content in {
        "unet": {"_class_name": name, "cross_attention_dim": width, "in_channels": 4},
        "vae": {"_class_name": "AutoencoderKL", "latent_channels": 4},
        "text_encoder": {"architectures": ["CLIPTextModel"], "hidden_size": width},
    }.items():
        (folder / part).mkdir(parents=True)
        (folder / part / "config.json").write_text(json.dumps(content), encoding="utf-8")
        weights = "model" if part == "text_encoder" else "diffusion_pytorch_model"
        model(folder / part / f"{weights}.safetensors", {"a": (1,)})
    (folder / "model_index.json").write_text("{}", encoding="utf-8")
    return folder


def a1111(folder: Path) -> Path:
    """AUTOMATIC1111's web UI with models and what else lies about."""
    model(folder / "models" / "Stable-diffusion" / "sub" / "dream.safetensors", SD1)
    model(folder / "models" / "Lora" / "ink.safetensors", LORA, **{"modelspec.trigger_phrase": "ink wash"})
    model(folder / "models" / "VAE" / "fine.safetensors", VAE)
    model(folder / "embeddings" / "cat.safetensors", EMBEDDING)
    model(folder / "extensions" / "sd-webui-animatediff" / "model" / "mm_sd_v15_v2.safetensors", MOTION)
    model(folder / "venv" / "lib" / "site-packages" / "thing.safetensors", SD1)
    model(folder / "repositories" / "stuff" / "thing.safetensors", SD1)
    return folder


def comfyui(folder: Path, extra: str = "") -> Path:
    """ComfyUI, and its list of folders elsewhere."""
    model(folder / "models" / "checkpoints" / "comfy.safetensors", SD1)
    model(folder / "models" / "animatediff_models" / "AnimateLCM_sd15_t2v.safetensors", LCM_MOTION)
    model(folder / "models" / "loras" / "AnimateLCM_sd15_t2v_lora.safetensors", LORA)
    model(folder / "custom_nodes" / "ComfyUI-AnimateDiff-Evolved" / "models" / "own.safetensors", MOTION)
    model(folder / "output" / "thing.safetensors", SD1)
    if extra:
        (folder / "extra_model_paths.yaml").write_text(extra, encoding="utf-8")
    return folder


def invokeai(folder: Path, in_place: Path) -> Path:
    """InvokeAI with its models on another disk, and one that it uses where it lies."""
    model(folder.parent / "disk" / "models" / "sd-1" / "main" / "inv.safetensors", SD1)
    (folder / "databases").mkdir(parents=True)
    (folder / "invokeai.yaml").write_text(
        f"# Internal metadata - do not edit:\nschema_version: 4.0.2\n\nhost: 0.0.0.0 # all\n"
        f"models_dir: {folder.parent / 'disk' / 'models'}\nprecision: float16\n",
        encoding="utf-8",
    )
    rows = [{"path": str(in_place), "type": "main"}, {"path": "sd-1/main/inv.safetensors", "type": "main"}]
    database = sqlite3.connect(folder / "databases" / "invokeai.db")
    database.execute("CREATE TABLE models (id TEXT NOT NULL PRIMARY KEY, config TEXT NOT NULL)")
    database.executemany("INSERT INTO models VALUES (?, ?)", [(str(n), json.dumps(row)) for n, row in enumerate(rows)])
    database.commit()
    database.close()
    return folder


def hub_cache(folder: Path) -> Path:
    """Hugging Face's cache: files lie as blobs, snapshots link to them."""
    hub = folder / "hub"
    _snapshot(hub / "models--me--dream", {"dream.safetensors": SD1}, revisions=("a" * 40, "b" * 40))
    whole = diffusers(folder / "whole")
    files = {path.relative_to(whole).as_posix(): path for path in whole.rglob("*") if path.is_file()}
    _snapshot(hub / "models--you--painter", files, revisions=("c" * 40,))
    (hub / ".locks").mkdir()
    (hub / "version.txt").write_text("1")
    return folder


def _snapshot(
    folder: Path, files: Mapping[str, Mapping[str, tuple[int, ...]] | Path], revisions: tuple[str, ...]
) -> None:
    blobs = folder / "blobs"
    blobs.mkdir(parents=True)
    (folder / "refs").mkdir()
    (folder / "refs" / "main").write_text(revisions[-1], encoding="ascii")
    for name, content in files.items():
        blob = blobs / hashlib.sha256(f"{folder}{name}".encode()).hexdigest()
        if isinstance(content, Path):
            blob.write_bytes(content.read_bytes())
        else:
            write(blob, content)
        for revision in revisions:
            link = folder / "snapshots" / revision / name
            link.parent.mkdir(parents=True, exist_ok=True)
            link.symlink_to(os.path.relpath(blob, link.parent))
