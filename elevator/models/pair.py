"""A loaded pair of models: networks as the sampler calls them, text encoders, the VAE, LoRAs.

Networks are held as what diffusers and transformers made of them; this file only calls them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ..chain.cross_frame import Call, Text
from ..chain.denoiser import Denoiser
from ..chain.schedule import Schedule
from ..devices import kind_of, moved
from ..errors import LoraError
from ..pixels import Pixels
from ..plan import Plan
from ..presets import Preset
from ..prompt_schedule import Prompts
from ..sources import Sources
from ..text import Embedding, TextEncoder, read_embedding
from . import deep_cache, loras
from .decoding import Decoder, factor, in_turn
from .offload import Offloader
from .preview import LatentRgb


@dataclass(frozen=True, eq=False)
class InflatedT2I:
    """A `UNet2DConditionModel` over clips: frames are its batch, frame 0 anchors each clip's attention."""

    unet: Any
    offloader: Offloader = field(default_factory=Offloader)
    condition: Tensor | None = None
    """The guidance, (1, D), as a UNet reads it beside the timestep; None: it does not."""

    def __call__(self, z: Tensor, t: int, call: Call) -> Tensor:
        """See `Network`."""
        unet, kwargs, x, features = self.offloader.to_device(self.unet), {"call": call}, z.flatten(0, 1), call.features
        first, told = call.frames.start or 0, timestep(t, z.device)
        beside = None if self.condition is None else self.condition.to(z)
        if features is None:
            output: Tensor = unet(x, told, call.hidden, timestep_cond=beside, cross_attention_kwargs=kwargs).sample
        elif features.whole:
            output, features.kept[first] = deep_cache.whole(unet, x, told, call.hidden, kwargs, beside)
        else:
            output = deep_cache.shallow(unet, x, told, call.hidden, kwargs, beside, features.kept[first])
        return output.reshape(z.shape)


@dataclass(frozen=True, eq=False)
class T2V:
    """A `UNet3DConditionModel` (ZeroScope), `UNetMotionModel` (AnimateDiff) or LaVie's UNet over clips."""

    unet: Any
    on_t2i: bool
    """Whether it is made of the T2I's layers, with motion modules between them."""
    offloader: Offloader = field(default_factory=Offloader)

    def __call__(self, z: Tensor, t: int, call: Call) -> Tensor:
        """See `Network`."""
        unet, kwargs, told = self.offloader.to_device(self.unet), {"call": call}, timestep(t, z.device)
        output: Tensor = unet(z.transpose(1, 2), told, call.hidden, cross_attention_kwargs=kwargs).sample
        return output.transpose(1, 2)


def timestep(t: int, device: torch.device) -> Tensor:
    """(1,), filled on the device: from a number diffusers would make it on the processor, and wait for its copy."""
    return torch.full((1,), t, dtype=torch.int64, device=device)


@dataclass(frozen=True)
class AppliedLora:
    """A LoRA in use, and how much of its file the models could take."""

    path: Path
    weight: float
    matched: int
    """Keys that fit a layer of the T2I, of its text encoder or of the motion modules."""
    keys: int
    """Keys of the file."""

    def __str__(self) -> str:
        return f"{self.path.name}: {self.matched} of {self.keys} keys matched, weight {self.weight:g}"


@dataclass(eq=False)
class Reading:
    """Where weights go, and how often they were read."""

    device: torch.device
    dtype: torch.dtype
    count: int = 0
    waiting: torch.device | None = None
    """Where networks wait that are not running; None: on the device."""


@dataclass(frozen=True, eq=False)
class Models:
    """A T2I and a T2V that share one latent space, loaded once and never changed.

    `with_loras` and `with_embeddings` give other Models that share the weights of these.
    """

    t2i: InflatedT2I
    t2v: T2V
    t2i_text: TextEncoder
    t2v_text: TextEncoder
    vae: Any
    t2i_schedule: Schedule
    t2v_schedule: Schedule
    size_multiple: int
    """Height and width in pixels must be multiples of it."""
    presets: Mapping[str, Preset]
    """Plans for these two by name."""
    max_frames: int | None
    """Longest clip that the T2V makes; None: any."""
    rgb: LatentRgb | None
    reading: Reading
    offloader: Offloader = field(default_factory=Offloader)
    components: Mapping[Any, Any] = field(default_factory=dict, repr=False)
    """By `elevator.models.reading.Component`: what was read."""
    loras: tuple[AppliedLora, ...] = ()
    loras_on_t2v: bool = False
    bare: Models | None = field(default=None, repr=False)
    """These without LoRAs; None: they have none."""
    guesses: tuple[str, ...] = ()
    """A sentence for each thing about the models' files that is a guess, or that is left out."""

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
        return moved(latents, self.reading.device)

    def to(self, device: torch.device | None = None, dtype: torch.dtype | None = None, offload: bool = False) -> Models:
        """These models on another device, in another precision, or both. The VAE stays in float32, see `decode`.

        Their networks themselves are moved, as torch does it: these Models and others that share them are of no use
        afterwards. offload: networks wait in the processor's memory, and the one that runs lies on the device.
        """
        loras, embeddings = [(each.path, each.weight) for each in self.loras], self.embeddings
        bare = (self.bare or self)._with_text(())
        device, dtype = device or self.reading.device, dtype or self.reading.dtype
        place = torch.device("cpu") if offload else device
        for network in (bare.t2i.unet, bare.t2v.unet, bare.t2i_text.encoder, bare.t2v_text.encoder):
            nn.Module.to(network, place, dtype)
        nn.Module.to(bare.vae, place)
        offloader = Offloader(device if offload else None)
        moved = replace(
            bare,
            t2i=replace(bare.t2i, offloader=offloader),
            t2v=replace(bare.t2v, offloader=offloader),
            # Copies, for an encoder keeps what it has encoded.
            t2i_text=replace(bare.t2i_text),
            t2v_text=replace(bare.t2v_text),
            reading=Reading(device, dtype, bare.reading.count, place if offload else None),
            offloader=offloader,
            components={},
        )
        return moved.with_loras(loras, self.loras_on_t2v)._with_text(embeddings)

    def with_sources(self, sources: Sources) -> Models:
        """These models with exactly the LoRAs and embeddings of these sources. Raises LoraError and ModelError."""
        loras = [(Path(lora.path), lora.weight) for lora in sources.loras]
        return self.with_loras(loras, sources.loras_on_t2v).with_embeddings(map(Path, sources.embeddings))

    def with_loras(self, files: Iterable[tuple[Path, float]], on_t2v: bool = False) -> Models:
        """These models with exactly the given (path, weight) LoRAs on the T2I and its text encoder; () takes all away.

        LoRAs for motion modules go on those. on_t2v: the others also on the T2V's layers of the same names, and on its
        text encoder if it reads the T2I's: a choice for AnimateDiff, whose layers are the T2I's. The base is neither
        changed nor read again. Raises LoraError if a file is broken, made for another family, or fits no layer.
        """
        wanted = [(Path(path), float(weight)) for path, weight in files]
        for path, weight in wanted:
            if not math.isfinite(weight):
                raise LoraError(f"The weight of {path} is {weight}; give a finite number such as 1.")
        if (wanted, on_t2v) == ([(each.path, each.weight) for each in self.loras], self.loras_on_t2v):
            return self
        bare = self.bare or self
        if on_t2v and not self.t2v.on_t2i:
            raise LoraError("This T2V has no layers of the T2I, so LoRAs cannot go to it; leave them to the T2I.")
        if not wanted:
            return bare._with_text(self.embeddings)
        read = [(loras.read(path), weight) for path, weight in wanted]
        motion = bare.t2v.unet
        for lora, _ in read:
            if lora.for_motion and not bare.t2v.on_t2i:
                raise LoraError(
                    f"{lora.path} is a LoRA for motion modules, and this T2V has none; "
                    "take it away, or choose a motion module as the T2V."
                )
        if bare.t2v.on_t2i:
            motion = loras.merged(loras.merged(motion, read) if on_t2v else motion, read, "motion")
        text = replace(bare.t2i_text, encoder=loras.merged(bare.t2i_text.encoder, read, "text_encoder"))
        shared = on_t2v and bare.t2v_text.encoder is bare.t2i_text.encoder
        encoder = bare.t2i_text.encoder
        applied = tuple(
            AppliedLora(path, weight, loras.matches(bare.t2i.unet, encoder, lora, bare.t2v.unet), lora.keys)
            for (path, weight), (lora, _) in zip(wanted, read, strict=True)
        )
        return replace(
            bare,
            t2i=replace(bare.t2i, unet=loras.merged(bare.t2i.unet, read)),
            t2v=bare.t2v if motion is bare.t2v.unet else replace(bare.t2v, unet=motion),
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

    def with_more_embeddings(self, paths: Iterable[Path]) -> Models:
        """These models with the given textual inversion files besides those in use; see `with_embeddings`."""
        return self._with_text((*self.embeddings, *(read_embedding(path) for path in paths)))

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
        """One sentence for each thing in prompt, LoRAs and files that is not taken as it may have been meant."""
        partial = tuple(f"{each}; the others do nothing here." for each in self.loras if each.matched < each.keys)
        return self.t2i_text.notes(prompt) + partial + self.guesses

    def denoisers(
        self, prompts: Prompts, frames: int, plan: Plan, schedules: tuple[Schedule, Schedule]
    ) -> tuple[Denoiser, Denoiser]:
        """T2I and T2V for one clip; schedules: the T2I's first."""
        mixing = prompts.mixing(frames)

        def text(encoder: TextEncoder) -> Text:
            self.offloader.to_device(encoder.encoder)
            count = len(prompts.texts)
            hidden = encoder.together([prompts.negative] * count + list(prompts.texts))
            kept = None if mixing is None else moved(mixing.to(hidden.dtype), hidden.device)
            return Text(hidden.view(2, count, *hidden.shape[1:]), kept)

        painter, guidance = self.painter(plan)
        t2i = Denoiser("T2I", painter, schedules[0], text(self.t2i_text), guidance, plan.image_spans)
        t2v = Denoiser("T2V", self.t2v, schedules[1], text(self.t2v_text), plan.video_guidance, plan.video_spans)
        return t2i, t2v

    def painter(self, plan: Plan) -> tuple[InflatedT2I, float]:
        """The T2I as it is called with a plan's guidance, and the guidance by calls of both prompts.

        A UNet that reads its guidance beside the timestep is called for the prompt alone.
        """
        if not isinstance(self.t2i, InflatedT2I) or (width := self.t2i.unet.config.get("time_cond_proj_dim")) is None:
            return self.t2i, plan.guidance
        # Once for a clip, so that no call waits for it.
        condition = self.place(guidance_embedding(plan.guidance, width))
        return replace(self.t2i, condition=condition), 1.0

    def draft(self, latents: Tensor) -> Pixels | None:
        """A cheap preview of (F, C, h, w) clean latents, (F, h, w, 3); None without a map for this VAE."""
        return None if self.rgb is None else self.rgb.draft(latents)

    def decode(self, latents: Tensor, tile: int | None = None) -> Pixels:
        """One frame's latents (C, h, w) to (H, W, 3).

        In float32 but on CUDA, where networks in half precision have frames decoded so too, if the VAE allows it.
        tile: side of the overlapping tiles to decode one by one, pixels; their seams are blended, so that a frame
        differs slightly from one decoded whole.
        """
        self.offloader.to_device(self.vae)
        return self.decoder.begin(latents, tile)()

    def frames(self, clip: Tensor, tile: int | None = None) -> Iterator[Pixels]:
        """The frames of latents (F, C, h, w), one by one. On CUDA the next is begun before one is waited for."""
        self.offloader.to_device(self.vae)
        return in_turn(partial(self.decoder.begin, tile=tile), clip, ahead=kind_of(self.reading.device) == "cuda")

    @cached_property
    def decoder(self) -> Decoder:
        """What decodes, and knows whether the VAE allows half precision."""
        return Decoder(self.vae, kind_of(self.reading.device) == "cuda" and self.reading.dtype.itemsize == 2)

    @torch.inference_mode()
    def encode(self, pixels: Pixels) -> Tensor:
        """A picture (H, W, 3) to the most likely latents (C, h, w), scaled as the chain holds them."""
        self.offloader.to_device(self.vae)
        picture = torch.from_numpy(np.ascontiguousarray(pixels)).permute(2, 0, 1)[None].float() / 127.5 - 1
        latents: Tensor = self.vae.encode(self.place(picture)).latent_dist.mode()[0]
        return latents * float(self.vae.config.scaling_factor)


def guidance_embedding(guidance: float, width: int) -> Tensor:
    """Guidance as LCMs read it beside the timestep, (1, width): sines and cosines of 1000 · (guidance − 1).

    Source: Luo et al. (arXiv 2310.04378), section 4.2, with diffusers' frequencies.
    """
    half = width // 2
    frequencies = torch.exp(torch.arange(half) * (-math.log(10_000) / (half - 1)))
    angles = 1000 * (guidance - 1) * frequencies[None]
    return torch.nn.functional.pad(torch.cat([angles.sin(), angles.cos()], dim=1), (0, width % 2))
