"""LoRAs' differences added to copies of the layers that they touch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import torch
from torch import Tensor, nn

from ...checkpoints import Family, family_of_width
from ...errors import LoraError
from ...sharing import sharing_copy
from .algorithms import Difference, Factors
from .files import LayerDifference, LoraFile
from .names import Target, table

_PLACES: dict[Target, str] = {"unet": "this T2I", "motion": "this motion module", "text_encoder": "this T2I"}
Addition: TypeAlias = tuple[LoraFile, Difference, float]
"""A file's difference of one tensor, and its weight."""


def merged(base: nn.Module, loras: list[tuple[LoraFile, float]], target: Target = "unet") -> nn.Module:
    """A copy of `base` with the LoRAs' differences added; layers that none touches share base's tensors.

    base itself is left as it is, and returned where no LoRA of a weight other than 0 has layers for this target.
    Raises LoraError if a LoRA was made for another family, or fits no layer or one of another shape.
    """
    wanted: dict[str, list[tuple[LoraFile, LayerDifference, float]]] = {}
    names = table(base, target)
    for lora, weight in loras:
        _check_family(base, lora)
        matched = _matched(names, lora, target)
        if lora.layers[target] and not matched:
            raise LoraError(f"None of the layers of {lora.path} is in {_PLACES[target]}; {_other(target)}.")
        for name, difference in matched.items():
            wanted.setdefault(name, []).append((lora, difference, weight))
    if not wanted or not any(weight for _, weight in loras):
        return base
    network = sharing_copy(base)
    # One layer after the other: the float32 differences of a whole network would be as large as it is.
    for name, additions in wanted.items():
        layer: Any = network.get_submodule(name)
        for attribute in ("weight", "bias"):
            own = [(lora, each, weight) for lora, held, weight in additions if (each := getattr(held, attribute))]
            tensor: Tensor | None = getattr(layer, attribute, None)
            if tensor is None:
                own = [each for each in own if not isinstance(each[1], Factors)]  # any part of nothing is nothing
            if own:
                changed = _changed(name if attribute == "weight" else f"{name}.bias", tensor, own, target)
                setattr(layer, attribute, nn.Parameter(changed, requires_grad=False))
    return network


def _changed(name: str, tensor: Tensor | None, additions: list[Addition], target: Target) -> Tensor:
    """A layer's weight or bias with its additions, in its own precision.

    Raises LoraError if one has another shape, or all together are more than the precision holds.
    """
    if tensor is None:
        raise LoraError(f"{additions[0][0].path} has {name}, which {_PLACES[target]} has not; {_other(target)}.")
    own = tensor.detach().float()
    changed = own
    for lora, difference, strength in additions:
        delta = difference.of(own, strength)
        if delta is None or delta.numel() != own.numel() or delta.shape[:1] != own.shape[:1]:
            raise LoraError(f"{lora.path} has another shape than {_PLACES[target]} at {name}; {_other(target)}.")
        changed = changed + delta.view(own.shape)
    cast = changed.to(tensor.dtype)
    if not torch.isfinite(cast).all():
        paths = ", ".join(str(lora.path) for lora, _, _ in additions)
        raise LoraError(f"The weight of {paths} is too great: {name} becomes infinite; give a smaller one.")
    return cast


def matches(unet: nn.Module, text_encoder: nn.Module, lora: LoraFile, motion: nn.Module | None = None) -> int:
    """How many keys of the file fit a layer of the networks. motion: a network with motion modules."""
    targets: tuple[tuple[nn.Module | None, Target], ...] = (
        (unet, "unet"),
        (text_encoder, "text_encoder"),
        (motion, "motion"),
    )
    return sum(
        each.keys
        for base, target in targets
        if base is not None
        for each in _matched(table(base, target), lora, target).values()
    )


def _other(target: Target) -> str:
    """Which LoRA to use instead."""
    return "use a LoRA made for its version" if target == "motion" else "use a LoRA made for its family"


def _check_family(base: nn.Module, lora: LoraFile) -> None:
    """Raise LoraError if both families are known and differ."""
    config: Any = getattr(base, "config", None)
    width = getattr(config, "cross_attention_dim", None) or getattr(config, "hidden_size", None)
    family = family_of_width(width)
    if Family.UNKNOWN not in (family, lora.family) and family is not lora.family:
        raise LoraError(
            f"{lora.path} is a LoRA for {lora.family}, but this model is {family}; choose a LoRA made for {family}."
        )


def _matched(names: Mapping[str, str], lora: LoraFile, target: Target) -> dict[str, LayerDifference]:
    """The differences that a network has a layer for, by that layer's name."""
    return {names[name]: each for name, each in lora.layers[target].items() if name in names}
