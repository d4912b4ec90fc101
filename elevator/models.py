"""A loaded pair of models: networks as the sampler calls them, text encoders, the VAE, LoRAs.

Networks are held as what diffusers and transformers made of them; this file only calls them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from . import lora
from .denoiser import Denoiser, Network
from .errors import LoraError, NumericsError
from .preview import LatentRgb, Pixels, to_pixels
from .schedule import Schedule
from .text import Embedding, TextEncoder, read_embedding


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
    """A ``UNet3DConditionModel`` (ZeroScope), ``UNetMotionModel`` (AnimateDiff) or LaVie's UNet over clips."""

    unet: Any
    text_per_frame: bool  #: UNetMotionModel wants the embeddings repeated, the others do it themselves

    def __call__(self, z: Tensor, t: int, text: Tensor) -> Tensor:
        if self.text_per_frame:
            text = text.repeat_interleave(z.shape[1], dim=0)
        output: Tensor = self.unet(z.transpose(1, 2), t, text).sample
        return output.transpose(1, 2)


@dataclass(frozen=True)
class AppliedLora:
    """A LoRA in use, and how much of its file the T2I could take."""

    path: Path
    weight: float
    matched: int  #: keys that fit a layer of the T2I or of its text encoder
    keys: int  #: keys of the file

    def __str__(self) -> str:
        return f"{self.path.name}: {self.matched} of {self.keys} keys matched, weight {self.weight:g}"


@dataclass(eq=False)
class Reading:
    """Where weights go, and how often they were read."""

    device: torch.device
    dtype: torch.dtype
    count: int = 0


@dataclass(frozen=True, eq=False)
class Models:
    """A T2I and a T2V that share one latent space, loaded once and never changed.

    ``with_loras`` and ``with_embeddings`` give other Models that share the weights of these.
    """

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
    loras: tuple[AppliedLora, ...] = ()
    loras_on_t2v: bool = False
    bare: Models | None = field(default=None, repr=False)  #: these without LoRAs; None: they have none

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

    def with_loras(self, loras: Iterable[tuple[Path, float]], on_t2v: bool = False) -> Models:
        """These models with exactly the given (path, weight) LoRAs on the T2I and its text encoder; () takes all away.

        on_t2v: also on the T2V's layers of the same names, and on its text encoder if it reads the T2I's: a choice
        for AnimateDiff, whose layers are the T2I's. The base is neither changed nor read again.
        Raises LoraError if a file is broken, made for another family, or fits no layer.
        """
        wanted = [(Path(path), float(weight)) for path, weight in loras]
        for path, weight in wanted:
            if not math.isfinite(weight):
                raise LoraError(f"The weight of {path} is {weight}; give a finite number such as 1.")
        if (wanted, on_t2v) == ([(each.path, each.weight) for each in self.loras], self.loras_on_t2v):
            return self
        bare = self.bare or self
        if on_t2v and not self.t2v.text_per_frame:
            raise LoraError("This T2V has no layers of the T2I, so LoRAs cannot go to it; leave them to the T2I.")
        if not wanted:
            return bare._with_text(self.embeddings)
        files = [(lora.read(path), weight) for path, weight in wanted]
        t2i: Any = lora.merged(bare.t2i.unet, files)
        t2v = replace(bare.t2v, unet=lora.merged(bare.t2v.unet, files)) if on_t2v else bare.t2v
        text = replace(bare.t2i_text, encoder=lora.merged(bare.t2i_text.encoder, files, part="text_encoder"))
        shared = on_t2v and bare.t2v_text.encoder is bare.t2i_text.encoder
        applied = tuple(
            AppliedLora(path, weight, *lora.matches(bare.t2i.unet, bare.t2i_text.encoder, file))
            for (path, weight), (file, _) in zip(wanted, files, strict=True)
        )
        return replace(
            bare,
            t2i=InflatedT2I(t2i),
            t2v=t2v,
            t2i_text=text,
            t2v_text=text if shared else bare.t2v_text,
            loras=applied,
            loras_on_t2v=on_t2v,
            bare=bare,
        )._with_text(self.embeddings)

    @property
    def embeddings(self) -> tuple[Embedding, ...]:
        """The textual inversion embeddings in use."""
        return self.t2i_text.embeddings

    def with_embeddings(self, paths: Iterable[Path]) -> Models:
        """These models with exactly the textual inversion files given; () takes all away.

        The T2V's text encoder gets those that fit its width, and reads the words of the others as plain words.
        Raises ModelError if a file is broken or does not fit the T2I's text encoder.
        """
        return self._with_text(tuple(read_embedding(path) for path in paths))

    def _with_text(self, embeddings: tuple[Embedding, ...]) -> Models:
        if embeddings == self.embeddings:
            return self
        width = self.t2v_text.encoder.config.hidden_size
        fitting = tuple(each for each in embeddings if each.vectors.shape[1] == width)
        return replace(
            self,
            t2i_text=self.t2i_text.with_embeddings(embeddings),
            t2v_text=self.t2v_text.with_embeddings(fitting),
        )

    def notes(self, prompt: str) -> tuple[str, ...]:
        """One sentence for each thing in prompt and LoRAs that the T2I does not take as it may have been meant."""
        partial = tuple(f"{each}; the others do nothing here." for each in self.loras if each.matched < each.keys)
        return self.t2i_text.notes(prompt) + partial

    def denoisers(
        self, prompts: tuple[str, str], schedules: tuple[Schedule, Schedule], guidance: tuple[float, float]
    ) -> tuple[Denoiser, Denoiser]:
        """T2I and T2V for one pair of prompts (negative, positive); the pairs hold the T2I's first."""

        def denoiser(name: str, network: Network, text: TextEncoder, k: int) -> Denoiser:
            negative, positive = text.pair(prompts)
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
