"""Where things lie in a folder of diffusers' layout.

A network's weights are one file or several, and may lie there in several variants: `model.safetensors`,
`model.fp16.safetensors`, `diffusion_pytorch_model.non_ema.bin`, `model.fp16-00001-of-00002.safetensors`, or, as
diffusers wrote it before 0.28, `model-00001-of-00002.fp16.safetensors`.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..errors import ModelError

_FILE = re.compile(
    r"(?:diffusion_pytorch_model|pytorch_model|model)(?:\.(?P<variant>[\w-]+?))?(?:-(?P<part>\d{5})-of-(?P<parts>\d{5}))?"
    r"(?:\.(?P<older>[\w-]+))?\.(?P<suffix>safetensors|bin)"
)
_BEST, _WORST = ("", "fp32", "bf16", "fp16"), "non_ema"
"""Variants from the best precision down; others come behind these; weights that were not averaged are a last resort."""
_OTHERS = {
    ".msgpack": "Flax",
    ".h5": "TensorFlow",
    ".onnx": "ONNX",
    ".xml": "OpenVINO",
    ".gguf": "GGUF",
}
"""Weights of other programs, by how their names end."""
_WEIGHTS = {".safetensors", ".bin", ".ckpt", ".pt", ".pth"}


def weight_files(folder: Path) -> list[Path]:
    """The files of a network's weights: the best precision that is there, safetensors before PyTorch's.

    Raises ModelError if there are none, or a part of them is missing.
    """
    sets = _sets(folder)
    if whole := [files for files, missing in sets if not missing]:
        return whole[0]
    if sets:
        files, missing = sets[0]
        raise ModelError(f"{folder} lacks {missing} of the parts of {files[0].name}; download or copy it again.")
    names = sorted(file.name for file in folder.iterdir()) if folder.is_dir() else []
    for name in names:
        if program := _OTHERS.get(Path(name).suffix):
            raise ModelError(f"{folder} holds weights for {program} alone ({name}); choose a folder with safetensors.")
    if strange := next((name for name in names if Path(name).suffix in _WEIGHTS), None):
        raise ModelError(
            f"The weights in {folder} have a name that is not known here ({strange}); "
            "call the file as diffusers does, diffusion_pytorch_model.safetensors."
        )
    raise ModelError(f"{folder} holds no weights; put the file there, such as diffusion_pytorch_model.safetensors.")


def chosen_files(folder: Path) -> list[Path]:
    """As `weight_files`, but nothing where there are none, and what there is where a part is missing."""
    sets = _sets(folder)
    return next((files for files, missing in sets if not missing), sets[0][0] if sets else [])


def _sets(folder: Path) -> list[tuple[list[Path], int]]:
    """Files that are one network's weights together, and how many of them are missing; the best first."""
    found: dict[tuple[str, str, int], list[Path]] = {}
    for file in sorted(folder.iterdir()) if folder.is_dir() else ():
        if match := _FILE.fullmatch(file.name):
            variant = (match["variant"] or match["older"] or "").lower()
            found.setdefault((variant, match["suffix"], int(match["parts"] or 0)), []).append(file)
    ordered = sorted(found, key=lambda key: (_rank(key[0]), key[0], key[1] != "safetensors", key[2]))
    return [(found[key], max(key[2] - len(found[key]), 0)) for key in ordered]


def _rank(variant: str) -> int:
    return _BEST.index(variant) if variant in _BEST else len(_BEST) + (variant == _WORST)
