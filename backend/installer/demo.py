"""x"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Wish:
    prompt: str
    style: str
    seed: int
    frames: int
    size: int


def run(wish: Wish, *, folder: Path, blender: Path | None, torch_index: str | None) -> int:
    return 0


def package(out: Path) -> Path:
    return out
