"""Models from folders in diffusers layout. The only file that imports diffusers and transformers.

No hub is ever asked. Weights are read from safetensors; where only pickles exist (.bin), diffusers and
transformers read them with ``weights_only=True``, which runs no code.
"""

from __future__ import annotations

import json
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, TypeVar

import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel
from safetensors import SafetensorError
from torch import nn
from transformers import AutoTokenizer, CLIPTextModel

from . import lora
from .cross_frame import AnchorAttention
from .errors import ModelError
from .models import T2V, InflatedT2I, Models, Reading, TextEncoder, factor
from .preview import latent_rgb
from .schedule import Schedule

Loaded = TypeVar("Loaded", bound=nn.Module)


class Reader(Reading):
    """Reads weights and counts how often."""

    def __call__(self, cls: type[Loaded], folder: Path, dtype: torch.dtype | None = None) -> Loaded:
        """A network in evaluation mode, without gradients. Raises ModelError if the folder does not hold one."""
        if not (folder / "config.json").is_file():
            raise ModelError(f"{folder} has no config.json; choose a model folder in diffusers layout.")
        try:
            network: Any = cls.from_pretrained(  # type: ignore[attr-defined]
                folder, torch_dtype=self.dtype if dtype is None else dtype, local_files_only=True
            )
        except (OSError, ValueError, TypeError, KeyError, RuntimeError, SafetensorError, UnpicklingError) as error:
            raise ModelError(f"The model in {folder} does not load; download or copy it again.") from error
        self.count += 1
        return network.to(self.device).eval().requires_grad_(False)  # type: ignore[no-any-return]


def load_models(t2i: Path, t2v: Path, device: str = "cpu", dtype: torch.dtype = torch.float32) -> Models:
    """Load a T2I and a T2V folder.

    t2i: a Stable Diffusion folder in diffusers layout. t2v: a folder with ``unet/`` (UNet3DConditionModel or
    UNetMotionModel) or ``motion_adapter/`` (put on the T2I's own UNet, without the T2I's LoRAs; with the LoRA that
    lies in the folder itself, as AnimateDiff's domain adapter does). The T2V's
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
        size_multiple=factor(vae) * max(factor(t2i_unet), factor(motion.unet)),
        max_frames=motion.unet.config.get("motion_max_seq_length"),
        rgb=latent_rgb(t2i / "vae", vae.config.latent_channels),
        reading=read,
        base=base,
    )


def _motion_network(read: Reader, folder: Path, t2i_unet: UNet2DConditionModel) -> T2V:
    """The T2V's network, whatever kind the folder's configs say it is."""
    if (folder / "motion_adapter").is_dir():
        _expect(folder / "motion_adapter", "MotionAdapter")
        adapter = read(MotionAdapter, folder / "motion_adapter")
        if (folder / lora.FILE_NAME).is_file():
            t2i_unet = lora.merged(t2i_unet, [(lora.read(folder), 1.0)])
        try:
            motion: Any = UNetMotionModel.from_unet2d(t2i_unet, adapter, load_weights=False)
            _share(motion, adapter)
            _share(motion, t2i_unet)
        except (ValueError, AttributeError) as error:
            raise ModelError(
                f"The motion adapter in {folder} does not fit this T2I; use a T2I of the family it was trained on."
            ) from error
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
