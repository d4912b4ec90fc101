"""Configs that are read off weights of true widths, against those that were published with them."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
import torch

from elevator.checkpoints import Family
from elevator.models.configs import text_config, unet_config

WIDTHS = (320, 640, 1280, 1280)


def shaped(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, torch.Tensor]:
    return {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}


def unet(text: int, linear: bool) -> dict[str, torch.Tensor]:
    """As many of a UNet's tensors as its config is read off."""
    shapes: dict[str, tuple[int, ...]] = {"conv_in.weight": (320, 4, 3, 3), "conv_out.weight": (4, 320, 3, 3)}
    for b, width in enumerate(WIDTHS):
        shapes |= {f"down_blocks.{b}.resnets.{k}.conv1.weight": (width, width, 3, 3) for k in range(2)}
        if b < 3:
            block = f"down_blocks.{b}.attentions.0"
            shapes[f"{block}.norm.weight"] = (width,)
            shapes[f"{block}.proj_in.weight"] = (width, width) if linear else (width, width, 1, 1)
            shapes[f"{block}.transformer_blocks.0.attn2.to_k.weight"] = (width, text)
    return shaped(shapes)


@pytest.mark.parametrize(
    ("family", "text", "heads"), [(Family.SD1, 768, 8), (Family.SD2, 1024, [5, 10, 20, 20])], ids=str
)
def test_a_unet_is_that_of_its_family(family: Family, text: int, heads: object) -> None:
    """As in unet/config.json of stable-diffusion-v1-5 and of stable-diffusion-2-1-base."""
    assert unet_config(unet(text, family is Family.SD2), family) == {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": [320, 640, 1280, 1280],
        "layers_per_block": 2,
        "down_block_types": ["CrossAttnDownBlock2D"] * 3 + ["DownBlock2D"],
        "up_block_types": ["UpBlock2D"] + ["CrossAttnUpBlock2D"] * 3,
        "cross_attention_dim": text,
        "attention_head_dim": heads,
        "use_linear_projection": family is Family.SD2,
    }


@pytest.mark.parametrize(
    ("family", "width", "layers", "heads", "act"),
    [(Family.SD1, 768, 12, 12, "quick_gelu"), (Family.SD2, 1024, 23, 16, "gelu")],
    ids=str,
)
def test_a_text_encoder_is_that_of_its_family(family: Family, width: int, layers: int, heads: int, act: str) -> None:
    """As in text_encoder/config.json of the same two."""
    shapes = {f"encoder.layers.{k}.mlp.fc1.weight": (4 * width, width) for k in range(layers)}
    shapes |= {"embeddings.token_embedding.weight": (49408, width), "embeddings.position_embedding.weight": (77, width)}
    assert text_config(shaped(shapes), family) == {
        "vocab_size": 49408,
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "max_position_embeddings": 77,
        "hidden_act": act,
    }


@pytest.mark.parametrize(("width", "heads"), [(32, 1), (64, 1), (96, 1), (128, 2)])
def test_a_narrow_text_encoder_has_a_head(width: int, heads: int) -> None:
    """Those of the embedded models and of the recordings are narrower than one head of the published ones."""
    shapes = {"encoder.layers.0.mlp.fc1.weight": (4 * width, width)}
    shapes |= {"embeddings.token_embedding.weight": (500, width), "embeddings.position_embedding.weight": (77, width)}
    assert text_config(shaped(shapes), Family.SD1)["num_attention_heads"] == heads
