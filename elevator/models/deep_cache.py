"""A T2I whose deep layers are run now and then: between, their features are used again.

Source: Ma et al., DeepCache (arXiv 2312.00858), with the skip connection of the outermost layer: what comes back from
below changes slowly along the chain, what the outermost layers see does not.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor


def whole(
    unet: Any, x: Tensor, t: Tensor, hidden: Tensor, told: dict[str, Any], condition: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The output of a `UNet2DConditionModel`, (N, C, h, w), and the features that reach its outermost layer.

    told: `cross_attention_kwargs`. condition: what it reads beside the timestep, (1, D).
    """
    seen: list[Tensor] = []
    last = unet.up_blocks[-1].resnets[-1]
    handle = last.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    try:
        output: Tensor = unet(x, t, hidden, timestep_cond=condition, cross_attention_kwargs=told).sample
    finally:
        handle.remove()
    # The layer reads what comes from below beside the skip connection, which is the first convolution's output.
    # A copy, so that the skip connection's memory is not kept with it.
    return output, seen[0][:, : -unet.conv_in.out_channels].clone()


def shallow(
    unet: Any, x: Tensor, t: Tensor, hidden: Tensor, told: dict[str, Any], condition: Tensor | None, features: Tensor
) -> Tensor:
    """The output with the deep layers' features of another call: the outermost layers alone are run."""
    emb = unet.time_embedding(unet.get_time_embed(sample=x, timestep=t), condition)
    block = unet.up_blocks[-1]
    h = block.resnets[-1](torch.cat([features, unet.conv_in(x)], dim=1), emb)
    if hasattr(block, "attentions"):
        (h,) = block.attentions[-1](h, encoder_hidden_states=hidden, cross_attention_kwargs=told, return_dict=False)
    output: Tensor = unet.conv_out(unet.conv_act(unet.conv_norm_out(h)))
    return output
