"""Models from their files and folders.

`elevator.models.image` loads T2Is, `elevator.models.video` T2Vs, `elevator.models.lavie` is
LaVie's network, `elevator.models.configs` knows what files of bare weights do not say, and
`elevator.models.reading` reads. No hub is ever asked. Pickles are read with `weights_only=True`, which runs
no code.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from .. import devices
from ..chain.cross_frame import ClipAttention
from ..checkpoints.identity import WEIGHTS
from ..checkpoints.training import NOT_DISTILLED
from ..errors import ModelError
from ..memory import enough_for
from ..presets import presets_of
from ..provenance import source_files
from ..sources import Sources
from ..steps import result
from .decoding import factor
from .image import ImageModel, load_image_model
from .offload import Offloader
from .pair import InflatedT2I, Models, Reading
from .preview import latent_rgb
from .reading import Component, Components, Loading, Reader, read_config, stamp_of
from .video import VideoModel, load_video_model

__all__ = ["WEIGHTS", "Component", "Components", "Loading", "Reader", "load_models", "loading", "stamp_of"]


def load_models(
    sources: Sources, device: str = "cpu", dtype: torch.dtype = torch.float32, *, offload: bool = False
) -> Models:
    """Load a T2I and a T2V with their LoRAs and embeddings.

    offload: keep weights in the processor's memory, and on the device only the network that runs.

    Raises ModelError if a part is missing or broken or the two do not fit each other, LoraError, and OutOfMemory.
    """
    models = result(loading(sources, device, dtype, offload=offload))
    with enough_for("loading"):
        return models.with_sources(sources)


def loading(
    sources: Sources,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    *,
    offload: bool = False,
    held: Components | None = None,
) -> Generator[Loading, None, Models]:
    """The pair of models alone, part by part; returns it.

    Yields how far it is, first before anything is read, then after every `SPAN` bytes and every network. Closing it
    stops there and drops what was read.
    held: components of other models, which are taken instead of reading them again. None of models
    loaded with `offload` may be among them, for each of those has its own account of what lies on the device.
    """
    if not devices.is_available(device):
        raise ModelError(f"The device {device} is not available here; use {devices.best()}.")
    read = Reader(torch.device(device), dtype, waiting=torch.device("cpu") if offload else None, held=held or {})
    read.total = _to_read(sources.pair, read.held)
    yield read.progress()
    with enough_for("loading"):
        image = yield from load_image_model(read, sources)
        video = yield from load_video_model(read, sources, image)
    _check_fit(image, video)
    _check_vaes(sources.t2v_path, image)
    _share_attention(image.unet, anchored=True)
    _share_attention(video.network.unet, anchored=False)
    yield Loading(read.total, read.total, read.count)
    offloader = Offloader(read.device if offload else None)
    return Models(
        t2i=InflatedT2I(image.unet, offloader),
        t2v=replace(video.network, offloader=offloader),
        t2i_text=image.text,
        t2v_text=video.text,
        vae=image.vae,
        t2i_schedule=image.schedule.distilled(image.distilled),
        t2v_schedule=video.schedule,
        size_multiple=factor(image.vae) * max(factor(image.unet), factor(video.network.unet)),
        presets=presets_of(
            sources.t2v_path,
            video.kind,
            few_steps=image.distilled != NOT_DISTILLED,
            embeds_guidance=image.unet.config.get("time_cond_proj_dim") is not None,
        ),
        max_frames=video.network.unet.config.get("motion_max_seq_length"),
        rgb=latent_rgb(image.vae_folder, image.vae.config.latent_channels),
        reading=Reading(read.device, dtype, read.count, read.waiting),
        offloader=offloader,
        components=read.components,
        guesses=image.notes + video.notes,
    )


def _to_read(sources: Sources, held: Components) -> int:
    """Bytes of the files of weights, without those of components that are held."""
    files = {
        file.path.absolute() for file in source_files(sources) if file.path.suffix in WEIGHTS and file.path.is_file()
    }
    known = {each.path for each in held if each.stamp == stamp_of(each.path)}
    return sum(file.stat().st_size for file in files if not known & {file, file.parent})


def _share_attention(unet: Any, anchored: bool) -> None:
    """Let a UNet's transformer blocks compute what frames share once."""
    unet.set_attn_processor(
        {
            name: ClipAttention(anchored) if ".transformer_blocks." in name else processor
            for name, processor in unet.attn_processors.items()
        }
    )


def _check_fit(image: ImageModel, video: VideoModel) -> None:
    """Raise ModelError if latents or embeddings of one part do not fit another."""
    unets: dict[str, tuple[Any, Any]] = {
        "T2I": (image.unet, image.text.encoder),
        "T2V": (video.network.unet, video.text.encoder),
    }
    channels = {name: unet.config.in_channels for name, (unet, _) in unets.items()}
    channels["VAE"] = image.vae.config.latent_channels
    if len(set(channels.values())) > 1:
        held = ", ".join(f"{name} {count}" for name, count in channels.items())
        raise ModelError(f"The models' latents differ in channels ({held}); choose a T2V made for this T2I's VAE.")
    for name, (unet, encoder) in unets.items():
        wanted, given = unet.config.cross_attention_dim, encoder.config.hidden_size
        if isinstance(wanted, int) and wanted != given:
            raise ModelError(
                f"The {name} reads text embeddings of width {wanted}, but its text encoder gives {given}; "
                "name the text encoder that it was trained with, or put it into its folder."
            )


def _check_vaes(t2v: Path, image: ImageModel) -> None:
    """Raise ModelError if the T2V's folder says that its latents are scaled in another way than the T2I's."""
    path = t2v / "vae" / "config.json"
    if not path.is_file():
        return
    theirs, ours = read_config(path).get("scaling_factor", 0.18215), image.vae.config.scaling_factor
    if theirs != ours:
        raise ModelError(
            f"The T2V's latents are scaled by {theirs} and the T2I's by {ours}; choose a T2V made for this T2I's VAE."
        )
