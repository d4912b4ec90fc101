"""Where the parts lie: newest checkpoint first, else the committed float16 weights.

So training goes on after any stop, also on a machine that has only the repository: then
with a fresh optimiser and the loop's short warm-up.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel, UNet3DConditionModel
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from .models import new_t2i_unet, new_t2v_unet, new_text_encoder, new_vae
from .tokenizer import build_tokenizer

HERE = Path(__file__).parent
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class Folders:
    """Committed weights and git-ignored checkpoints."""

    weights: Path = HERE / "weights"
    checkpoints: Path = HERE / "checkpoints"


def averages(folder: Path) -> dict[str, Tensor]:
    """The moving averages in a checkpoint folder; empty when there is none."""
    path = folder / "state.safetensors"
    if not path.exists():
        return {}
    with safe_open(path, "pt") as file:
        return {
            key.removeprefix("average/"): file.get_tensor(key)
            for key in file.keys()  # noqa: SIM118 (not a dict)
            if key.startswith("average/")
        }


def _load_prefixed(module: nn.Module, stored: dict[str, Tensor], prefix: str) -> None:
    own = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
    missing, unexpected = module.load_state_dict(own, strict=False)
    parameters = {name for name, _ in module.named_parameters()}
    if unexpected or parameters.intersection(missing):
        raise ValueError(f"The checkpoint does not fit: {sorted(unexpected)[:3]} {missing[:3]}")


class Store:
    """Loads the newest state of every part, as float32 models."""

    def __init__(self, folders: Folders | None = None) -> None:
        self.folders = folders or Folders()

    def tokenizer(self) -> CLIPTokenizer:
        """The committed tokenizer; built only when there is none yet."""
        folder = self.folders.weights / "t2i" / "tokenizer"
        if not (folder / "vocab.json").exists():
            return build_tokenizer(folder)
        tokenizer: CLIPTokenizer = CLIPTokenizer.from_pretrained(folder)
        return tokenizer

    def vae(self) -> AutoencoderKL:
        """Encoder of the joint stage, decoder of the latest stage, with its scaling factor."""
        joint = averages(self.folders.checkpoints / "vae")
        committed = self.folders.weights / "t2i" / "vae"
        if not joint:
            return _float32(AutoencoderKL.from_pretrained(committed)) if committed.exists() else new_vae()
        vae = new_vae()
        decoder = averages(self.folders.checkpoints / "decoder")
        _load_prefixed(vae, {**joint, **decoder}, "")
        scaling = self.folders.checkpoints / "vae" / "scaling.json"
        if scaling.exists():
            vae.register_to_config(scaling_factor=float(json.loads(scaling.read_text("utf-8"))))
        return vae

    def new_t2i(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """UNet and text encoder from the global seed."""
        return new_t2i_unet(), new_text_encoder(self.tokenizer())

    def t2i(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """UNet and text encoder of the T2I."""
        committed = self.folders.weights / "t2i"
        stored = averages(self.folders.checkpoints / "t2i")
        if not stored and (committed / "unet").exists():
            unet = UNet2DConditionModel.from_pretrained(committed / "unet")
            text = CLIPTextModel.from_pretrained(committed / "text_encoder")
            return _float32(unet), _float32(text)
        unet, text = self.new_t2i()
        if stored:
            _load_prefixed(unet, stored, "unet.")
            _load_prefixed(text, stored, "text.")
        return unet, text

    def new_t2v(self) -> tuple[UNet3DConditionModel, CLIPTextModel]:
        """A T2V that starts from the T2I, tensor by tensor, with a copy of its text encoder."""
        unet, text = self.t2i()
        return from_t2i(unet), text

    def t2v(self) -> tuple[UNet3DConditionModel, CLIPTextModel]:
        """UNet and text encoder of the T2V."""
        committed = self.folders.weights / "zeroscope"
        stored = averages(self.folders.checkpoints / "t2v")
        if not stored and (committed / "unet").exists():
            loaded = UNet3DConditionModel.from_pretrained(committed / "unet")
            text = CLIPTextModel.from_pretrained(committed / "text_encoder")
            return _float32(loaded), _float32(text)
        unet, text = self.new_t2v()
        if stored:
            _load_prefixed(unet, stored, "unet.")
            _load_prefixed(text, stored, "text.")
        return unet, text


def from_t2i(t2i: UNet2DConditionModel) -> UNet3DConditionModel:
    """A new T2V UNet with every spatial tensor of the T2I."""
    unet = new_t2v_unet()
    _, unexpected = unet.load_state_dict(t2i.state_dict(), strict=False)
    if unexpected:
        raise ValueError(f"T2I tensors without a place in the T2V: {unexpected[:3]}")
    _start_temporal_layers(unet)
    return unet


@torch.no_grad()
def _start_temporal_layers(unet: UNet3DConditionModel) -> None:
    """Let the temporal layers begin as a whisper, neither silent nor loud.

    diffusers starts the last temporal convolution at zero, though the zero padding of these
    convolutions is the only place where a frame's number can come from: with zeros in eleven
    layers it spreads late. And it starts temporal attention so loud that what the T2I knows
    is drowned.
    """
    for name, module in unet.named_modules():
        if name.endswith("conv4") and isinstance(module, nn.Sequential):
            last = module[-1]
            assert isinstance(last, nn.Conv3d)
            last.reset_parameters()
            last.weight.mul_(0.4)
        elif name.endswith("proj_out") and ("temp_attentions" in name or "transformer_in" in name):
            assert isinstance(module, nn.Linear)
            module.weight.mul_(0.2)


def _float32(model: Model) -> Model:
    return model.to(torch.float32)
