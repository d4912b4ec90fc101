"""Where the parts lie: newest checkpoint first, else the committed float16 weights.

So training goes on after any stop, also on a machine that has only the repository: then
with a fresh optimiser and the loop's short warm-up.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel
from safetensors import safe_open
from torch import Tensor, nn
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.judge import Judge, load_judge
from .lora import load_lora
from .models import new_motion_adapter, new_painter_unet, new_t2i_unet, new_t2v_unet, new_text_encoder, new_vae
from .motion import new_motion_unet
from .tokenizer import build_tokenizer

EMBEDDED = Path(__file__).parents[1]
Model = TypeVar("Model", bound=nn.Module)
Unet = TypeVar("Unet", UNet2DConditionModel, UNet3DConditionModel)


@dataclass(frozen=True)
class Folders:
    """Committed weights and git-ignored checkpoints."""

    weights: Path = EMBEDDED / "weights"
    checkpoints: Path = EMBEDDED / "checkpoints"


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


def _load_prefixed(module: nn.Module, stored: dict[str, Tensor], prefix: str, partly: bool = False) -> None:
    """Load the tensors below a prefix; `partly`: others may stay as they are."""
    own = {k.removeprefix(prefix): v for k, v in stored.items() if k.startswith(prefix)}
    missing, unexpected = module.load_state_dict(own, strict=False)
    parameters = {name for name, _ in module.named_parameters()}
    if unexpected or (not partly and parameters.intersection(missing)):
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
        return self._pair("t2i", "t2i", self.new_t2i)

    def new_painter(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """UNet and text encoder of the painter from the global seed."""
        return new_painter_unet(), new_text_encoder(self.tokenizer())

    def painter(self) -> tuple[UNet2DConditionModel, CLIPTextModel]:
        """What the ZeroScope-like T2V starts from, as far as it has been trained; it is not shipped."""
        return self._pair("painter", "painter", self.new_painter)

    def new_t2v(self) -> tuple[UNet3DConditionModel, CLIPTextModel]:
        """A ZeroScope-like T2V with the painter's spatial layers and text encoder."""
        painter, text = self.painter()
        unet = new_t2v_unet()
        _, unexpected = unet.load_state_dict(painter.state_dict(), strict=False)
        if unexpected:
            raise ValueError(f"Tensors of the painter without a place in the T2V: {unexpected[:3]}")
        _start_temporal_layers(unet)
        return unet, text

    def t2v(self) -> tuple[UNet3DConditionModel, CLIPTextModel]:
        """UNet and text encoder of the ZeroScope-like T2V."""
        return self._pair("t2v", "zeroscope", self.new_t2v)

    def _pair(
        self, name: str, folder: str, new: Callable[[], tuple[Unet, CLIPTextModel]]
    ) -> tuple[Unet, CLIPTextModel]:
        """A new pair with the newest values that there are, in checkpoints or among the committed weights."""
        unet, text = new()
        committed = self.folders.weights / folder
        if stored := averages(self.folders.checkpoints / name):
            _load_prefixed(unet, stored, "unet.")
            _load_prefixed(text, stored, "text.")
        elif (committed / "unet").exists():
            unet = type(unet).from_pretrained(committed / "unet")
            text = CLIPTextModel.from_pretrained(committed / "text_encoder")
        return _float32(unet), _float32(text)

    def new_motion(self) -> tuple[UNetMotionModel, CLIPTextModel]:
        """An AnimateDiff-like T2V on the newest T2I, from the global seed, and the T2I's text encoder."""
        t2i, text = self.t2i()
        return new_motion_unet(t2i, new_motion_adapter()), text

    def motion(self) -> tuple[UNetMotionModel, CLIPTextModel]:
        """The AnimateDiff-like T2V on the newest T2I, and the T2I's text encoder."""
        unet, text = self.new_motion()
        committed = self.folders.weights / "animatediff"
        stored = averages(self.folders.checkpoints / "motion")
        if stored:
            _load_prefixed(unet, stored, "unet.", partly=True)
        elif (committed / "motion_adapter").exists():
            adapter = _float32(MotionAdapter.from_pretrained(committed / "motion_adapter"))
            unet.load_motion_modules(adapter)
            load_lora(unet, committed)
        return unet, text

    def judge(self) -> Judge:
        """The classifier that the evaluation asks."""
        stored = averages(self.folders.checkpoints / "judge")
        if not stored:
            return load_judge(self.folders.weights / "judge")
        judge = Judge()
        judge.load_state_dict(stored)
        return judge


@torch.no_grad()
def _start_temporal_layers(unet: UNet3DConditionModel) -> None:
    """Let the temporal layers begin as a whisper, neither silent nor loud.

    diffusers starts the last temporal convolution at zero, though the zero padding of these
    convolutions is where a frame's number comes from: with zeros in eleven
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
