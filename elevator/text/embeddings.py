"""Textual inversion: words whose vectors were learned (Gal et al., arXiv 2208.01618), read from their files.

Formats: AUTOMATIC1111's `.pt` (`string_to_param`, `name`) and `.safetensors` (`emb_params`); diffusers'
`.bin` and `.safetensors` (the token itself is the key). Pickled ones are read with `weights_only=True`,
which runs no code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checkpoints.header import read_header
from ..checkpoints.identity import FILE_NAMES, NAMELESS
from ..checkpoints.weights import load_pickle, load_tensors
from ..errors import ModelError
from ..sharing import sharing_copy

_SDXL = {"clip_l", "clip_g"}


@dataclass(frozen=True, eq=False)
class Embedding:
    """A word and the vectors that stand for it in place of a token's."""

    token: str
    """As it is written in prompts, in any case; may hold spaces."""
    vectors: Tensor
    """(n, D), float32."""
    aliases: tuple[str, ...] = ()
    """Other names by which prompts may call it: its file's, by which AUTOMATIC1111's web UI and ComfyUI go."""


def read_embedding(path: Path) -> Embedding:
    """Read a textual inversion file, which prompts call by the name in it and by its file's, without suffix.

    Raises ModelError if there is no file, it is broken, holds more than numbers, or is no such embedding.
    """
    path = Path(path)
    content = _content(path)
    if isinstance(content, Mapping) and "string_to_param" in content:
        name, vectors = content.get("name"), _only(content["string_to_param"], path)[1]
    else:
        name, vectors = _only(content, path)
    if not isinstance(vectors, Tensor) or not vectors.is_floating_point() or vectors.ndim not in (1, 2):
        raise ModelError(f"{path} holds no vectors of a word; choose a textual inversion file.")
    vectors = vectors.detach().float().reshape(-1, vectors.shape[-1])
    if not vectors.numel() or not torch.isfinite(vectors).all():
        raise ModelError(f"{path} holds vectors that are empty or not finite; download or train it again.")
    own = " ".join(name.split()) if isinstance(name, str) and name not in NAMELESS else ""
    names = [own, " ".join(path.stem.split())] if path.stem not in FILE_NAMES else [own or path.stem]
    token, *aliases = dict.fromkeys(each for each in names if each)
    # A letter alone is a word of many prompts.
    also = tuple(each for each in aliases if len(each) > 1 and each.casefold() != token.casefold())
    return Embedding(token, vectors, also)


def _content(path: Path) -> Any:
    """What the file holds, on the CPU."""
    return load_pickle(path) if read_header(path).pickled else load_tensors(path)


def _only(content: Any, path: Path) -> tuple[Any, Any]:
    """Name and value of the one entry that the content has."""
    if isinstance(content, Mapping) and "emb_params" in content:  # beside which some trainers put their step
        return "emb_params", content["emb_params"]
    if isinstance(content, Mapping | nn.ParameterDict) and len(content) == 1:
        return next(iter(content.items()))
    if isinstance(content, Mapping) and content.keys() & _SDXL:
        raise ModelError(f"{path} is an embedding for SDXL; choose one made for SD 1.x or 2.x.")
    raise ModelError(f"{path} is not an embedding of one word; choose a textual inversion file.")


def extended(encoder: nn.Module, vectors: Tensor) -> nn.Module:
    """A copy of a CLIPTextModel whose vocabulary goes on with the vectors (n, D); it shares the encoder's tensors."""
    copied: Any = sharing_copy(encoder)
    copied.set_input_embeddings(_Extended(copied.get_input_embeddings(), vectors))
    return copied  # type: ignore[no-any-return]


class _Extended(nn.Module):
    """A token embedding and more vectors after it; one tensor of both would cost a copy of the whole vocabulary."""

    def __init__(self, known: nn.Embedding, vectors: Tensor) -> None:
        super().__init__()
        self.known = known
        self.register_buffer("learned", vectors.to(known.weight))

    def forward(self, ids: Tensor) -> Tensor:
        """(…, D) of ids (…)."""
        count = self.known.num_embeddings
        known = self.known(ids.clamp(max=count - 1))
        learned = functional.embedding((ids - count).clamp(min=0), self.get_buffer("learned"))
        return torch.where(ids[..., None] < count, known, learned)
