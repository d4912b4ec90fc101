"""LoRAs in the names and kinds that people have."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor

from tests.compatibility.cases import Build, Case
from tests.compatibility.cases_models import Tensors, held

LAYER = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
LDM_LAYER = "input_blocks.1.1.transformer_blocks.0.attn1.to_q"
MOTION_LAYER = "down_blocks.0.motion_modules.0.{}transformer_blocks.0.{}.processor.to_q_lora.{}.weight"
RANK = 2


@cache
def width() -> int:
    """Of the layer in the models of these tests, in and out."""
    return int(held("lora_peft")[f"unet.{LAYER}.lora_A.weight"].shape[1])


def pair(name: str, down: str = "lora_A", up: str = "lora_B", end: str = ".weight") -> Tensors:
    """A plain LoRA of the layer."""
    generator = torch.Generator().manual_seed(0)
    return {
        f"{name}.{down}{end}": torch.randn(RANK, width(), generator=generator),
        f"{name}.{up}{end}": torch.randn(width(), RANK, generator=generator),
    }


def lora(tensors: Callable[[], Tensors], field: str = "loras") -> Build:
    """One file of them."""

    def build(folder: Path) -> dict[str, Any]:
        save_file({name: tensor.contiguous() for name, tensor in tensors().items()}, folder / "lora.safetensors")
        return {field: [(folder / "lora.safetensors", 1.0)]}

    return build


def of_peft(folder: Path) -> dict[str, Any]:
    """A folder as `save_pretrained` leaves it."""
    save_file(pair(f"base_model.model.{LAYER}"), folder / "adapter_model.safetensors")
    settings = {"peft_type": "LORA", "r": RANK, "lora_alpha": 8, "target_modules": ["to_q"]}
    (folder / "adapter_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return {"loras": [(folder, 1.0)]}


def is_on(models: Any) -> bool:
    """Whether the layer is another than without the LoRA."""
    return not torch.equal(_weight(models, LAYER), _weight(models.bare, LAYER))


def is_on_motion(models: Any) -> bool:
    """The same of a layer of the motion modules."""
    name = "down_blocks.0.motion_modules.0.transformer_blocks.0.attn1.to_q"
    own, bare = (each.t2v.unet.get_submodule(name).weight for each in (models, models.bare))
    return not torch.equal(own, bare)


def _weight(models: Any, layer: str) -> Tensor:
    weight: Tensor = models.t2i.unet.get_submodule(layer).weight
    return weight


def _flat(name: str) -> str:
    return f"lora_unet_{name.replace('.', '_')}"


def _random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(sum(shape)))


def _named(end: dict[str, tuple[int, ...]]) -> Tensors:
    return {f"{_flat(LAYER)}.{name}": _random(*shape) for name, shape in end.items()}


def _motion(blocks: str, attention: str, prefix: str = "") -> Tensors:
    from tests.true_shapes.random_weights import file_entries, tensors

    found = tensors(file_entries("motion_v2", "tiny"))
    side = next(t.shape[0] for name, t in found.items() if "down_blocks.0" in name and name.endswith("to_q.weight"))
    return {
        prefix + MOTION_LAYER.format(blocks, attention, "down"): _random(RANK, side),
        prefix + MOTION_LAYER.format(blocks, attention, "up"): _random(side, RANK),
    }


CASES = [
    Case("LoRA", "`unet.LAYER.lora_A.weight`", "diffusers, peft", lora(lambda: pair(f"unet.{LAYER}")), holds=is_on),
    Case(
        "LoRA",
        "`….processor.to_q_lora.down.weight`",
        "diffusers before 0.22",
        lora(
            lambda: {
                f"unet.{LAYER.removesuffix('to_q')}processor.to_q_lora.down.weight": _random(RANK, width()),
                f"unet.{LAYER.removesuffix('to_q')}processor.to_q_lora.up.weight": _random(width(), RANK),
            }
        ),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "`lora_unet_LAYER.lora_down.weight`",
        "kohya's scripts, web UI",
        lora(lambda: pair(_flat(LAYER), "lora_down", "lora_up")),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "the same by the layers' names in Stable Diffusion's own layout",
        "kohya's scripts, other trainers",
        lora(lambda: pair(_flat(LDM_LAYER), "lora_down", "lora_up")),
        holds=is_on,
    ),
    Case("LoRA", "`base_model.model.LAYER`", "peft", lora(lambda: pair(f"base_model.model.{LAYER}")), holds=is_on),
    Case(
        "LoRA",
        "`unet.base_model.model.LAYER`",
        "peft in diffusers",
        lora(lambda: pair(f"unet.base_model.model.{LAYER}")),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "`diffusion_model.` before Stable Diffusion's own names",
        "ComfyUI",
        lora(lambda: pair(f"diffusion_model.{LDM_LAYER}")),
        holds=is_on,
    ),
    Case("LoRA", "folder with `adapter_config.json`", "peft", of_peft, holds=is_on, told="its α is read"),
    Case(
        "LoRA",
        "LoHa",
        "LyCORIS",
        lora(
            lambda: _named(
                {
                    "hada_w1_a": (width(), RANK),
                    "hada_w1_b": (RANK, width()),
                    "hada_w2_a": (width(), RANK),
                    "hada_w2_b": (RANK, width()),
                }
            )
        ),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "LoKr",
        "LyCORIS",
        lora(lambda: _named({"lokr_w1": (4, 4), "lokr_w2": (width() // 4, width() // 4)})),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "DoRA",
        "LyCORIS, kohya's scripts",
        lora(lambda: {**pair(_flat(LAYER), "lora_down", "lora_up"), f"{_flat(LAYER)}.dora_scale": _random(width(), 1)}),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "full difference",
        "LyCORIS, ComfyUI",
        lora(lambda: _named({"diff": (width(), width())})),
        holds=is_on,
    ),
    Case(
        "LoRA", "names without `.weight`", "ComfyUI", lora(lambda: pair(LAYER, "lora_A", "lora_B", end="")), holds=is_on
    ),
    Case(
        "LoRA",
        "IA3",
        "peft",
        lora(lambda: {f"base_model.model.{LAYER}.ia3_l": _random(width(), 1)}),
        holds=is_on,
    ),
    Case(
        "LoRA",
        "HRA, Bone, RandLoRA and other methods that are no product of small matrices",
        "peft",
        lora(lambda: {f"base_model.model.{LAYER}.hra_u": _random(width(), RANK)}),
        refused="lora.safetensors is a LoRA of a kind that is not read (another method of peft); train or download a "
        "plain LoRA.",
    ),
    Case(
        "LoRA",
        "numbers that are not finite",
        "trainings that went wrong",
        lora(lambda: {name: tensor * float("nan") for name, tensor in pair(f"unet.{LAYER}").items()}),
        refused=f"lora.safetensors holds numbers that are not finite, in unet.{LAYER}.lora_A.weight: its training went "
        "wrong, or it was saved in too small a precision; choose another LoRA, or an earlier state of this one.",
    ),
    Case(
        "motion LoRA",
        "the motion modules' own names",
        "v2_lora_PanLeft.ckpt",
        lora(lambda: _motion("temporal_transformer.", "attention_blocks.0")),
        holds=is_on_motion,
        told="on the motion modules",
    ),
    Case(
        "motion LoRA",
        "diffusers' names",
        "animatediff-motion-lora-pan-left",
        lora(lambda: _motion("", "attn1", "unet.")),
        holds=is_on_motion,
        told="on the motion modules",
    ),
]
