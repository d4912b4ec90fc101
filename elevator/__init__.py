"""VideoElevator (arXiv 2403.05438): a text-to-video model moves, a text-to-image model paints.

    models = load_models(Sources.of(t2i, t2v, loras=[(path, 0.8)]))
    for step in elevate(models, prompt="…", plan=Plan(), frames=16, height=512, width=512, seed=1):
        if step.frame: number, pixels = step.frame

`VideoElevatorPipeline` is the same with diffusers' call conventions, and `python -m elevator` in a terminal.

Names are imported on first use, so that `Plan`, the errors and `vocabulary` work in a process that must
not import torch.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cost.estimating import Estimate, estimate
    from .cost.shapes import load_shapes
    from .errors import ElevatorError, LoraError, ModelError, NumericsError, OutOfMemory, PlanError, RequestError
    from .models.loading import load_models
    from .models.pair import Models
    from .pipeline import VideoElevatorPipeline
    from .plan import LowPass, Plan
    from .presets import Preset, presets_for
    from .sampler import Step, elevate
    from .sources import Lora, Sources
    from .vocabulary import known_words, unknown_words

__all__ = [
    "ElevatorError",
    "Estimate",
    "Lora",
    "LoraError",
    "LowPass",
    "ModelError",
    "Models",
    "NumericsError",
    "OutOfMemory",
    "Plan",
    "PlanError",
    "Preset",
    "RequestError",
    "Sources",
    "Step",
    "VideoElevatorPipeline",
    "elevate",
    "estimate",
    "known_words",
    "load_models",
    "load_shapes",
    "presets_for",
    "unknown_words",
]

_HOMES = {
    "cost.estimating": ("Estimate", "estimate"),
    "errors": (
        "ElevatorError",
        "LoraError",
        "ModelError",
        "NumericsError",
        "OutOfMemory",
        "PlanError",
        "RequestError",
    ),
    "models.loading": ("load_models",),
    "models.pair": ("Models",),
    "pipeline": ("VideoElevatorPipeline",),
    "plan": ("LowPass", "Plan"),
    "presets": ("Preset", "presets_for"),
    "sampler": ("Step", "elevate"),
    "sources": ("Lora", "Sources"),
    "cost.shapes": ("load_shapes",),
    "vocabulary": ("known_words", "unknown_words"),
}


def __getattr__(name: str) -> Any:
    """Import a public name's module when the name is first asked for (PEP 562)."""
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(f".{home}", __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
