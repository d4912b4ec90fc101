"""Configs of Stable Diffusion's networks in diffusers' terms, for files that hold weights alone.

Sources: the configs of stable-diffusion-v1-5 and stable-diffusion-2-1-base as published. Widths and layers are read
from the weights themselves, so that pruned, and tiny, relatives load too; here stands what weights do not show.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from torch import Tensor

from ..checkpoints import Family

HEAD = 64
"""Width of an attention head of CLIP and of SD 2.x's UNet; SD 1.x has 8 heads at every width."""
SD1_HEADS = 8

Config: TypeAlias = dict[str, Any]
Tensors: TypeAlias = Mapping[str, Tensor]


def unet_config(tensors: Tensors, family: Family) -> Config:
    """The config of a `UNet2DConditionModel` by its weights, under diffusers' names."""
    blocks = _count(tensors, "down_blocks.{}.resnets.0.conv1.weight")
    widths = [len(tensors[f"down_blocks.{b}.resnets.0.conv1.weight"]) for b in range(blocks)]
    attends = [f"down_blocks.{b}.attentions.0.norm.weight" in tensors for b in range(blocks)]
    text = next(tensor for name, tensor in tensors.items() if name.endswith(".attn2.to_k.weight"))
    linear = next(t for name, t in tensors.items() if name.endswith("attentions.0.proj_in.weight")).ndim == 2
    heads = [max(width // HEAD, 1) for width in widths] if family is Family.SD2 else SD1_HEADS
    return {
        "in_channels": tensors["conv_in.weight"].shape[1],
        "out_channels": len(tensors["conv_out.weight"]),
        "block_out_channels": widths,
        "layers_per_block": _count(tensors, "down_blocks.0.resnets.{}.conv1.weight"),
        "down_block_types": ["CrossAttnDownBlock2D" if yes else "DownBlock2D" for yes in attends],
        "up_block_types": ["CrossAttnUpBlock2D" if yes else "UpBlock2D" for yes in reversed(attends)],
        "cross_attention_dim": text.shape[1],
        "attention_head_dim": heads,
        "use_linear_projection": linear,
    }


def lavie_config(tensors: Tensors) -> Config:
    """As `unet_config`, for LaVie's weights, which show their number of heads."""
    heads = next(t for name, t in tensors.items() if name.endswith(".relative_attention_bias.weight")).shape[1]
    return unet_config(tensors, Family.SD1) | {"attention_head_dim": heads}


def vae_config(tensors: Tensors) -> Config:
    """The config of Stable Diffusion's `AutoencoderKL`; `tensors` under Stable Diffusion's own names."""
    blocks = _count(tensors, "encoder.down.{}.block.0.conv1.weight")
    return {
        "latent_channels": len(tensors["encoder.conv_out.weight"]) // 2,  # mean and variance
        "block_out_channels": [len(tensors[f"encoder.down.{b}.block.0.conv1.weight"]) for b in range(blocks)],
        "layers_per_block": _count(tensors, "encoder.down.0.block.{}.conv1.weight"),
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "scaling_factor": 0.18215,
    }


def diffusers_vae_config(tensors: Tensors) -> Config:
    """As `vae_config`, of weights under diffusers' names."""
    level = "encoder.down_blocks.{}.resnets.0.conv1.weight"
    blocks = _count(tensors, level)
    return {
        "latent_channels": len(tensors["encoder.conv_out.weight"]) // 2,
        "block_out_channels": [len(tensors[level.format(b)]) for b in range(blocks)],
        "layers_per_block": _count(tensors, "encoder.down_blocks.0.resnets.{}.conv1.weight"),
        "down_block_types": ["DownEncoderBlock2D"] * blocks,
        "up_block_types": ["UpDecoderBlock2D"] * blocks,
        "scaling_factor": 0.18215,
    }


def text_config(tensors: Tensors, family: Family) -> Config:
    """The config of a `CLIPTextModel` by its weights, under transformers' names."""
    vocabulary, width = tensors["embeddings.token_embedding.weight"].shape
    return {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": len(tensors["encoder.layers.0.mlp.fc1.weight"]),
        "num_hidden_layers": _count(tensors, "encoder.layers.{}.mlp.fc1.weight"),
        "num_attention_heads": max(width // HEAD, 1),
        "max_position_embeddings": len(tensors["embeddings.position_embedding.weight"]),
        "hidden_act": "gelu" if family is Family.SD2 else "quick_gelu",
    }


def motion_config(tensors: Tensors, positions: int) -> Config:
    """The config of a `MotionAdapter` by its weights, under diffusers' names, and its number of positions."""
    norm = "down_blocks.{}.motion_modules.0.norm.weight"
    return {
        "block_out_channels": [len(tensors[norm.format(b)]) for b in range(_count(tensors, norm))],
        "motion_layers_per_block": _count(tensors, "down_blocks.0.motion_modules.{}.norm.weight"),
        "motion_num_attention_heads": 8,
        "use_motion_mid_block": "mid_block.motion_modules.0.norm.weight" in tensors,
        "motion_max_seq_length": positions,
    }


def _count(tensors: Tensors, name: str) -> int:
    """How many of the names with 0, 1, 2 … in them there are without a gap."""
    number = 0
    while name.format(number) in tensors:
        number += 1
    return number
