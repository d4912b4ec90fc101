"""LoRA files read into weight differences and added to a network that shares all other weights with its base.

Source: Hu et al. (arXiv 2106.09685): W + (α/r) · B A. File formats, with the names that each gives a layer's A, B, α:

* diffusers and peft: `unet.LAYER.lora_A.weight`, `….lora_B.weight` (older: `lora.down`, `lora.up`; for text
  encoders `text_encoder.LAYER.lora_linear_layer.down.weight`); α in the metadata or, without any, α = r.
* diffusers before 0.22: `….attn1.processor.to_q_lora.down.weight`.
* kohya's training scripts and LyCORIS: `lora_unet_LAYER.lora_down.weight`, `….lora_up.weight`, `….alpha`, and
  `….lora_mid.weight` between them for convolutions; the layer's name has `_` for `.` and may be that of
  Stable Diffusion's own layout (`input_blocks_1_1_…`). Text encoders: `lora_te_LAYER`.

As all of these become the same once dots are underscores, one table of a network's layers serves them all.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..checkpoints import Algorithm, Family, Kind, family_of_width, identify
from ..checkpoints.header import read_header
from ..checkpoints.identity import LORA_FILE
from ..checkpoints.weights import load_tensors
from ..errors import LoraError, ModelError
from ..sharing import sharing_copy

FILE_NAME = LORA_FILE
Target = Literal["unet", "text_encoder"]

_SIDE = re.compile(r"(?P<layer>.+?)(?:\.lora_linear_layer|[._]lora)[._](?P<side>down|up|mid|A|B)(?:\.default)?\.weight")
_ALPHA = re.compile(r"(?P<layer>.+?)(?:\.lora_linear_layer|[._]lora)?\.alpha")
_SIDES = {"A": "down", "B": "up"}
_ENDS = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""Names in Stable Diffusion's own layout, and those of diffusers."""
_PREFIXES: tuple[tuple[str, Target], ...] = (
    ("lora_unet_", "unet"),
    ("unet.", "unet"),
    ("lora_te_", "text_encoder"),
    ("text_encoder.", "text_encoder"),
)


@dataclass(frozen=True, eq=False)
class LowRankPair:
    """The difference of one layer's weight, as a product of small tensors."""

    down: Tensor
    """A, (r, in[, kh, kw])."""
    up: Tensor
    """B, (out, r[, 1, 1])."""
    middle: Tensor | None
    """(r, r, kh, kw) between the two; A is then (r, in, 1, 1)."""
    scale: float
    """α/r."""
    keys: int
    """How many keys of the file it takes."""

    @torch.no_grad()
    def delta(self, weight: Tensor) -> Tensor | None:
        """The scaled product in the shape of `weight`, float32, on its device; None if it has another shape."""
        up, down = (side.to(weight.device, torch.float32) for side in (self.up, self.down))
        rank, kernel = down.shape[0], weight.shape[2:]
        if (up.shape[0], up.shape[1], down.shape[1]) != (weight.shape[0], rank, weight.shape[1]):
            return None
        if self.middle is not None:
            if (*self.middle.shape,) != (rank, rank, *kernel) or math.prod((*up.shape[2:], *down.shape[2:])) != 1:
                return None
            middle = self.middle.to(weight.device, torch.float32).flatten(2)
            product = torch.einsum("or,rsk,si->oik", up.flatten(1), middle, down.flatten(1))
        elif math.prod(up.shape[2:]) != 1 or math.prod(down.shape[2:]) != math.prod(kernel):
            return None
        else:
            # A convolution's A holds the kernel and B is 1 × 1, so both kinds are a product of matrices.
            product = up.flatten(1) @ down.flatten(1)
        return self.scale * product.view(weight.shape)


@dataclass(frozen=True, eq=False)
class LoraFile:
    """One file's pairs by the name of the layer that they belong to, with underscores for dots."""

    path: Path
    family: Family
    pairs: Mapping[Target, Mapping[str, LowRankPair]]
    other_keys: int
    """Keys of the file that belong to no pair."""


def read(path: Path) -> LoraFile:
    """Read a LoRA file, or the one in a folder.

    Raises LoraError if there is none, it is broken or holds code, or it is a LoHa, LoKr or DoRA.
    """
    file = path / FILE_NAME if path.is_dir() else path
    if not file.is_file():
        raise LoraError(f"There is no LoRA at {file}; choose a folder that holds {FILE_NAME}, or the file itself.")
    try:
        identity = identify(file)
        if identity.kind not in (Kind.LORA, Kind.MOTION_LORA):
            raise LoraError(f"{file} is no LoRA but a model of another kind ({identity.kind}); choose a LoRA.")
        if identity.algorithm is not Algorithm.LORA:
            raise LoraError(
                f"{file} is a {identity.algorithm}, which is not supported; train or download a plain LoRA."
            )
        settings = json.loads(read_header(file).metadata.get("lora_adapter_metadata", "{}"))
        return _assembled(file, identity.family, load_tensors(file), settings)
    except LoraError:
        raise
    except ModelError as error:
        raise LoraError(str(error)) from error
    except (ValueError, TypeError, AttributeError, re.error) as error:
        raise LoraError(f"{file} has unreadable LoRA settings in its metadata; download or train it again.") from error


def merged(base: nn.Module, loras: list[tuple[LoraFile, float]], target: Target = "unet") -> nn.Module:
    """A copy of `base` with the LoRAs' differences added; layers that none touches share base's tensors.

    base itself is left as it is, and returned where no LoRA of a weight other than 0 has pairs for this target.
    Raises LoraError if a LoRA was made for another family, or fits no layer or one of another shape.
    """
    wanted: dict[str, list[tuple[LoraFile, LowRankPair, float]]] = {}
    table = _table(base, target)
    for lora, weight in loras:
        _check_family(base, lora)
        matched = _matched(table, lora, target)
        if lora.pairs[target] and not matched:
            raise LoraError(f"None of the layers of {lora.path} is in this T2I; use a LoRA made for its family.")
        for name, pair in matched.items():
            wanted.setdefault(name, []).append((lora, pair, weight))
    if not wanted or not any(weight for _, weight in loras):
        return base
    network = sharing_copy(base)
    # One layer after the other: the float32 differences of a whole network would be as large as it is.
    for name, additions in wanted.items():
        layer: Any = network.get_submodule(name)
        changed = _changed(name, layer.weight.detach(), additions)
        layer.weight = nn.Parameter(changed.to(layer.weight.dtype), requires_grad=False)
    return network


def _changed(name: str, weight: Tensor, additions: list[tuple[LoraFile, LowRankPair, float]]) -> Tensor:
    """The layer's weight with its additions, float32; raises LoraError if one has another shape."""
    delta = torch.zeros_like(weight, dtype=torch.float32)
    for lora, pair, strength in additions:
        own = pair.delta(weight)
        if own is None:
            raise LoraError(f"{lora.path} has another shape than this T2I at {name}; use a LoRA made for its family.")
        delta += strength * own
    return weight.float() + delta


def matches(unet: nn.Module, text_encoder: nn.Module, lora: LoraFile) -> tuple[int, int]:
    """How many keys of the file fit a layer of the two networks, and how many it has."""
    targets: tuple[tuple[nn.Module, Target], ...] = ((unet, "unet"), (text_encoder, "text_encoder"))
    fitting = sum(
        pair.keys for base, target in targets for pair in _matched(_table(base, target), lora, target).values()
    )
    return fitting, lora.other_keys + sum(pair.keys for pairs in lora.pairs.values() for pair in pairs.values())


def _assembled(file: Path, family: Family, tensors: Mapping[str, Tensor], settings: Mapping[str, Any]) -> LoraFile:
    """Put together what belongs to one layer."""
    sides: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if (match := _SIDE.fullmatch(key)) and tensor.ndim > 1 and len(tensor):
            sides.setdefault(match["layer"], {})[_SIDES.get(match["side"], match["side"])] = tensor
        elif (match := _ALPHA.fullmatch(key)) and tensor.numel() == 1:
            sides.setdefault(match["layer"], {})["alpha"] = tensor
    pairs: dict[Target, dict[str, LowRankPair]] = {"unet": {}, "text_encoder": {}}
    for layer, held in sides.items():
        if "down" not in held or "up" not in held:
            continue
        prefix, target = next(((p, target) for p, target in _PREFIXES if layer.startswith(p)), ("", "unet"))
        name = layer.removeprefix(prefix)
        rank = len(held["down"])
        scale = float(held["alpha"]) / rank if "alpha" in held else _scale(name, rank, _of_target(target, settings))
        pairs[target][_flat(name)] = LowRankPair(held["down"], held["up"], held.get("mid"), scale, len(held))
    if not any(pairs.values()):
        raise LoraError(f"{file} holds no complete LoRA layer; download or train it again.")
    taken = sum(pair.keys for group in pairs.values() for pair in group.values())
    return LoraFile(file, family, pairs, len(tensors) - taken)


def _of_target(target: Target, settings: Mapping[str, Any]) -> dict[str, Any]:
    """peft's settings of one target, whose keys may be prefixed with its name; without a prefix, all are the UNet's."""
    own = {key.removeprefix(f"{target}."): value for key, value in settings.items() if key.startswith(f"{target}.")}
    return own or {key: value for key, value in settings.items() if "." not in key and target == "unet"}


def _scale(layer: str, rank: int, settings: Mapping[str, Any]) -> float:
    """α/r of one layer from peft's settings."""
    patterns = settings.get("alpha_pattern") or {}
    own = [value for pattern, value in patterns.items() if re.fullmatch(rf"(.*\.)?({pattern})", layer)]
    alpha = own[0] if own else settings.get("lora_alpha", rank)
    return float(alpha) / (math.sqrt(rank) if settings.get("use_rslora") else rank)


def _check_family(base: nn.Module, lora: LoraFile) -> None:
    """Raise LoraError if both families are known and differ."""
    config: Any = getattr(base, "config", None)
    width = getattr(config, "cross_attention_dim", None) or getattr(config, "hidden_size", None)
    family = family_of_width(width)
    if Family.UNKNOWN not in (family, lora.family) and family is not lora.family:
        raise LoraError(
            f"{lora.path} is a LoRA for {lora.family}, but this model is {family}; choose a LoRA made for {family}."
        )


def _matched(table: Mapping[str, str], lora: LoraFile, target: Target) -> dict[str, LowRankPair]:
    """The pairs that a network has a layer for, by that layer's name."""
    return {table[name]: pair for name, pair in lora.pairs[target].items() if name in table}


def _table(base: nn.Module, target: Target) -> dict[str, str]:
    """The names of a network's layers by all the names that LoRA files give them."""
    layers = {name.removesuffix(".weight") for name, p in base.named_parameters() if p.ndim > 1}
    table = {_flat(name): name for name in layers}
    if target == "text_encoder":
        return table | {re.sub("_(q|k|v|out)_proj$", r"_to_\1", flat): name for flat, name in table.items()}
    table |= {_flat(ldm): name for ldm, name in _ldm_names(base).items() if name in layers}
    return table | {flat.removesuffix("_0"): name for flat, name in table.items() if flat.endswith("_to_out_0")}


def _flat(name: str) -> str:
    """A layer's name without what only some formats have in it."""
    return name.replace(".processor.", ".").replace(".", "_").removeprefix("text_model_")


def _ldm_names(unet: Any) -> dict[str, str]:
    """Names of a UNet's layers by those in Stable Diffusion's own layout.

    There, the layers of all blocks are counted through, and each down- or upsampling follows the layers of its block.
    """
    if not hasattr(unet, "down_blocks"):
        return {}
    own = dict(_ENDS)
    resnets = {"middle_block.0": "mid_block.resnets.0", "middle_block.2": "mid_block.resnets.1"}
    attentions = {"middle_block.1": "mid_block.attentions.0"}
    for side, first in (("down", 1), ("up", 0)):
        number, ldm = first, "input_blocks" if side == "down" else "output_blocks"
        for b, block in enumerate(getattr(unet, f"{side}_blocks")):
            for k in range(len(block.resnets)):
                resnets[f"{ldm}.{number}.0"] = f"{side}_blocks.{b}.resnets.{k}"
                attentions[f"{ldm}.{number}.1"] = f"{side}_blocks.{b}.attentions.{k}"
                number += 1
            if side == "down":
                own[f"{ldm}.{number}.0.op"] = f"down_blocks.{b}.downsamplers.0.conv"
                number += 1
            else:
                after = 2 if hasattr(block, "attentions") else 1
                own[f"{ldm}.{number - 1}.{after}.conv"] = f"up_blocks.{b}.upsamplers.0.conv"
    own |= {f"{k}.{inner}": f"{v}.{_RESNET[inner]}" for k, v in resnets.items() for inner in _RESNET}
    present = dict(unet.named_modules())
    for ldm, name in attentions.items():
        if name in present:
            own |= {f"{ldm}.{inner}": f"{name}.{inner}" for inner, _ in present[name].named_modules()}
    return own
