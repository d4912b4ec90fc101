"""LoRA files read into weight differences and added to a network that shares all other weights with its base.

Source: Hu et al. (arXiv 2106.09685): W + (α/r) · B A. File format: ``pytorch_lora_weights.safetensors`` as
diffusers and peft write it; keys ``unet.LAYER.lora_A.weight`` and ``….lora_B.weight`` (older: ``lora.down``,
``lora.up``), α and r in the file's metadata or, without any, α = r.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from .errors import LoraError

FILE_NAME = "pytorch_lora_weights.safetensors"
_SIDE = re.compile(r"(?:unet\.)?(?P<layer>.+)\.(?P<side>lora_A|lora_B|lora\.down|lora\.up)\.weight")


@dataclass(frozen=True, eq=False)
class Lora:
    """One file's low-rank pairs by the name of the layer that they belong to."""

    path: Path
    pairs: Mapping[str, tuple[Tensor, Tensor]]  #: layer → A (r, in[, kh, kw]), B (out, r[, 1, 1])
    scales: Mapping[str, float]  #: layer → α/r
    other_keys: int  #: keys of the file that belong to no UNet layer's pair


def read(path: Path) -> Lora:
    """Read a LoRA file, or the one in a folder. Raises LoraError if there is none or it is broken."""
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise LoraError(f"There is no LoRA at {file}; choose a folder that holds {FILE_NAME}, or the file itself.")
    try:
        with safe_open(file, framework="pt") as content:
            tensors = {key: content.get_tensor(key) for key in content.keys()}  # noqa: SIM118 (not a mapping)
            settings = json.loads((content.metadata() or {}).get("lora_adapter_metadata", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise LoraError(f"{file} is not a readable safetensors file; download or train it again.") from error
    if any("lora_magnitude_vector" in key for key in tensors):
        raise LoraError(f"{file} is a DoRA, which is not supported; train or download a plain LoRA.")
    down: dict[str, Tensor] = {}
    up: dict[str, Tensor] = {}
    for key, tensor in tensors.items():
        if match := _SIDE.fullmatch(key):
            side = down if match["side"] in ("lora_A", "lora.down") else up
            side[match["layer"]] = tensor
    pairs = {layer: (down[layer], up[layer]) for layer in down if layer in up}
    scales = {layer: _scale(layer, a.shape[0], settings) for layer, (a, _) in pairs.items()}
    return Lora(file, pairs, scales, len(tensors) - 2 * len(pairs))


def merged(base: nn.Module, loras: list[tuple[Lora, float]]) -> nn.Module:
    """A copy of ``base`` with the LoRAs' differences added; layers that none touches share base's tensors.

    base itself is left as it is. Raises LoraError if a LoRA fits no layer or one of another shape.
    """
    deltas: dict[str, Tensor] = {}
    for lora, weight in loras:
        matched = _layers(base, lora)
        if not matched:
            raise LoraError(f"None of the layers of {lora.path} is in this T2I; use a LoRA made for its family.")
        for name, layer_weight in matched.items():
            delta = weight * _delta(lora, name, layer_weight)
            if weight != 0:
                deltas[name] = deltas[name] + delta if name in deltas else delta
    # Tensors in the memo are taken over as they are, so the copy costs only the layers replaced below.
    shared: dict[int, Any] = {id(t): t for t in (*base.parameters(), *base.buffers())}
    network = copy.deepcopy(base, shared)
    for name, delta in deltas.items():
        layer: Any = network.get_submodule(name)
        changed = (layer.weight.detach().float() + delta).to(layer.weight.dtype)
        layer.weight = nn.Parameter(changed, requires_grad=False)
    return network


def matches(base: nn.Module, lora: Lora) -> tuple[int, int]:
    """How many keys of the file fit a layer of ``base``, and how many it has."""
    return 2 * len(_layers(base, lora)), 2 * len(lora.pairs) + lora.other_keys


def _layers(base: nn.Module, lora: Lora) -> dict[str, Tensor]:
    """The weights of the layers of ``base`` that the LoRA has a pair for."""
    weights = dict(base.named_parameters())
    return {name: weights[f"{name}.weight"] for name in lora.pairs if f"{name}.weight" in weights}


@torch.no_grad()
def _delta(lora: Lora, name: str, weight: Tensor) -> Tensor:
    """(α/r) · B A in the shape of the layer's weight, float32, on its device."""
    a, b = (side.to(weight.device, torch.float32) for side in lora.pairs[name])
    # A convolution's A holds the kernel and B is 1 × 1, so both kinds are a product of matrices.
    rank = a.shape[0]
    fits = b.shape[1] == rank and b.shape[0] == weight.shape[0] and a.shape[1:] == weight.shape[1:]
    if not fits or math.prod(b.shape[2:]) != 1:
        raise LoraError(f"{lora.path} has another shape than this T2I at {name}; use a LoRA made for its family.")
    return lora.scales[name] * (b.flatten(1) @ a.flatten(1)).view(weight.shape)


def _scale(layer: str, rank: int, settings: Mapping[str, Any]) -> float:
    """α/r of one layer from peft's metadata, whose keys may be prefixed with ``unet.``."""
    settings = {key.removeprefix("unet."): value for key, value in settings.items()}
    patterns = settings.get("alpha_pattern") or {}
    own = [value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer)]
    alpha = own[0] if own else settings.get("lora_alpha", rank)
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)
