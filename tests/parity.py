"""Whether the sampler equals recorded trajectories: `python -m tests.parity --models DIR --cases DIR`.

Runs every case of a folder (NAME.json with settings, NAME.safetensors with tensors) on the models of another
(t2i/, zeroscope/, animatediff/, lavie/), compares the result and every recorded stage, and prints one line a case:
name, greatest relative error ‖x − ref‖ / ‖ref‖, ok or FAIL. Exit code 1 if one fails, 2 if there is no case.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Generator
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from elevator import ElevatorError, LowPass, Models, Plan, load_models
from elevator.arguments import ArgumentParser
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.frequency import lowpass, mask
from elevator.chain.noise import mix
from elevator.chain.schedule import Schedule
from elevator.chain.stages import Unit

TOLERANCE = 1e-4
T2VS = {"zeroscope": "zeroscope", "animatediff": "animatediff", "lavie": "lavie/lavie_base.safetensors"}
SCHEDULES = {"scaled_linear": "stable_diffusion", "linear": "lavie", "lcm-linear": "lcm"}
"""The recordings' names of T2V schedules, and ours."""


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

    def noise(self, purpose: str, n: int, k: int = 0) -> Tensor:
        """What the recording drew for the n-th refinement; the draws inside LCM steps are counted through."""
        assert purpose == "refine", purpose
        return self.tensors[f"noise_refine_{n}" if k == 0 else f"noise_lcm_{n * self.plan.refine_steps + k - 1}"]


def read_case(folder: Path, name: str, device: str = "cpu") -> Case:
    settings = json.loads((folder / f"{name}.json").read_text())
    return Case(name, settings, load_file(folder / f"{name}.safetensors", device=device))


@lru_cache(maxsize=4)
def recorded_models(folder: Path, t2v: str, device: str = "cpu") -> Models:
    """The models of the cases that name this T2V."""
    return load_models(folder / "t2i", folder / T2VS[t2v], device=device)


def denoisers(case: Case, models: Models) -> tuple[Denoiser, Denoiser]:
    """T2I and T2V of a case, with its recorded embeddings and timesteps."""
    plan, tensors = case.plan, case.tensors
    t2i_text, t2v_text = tensors["prompt_embeds"], tensors["prompt_embeds_t2v"]
    t2v_schedule = Schedule.of(SCHEDULES[case.settings["t2v_schedule"]])
    t2i_schedule = models.t2i_schedule.with_timesteps(tuple(tensors["t2i_timesteps"].tolist()))
    t2v_schedule = t2v_schedule.with_timesteps(tuple(tensors["t2v_timesteps"].tolist()))
    return (
        Denoiser("T2I", models.t2i, t2i_schedule, Text(t2i_text[:, None]), plan.guidance),
        Denoiser("T2V", models.t2v, t2v_schedule, Text(t2v_text[:, None]), plan.video_guidance),
    )


def drain(units: Generator[Unit, None, Tensor]) -> tuple[list[Unit], Tensor]:
    """All units of a chain, and its result."""
    seen: list[Unit] = []
    while True:
        try:
            seen.append(next(units))
        except StopIteration as end:
            return seen, end.value


def relative_error(x: Tensor, reference: Tensor) -> float:
    """‖x − ref‖ / ‖ref‖."""
    return float((x - reference).norm() / reference.norm())


def stages(case: Case, models: Models) -> dict[str, Tensor]:
    """Run a case; every stage that recordings hold, under their names."""
    plan, tensors = case.plan, case.tensors
    z = mix(tensors["noise_base"], tensors["noise_residual"], plan.alpha)
    units, latents = drain(chain(*denoisers(case, models), plan, z, case.noise))
    found = {"latents": latents}
    seen = {"refining": 0, "inverting": 0}
    last: Unit | None = None
    for phase, group in groupby(units, key=lambda unit: unit.phase):
        before, last = last, list(group)[-1]
        if phase == "refining" and before is not None:
            found |= _filtered(plan, seen[phase], before.clean)
            found[f"refined_{seen[phase]}"] = last.clean
            seen[phase] += 1
        elif phase == "inverting":
            found[f"inverted_{seen[phase]}"] = last.latents
            seen[phase] += 1
    return found


def _filtered(plan: Plan, n: int, clean: Tensor) -> dict[str, Tensor]:
    """The n-th refinement's input and output of the low-pass, (1, C, F, h, w) as recorded; the last has none."""
    if n == len(plan.refine) - 1:
        return {}
    gain = mask(plan.lowpass, clean.shape[0], *clean.shape[2:])
    return {f"lpff_{side}_{n}": x.transpose(0, 1)[None] for side, x in (("in", clean), ("out", lowpass(clean, gain)))}


def errors(case: Case, models: Models) -> dict[str, float]:
    """Relative error of every stage of a case; infinite for one that is recorded and was not reached, or not asked."""
    found = stages(case, models)
    recorded = {key for key in case.tensors if key.startswith(("latents", "refined_", "inverted_", "lpff_"))}
    compared = {key: relative_error(found[key], case.tensors[key]) for key in found.keys() & recorded}
    return compared | dict.fromkeys(found.keys() ^ recorded, float("inf"))


def main(arguments: list[str] | None = None) -> int:
    parser = ArgumentParser(prog="python -m tests.parity", description=__doc__)
    parser.add_argument("--models", type=Path, required=True, help="folder of t2i/, zeroscope/, animatediff/, lavie/")
    parser.add_argument("--cases", type=Path, required=True, help="folder of NAME.json and NAME.safetensors")
    parser.add_argument("--device", default="cpu", help="where to sample: cpu, cuda (default: cpu)")
    options = parser.parse_args(arguments)
    names = [file.stem for file in sorted(options.cases.glob("*.json")) if file.with_suffix(".safetensors").is_file()]
    if not names:
        print(f"{options.cases} holds no cases; name a folder of NAME.json and NAME.safetensors.", file=sys.stderr)
        return 2
    failed = 0
    for name in names:
        try:
            case = read_case(options.cases, name, options.device)
            models = recorded_models(options.models, case.settings["t2v"], options.device)
            error, note = max(errors(case, models).values()), ""
        except (ElevatorError, OSError, KeyError, TypeError, ValueError) as problem:
            error, note = float("inf"), f"  {type(problem).__name__}: {problem}"
        ok = error <= TOLERANCE  # NaN is not
        failed += not ok
        print(f"{name:24} {error:8.1e}  {'ok' if ok else 'FAIL'}{note}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # its 10 bits of mantissa alone are an error of 1e-3
    sys.exit(main())
