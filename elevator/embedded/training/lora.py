"""Training a style LoRA on the frozen T2I: rank 8, on attention and convolutions."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNetMotionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.captions import words_of
from ..small_world.world import Scene
from .data import Encoded
from .diffusion import NoiseLevels
from .t2i import TrainableT2I

RANK = 8
_FILE = "pytorch_lora_weights.safetensors"
LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "proj_out", "conv1", "conv2", "conv_out"]
DISTILLATION_RANK = 16
DISTILLATION_LAYERS = [*LAYERS, "conv_in", "conv", "conv_shortcut", "time_emb_proj", "ff.net.0.proj", "ff.net.2"]


def lora_config() -> LoraConfig:
    """Convolutions too: a style is texture, and texture is their work."""
    return LoraConfig(r=RANK, lora_alpha=RANK, init_lora_weights="gaussian", target_modules=LAYERS)


def distillation_config() -> LoraConfig:
    """On all layers, as LCM-LoRAs are: another way of walking is no small change."""
    return LoraConfig(
        r=DISTILLATION_RANK,
        lora_alpha=DISTILLATION_RANK,
        init_lora_weights="gaussian",
        target_modules=DISTILLATION_LAYERS,
    )


class TrainableLora(TrainableT2I):
    """The T2I's own objective on styled frames; only the low-rank additions learn.

    Without a caption the target is the PLAIN frame: the style lives in what guidance amplifies.
    Refining inverts the T2V's plain clip with the unguided T2I and then keeps the chain on that
    path, where only the difference between caption and no caption can still change the picture.
    A LoRA that styles both halves alike leaves no trace there.
    """

    helper_captions = 0  # the text encoder is frozen
    dropout = 0.3

    def __init__(
        self, unet: UNet2DConditionModel, text: CLIPTextModel, tokenizer: CLIPTokenizer,
        vae: AutoencoderKL, styled: Encoded, plain: Encoded, style: str, batch: int = 24,
    ) -> None:  # fmt: skip
        super().__init__(unet, text, tokenizer, vae, styled, batch, NoiseLevels())
        unet.requires_grad_(False)
        text.requires_grad_(False)
        unet.add_adapter(lora_config())
        self.plain = plain
        self.words = " ".join(words_of(style.replace("_", " ")))

    def trained(self) -> dict[str, nn.Parameter]:
        return {name: p for name, p in self.unet.named_parameters() if p.requires_grad}

    def examples(self, generator: torch.Generator) -> tuple[list[Scene], list[str], Tensor, np.random.Generator]:
        """Half of the captions name the style: it works with its words and without."""
        scenes, captions, x0, rng = super().examples(generator)
        _, plain = self.plain.pick(self.batch, generator)
        dropped = torch.tensor([not caption for caption in captions]).view(-1, 1, 1, 1)
        named = [f"{c}, {self.words}" if c and rng.random() < 0.5 else c for c in captions]
        return scenes, named, torch.where(dropped, plain, x0), rng


def load_lora(unet: UNet2DConditionModel | UNetMotionModel, folder: Path) -> bool:
    """Put a finished LoRA's values into the adapter of `unet`; False when there is no file."""
    path = folder / _FILE
    if not path.exists():
        return False
    tensors = {key.removeprefix("unet."): value.float() for key, value in load_file(path).items()}
    set_peft_model_state_dict(unet, tensors)
    return True


def save_lora(unet: UNet2DConditionModel | UNetMotionModel, style: str, folder: Path) -> None:
    """`pytorch_lora_weights.safetensors` in the layout that diffusers loads (prefix "unet.")."""
    _save(unet, lora_config(), {"style": style}, folder)


def save_distillation(unet: UNet2DConditionModel, folder: Path) -> None:
    """The same of the LCM-LoRA; its metadata say what it is."""
    _save(unet, distillation_config(), {"modelspec.title": "Embedded LCM"}, folder)


def _save(
    unet: UNet2DConditionModel | UNetMotionModel, settings: LoraConfig, told: dict[str, str], folder: Path
) -> None:
    state: dict[str, Tensor] = get_peft_model_state_dict(unet)
    tensors = {f"unet.{key}": value.detach().half().contiguous() for key, value in state.items()}
    config = {key: value for key, value in settings.to_dict().items() if _plain(value)}
    config["target_modules"] = sorted(settings.target_modules or ())
    metadata = {
        "base_model": "elevator/embedded/weights/t2i",
        **told,
        "rank": str(settings.r),
        "format": "pt",
        "lora_adapter_metadata": json.dumps({f"unet.{k}": v for k, v in config.items()}),
    }
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / "pytorch_lora_weights.part"
    save_file(tensors, temporary, metadata=metadata)
    os.replace(temporary, folder / _FILE)


def _plain(value: object) -> bool:
    return isinstance(value, (str, int, float, bool))
