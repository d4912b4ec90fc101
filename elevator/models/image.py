"""The T2I: a folder in diffusers layout, or a whole checkpoint in one file in Stable Diffusion's own layout."""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.loaders.single_file_utils import (
    convert_ldm_unet_checkpoint,
    convert_ldm_vae_checkpoint,
    convert_open_clip_checkpoint,
)
from torch import Tensor
from transformers import CLIPTextModel

from ..chain.schedule import Schedule
from ..checkpoints import Family, Identity, Kind, Layout, identify
from ..checkpoints.header import read_header
from ..checkpoints.identity import distilled_of_t2i
from ..checkpoints.kinds import CHANNELS
from ..checkpoints.training import NOT_DISTILLED, OPENCLIP
from ..checkpoints.weights import load_tensors
from ..errors import ModelError
from ..sources import Sources
from ..text import TextEncoder
from .configs import diffusers_vae_config, text_config, unet_config, vae_config
from .reading import Loading, Reader, clip_tokenizer, expect, plain_names, read_config

_VAE = "first_stage_model."
_VAE_LAYERS = ("encoder.", "decoder.", "quant_conv.", "post_quant_conv.")
_CLIP = ("cond_stage_model.transformer.", "conditioner.embedders.0.transformer.")
"""Before the names of SD 1.x's text encoder, in Stability's first code and in its later one."""
_VAES = ("first_stage_model.", "vae.", "")
"""Before the names of a VAE of its own."""
_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
"""Layers of a VAE's attention, as diffusers named them before 0.17."""
_CHOOSE = "choose a checkpoint of SD 1.x or SD 2.x, a file or a folder in diffusers layout"
_PROJECTION = "model.diffusion_model.input_blocks.1.1.proj_in.weight"
"""A linear layer in SD 2.x, a convolution before."""
_SD2_LAYERS = 23
"""Of OpenCLIP's 24 that SD 2.x uses."""
_LDM_LAYERS = 2
"""Residual blocks a level in every UNet of Stable Diffusion's own layout."""


@dataclass(frozen=True, eq=False)
class ImageModel:
    """The parts of a T2I."""

    unet: Any
    text: TextEncoder
    vae: Any
    """float32, because half precision overflows in some VAEs."""
    schedule: Schedule
    vae_folder: Path | None
    """Where a map from its latents to colours may lie."""
    family: Family
    distilled: str = NOT_DISTILLED
    """How it walks its schedule, as the caller says or its folder."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that is a guess."""


def load_image_model(read: Reader, sources: Sources) -> Generator[Loading, None, ImageModel]:
    """Load a T2I, with another VAE, prediction type or way of walking than its own if they are given."""
    model = yield from _load(read, sources)
    return replace(model, distilled=sources.distilled or distilled_of_t2i(sources.t2i_path) or NOT_DISTILLED)


def _load(read: Reader, sources: Sources) -> Generator[Loading, None, ImageModel]:
    path = sources.t2i_path
    vae = None if sources.vae is None else Path(sources.vae)
    if path.is_dir():
        _check_folder(path)
    identity = identify(path)
    _check(identity)
    if not path.is_dir():
        model = yield from _from_file(read, identity, vae, sources)
    else:
        model = yield from _from_folder(read, identity, vae, sources)
    return model if vae is None else replace(model, notes=(*model.notes, *identify(vae).notes))


def _from_folder(
    read: Reader, identity: Identity, vae: Path | None, sources: Sources
) -> Generator[Loading, None, ImageModel]:
    path = identity.path
    unet = yield from read.folder(UNet2DConditionModel, path / "unet")
    text = yield from read.text_encoder(path)
    config = read_config(path / "scheduler" / "scheduler_config.json")
    if sources.prediction_type is not None:
        config["prediction_type"] = sources.prediction_type
    if sources.rescale_betas_zero_snr is not None and sources.rescale_betas_zero_snr != _is_rescaled(config):
        config["rescale_betas_zero_snr"] = sources.rescale_betas_zero_snr
        # What was trained on noise alone must begin there (2305.08891, sec. 3.3).
        config["timestep_spacing"] = "trailing" if sources.rescale_betas_zero_snr else "leading"
    schedule = Schedule.from_config(config)
    own = yield from (_vae(read, vae) if vae else read.folder(AutoencoderKL, path / "vae", torch.float32))
    notes = identity.notes if sources.distilled is None else ()
    return ImageModel(unet, text, own, schedule, None if vae else path / "vae", identity.family, notes=notes)


def _is_rescaled(config: Mapping[str, Any]) -> bool:
    """Whether a scheduler's config says that the last level is noise alone."""
    return config.get("rescale_betas_zero_snr") is True


def _check_folder(path: Path) -> None:
    """Raise ModelError, which names the class, if this is a folder of another kind of model."""
    named = next((file for name in ("model_index.json", "config.json") if (file := path / name).is_file()), None)
    if named is not None and not (path / "unet" / "config.json").is_file():
        name = read_config(named).get("_class_name")
        if name is not None and name != "StableDiffusionPipeline":
            raise ModelError(f"{path} holds a model of the class {name}; {_CHOOSE}.")
    expect(path / "unet", "UNet2DConditionModel")


def _check(identity: Identity) -> None:
    """Raise ModelError if this is no T2I that the sampler can use."""
    path = identity.path
    if not path.is_dir() and (identity.kind is not Kind.T2I or identity.layout is not Layout.LDM):
        raise ModelError(
            f"{path} is not a whole text-to-image model ({identity.kind}, {identity.layout}); "
            "choose a checkpoint with its own text encoder and VAE, or a folder in diffusers layout."
        )
    if identity.family in (Family.SDXL, Family.OTHER):
        raise ModelError(f"{path} is of {identity.family}; choose a checkpoint of SD 1.x or SD 2.x.")
    if identity.channels not in (None, 4):
        does = CHANNELS.get(identity.channels)
        why = f"as models that {does} do" if does else "and 4 is what pictures have here"
        step = "the model that it was made from" if identity.channels == 9 else "a checkpoint that paints from words"
        raise ModelError(f"{path} takes {identity.channels} channels, {why}; choose {step}.")


def _from_file(
    read: Reader, identity: Identity, vae: Path | None, sources: Sources
) -> Generator[Loading, None, ImageModel]:
    path = identity.path
    names = read_header(path).shapes
    family = _family(identity, names)
    if any(name.endswith("time_embed.cond_proj.weight") for name in names):
        raise ModelError(
            f"{path} is an LCM that reads its guidance beside the timestep, in one file; "
            "choose the same model as a folder in diffusers layout, or a checkpoint with an LCM-LoRA."
        )
    if vae is None and not any(name.startswith(_VAE) for name in names):
        raise ModelError(f"{path} holds no VAE; name one for it too, such as that of {family}.")
    tensors = cache(lambda: load_tensors(path))  # a pickle is read whole, so only if a part of it is needed
    own_vae = read.component("VAE", path, lambda: _vae_file(read, _under(tensors(), _VAE), path))
    prediction = sources.prediction_type or identity.prediction or "epsilon"
    zero_snr = sources.rescale_betas_zero_snr
    if zero_snr is None:  # where a network predicts epsilon, a level of noise alone says nothing about the picture
        zero_snr = identity.zero_snr and prediction == "v_prediction"
    return ImageModel(
        unet=(yield from read.component("UNet", path, lambda: _unet(read, tensors(), identity, family))),
        text=(yield from read.component("text", path, lambda: _text_encoder(read, path, tensors(), family))),
        vae=(yield from _vae(read, vae) if vae else own_vae),
        schedule=Schedule.of("stable_diffusion", prediction, zero_snr=zero_snr),
        vae_folder=None,
        family=family,
        notes=() if sources.prediction_type else identity.notes,
    )


def _unet(
    read: Reader, tensors: Mapping[str, Tensor], identity: Identity, family: Family
) -> Generator[Loading, None, UNet2DConditionModel]:
    path = identity.path
    try:
        unet = convert_ldm_unet_checkpoint(tensors, {"layers_per_block": _LDM_LAYERS})
        config = unet_config(unet, family)
    except (LookupError, StopIteration) as error:
        raise ModelError(f"{path} lacks layers of a UNet of {family}; choose another file.") from error
    return (yield from read.weights(UNet2DConditionModel, config, unet, path))


def load_text_encoder(read: Reader, path: Path) -> Generator[Loading, None, TextEncoder]:
    """The text encoder of a folder in diffusers layout, or of a whole checkpoint."""
    if path.is_dir():
        return (yield from read.text_encoder(path))
    identity = identify(path)
    _check(identity)
    family = _family(identity, read_header(path).shapes)
    return (yield from read.component("text", path, lambda: _text_encoder(read, path, load_tensors(path), family)))


def _family(identity: Identity, shapes: Mapping[str, tuple[int, ...]]) -> Family:
    """The file's family; one of unknown width is known by the layout of its text encoder, or its UNet's layers."""
    if identity.family in (Family.SD1, Family.SD2):
        return identity.family
    linear = len(shapes.get(_PROJECTION, ())) == 2
    return Family.SD2 if linear or any(name.startswith(OPENCLIP) for name in shapes) else Family.SD1


def _text_encoder(
    read: Reader, path: Path, tensors: Mapping[str, Tensor], family: Family
) -> Generator[Loading, None, TextEncoder]:
    try:
        text = _openclip(tensors) if any(name.startswith(OPENCLIP) for name in tensors) else _clip(tensors, family)
        config = text_config(text, family)
    except LookupError as error:
        raise ModelError(f"{path} lacks layers of the text encoder of {family}; choose another file.") from error
    encoder = yield from read.weights(CLIPTextModel, config, text, path)
    return TextEncoder(clip_tokenizer(path, encoder), encoder)


def _vae(read: Reader, path: Path) -> Generator[Loading, None, Any]:
    """A VAE of its own: a folder in diffusers layout, or a file."""
    identity = identify(path)
    if identity.family is Family.SDXL and identity.kind is Kind.VAE:
        raise ModelError(f"{path} is a VAE of SDXL; choose one of SD 1.x or SD 2.x.")
    if path.is_dir():
        return (yield from read.folder(AutoencoderKL, path, torch.float32))
    if identity.kind is not Kind.VAE:
        raise ModelError(f"{path} is no VAE ({identity.kind}); choose another file.")

    def own() -> Generator[Loading, None, Any]:
        tensors = load_tensors(path)
        found = next(found for prefix in _VAES if (found := _under(tensors, prefix)))
        return (yield from _vae_file(read, found, path))

    return (yield from read.component("VAE", path, own))


def _vae_file(read: Reader, tensors: Mapping[str, Tensor], path: Path) -> Generator[Loading, None, Any]:
    """tensors: under Stable Diffusion's own names or diffusers', without a prefix."""
    if not any(name.startswith("encoder.down_blocks.") for name in tensors):
        return (yield from _ldm_vae(read, tensors, path))
    named: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if name.startswith(_VAE_LAYERS):
            *outer, layer, kind = name.split(".")
            plain = ".".join((*outer, _ATTENTION.get(layer, layer), kind)) if ".attentions." in name else name
            # Attention is of linear layers, which files that were converted from Stable Diffusion's may hold as 1 × 1.
            named[plain] = tensor.flatten(1) if ".attentions." in name and tensor.ndim == 4 else tensor
    try:
        config = diffusers_vae_config(named)
    except LookupError as error:
        raise ModelError(f"{path} lacks layers of a VAE; choose another file.") from error
    return (yield from read.weights(AutoencoderKL, config, named, path, torch.float32))


def _ldm_vae(read: Reader, tensors: Mapping[str, Tensor], path: Path) -> Generator[Loading, None, Any]:
    """tensors: under Stable Diffusion's own names, without a prefix; what training needed besides is left out."""
    tensors = {name: tensor for name, tensor in tensors.items() if name.startswith(_VAE_LAYERS)}
    try:
        config = vae_config(tensors)
        converted = convert_ldm_vae_checkpoint(tensors, config)
    except LookupError as error:
        raise ModelError(f"{path} lacks layers of a VAE; choose another file.") from error
    return (yield from read.weights(AutoencoderKL, config, converted, path, torch.float32))


def _clip(tensors: Mapping[str, Tensor], family: Family) -> dict[str, Tensor]:
    """CLIP's text encoder under transformers' names; merged checkpoints leave `text_model` out or in."""
    found = plain_names(next((each for prefix in _CLIP if (each := _under(tensors, prefix))), {}))
    last = f"encoder.layers.{_SD2_LAYERS}."
    return {name: tensor for name, tensor in found.items() if family is not Family.SD2 or not name.startswith(last)}


def _openclip(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """OpenCLIP's, whose last layer and projection SD 2.x does not use."""
    first, later = OPENCLIP
    tensors = {
        f"{first}{name.removeprefix(later)}" if name.startswith(later) else name: t for name, t in tensors.items()
    }
    # For the width, where the file lacks the projection that diffusers would read it from.
    width = SimpleNamespace(config=SimpleNamespace(hidden_size=tensors[f"{first}positional_embedding"].shape[1]))
    return plain_names(convert_open_clip_checkpoint(width, tensors))


def _under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
