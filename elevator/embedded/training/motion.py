"""Training the AnimateDiff-like T2V: motion modules between the layers of the T2I, which stay as they are.

As AnimateDiff's domain adapter (arXiv 2307.04725, section 4.1), a LoRA takes up what clips have and pictures have not:
here the pale, soft look, and what direction words mean, which single frames never show.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNetMotionModel
from peft import LoraConfig
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from .data import Encoded
from .diffusion import NoiseLevels
from .lora import LAYERS, RANK, save_lora
from .t2v import TrainableT2V

_SPATIAL = rf"(?!.*motion_modules).*\.({'|'.join(re.escape(layer) for layer in LAYERS)})"


def motion_lora_config() -> LoraConfig:
    """The LoRA on the T2I's own layers; motion modules have layers of the same names, which it leaves out."""
    return LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=_SPATIAL)


def new_motion_unet(t2i: UNet2DConditionModel, adapter: MotionAdapter) -> UNetMotionModel:
    """The T2I's layers, frozen, with a new adapter's motion modules and a LoRA that learn."""
    unet = UNetMotionModel.from_unet2d(t2i, adapter)
    unet.requires_grad_(False)
    unet.add_adapter(motion_lora_config())
    for name, parameter in unet.named_parameters():
        if "motion_modules" in name:
            parameter.requires_grad_(True)
    _start(unet)
    return unet


@torch.no_grad()
def _start(unet: UNetMotionModel) -> None:
    """Let each frame look at itself and its neighbours first, and let the modules begin as a whisper.

    A frame's number is known inside the attention alone. diffusers' random queries and keys weigh all frames
    alike, so that all get the same mean and none learns which it is: the one-step probe stood at 0 for 450 steps. With
    queries and keys that are the features themselves, equal positions find each other.
    At a fifth, the last layers do not drown what the T2I knows.
    """
    for name, module in unet.named_modules():
        if "motion_modules" not in name or not isinstance(module, nn.Linear):
            continue
        if name.endswith((".to_q", ".to_k")):
            nn.init.eye_(module.weight)
        elif name.endswith("proj_out"):
            module.weight.mul_(0.2)
            module.bias.zero_()


class TrainableMotion(TrainableT2V):
    """Motion modules + LoRA for the training loop; T2I and text encoder are frozen."""

    def __init__(
        self, unet: UNetMotionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer,
        vae: AutoencoderKL, data: Encoded, batch: int = 4, levels: NoiseLevels | None = None,
    ) -> None:  # fmt: skip
        super().__init__(unet, text, tokenizer, vae, data, batch, levels)
        text.requires_grad_(False)

    def trained(self) -> dict[str, nn.Parameter]:
        return {f"unet.{name}": p for name, p in self.unet.named_parameters() if p.requires_grad}

    def rate_factor(self, name: str) -> float:
        return 1.0

    def predict(self, x: Tensor, t: Tensor, states: Tensor) -> Tensor:
        return super().predict(x, t, states.repeat_interleave(x.shape[1], 0))


def save_motion(unet: UNetMotionModel, adapter: MotionAdapter, folder: Path) -> None:
    """Write `motion_adapter/` in diffusers' layout and the LoRA beside it, float16.

    `adapter`: of the shape of the motion modules; it takes their values.
    """
    own = {name: tensor for name, tensor in unet.state_dict().items() if "motion_modules" in name}
    adapter.load_state_dict(own)
    adapter.half().save_pretrained(folder / "motion_adapter", safe_serialization=True)
    save_lora(unet, "motion", folder)
