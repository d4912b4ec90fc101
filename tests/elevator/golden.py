"""The recorded trajectories in tests/golden: their models, settings and tensors."""

from __future__ import annotations

import json
from collections.abc import Generator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from safetensors.torch import load_file
from torch import Tensor

from elevator.denoiser import Denoiser
from elevator.models import Models
from elevator.networks import load_models
from elevator.plan import LowPass, Plan
from elevator.stages import Unit

FOLDER = Path(__file__).parent.parent / "golden"
TOLERANCE = 1e-4


@dataclass(frozen=True, eq=False)
class Case:
    """One recorded run of the published sampler."""

    name: str
    settings: dict[str, Any]
    tensors: dict[str, Tensor]

    @property
    def plan(self) -> Plan:
        return Plan(
            steps=self.settings["steps"],
            refine=tuple(self.settings["stable_steps"]),
            refine_steps=self.settings["stable_num"],
            alpha=self.settings["alpha"],
            guidance=self.settings["guidance"],
            video_guidance=self.settings["video_guidance"],
            lowpass=LowPass(**self.settings["lpff"]),
        )


@cache
def case(name: str) -> Case:
    settings = json.loads((FOLDER / "cases" / f"{name}.json").read_text())
    return Case(name, settings, load_file(FOLDER / "cases" / f"{name}.safetensors"))


@cache
def models(t2v: str) -> Models:
    """The tiny random models of a case; ``t2v`` is zeroscope or animatediff."""
    return load_models(FOLDER / "t2i", FOLDER / t2v)


def relative_error(x: Tensor, reference: Tensor) -> float:
    """‖x − ref‖ / ‖ref‖."""
    return float((x - reference).norm() / reference.norm())


def denoisers(of: Case) -> tuple[Denoiser, Denoiser]:
    """T2I and T2V of a case, with its recorded embeddings and timesteps."""
    pair, plan, tensors = models(of.settings["t2v"]), of.plan, of.tensors
    t2i_text, t2v_text = tensors["prompt_embeds"], tensors["prompt_embeds_t2v"]
    t2i_schedule = pair.t2i_schedule.with_timesteps(tuple(tensors["t2i_timesteps"].tolist()))
    t2v_schedule = pair.t2v_schedule.with_timesteps(tuple(tensors["t2v_timesteps"].tolist()))
    return (
        Denoiser("T2I", pair.t2i, t2i_schedule, t2i_text[:1], t2i_text[1:], plan.guidance),
        Denoiser("T2V", pair.t2v, t2v_schedule, t2v_text[:1], t2v_text[1:], plan.video_guidance),
    )


def drain(units: Generator[Unit, None, Tensor]) -> tuple[list[Unit], Tensor]:
    """All units of a chain, and its result."""
    seen: list[Unit] = []
    while True:
        try:
            seen.append(next(units))
        except StopIteration as end:
            return seen, end.value
