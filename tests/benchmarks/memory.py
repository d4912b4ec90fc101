"""How well memory is foreseen: `python -m tests.benchmarks.memory`, in the backend's environment.

Writes random weights under the names and shapes of the real files (float16, in a temporary folder), estimates what a
clip takes from their headers, and makes the clip in a process of its own: one guided call of the T2I, one of the T2V,
and the decoding. Prints a line a clip: seconds for the estimate, the memory that it says, the greatest memory that the
process had, and how far the first is from the second. The promise: within 20 %.
"""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch

from elevator import Plan, Sources, elevate, load_models
from elevator.cost.estimating import Estimate, estimate
from elevator.cost.shapes import load_shapes
from tests.benchmarks.full_size import CASES, Case, alone
from tests.benchmarks.options import no_options
from tests.true_shapes.random_weights import write

PLAN = Plan(steps=1, refine=(1,), refine_steps=1)
THREADS = 2


@dataclass(frozen=True)
class Clip:
    """Frames and pixels."""

    frames: int
    height: int
    width: int

    def __str__(self) -> str:
        return f"{self.width} × {self.height} × {self.frames}"


SMALL, MIDDLE, LARGE = Clip(2, 64, 64), Clip(4, 256, 256), Clip(4, 512, 512)
SIZES = {
    "sd1.safetensors + motion_v2.ckpt": (SMALL, MIDDLE, LARGE),
    "sd1.safetensors + lavie.pt": (SMALL, MIDDLE),
    "sd2.safetensors + zeroscope": (SMALL, MIDDLE),
}
"""Clips by the names of a case; one small clip of all others."""


def foreseen(case: Case, folder: Path, clip: Clip) -> Estimate:
    """The estimate, from headers and configs alone."""
    loras = [(folder / case.t2v_lora, 0.8)] if case.t2v_lora else []
    shapes = load_shapes(
        Sources.of(
            folder / case.t2i,
            folder / case.t2v,
            t2v_loras=loras,
            loras=[(folder / case.lora, 1.0)] if case.lora else [],
        ),
        case.dtype,
    )
    return estimate(PLAN, shapes, frames=clip.frames, height=clip.height, width=clip.width)


def measured(case: Case, folder: Path, clip: Clip) -> int:
    """The greatest resident memory of this process once it has made the clip, bytes; mapped files count."""
    import resource  # not on Windows; on Linux it counts kilobytes

    torch.set_num_threads(THREADS)
    loras = [(folder / case.t2v_lora, 0.8)] if case.t2v_lora else []
    models = load_models(Sources.of(folder / case.t2i, folder / case.t2v, t2v_loras=loras), dtype=case.dtype)
    if case.lora:
        models = models.with_loras([(folder / case.lora, 1.0)])
    steps = elevate(models, prompt="a cat", plan=PLAN, seed=0, frames=clip.frames, height=clip.height, width=clip.width)
    for _ in steps:
        pass
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    print(f"load before {os.getloadavg()[0]:.1f}, {THREADS} threads")
    for case in CASES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            for name in case.names:
                alone(write, Path(name).stem, folder / name)
            for clip in SIZES.get(" + ".join(case.names), (SMALL,)):
                began = time.perf_counter()
                said = foreseen(case, folder, clip)
                seconds, peak = time.perf_counter() - began, alone(measured, case, folder, clip)
                print(
                    f"{case!s:66s} {clip!s:15s} {seconds:5.1f} s   {said.peak / 1e9:5.2f} GB   {peak / 1e9:5.2f} GB"
                    f"   {said.peak / peak - 1:+4.0%}",
                    flush=True,
                )


if __name__ == "__main__":
    no_options(__doc__)
    main()
