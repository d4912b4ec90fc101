"""Which files a LoRA is: a file, or a folder as diffusers or peft writes it. Importing this imports no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import LoraError

LORA_FILE = "pytorch_lora_weights.safetensors"
"""The LoRA in a folder as diffusers writes it."""
LORA_NAMES = (
    LORA_FILE,
    "adapter_model.safetensors",
    "pytorch_lora_weights.bin",
    "adapter_model.bin",
)
"""Of a LoRA's file in a folder of diffusers' or peft's, by preference."""
LORA_PARTS = ("unet", "text_encoder")
"""Folders in a folder, where a trainer has saved each network's LoRA by peft."""
PEFT_CONFIG = "adapter_config.json"
"""Beside peft's file; the file alone does not say α."""


def lora_files(path: Path) -> tuple[Path, ...]:
    """The files of weights of a LoRA: the path itself, or those in a folder; none if it holds no LoRA."""
    if not path.is_dir():
        return (path,)
    if own := _first(path):
        return (own,)
    return tuple(file for part in LORA_PARTS if (file := _first(path / part)))


def config_of(file: Path) -> Path | None:
    """peft's settings beside a file that peft has written, if they are there."""
    config = file.with_name(PEFT_CONFIG)
    return config if file.stem == "adapter_model" and config.is_file() else None


def read_config(file: Path) -> dict[str, Any]:
    """peft's settings of a LoRA's file, empty if there are none. Raises LoraError if they cannot be read."""
    if (config := config_of(file)) is None:
        return {}
    try:
        content = json.loads(config.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        raise LoraError(f"{config} is not readable; download or copy it again.") from error
    if not isinstance(content, dict):
        raise LoraError(f"{config} is not readable; download or copy it again.")
    return content


def _first(folder: Path) -> Path | None:
    """The file of a LoRA in this very folder."""
    return next((folder / name for name in LORA_NAMES if (folder / name).is_file()), None)
