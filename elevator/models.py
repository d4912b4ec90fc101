"""A loaded pair of models: networks as the sampler calls them, text encoders, the VAE, LoRAs.

Networks are held as what diffusers and transformers made of them; this file only calls them.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import lora
from .denoiser import Denoiser, Network
from .errors import LoraError, NumericsError
from .preview import LatentRgb, Pixels, to_pixels
from .schedule import Schedule

log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class InflatedT2I:
    """A ``UNet2DConditionModel`` over clips: frames are its batch, frame 0 anchors each clip's attention."""

    unet: Any

    def __call__(self, z: Tensor, t: int, text: Tensor) -> Tensor:
        clips, frames = z.shape[:2]
        per_frame = text.repeat_interleave(frames, dim=0)
        output: Tensor = self.unet(z.flatten(0, 1), t, per_frame, cross_attention_kwargs={"clips": clips}).sample
        return output.reshape(z.shape)


@dataclass(frozen=True, eq=False)
class T2V:
    """A ``UNet3DConditionModel`` (ZeroScope) or ``UNetMotionModel`` (AnimateDiff) over clips."""

    unet: Any
    text_per_frame: bool  #: UNetMotionModel wants the embeddings repeated, UNet3DConditionModel does it itself

    def __call__(self, z: Tensor, t: int, text: Tensor) -> Tensor:
        if self.text_per_frame:
            text = text.repeat_interleave(z.shape[1], dim=0)
        output: Tensor = self.unet(z.transpose(1, 2), t, text).sample
        return output.transpose(1, 2)


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """CLIP's last hidden states, as the SD pipelines of diffusers take them."""

    tokenizer: Any
    encoder: Any

    @cached_property
    def length(self) -> int:
        """L, the tokens that every prompt is padded or cut to."""
        # A tokenizer that names no length reports a number beyond any memory.
        return int(min(self.tokenizer.model_max_length, self.encoder.config.max_position_embeddings))

    @torch.inference_mode()
    def __call__(self, prompt: str) -> Tensor:
        """(1, L, D)."""
        count = len(self.tokenizer(prompt).input_ids)
        if count > self.length:
            log.warning("The prompt has %d tokens; the model reads the first %d.", count, self.length)
        tokens = self.tokenizer(
            prompt, padding="max_length", max_length=self.length, truncation=True, return_tensors="pt"
        ).to(self.encoder.device)
        masked = getattr(self.encoder.config, "use_attention_mask", False)
        hidden: Tensor = self.encoder(tokens.input_ids, tokens.attention_mask if masked else None).last_hidden_state
        return hidden


@dataclass(frozen=True)
class AppliedLora:
    """A LoRA in use, and how much of its file the T2I could take."""

    path: Path
    weight: float
    matched: int  #: keys that fit a layer
    keys: int  #: keys of the file


@dataclass(eq=False)
class Reading:
    """Where weights go, and how often they were read."""

    device: torch.device
    dtype: torch.dtype
    count: int = 0


@dataclass(frozen=True, eq=False)
class Models:
    """A T2I and a T2V that share one latent space, loaded once and never changed."""

    t2i: InflatedT2I
    t2v: T2V
    t2i_text: TextEncoder
    t2v_text: TextEncoder
    vae: Any
    t2i_schedule: Schedule
    t2v_schedule: Schedule
    size_multiple: int  #: height and width in pixels must be multiples of it
    max_frames: int | None  #: longest clip that the T2V makes; None: any
    rgb: LatentRgb | None
    reading: Reading
    base: InflatedT2I  #: the T2I without LoRAs
    loras: tuple[AppliedLora, ...] = field(default=())

    @property
    def loads(self) -> int:
        """How many networks' weights have been read from disk so far; LoRA files are not counted."""
        return self.reading.count

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of a frame's latents."""
        shrink = factor(self.vae)
        return self.vae.config.latent_channels, height // shrink, width // shrink

    def place(self, latents: Tensor) -> Tensor:
        """The latents on the models' device."""
        return latents.to(self.reading.device)

    def with_loras(self, loras: Iterable[tuple[Path, float]]) -> Models:
        """These models with exactly the given (path, weight) LoRAs on the T2I; () takes all away.

        The base is neither changed nor read again. Raises LoraError if a file is broken or fits no layer.
        """
        wanted = [(Path(path), float(weight)) for path, weight in loras]
        for path, weight in wanted:
            if not math.isfinite(weight):
                raise LoraError(f"The weight of {path} is {weight}; give a finite number such as 1.")
        if wanted == [(applied.path, applied.weight) for applied in self.loras]:
            return self
        if not wanted:
            return replace(self, t2i=self.base, loras=())
        files = [(lora.read(path), weight) for path, weight in wanted]
        unet: Any = lora.merged(self.base.unet, files)
        applied = tuple(
            AppliedLora(path, weight, *lora.matches(self.base.unet, file))
            for (path, weight), (file, _) in zip(wanted, files, strict=True)
        )
        return replace(self, t2i=InflatedT2I(unet), loras=applied)

    def denoisers(
        self, prompts: tuple[str, str], schedules: tuple[Schedule, Schedule], guidance: tuple[float, float]
    ) -> tuple[Denoiser, Denoiser]:
        """T2I and T2V for one pair of prompts (negative, positive); the pairs hold the T2I's first."""

        def denoiser(name: str, network: Network, text: TextEncoder, k: int) -> Denoiser:
            negative, positive = map(text, prompts)
            return Denoiser(name, network, schedules[k], negative, positive, guidance[k])

        return denoiser("T2I", self.t2i, self.t2i_text, 0), denoiser("T2V", self.t2v, self.t2v_text, 1)

    def draft(self, latents: Tensor) -> Pixels | None:
        """A cheap preview of (F, C, h, w) clean latents, (F, h, w, 3); None without a map for this VAE."""
        return None if self.rgb is None else self.rgb.draft(latents)

    @torch.inference_mode()
    def decode(self, latents: Tensor) -> Pixels:
        """One frame's latents (C, h, w) to (H, W, 3); in float32, because half precision overflows in some VAEs."""
        z = latents[None].float() / self.vae.config.scaling_factor
        picture: Tensor = self.vae.decode(z).sample[0]
        if not torch.isfinite(picture).all():
            raise NumericsError("The VAE gave numbers that are not finite while decoding; check its files.")
        return to_pixels(picture.permute(1, 2, 0).cpu().numpy())


def factor(network: Any) -> int:
    """How much smaller the innermost level of a UNet or VAE is: every down block but the last halves."""
    return int(2 ** (len(network.config.down_block_types) - 1))
