"""Models of shapes alone: networks that compute shapes and types but no values, and take no memory.

Their tensors are torch's fake tensors (`torch._subclasses.fake_tensor`). Each operation gives shapes as the real one
would, with the same choice of kernels, so that what a call takes can be followed without making it.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import Any

import msgspec
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ..checkpoints.weights import SHAPES_ONLY, without_values
from ..models.loading import load_models
from ..models.pair import Models
from ..sources import Sources
from .allocations import Allocations


@dataclass(frozen=True, eq=False)
class Shapes:
    """Models without values, and what it takes to load the real ones."""

    models: Models
    mode: FakeTensorMode
    """That their tensors belong to."""
    loading: int
    """Bytes of files and weights held at once, at most; 0 where the models are loaded already."""

    @property
    def weights(self) -> int:
        """Bytes of all networks; tensors that several of them use count once."""
        storages = {
            tensor.untyped_storage()._cdata: tensor.untyped_storage().nbytes()
            for network in networks(self.models)
            for tensor in (*network.parameters(), *network.buffers())
        }
        return sum(storages.values())


def load_shapes(sources: Sources, dtype: torch.dtype = torch.float32) -> Shapes:
    """What `load_models` would load from the same sources, but for the embeddings, without reading any weights.

    Only headers and configs are read. Raises the errors of `load_models`.
    """
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    token = SHAPES_ONLY.set(mode)
    try:
        with Allocations() as held:
            models = load_models(msgspec.structs.replace(sources, embeddings=()), "cpu", dtype)
    finally:
        SHAPES_ONLY.reset(token)
    return Shapes(models, mode, held.peak)


def shapes_of(models: Models) -> Shapes:
    """The shapes of loaded models, which stay as they are; wherever they lie, the shapes lie on the CPU."""
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    # A deep copy takes over what its memo holds, so that tensors that networks share stay shared.
    memo: dict[int, Any] = {}
    for network in networks(models):
        for parameter in network.parameters():
            memo[id(parameter)] = nn.Parameter(without_values(parameter, mode), requires_grad=False)
        for buffer in network.buffers():
            memo[id(buffer)] = without_values(buffer, mode)
    return Shapes(copy.deepcopy(models, memo), mode, 0)


def networks(models: Models) -> list[nn.Module]:
    """All networks that the models hold, those without their LoRAs too."""
    own = [models.t2i.unet, models.t2v.unet, models.t2i_text.encoder, models.t2v_text.encoder, models.vae]
    return own if models.bare is None else own + networks(models.bare)
