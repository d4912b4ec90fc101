"""The real generator: the models of a style, sampled by `elevator`. The only file of the backend that needs torch."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import cast

import torch

from elevator import ElevatorError, ModelError, Models, Plan, elevate, load_models
from shared_protocol.messages import Phase

from .failures import BackendError
from .generator import Advance, Item, Picture
from .orders import Sample

CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""How torch says it on the CPU, where it has no exception of its own."""


class SamplingGenerator:
    """Keeps one pair of models between jobs; only another pair is read from disk, other LoRAs are not."""

    def __init__(self, device: str) -> None:
        """`device`: "cpu", "cuda", or "auto"."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        self._dtype = torch.float16 if device == "cuda" else torch.float32
        self._kept: tuple[tuple[str, str], Models] | None = None
        self._loads_before = 0

    @property
    def loads(self) -> int:
        """How many networks were read from disk."""
        return self._loads_before + (self._kept[1].loads if self._kept else 0)

    def generate(self, order: Sample) -> Generator[Item, None, None]:
        """See Generator."""
        try:
            yield from self._generate(order)
        except ModelError as error:
            raise BackendError("model_unfit", detail=_clause(error)) from error
        except ElevatorError as error:
            raise BackendError("bad_request", detail=_clause(error)) from error
        except RuntimeError as error:
            if isinstance(error, torch.OutOfMemoryError) or CPU_OUT_OF_MEMORY in str(error):
                raise BackendError("out_of_memory") from error
            raise

    def _generate(self, order: Sample) -> Generator[Item, None, None]:
        if self._pair(order) is None:
            yield Advance("loading", 0, 0)
        models = self._pair(order) or self._load(order)
        models = models.with_loras(tuple((Path(lora.path), lora.weight) for lora in order.loras))
        steps = elevate(
            models,
            prompt=order.prompt,
            negative_prompt=order.negative_prompt,
            plan=Plan.from_mapping(order.plan),
            frames=order.frames,
            height=order.height,
            width=order.width,
            seed=order.seed,
        )
        for step in steps:
            if step.frame is not None:
                yield Picture(*step.frame)
            yield Advance(cast("Phase", step.phase), step.index, step.total, step.preview)

    def _pair(self, order: Sample) -> Models | None:
        """The models of `order`, if they are the ones that are kept."""
        return self._kept[1] if self._kept and self._kept[0] == (order.t2i, order.t2v) else None

    def _load(self, order: Sample) -> Models:
        self._loads_before, self._kept = self.loads, None  # the old pair goes before the new one comes
        models = load_models(Path(order.t2i), Path(order.t2v), device=self.device, dtype=self._dtype)
        self._kept = ((order.t2i, order.t2v), models)
        return models


def _clause(error: Exception) -> str:
    return str(error).rstrip(".")
