"""Pairs of models of true sizes with random weights, made on the device: no file of gigabytes is read."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

from elevator import Models
from elevator.chain.cross_frame import ClipAttention
from elevator.chain.schedule import Schedule
from elevator.models.lavie import LaVieUNet
from elevator.models.pair import T2V, InflatedT2I, Reading
from elevator.models.preview import STABLE_DIFFUSION
from elevator.presets import presets_for
from elevator.text import TextEncoder
from elevator.text.tokenizer import tokenizer
from tests.true_shapes.configs import config

PAIRS = {"zeroscope": 24, "lavie": 16, "animatelcm": 16, "animatediff": 16}
"""T2Vs, and the frames that they were trained on."""
SCHEDULES = {"zeroscope": "stable_diffusion", "lavie": "lavie", "animatelcm": "lcm", "animatediff": "animatediff"}
_ON_T2I = ("animatelcm", "animatediff")


def settings(family: str, part: str, small: bool) -> dict[str, Any]:
    """A network's config; small: one head wide."""
    found = config(family, part, "tiny" if small else 1.0)
    return {key: value for key, value in found.items() if key != "_class_name"}


def made(make: Any, device: torch.device, dtype: torch.dtype) -> Any:
    """A network on the device, never held in another precision than it will have."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(dtype)
    try:
        with device:
            network = make()
    finally:
        torch.set_default_dtype(before)
    network.eval().requires_grad_(False)
    # Numbers that a layer gives a type of its own; a network without values takes no change of type.
    fits = all(tensor.dtype == dtype for tensor in network.parameters())
    return network if fits else nn.Module.to(network, dtype)


def image_unet(device: torch.device, dtype: torch.dtype, small: bool) -> Any:
    """As Stable Diffusion 1.5's, ready for clips."""
    unet = made(lambda: UNet2DConditionModel(**settings("sd1", "unet", small)), device, dtype)
    unet.set_attn_processor(ClipAttention())
    return unet


def video_unet(kind: str, device: torch.device, dtype: torch.dtype, small: bool) -> Any:
    """A T2V's, ready for clips."""
    unet = made(partial(_video, kind, small), device, dtype)
    unet.set_attn_processor(ClipAttention(anchored=False))
    return unet


def _video(kind: str, small: bool) -> Any:
    if kind == "zeroscope":
        return UNet3DConditionModel(**settings("zeroscope", "unet", small))
    if kind == "lavie":
        return LaVieUNet(**settings("lavie", "unet", small))
    image = settings("sd1", "unet", small)
    adapter = settings("adapter_v2", "motion_adapter", small)
    return UNetMotionModel(
        block_out_channels=tuple(image["block_out_channels"]),
        cross_attention_dim=image["cross_attention_dim"],
        num_attention_heads=image["attention_head_dim"],
        motion_num_attention_heads=adapter["motion_num_attention_heads"] if not small else 1,
        motion_max_seq_length=adapter["motion_max_seq_length"],
    )


def encoder(family: str, device: torch.device, dtype: torch.dtype, small: bool) -> TextEncoder:
    """A text encoder with CLIP's own tokenizer."""
    told = CLIPTextConfig(**settings(family, "text_encoder", small))
    model = made(lambda: CLIPTextModel(told), device, dtype)
    return TextEncoder(tokenizer("zero" if told.hidden_act == "gelu" else "end"), model)


def image_vae(device: torch.device, small: bool) -> Any:
    """As Stable Diffusion 1.5's, in float32, as the product holds it."""
    return made(lambda: AutoencoderKL(**settings("sd1", "vae", small)), device, torch.float32)


def pair(kind: str, device: torch.device, dtype: torch.dtype, small: bool, image: Any = None) -> Models:
    """A T2I and this T2V; image: a T2I's UNet that is there already."""
    text = encoder("sd1", device, dtype, small)
    unet = video_unet(kind, device, dtype, small)
    return Models(
        t2i=InflatedT2I(image or image_unet(device, dtype, small)),
        t2v=T2V(unet, on_t2i=kind in _ON_T2I),
        t2i_text=text,
        t2v_text=encoder("zeroscope", device, dtype, small) if kind == "zeroscope" else text,
        vae=image_vae(device, small),
        t2i_schedule=Schedule.of("stable_diffusion"),
        t2v_schedule=Schedule.of(SCHEDULES[kind]),
        size_multiple=64,
        presets=presets_for(kind),
        max_frames=None,
        rgb=STABLE_DIFFUSION,
        reading=Reading(device, dtype),
    )
