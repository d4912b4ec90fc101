"""Models from folders in diffusers layout. The only file that imports diffusers and transformers.

No hub is ever asked. Weights are read from safetensors; where only pickles exist (.bin), diffusers and
transformers read them with ``weights_only=True``, which runs no code.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from diffusers import (
    AutoencoderKL,
    MotionAdapter,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UNetMotionModel,
)
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers import AutoTokenizer, CLIPTextModel

from . import lora
from .cross_frame import AnchorAttention
from .denoiser import Denoiser, Network
from .errors import LoraError, ModelError, NumericsError
from .preview import LatentRgb, latent_rgb, to_pixels
from .sampler import Pixels
from .schedule import Schedule

log = logging.getLogger(__name__)
Loaded = TypeVar("Loaded", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class InflatedT2I:
    """A ``UNet2DConditionModel`` over clips: frames are its batch, frame 0 anchors each clip's attention."""

    unet: UNet2DConditionModel

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
    encoder: CLIPTextModel

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
class Reader:
    """Reads weights and counts how often."""

    device: torch.device
    dtype: torch.dtype
    count: int = 0

    def __call__(self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None = None) -> Loaded:
        """A network in evaluation mode, without gradients. Raises ModelError if the folder does not hold one."""
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json; choose a model folder in diffusers layout.")
        try:
            network: Any = cls.from_pretrained(  # type: ignore[attr-defined]
                folder, torch_dtype=self.dtype if dtype is None else dtype, local_files_only=True
            )
        except (OSError, ValueError, RuntimeError, SafetensorError, UnpicklingError) as error:
            raise ModelError(f"The weights in {folder} do not load; download or copy them again.") from error
        self.count += 1
        return network.to(self.device).eval().requires_grad_(False)  # type: ignore[no-any-return]


@dataclass(frozen=True, eq=False)
class Models:
    """A T2I and a T2V that share one latent space, loaded once and never changed."""

    t2i: InflatedT2I
    t2v: T2V
    t2i_text: TextEncoder
    t2v_text: TextEncoder
    vae: AutoencoderKL
    t2i_schedule: Schedule
    t2v_schedule: Schedule
    size_multiple: int  #: height and width in pixels must be multiples of it
    max_frames: int | None  #: longest clip that the T2V makes; None: any
    rgb: LatentRgb | None
    reader: Reader
    base: InflatedT2I  #: the T2I without LoRAs
    loras: tuple[AppliedLora, ...] = field(default=())

    @property
    def loads(self) -> int:
        """How many networks' weights have been read from disk so far; LoRA files are not counted."""
        return self.reader.count

    def latent_shape(self, height: int, width: int) -> tuple[int, int, int]:
        """(C, h, w) of a frame's latents."""
        factor = _factor(self.vae)
        return self.vae.config.latent_channels, height // factor, width // factor

    def place(self, latents: Tensor) -> Tensor:
        """The tensor on the models' device, in their dtype."""
        return latents.to(self.reader.device, self.reader.dtype)

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


def load_models(t2i: Path, t2v: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Models:
    """Load a T2I and a T2V folder.

    t2i: a Stable Diffusion folder in diffusers layout. t2v: a folder with ``unet/`` (UNet3DConditionModel or
    UNetMotionModel) or ``motion_adapter/`` (put on the T2I's own UNet, without LoRAs). The T2V's
    ``text_encoder/`` + ``tokenizer/`` and ``scheduler/`` are used where they exist, else the T2I's.

    Raises ModelError if a part is missing or broken or the two do not fit each other.
    """
    t2i, t2v = Path(t2i), Path(t2v)
    if torch.device(device).type == "cuda" and not torch.cuda.is_available():
        raise ModelError(f"The device {device} is not available here; use cpu.")
    read = Reader(torch.device(device), dtype)
    _expect(t2i / "unet", "UNet2DConditionModel")
    t2i_unet = read(UNet2DConditionModel, t2i / "unet")
    t2i_text = _text_encoder(read, t2i)
    motion = _motion_network(read, t2v, t2i_unet)
    t2v_text = _text_encoder(read, t2v) if (t2v / "text_encoder").is_dir() else t2i_text
    vae = read(AutoencoderKL, t2i / "vae", torch.float32)
    _check_fit(t2i_unet, t2i_text, motion.unet, t2v_text, vae)
    t2i_unet.set_attn_processor(
        {
            name: AnchorAttention() if ".transformer_blocks." in name else processor
            for name, processor in t2i_unet.attn_processors.items()
        }
    )
    scheduler = t2v / "scheduler" if (t2v / "scheduler").is_dir() else t2i / "scheduler"
    base = InflatedT2I(t2i_unet)
    return Models(
        t2i=base,
        t2v=motion,
        t2i_text=t2i_text,
        t2v_text=t2v_text,
        vae=vae,
        t2i_schedule=Schedule.from_config(_config(t2i / "scheduler" / "scheduler_config.json")),
        t2v_schedule=Schedule.from_config(_config(scheduler / "scheduler_config.json")),
        size_multiple=_factor(vae) * max(_factor(t2i_unet), _factor(motion.unet)),
        max_frames=motion.unet.config.get("motion_max_seq_length"),
        rgb=latent_rgb(t2i / "vae", vae.config.latent_channels),
        reader=read,
        base=base,
    )


def _motion_network(read: Reader, folder: Path, t2i_unet: UNet2DConditionModel) -> T2V:
    """The T2V's network, whatever kind the folder's configs say it is."""
    if (folder / "motion_adapter").is_dir():
        _expect(folder / "motion_adapter", "MotionAdapter")
        adapter = read(MotionAdapter, folder / "motion_adapter")
        try:
            motion: Any = UNetMotionModel.from_unet2d(t2i_unet, adapter, load_weights=False)
            _share(motion, adapter)
            _share(motion, t2i_unet)
        except (ValueError, AttributeError) as error:
            raise ModelError(
                f"The motion adapter in {folder} does not fit this T2I; use a T2I of the family it was trained on."
            ) from error
        nn.Module.to(motion, read.device, read.dtype)  # diffusers' own to() warns about half precision always
        return T2V(motion.eval().requires_grad_(False), text_per_frame=True)
    if _expect(folder / "unet", "UNet3DConditionModel", "UNetMotionModel") == "UNetMotionModel":
        return T2V(read(UNetMotionModel, folder / "unet"), text_per_frame=True)
    return T2V(read(UNet3DConditionModel, folder / "unet"), text_per_frame=False)


def _share(network: nn.Module, part: nn.Module) -> None:
    """Let ``network`` use the parameters and buffers of ``part``, which it has under the same names.

    Raises ValueError or AttributeError if one is missing there or of another shape.
    """
    for name, tensor in (*part.named_parameters(), *part.named_buffers()):
        layer, _, attribute = name.rpartition(".")
        owner = network.get_submodule(layer)
        if getattr(owner, attribute).shape != tensor.shape:
            raise ValueError(f"{name} is of another shape")
        setattr(owner, attribute, tensor)


def _text_encoder(read: Reader, folder: Path) -> TextEncoder:
    encoder = read(CLIPTextModel, folder / "text_encoder")
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True)
    except (OSError, ValueError) as error:
        raise ModelError(f"The tokenizer in {folder} does not load; download or copy it again.") from error
    return TextEncoder(tokenizer, encoder)


def _check_fit(t2i: Any, t2i_text: TextEncoder, t2v: Any, t2v_text: TextEncoder, vae: Any) -> None:
    """Raise ModelError if latents or embeddings of one part do not fit another."""
    channels = {
        "T2I": t2i.config.in_channels,
        "T2V": t2v.config.in_channels,
        "VAE": vae.config.latent_channels,
    }
    if len(set(channels.values())) > 1:
        held = ", ".join(f"{name} {count}" for name, count in channels.items())
        raise ModelError(f"The models' latents differ in channels ({held}); choose a T2V made for this T2I's VAE.")
    for name, unet, text in (("T2I", t2i, t2i_text), ("T2V", t2v, t2v_text)):
        wanted, given = unet.config.cross_attention_dim, text.encoder.config.hidden_size
        if isinstance(wanted, int) and wanted != given:
            raise ModelError(
                f"The {name} reads text embeddings of width {wanted}, but its text encoder gives {given}; "
                "put the text encoder that it was trained with into its folder."
            )


def _expect(folder: Path, *classes: str) -> str:
    """The ``_class_name`` in a folder's config, which must be one of those given."""
    name = str(_config(folder / "config.json").get("_class_name"))
    if name not in classes:
        raise ModelError(f"{folder} holds a {name}; choose a folder with a {' or '.join(classes)}.")
    return name


def _config(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise ModelError(f"{path} is missing; choose a model folder in diffusers layout.") from error
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} is not a readable config; download or copy it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} is not a readable config; download or copy it again.")
    return content


def _factor(network: Any) -> int:
    """How much smaller the innermost level of a UNet or VAE is: every down block but the last halves."""
    return int(2 ** (len(network.config.down_block_types) - 1))
