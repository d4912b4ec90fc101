"""The real generator: the models of a style, sampled by `elevator`. The only file of the backend that needs torch."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any, cast

import torch

from elevator import ElevatorError, ModelError, Models, Plan, elevate, load_models
from shared_protocol.messages import Phase

from .failures import BackendError
from .generator import Advance, Item, Picture
from .orders import Lora, Sample

CPU_OUT_OF_MEMORY = "DefaultCPUAllocator: can't allocate memory"
"""How torch says it on the CPU, where it has no exception of its own."""


class SamplingGenerator:
    """Keeps one pair of models between jobs. Other LoRAs and embeddings on it read no model from disk."""

    def __init__(self, device: str) -> None:
        """`device`: "cpu", "cuda", or "auto"."""
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "cpu"
        self.device = device
        self._dtype = torch.float16 if device == "cuda" else torch.float32
        self._kept: tuple[dict[str, Any], Models] | None = None
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
        models = models.with_loras(_weighted(order.loras), on_t2v=order.loras_on_t2v)
        models = models.with_embeddings(Path(path) for path in order.embeddings)
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
        return self._kept[1] if self._kept and self._kept[0] == _sources(order) else None

    def _load(self, order: Sample) -> Models:
        self._loads_before, self._kept = self.loads, None  # the old pair goes before the new one comes
        sources = _sources(order)
        models = load_models(**sources, device=self.device, dtype=self._dtype)
        self._kept = (sources, models)
        return models


def _sources(order: Sample) -> dict[str, Any]:
    """The arguments of `load_models` that tell one pair of models from another."""
    return {
        "t2i": Path(order.t2i),
        "t2v": Path(order.t2v),
        "vae": _path(order.vae),
        "prediction_type": order.prediction_type,
        "t2v_loras": _weighted(order.t2v_loras),
        "t2v_text": _path(order.t2v_text),
        "t2v_schedule": order.t2v_schedule,
    }


def _path(text: str | None) -> Path | None:
    return None if text is None else Path(text)


def _weighted(loras: tuple[Lora, ...]) -> tuple[tuple[Path, float], ...]:
    return tuple((Path(lora.path), lora.weight) for lora in loras)


def _clause(error: Exception) -> str:
    return str(error).rstrip(".")
