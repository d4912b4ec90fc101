"""Whether the sampler equals recorded trajectories: `python -m tests.parity --models DIR --cases DIR`.

Runs every case of a folder (NAME.json with settings, NAME.safetensors with tensors) on the models of another
(t2i/, zeroscope/, animatediff/, lavie/), compares the result and every recorded stage, and prints one line a case:
name, greatest relative error ‖x − ref‖ / ‖ref‖, ok or FAIL. Exit code 1 if one fails, 2 if there is no case.
tests/golden/README.md says what a case holds.
"""

from __future__ import annotations

import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import Literal

import msgspec
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from elevator import ElevatorError, LowPass, Models, Plan, Sources, load_models
from elevator.arguments import ArgumentParser, until_unread
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.frequency import lowpass, mask
from elevator.chain.noise import mix
from elevator.chain.schedule import Schedule
from elevator.chain.stages import Unit
from elevator.steps import relay, result

TOLERANCE = 1e-4
T2VS = {"zeroscope": "zeroscope", "animatediff": "animatediff", "lavie": "lavie/lavie_base.safetensors"}
SCHEDULES = {"scaled_linear": "stable_diffusion", "linear": "lavie", "lcm-linear": "lcm"}
"""The recordings' names of T2V schedules, and ours."""
PIXELS = 8
"""Pixels to a side of one position of the latents, of all models of recordings."""


class CaseError(Exception):
    """A case is not what tests/golden/README.md describes; says where."""


class LowPassSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`lpff` in NAME.json."""

    method: Literal["gaussian", "butterworth", "ideal", "box"]
    d_s: float
    d_t: float
    n: int | None = None

    def __post_init__(self) -> None:
        if self.method == "butterworth" and self.n is None:
            raise ValueError("butterworth needs its order `n`")


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """NAME.json."""

    t2v: Literal["zeroscope", "animatediff", "lavie"]
    frames: int
    size: tuple[int, int]
    steps: int
    stable_steps: tuple[int, ...]
    stable_num: int
    alpha: float
    lpff: LowPassSettings
    guidance: float
    video_guidance: float
    t2v_schedule: Literal["scaled_linear", "linear", "lcm-linear"]
    anchor_fix: bool
    prompt: str = ""
    negative: str = ""
    seed: int | None = None

    def __post_init__(self) -> None:
        if not self.anchor_fix:
            raise ValueError("`anchor_fix` is false: the sampler has every frame attend to frame 0 while inverting")


@dataclass(frozen=True, eq=False)
class Case:
    """One recorded run of the published sampler."""

    name: str
    settings: Settings
    tensors: Mapping[str, Tensor]

    @property
    def plan(self) -> Plan:
        settings, lpff = self.settings, self.settings.lpff
        return Plan(
            steps=settings.steps,
            refine=settings.stable_steps,
            refine_steps=settings.stable_num,
            alpha=settings.alpha,
            guidance=settings.guidance,
            video_guidance=settings.video_guidance,
            lowpass=LowPass(lpff.method, lpff.d_s, lpff.d_t, lpff.n or LowPass.order),
        )

    def tensor(self, key: str) -> Tensor:
        if key not in self.tensors:
            raise CaseError(f"{self.name}.safetensors holds no {key}.")
        return self.tensors[key]

    def noise(self, purpose: str, n: int, k: int = 0) -> Tensor:
        """What the recording drew for the n-th refinement; the draws inside LCM steps are counted through."""
        assert purpose == "refine", purpose
        return self.tensor(f"noise_refine_{n}" if k == 0 else f"noise_lcm_{n * self.plan.refine_steps + k - 1}")


def read_case(folder: Path, name: str, device: str = "cpu") -> Case:
    """Raises CaseError and OSError."""
    try:
        settings = msgspec.json.decode((folder / f"{name}.json").read_bytes(), type=Settings)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise CaseError(f"{name}.json: {error}.") from error
    try:
        tensors = load_file(folder / f"{name}.safetensors", device=device)
    except SafetensorError as error:
        raise CaseError(f"{name}.safetensors: {error}.") from error
    case = Case(name, settings, tensors)
    says = (settings.frames, *(pixels // PIXELS for pixels in settings.size))
    frames, _, *latent_size = case.tensor("noise_residual").shape
    if says != (frames, *latent_size):
        raise CaseError(f"{name}.json: `frames` and `size` are not those of noise_residual.")
    return case


@lru_cache(maxsize=4)
def recorded_models(folder: Path, t2v: str, device: str = "cpu") -> Models:
    """The models of the cases that name this T2V."""
    return load_models(Sources.of(folder / "t2i", folder / T2VS[t2v]), device=device)


def denoisers(case: Case, models: Models) -> tuple[Denoiser, Denoiser]:
    """T2I and T2V of a case, with its recorded embeddings and timesteps."""
    plan = case.plan
    t2i_text, t2v_text = case.tensor("prompt_embeds"), case.tensor("prompt_embeds_t2v")
    t2v_schedule = Schedule.of(SCHEDULES[case.settings.t2v_schedule])
    t2i_schedule = models.t2i_schedule.with_timesteps(tuple(case.tensor("t2i_timesteps").tolist()))
    t2v_schedule = t2v_schedule.with_timesteps(tuple(case.tensor("t2v_timesteps").tolist()))
    return (
        Denoiser("T2I", models.t2i, t2i_schedule, Text(t2i_text[:, None]), plan.guidance),
        Denoiser("T2V", models.t2v, t2v_schedule, Text(t2v_text[:, None]), plan.video_guidance),
    )


def drain(units: Generator[Unit, None, Tensor]) -> tuple[list[Unit], Tensor]:
    """All units of a chain, and its result."""
    seen: list[Unit] = []
    return seen, result(relay(units, seen.append))


def relative_error(x: Tensor, reference: Tensor) -> float:
    """‖x − ref‖ / ‖ref‖."""
    return float((x - reference).norm() / reference.norm())


def stages(case: Case, models: Models) -> dict[str, Tensor]:
    """Run a case; every stage that recordings hold, under their names."""
    plan = case.plan
    z = mix(case.tensor("noise_base"), case.tensor("noise_residual"), plan.alpha)
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
    """Relative error of every stage of a case; infinite for one that is missing here or there."""
    found = stages(case, models)
    recorded = {key for key in case.tensors if key.startswith(("latents", "refined_", "inverted_", "lpff_"))}
    same = {key for key in found.keys() & recorded if found[key].shape == case.tensors[key].shape}
    compared = {key: relative_error(found[key], case.tensors[key]) for key in same}
    return compared | dict.fromkeys((found.keys() | recorded) - same, float("inf"))


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
            models = recorded_models(options.models, case.settings.t2v, options.device)
            error, note = max(errors(case, models).values()), ""
        except (CaseError, ElevatorError, OSError) as problem:
            error, note = float("inf"), f"  {problem}"
        ok = error <= TOLERANCE  # NaN is not
        failed += not ok
        print(f"{name:24} {error:8.1e}  {'ok' if ok else 'FAIL'}{note}", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.backends.cudnn.allow_tf32 = False  # its 10 bits of mantissa alone are an error of 1e-3
    sys.exit(until_unread(main))
