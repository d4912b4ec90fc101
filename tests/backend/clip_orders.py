"""Orders of small clips of the embedded models, and what comes of them in this process."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from backend.orders import Sample
from backend.root import ROOT
from backend.worker.maker import Advance, Extra, Item, Note, Picture
from elevator import Lora, Plan, Sources
from elevator.pictures.clip_folder import frame_name
from elevator.pictures.encoding import encoded

WEIGHTS = ROOT / "elevator" / "embedded" / "weights"
SKETCH = WEIGHTS / "loras" / "sketch"


class _Paths(dict[str, str]):
    """Pictures that are named by their paths."""

    def __missing__(self, path: str) -> str:
        return path


PATHS = _Paths()
PLAN = Plan(steps=3, refine=(3,), refine_steps=1)
"""Paints, refines and inverts."""


@dataclass(frozen=True, eq=False)
class Made:
    """What a maker gave."""

    items: list[Item]

    @property
    def clip(self) -> np.ndarray:
        """(F, H, W, 3): the frames since the last beginning."""
        pictures: list[Picture] = []
        for item in self.items:
            if isinstance(item, Note) and item.again:
                pictures = []
            if isinstance(item, Picture):
                pictures.append(item)
        assert [each.index for each in pictures] == list(range(len(pictures)))
        return np.stack([each.pixels for each in pictures])

    @property
    def notes(self) -> list[str]:
        return [item.sentence for item in self.items if isinstance(item, Note)]

    @property
    def again(self) -> list[str]:
        return [item.sentence for item in self.items if isinstance(item, Note) and item.again]

    @property
    def loading(self) -> list[Advance]:
        return [item for item in self.items if isinstance(item, Advance) and item.phase == "loading"]

    @property
    def extras(self) -> dict[str, bytes]:
        return {item.name: item.data for item in self.items if isinstance(item, Extra)}


def order(**fields: Any) -> Sample:
    """A clip of 4 frames of 64 × 64, which takes under a second; fields may be those of its sources too."""
    files = {name: fields.pop(name) for name in Sources.__struct_fields__ if name in fields}
    sources = Sources(**{"t2i": str(WEIGHTS / "t2i"), "t2v": str(WEIGHTS / "zeroscope"), **files})
    values = {
        "sources": sources,
        "prompt": "a cat",
        "negative_prompt": "",
        "plan": PLAN,
        "frames": 4,
        "width": 64,
        "height": 64,
        "fps": 8.0,
        "seed": 1,
    }
    return Sample(**{**values, **fields})


def lora(weight: float) -> tuple[Lora, ...]:
    """The embedded LoRA of sketches."""
    return (Lora(path=str(SKETCH), weight=weight),)


def made(items: Iterable[Item]) -> Made:
    return Made(list(items))


def written(result: Made, folder: Path) -> Path:
    """The result as the worker leaves it."""
    folder.mkdir()
    for index, frame in enumerate(result.clip):
        (folder / frame_name(index)).write_bytes(encoded(frame))
    for name, data in result.extras.items():
        (folder / name).write_bytes(data)
    return folder
