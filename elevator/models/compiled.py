"""Layers of networks compiled by `torch.compile`: residual blocks, feed-forwards and convolutions over time.

They are tensors in, tensors out, so that nothing but their shapes decides what is compiled: once for each kind of call
of a clip, and never again within it. Attention is left as it is, a kernel of its own. A whole network would be compiled
for minutes, and anew for each prompt that it is told.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

LAYERS = ("ResnetBlock2D", "FeedForward", "TemporalConvLayer")
SHAPES = 128
"""How many shapes of one class of layers may be compiled: a UNet has some 15, and calls have one prompt or two."""


def compile_layers(network: nn.Module, backend: str | Callable[..., Any] = "inductor") -> int:
    """Have the layers of a network compiled when they are first called; how many they are. The network is changed.

    Copies of it, as LoRAs make them, are not compiled.
    """
    torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, SHAPES)
    found = [module for module in network.modules() if type(module).__name__ in LAYERS]
    for module in found:
        module.compile(dynamic=False, backend=backend)
    return len(found)
