"""What LoRA files call the layers of a network.

The formats, with the names that each gives a layer's tensors:

* diffusers and peft: `unet.LAYER.lora_A.weight`, `….lora_B.weight` (older: `lora.down`, `lora.up`; for text encoders
  `text_encoder.LAYER.lora_linear_layer.down.weight`). peft's own `save_pretrained` puts `base_model.model.` before
  LAYER, whichever network it is.
* diffusers before 0.22: `….attn1.processor.to_q_lora.down.weight`. AnimateDiff's LoRAs for motion modules are of this
  kind, with the original names of the modules' layers (`temporal_transformer.….attention_blocks.0`).
* kohya's training scripts, LyCORIS, OneTrainer: `lora_unet_LAYER.lora_down.weight`, `….lora_up.weight`, `….alpha`; the
  layer's name has `_` for `.` and may be that of Stable Diffusion's own layout (`input_blocks_1_1_…`). Text encoders:
  `lora_te_LAYER`, or `lora_te1_LAYER`. LyCORIS alone, without kohya's scripts, and SimpleTuner: `lycoris_LAYER`.
* ComfyUI: `diffusion_model.LAYER…` with Stable Diffusion's own names, and `text_encoders.clip_l.transformer.LAYER…`.

As all of these become the same once dots are underscores, one table of a network's layers serves them all.
"""

from __future__ import annotations

import re
from typing import Any, Literal, TypeAlias

Target: TypeAlias = Literal["unet", "motion", "text_encoder"]
"""Which network a layer is of: the T2I's UNet, a motion module, or a text encoder."""
TARGETS: tuple[Target, ...] = ("unet", "motion", "text_encoder")

_WRAPPERS = (
    "lora_",
    "lycoris_",
    "unet_",
    "base_model_",
    "model_",
    "diffusion_model_",
    "network_",
    "pipe_",
    "_orig_mod_",  # torch.compile
    "module_",  # PyTorch's parallel training
)
_TEXT_WRAPPERS = (
    "te_",
    "te1_",
    "text_encoder_",
    "text_encoders_",
    "clip_l_",
    "clip_h_",
    "cond_stage_model_",
    "transformer_text_model_",
)
"""What stands before a layer's name, in any order and number. No layer's own name begins so."""
_TEXT_LAYER = re.compile(r"(?:text_model_|encoder_layers_\d|embeddings_(?:token|position)_|final_layer_norm\b)")
_MOTION_LAYER = re.compile(r"(?:down|mid|up)_blocks?_(?:\d+_)?motion_modules_")
_MOTION_NAMES = (
    ("_temporal_transformer_", "_"),
    ("_attention_blocks_0_", "_attn1_"),
    ("_attention_blocks_1_", "_attn2_"),
    ("_norms_0", "_norm1"),
    ("_norms_1", "_norm2"),
    ("_ff_norm", "_norm3"),
)
"""AnimateDiff's own names of a motion module's layers, and those of diffusers."""
_ENDS = {
    "input_blocks.0.0": "conv_in",
    "time_embed.0": "time_embedding.linear_1",
    "time_embed.2": "time_embedding.linear_2",
    "out.0": "conv_norm_out",
    "out.2": "conv_out",
}
_RESNET = {
    "in_layers.0": "norm1",
    "in_layers.2": "conv1",
    "emb_layers.1": "time_emb_proj",
    "out_layers.0": "norm2",
    "out_layers.3": "conv2",
    "skip_connection": "conv_shortcut",
}
"""Names in Stable Diffusion's own layout, and those of diffusers."""


def told(layer: str) -> tuple[Target, str]:
    """Which network a layer of a file is of, and its name there as in a `table`."""
    name, text = layer.replace(".processor.", ".").replace(".", "_"), False
    while found := next((each for each in (*_WRAPPERS, *_TEXT_WRAPPERS) if name.startswith(each)), None):
        text = text or found in _TEXT_WRAPPERS
        name = name.removeprefix(found)
    if text or _TEXT_LAYER.match(name):
        return "text_encoder", name.removeprefix("text_model_")
    if _MOTION_LAYER.match(name):
        for own, theirs in _MOTION_NAMES:
            name = name.replace(own, theirs)
        return "motion", name
    return "unet", name


def plain(layer: str) -> str:
    """A layer's name with its dots, without what stands before it: as peft's patterns mean it."""
    return re.sub(r"^(?:(?:unet|text_encoder|base_model\.model)\.)+", "", layer)


def table(base: Any, target: Target) -> dict[str, str]:
    """The names of a network's layers by all the names that LoRA files give them."""
    layers = {name.removesuffix(".weight") for name, _ in base.named_parameters() if name.endswith(".weight")}
    if target != "text_encoder":
        layers = {name for name in layers if (".motion_modules." in name) is (target == "motion")}
    names = {_flat(name): name for name in layers}
    if target == "text_encoder":
        return names | {re.sub("_(q|k|v|out)_proj$", r"_to_\1", flat): name for flat, name in names.items()}
    if target == "unet":
        names |= {_flat(ldm): name for ldm, name in ldm_names(base).items() if name in layers}
    return names | {flat.removesuffix("_0"): name for flat, name in names.items() if flat.endswith("_to_out_0")}


def _flat(name: str) -> str:
    return name.replace(".", "_").removeprefix("text_model_")


def ldm_names(unet: Any) -> dict[str, str]:
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
