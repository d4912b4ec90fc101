"""The T2V: ZeroScope, AnimateDiff's motion modules on a T2I, and LaVie, from their own files and folders."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from accelerate import init_empty_weights
from diffusers import MotionAdapter, UNet3DConditionModel, UNetMotionModel
from diffusers.loaders.single_file_utils import convert_animatediff_checkpoint_to_diffusers
from torch import nn

from ..chain.schedule import Schedule
from ..checkpoints import Family, Identity, Kind, Layout, identify
from ..checkpoints.lora_files import LORA_FILE
from ..checkpoints.training import NOT_DISTILLED
from ..checkpoints.uses import presets_of
from ..checkpoints.weights import load_tensors
from ..errors import ModelError
from ..sources import Sources
from . import loras
from .configs import lavie_config, motion_config
from .image import ImageModel, load_text_encoder
from .lavie import LaVieUNet
from .pair import T2V
from .reading import Loading, Reader, expect, read_config

MAX_FRAMES = 32
"""Positions of AnimateLCM, whose original file leaves their table out."""
SCHEDULES = {"animatediff": "animatediff", "animatelcm": "lcm", "lightning": "lightning", "lavie": "lavie"}
"""What kinds of T2V were trained with; the others with the T2I's own."""
LAVIE_CONFIG = "unet2d_config.json"
"""Beside LaVie's file, a config may stand that names what its weights do not show; they need none at true size."""


@dataclass(frozen=True, eq=False)
class VideoModel:
    """The parts of a T2V."""

    network: T2V
    text: Any
    """A TextEncoder; the T2I's own where the T2V brings none."""
    schedule: Schedule
    kind: str
    """Of its presets."""
    notes: tuple[str, ...] = ()
    """A sentence for each thing that is a guess."""


def load_video_model(read: Reader, sources: Sources, t2i: ImageModel) -> Generator[Loading, None, VideoModel]:
    """Load a T2V, on the T2I's UNet where it is made of motion modules. Raises ModelError if it does not fit."""
    path = sources.t2v_path
    identity = identify(path)
    beside = path if path.is_dir() else path.parent
    network, kind = yield from _network(read, identity, sources, t2i)
    kind = next((each for each, schedule in SCHEDULES.items() if schedule == sources.t2v_schedule), kind)
    if sources.t2v_text is not None:
        text = yield from load_text_encoder(read, Path(sources.t2v_text))
    elif (beside / "text_encoder").is_dir():
        text = yield from load_text_encoder(read, beside)
    else:
        text = t2i.text
    notes = identity.notes if sources.t2v_schedule is None else ()
    return VideoModel(network, text, _schedule(sources, beside, kind, t2i), kind, notes)


def _network(
    read: Reader, identity: Identity, sources: Sources, t2i: ImageModel
) -> Generator[Loading, None, tuple[T2V, str]]:
    """The network, whatever kind the file or folder says that it is, and the name of that kind."""
    path = sources.t2v_path
    if identity.kind is Kind.MOTION_MODULE:
        _check_motion_module(identity, t2i)
        adapter = yield from _motion_adapter(read, identity)
        return T2V(_on_t2i(adapter, sources, t2i), on_t2i=True), presets_of(
            identity.kind, identity.layout, identity.distilled
        )
    if sources.t2v_loras:
        raise ModelError(f"{path} is no motion module and takes no LoRAs; leave the T2V's LoRAs out.")
    if identity.layout is Layout.LAVIE:
        lavie = yield from read.component("LaVie", path, lambda: _lavie(read, path))
        return T2V(lavie, on_t2i=False), "lavie"
    if identity.kind is not Kind.T2V or not path.is_dir():
        raise ModelError(
            f"{path} is no text-to-video model that is known here ({identity.kind}, {identity.layout}); "
            "choose a motion module, lavie_base.pt, or a folder of ZeroScope in diffusers layout."
        )
    unet = path / "unet" if (path / "unet").is_dir() else path
    if expect(unet, "UNet3DConditionModel", "UNetMotionModel") == "UNetMotionModel":
        return T2V((yield from read.folder(UNetMotionModel, unet)), on_t2i=True), "animatediff"
    return T2V((yield from read.folder(UNet3DConditionModel, unet)), on_t2i=False), "zeroscope"


def _check_motion_module(identity: Identity, t2i: ImageModel) -> None:
    """Motion modules of one family have the widths of another's layers, so that shapes would not tell."""
    if identity.channels not in (None, 4):
        raise ModelError(
            f"{identity.path} moves a picture that it is given (its input has {identity.channels} channels); "
            "choose a motion module that makes clips from words."
        )
    families = {identity.family, t2i.family}
    if not families & {Family.UNKNOWN} and len(families) > 1:
        raise ModelError(
            f"{identity.path} is a motion module for {identity.family}, but the T2I is of {t2i.family}; "
            f"choose a T2I of {identity.family}."
        )


def _motion_adapter(read: Reader, identity: Identity) -> Generator[Loading, None, MotionAdapter]:
    path = identity.path
    if path.is_dir():
        folder = path / "motion_adapter" if (path / "motion_adapter").is_dir() else path
        expect(folder, "MotionAdapter")
        return (yield from read.folder(MotionAdapter, folder))
    return (yield from read.component("motion", path, lambda: _motion_file(read, path)))


def _motion_file(read: Reader, path: Path) -> Generator[Loading, None, MotionAdapter]:
    # A training run may have saved the whole UNet beside them.
    tensors = {name: tensor for name, tensor in load_tensors(path).items() if ".motion_modules." in name}
    # Positions are sines that diffusers computes itself; files hold two tables of them a block, one, or none.
    positions = next((tensor.shape[-2] for name, tensor in tensors.items() if name.endswith(".pe")), MAX_FRAMES)
    layers = {name: tensor for name, tensor in tensors.items() if not name.endswith(".pe")}
    converted = convert_animatediff_checkpoint_to_diffusers(layers)
    return (yield from read.weights(MotionAdapter, motion_config(converted, positions), converted, path))


def _on_t2i(adapter: MotionAdapter, sources: Sources, t2i: ImageModel) -> UNetMotionModel:
    """A motion model that shares the tensors of the T2I's UNet and of the motion modules, but for the layers of either
    that the T2V's LoRAs change."""
    unet: nn.Module = t2i.unet
    own = sources.t2v_path / LORA_FILE
    paths = [(own, 1.0)] if own.is_file() else []
    paths += [(Path(each.path), each.weight) for each in sources.t2v_loras]
    files = [(loras.read(path), weight) for path, weight in paths]
    unet = loras.merged(unet, files)
    try:
        with init_empty_weights():  # every parameter comes from the two, so none of its own takes memory
            motion: Any = UNetMotionModel.from_unet2d(unet, adapter, load_weights=False)
        _share(motion, adapter)
        _share(motion, unet)
    except (ValueError, AttributeError) as error:
        raise ModelError(
            f"The motion adapter in {sources.t2v_path} does not fit this T2I; "
            "use a T2I of the family it was trained on."
        ) from error
    changed: UNetMotionModel = loras.merged(motion.eval().requires_grad_(False), files, "motion")
    return changed


def _share(network: nn.Module, part: nn.Module) -> None:
    """Let `network` use the parameters and buffers of `part`, which it has under the same names.

    Raises ValueError or AttributeError if one is missing there or of another shape.
    """
    for name, tensor in (*part.named_parameters(), *part.named_buffers()):
        layer, _, attribute = name.rpartition(".")
        owner = network.get_submodule(layer)
        if getattr(owner, attribute).shape != tensor.shape:
            raise ValueError(f"{name} is of another shape")
        setattr(owner, attribute, tensor)


def _lavie(read: Reader, path: Path) -> Generator[Loading, None, LaVieUNet]:
    tensors = load_tensors(path)
    beside = path.parent / LAVIE_CONFIG
    try:
        config = lavie_config(tensors) | (read_config(beside) if beside.is_file() else {})
    except (LookupError, StopIteration) as error:
        raise ModelError(f"{path} lacks layers of LaVie's UNet; choose another file.") from error
    return (yield from read.weights(LaVieUNet, config, tensors, path))


def _schedule(sources: Sources, beside: Path, kind: str, t2i: ImageModel) -> Schedule:
    """As the caller says, as the T2V's own config says, or as its kind was trained."""
    if sources.t2v_schedule is not None:
        return Schedule.of(sources.t2v_schedule)
    own = beside / "scheduler" / "scheduler_config.json"
    if own.is_file():
        return Schedule.from_config(read_config(own))
    return Schedule.of(SCHEDULES[kind]) if kind in SCHEDULES else t2i.schedule.distilled(NOT_DISTILLED)
