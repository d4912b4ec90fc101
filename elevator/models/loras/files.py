"""LoRA files and folders, read into the differences of layers."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...checkpoints import REFUSED_ALGORITHMS, Family, Kind, identify
from ...checkpoints.header import read_header
from ...checkpoints.lora_files import LORA_FILE, PEFT_CONFIG, config_of, lora_files, read_config
from ...checkpoints.weights import load_tensors
from ...errors import LoraError, ModelError
from .algorithms import Decomposed, Difference, Factors, Full, Generalized, Hadamard, Kronecker, LowRankPair, Rotation
from .names import TARGETS, Target, plain, told

_PARTS = (
    (re.compile(r"(?:\.lora_linear_layer|[._]lora)[._](down|up|mid|A|B)(?:\.\w+)??(?:\.weight)?\Z"), "lora_{}"),
    (re.compile(r"\.(hada_(?:w[12]_[ab]|t[12])|lokr_(?:w[12](?:_[ab])?|t2))\Z"), "{}"),
    (re.compile(r"\.(a[12]|b[12]|bm)\.weight\Z"), "glora_{}"),
    (re.compile(r"\.(diff|diff_b|w_norm|b_norm|on_input|ia3_l|oft_blocks|rescale|dora_scale)\Z"), "{}"),
    (re.compile(r"\.(lora_magnitude_vector)(?:\.\w+)??(?:\.weight)?\Z"), "{}"),
    (re.compile(r"(?:\.lora_linear_layer|[._]lora)?\.(alpha)\Z"), "{}"),
    (re.compile(r"\.(weight)\Z"), "{}"),
)
"""How a tensor's name ends, and what it is called here; the first that fits counts."""
_RENAMED = {"lora_A": "lora_down", "lora_B": "lora_up", "w_norm": "diff", "b_norm": "diff_b"}
_MATRICES = re.compile(r"lora_(?:down|up|mid)|hada_.*|lokr_.*|glora_.*")
_SCALARS = ("alpha", "on_input")


@dataclass(frozen=True, eq=False)
class LayerDifference:
    """What a file adds to one layer."""

    weight: Difference | None
    bias: Difference | None
    keys: int
    """How many keys of the file it takes."""


@dataclass(frozen=True, eq=False)
class LoraFile:
    """One LoRA's differences by the name of the layer that they belong to, with underscores for dots."""

    path: Path
    family: Family
    layers: Mapping[Target, Mapping[str, LayerDifference]]
    other_keys: int
    """Keys of the file that belong to no difference."""

    @property
    def for_motion(self) -> bool:
        """Whether it is for motion modules alone."""
        return bool(self.layers["motion"]) and not (self.layers["unet"] or self.layers["text_encoder"])

    @property
    def keys(self) -> int:
        """Of the file or files."""
        return self.other_keys + sum(each.keys for layers in self.layers.values() for each in layers.values())


@dataclass(eq=False)
class _Held:
    """What the files hold of one layer."""

    layer: str
    """As the file calls it."""
    tensors: dict[str, Tensor] = field(default_factory=dict)


def read(path: Path) -> LoraFile:
    """Read a LoRA: a file, or the one in a folder as diffusers or peft writes it.

    Raises LoraError if there is none, it is broken, holds code or numbers that are not finite, or is of a kind that is
    not read here.
    """
    files = lora_files(path)
    if not files or not files[0].is_file():
        raise LoraError(f"There is no LoRA at {path}; choose a folder that holds {LORA_FILE}, or the file itself.")
    try:
        return _joined(path, [_read(file) for file in files])
    except LoraError:
        raise
    except ModelError as error:
        raise LoraError(str(error)) from error


def _joined(path: Path, parts: list[LoraFile]) -> LoraFile:
    """One LoRA of the parts that lie in a folder."""
    if len(parts) == 1:
        return parts[0]
    layers = {target: {k: v for part in parts for k, v in part.layers[target].items()} for target in TARGETS}
    family = next((part.family for part in parts if part.family is not Family.UNKNOWN), Family.UNKNOWN)
    return LoraFile(path, family, layers, sum(part.other_keys for part in parts))


def _read(file: Path) -> LoraFile:
    identity = identify(file)
    if identity.kind not in (Kind.LORA, Kind.MOTION_LORA):
        raise LoraError(f"{file} is no LoRA but a model of another kind ({identity.kind}); choose a LoRA.")
    if identity.algorithm in REFUSED_ALGORITHMS:
        raise LoraError(
            f"{file} is a LoRA of a kind that is not read ({identity.algorithm}); train or download a plain LoRA."
        )
    try:
        settings = json.loads(read_header(file).metadata.get("lora_adapter_metadata", "{}"))
        settings = {f"{target}.{k}": v for target in TARGETS for k, v in read_config(file).items()} | settings
        return _assembled(file, identity.family, load_tensors(file), settings)
    except (ValueError, TypeError, AttributeError, RecursionError, re.error) as error:
        where = "its metadata" if config_of(file) is None else f"its {PEFT_CONFIG}"
        raise LoraError(f"{file} has unreadable LoRA settings in {where}; download or train it again.") from error


def _assembled(file: Path, family: Family, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> LoraFile:
    """Put together what belongs to one layer."""
    held: dict[tuple[Target, str], _Held] = {}
    for key, tensor in tensors.items():
        _check_finite(file, key, tensor)
        if (part := _part(key)) and _can_be(part[1], tensor):
            layer, name = part
            held.setdefault(told(layer), _Held(layer)).tensors[name] = tensor
    layers: dict[Target, dict[str, LayerDifference]] = {target: {} for target in TARGETS}
    for (target, layer), each in held.items():
        if (difference := _difference(each, _of_target(target, settings))) is not None:
            layers[target][layer] = difference
    taken = sum(each.keys for group in layers.values() for each in group.values())
    if not taken:
        raise LoraError(f"{file} holds no complete LoRA layer; download or train it again.")
    return LoraFile(file, family, layers, len(tensors) - taken)


def _check_finite(file: Path, key: str, tensor: Tensor) -> None:
    """Raise LoraError if a training went wrong, or half precision did not hold its numbers."""
    if not torch.isfinite(tensor if tensor.dtype.itemsize > 1 else tensor.float()).all():
        raise LoraError(
            f"{file} holds numbers that are not finite, in {key}: its training went wrong, or it was saved in too "
            "small a precision; choose another LoRA, or an earlier state of this one."
        )


def _part(key: str) -> tuple[str, str] | None:
    """The layer that a tensor is of, and what it is there; None if it is nothing of a LoRA's."""
    for pattern, called in _PARTS:
        if (match := pattern.search(key)) and match.start():
            name = called.format(match[1])
            return key[: match.start()], _RENAMED.get(name, name)
    return None


def _can_be(part: str, tensor: Tensor) -> bool:
    """Whether the tensor has as many dimensions as such a one must have."""
    if part in _SCALARS:
        return tensor.numel() == 1
    return tensor.numel() > 0 and (tensor.ndim > 1 or not _MATRICES.fullmatch(part))


def _difference(held: _Held, settings: Mapping[str, Any]) -> LayerDifference | None:
    """What the tensors of one layer make together; None if they are not complete."""
    tensors = held.tensors
    weight = _weight(held, settings)
    bias: Difference | None = None
    if "ia3_l" in tensors and isinstance(weight, Factors) and not weight.on_input:
        bias = weight  # peft's numbers are for the layer's outputs, bias and all
    if "diff_b" in tensors:
        bias = Full(tensors["diff_b"])
    if weight is None and bias is None:
        return None
    magnitude = tensors.get("dora_scale", tensors.get("lora_magnitude_vector"))
    if weight is not None and magnitude is not None:
        # LyCORIS tells inputs from outputs by the dimension that is not 1; peft's are always for outputs.
        on_input = "dora_scale" in tensors and magnitude.ndim > 1 and magnitude.shape[0] == 1 < magnitude.shape[1]
        weight = Decomposed(weight, magnitude, on_input)
    return LayerDifference(weight, bias, len(tensors))


def _weight(held: _Held, settings: Mapping[str, Any]) -> Difference | None:
    """The difference of the layer's weight."""
    match tensors := held.tensors:
        case {"lora_down": down, "lora_up": up}:
            return LowRankPair(down, up, tensors.get("lora_mid"), _scale(held, len(down), settings))
        case {"hada_w1_a": a, "hada_w1_b": b, "hada_w2_a": c, "hada_w2_b": d}:
            one, other = (a, b, tensors.get("hada_t1")), (c, d, tensors.get("hada_t2"))
            return Hadamard(one, other, _scale(held, len(b), settings))
        case {"glora_a1": a1, "glora_a2": a2, "glora_b1": b1, "glora_b2": b2}:
            beside = LowRankPair(b2, b1, tensors.get("glora_bm"), _scale(held, len(a2), settings))
            return Generalized((a1, a2), beside)
        case {"oft_blocks": blocks} if blocks.ndim in (3, 4):
            alpha = tensors.get("alpha")
            return Rotation(blocks, tensors.get("rescale"), 0.0 if alpha is None else float(alpha))
        case {"on_input": on_input, "weight": factors}:
            return Factors(factors, bool(on_input))
        case {"ia3_l": factors} if factors.ndim == 2:
            return Factors(factors.float() - 1, factors.shape[0] == 1 < factors.shape[1])
        case {"ia3_l": factors} if factors.ndim > 2:  # a convolution's is (1, n, 1, 1) for inputs and for outputs
            return Factors(factors.float() - 1, _feeds_forward(plain(held.layer), settings))
        case {"diff": difference}:
            return Full(difference)
    return _kronecker(held, settings)


def _feeds_forward(layer: str, settings: Mapping[str, Any]) -> bool:
    """Whether peft's (IA)³ multiplies the layer's inputs: as it looks for layers, by a pattern or by ends of names."""
    named = settings.get("feedforward_modules") or ()
    if isinstance(named, str):
        return re.fullmatch(named, layer) is not None
    return any(layer == name or layer.endswith(f".{name}") for name in named)


def _kronecker(held: _Held, settings: Mapping[str, Any]) -> Kronecker | None:
    """A LoKr's difference, whose two sides may be whole or factors."""
    tensors, rank = held.tensors, 0
    sides: list[Tensor | tuple[Tensor, Tensor, Tensor | None]] = []
    for name, core in (("lokr_w1", None), ("lokr_w2", tensors.get("lokr_t2"))):
        if (whole := tensors.get(name)) is not None:
            sides.append(whole)
        elif (a := tensors.get(f"{name}_a")) is not None and (b := tensors.get(f"{name}_b")) is not None:
            sides.append((a, b, core))
            rank = len(b)
        else:
            return None
    if not rank and not settings:
        return Kronecker(sides[0], sides[1], 1.0)  # without a rank, α means nothing
    return Kronecker(sides[0], sides[1], _scale(held, rank or int(settings.get("r", 1)), settings))


def _of_target(target: Target, settings: Mapping[str, Any]) -> dict[str, Any]:
    """peft's settings of one target, whose keys may be prefixed with its name; without a prefix, all are the UNet's."""
    target = "unet" if target == "motion" else target
    own = {key.removeprefix(f"{target}."): value for key, value in settings.items() if key.startswith(f"{target}.")}
    return own or {key: value for key, value in settings.items() if "." not in key and target == "unet"}


def _scale(held: _Held, rank: int, settings: Mapping[str, Any]) -> float:
    """α/r of one layer, from its own tensor or from peft's settings."""
    if (given := held.tensors.get("alpha")) is not None:
        return float(given) / rank
    patterns, layer = settings.get("alpha_pattern") or {}, plain(held.layer)
    own = [value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer)]
    alpha = own[0] if own else settings.get("lora_alpha", settings.get("alpha", rank))
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)
