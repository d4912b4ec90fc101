"""Where things lie in a folder of diffusers' layout."""

from __future__ import annotations

from pathlib import Path

from ..errors import ModelError

_WEIGHTS = (
    "diffusion_pytorch_model.safetensors",
    "model.safetensors",
    "*model-?????-of-?????.safetensors",
    "diffusion_pytorch_model.bin",
    "pytorch_model.bin",
    "*model-?????-of-?????.bin",
)
"""Patterns of the files of weights in a folder, by preference: in one part, or in several."""


def weight_files(folder: Path) -> list[Path]:
    """The files of a network's weights. Raises ModelError if there are none."""
    for pattern in _WEIGHTS:
        if found := sorted(folder.glob(pattern)):
            return found
    raise ModelError(f"{folder} holds no weights; download or copy it again.")
