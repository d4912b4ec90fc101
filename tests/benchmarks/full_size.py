"""Models of true size on the CPU: `python -m tests.benchmarks.full_size`, in the backend's environment.

Writes random weights under the names and shapes of the real files (float16, 20 GB in a temporary folder), loads each
pair of models in a process of its own and makes a clip of 2 frames of 64 × 64 pixels in one step: one guided call of
the T2I, one of the T2V, and the decoding. Prints a line a pair: size of its files, seconds to load, seconds for the
clip, and the greatest memory of the process.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import torch

from elevator import Plan, Sources, elevate, load_models
from tests.benchmarks.options import no_options
from tests.true_shapes.random_weights import write

Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """A pair of models and the LoRAs on them: names of files and folders, each a family of `write` and a suffix."""

    t2i: str
    t2v: str
    t2v_lora: str | None = None
    """At weight .8, as AnimateLCM's."""
    lora: str | None = None
    """On the T2I and its text encoder."""
    dtype: torch.dtype = torch.float32

    def __str__(self) -> str:
        return " + ".join((*self.names, str(self.dtype).removeprefix("torch.")))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(name for name in (self.t2i, self.t2v, self.t2v_lora, self.lora) if name)


CASES = (
    Case("sd1.safetensors", "motion_v2.ckpt"),
    Case("sd1.safetensors", "adapter_v2.safetensors"),
    Case("sd1_folder", "motion_v3.ckpt"),
    Case("sd1_folder", "adapter_v3_folder"),
    Case("sd1_folder", "motion_v3.ckpt", lora="lora_kohya.safetensors"),
    Case("sd1.safetensors", "motion_lcm.ckpt", t2v_lora="lora_lcm.safetensors"),
    Case("sd1.safetensors", "lavie.pt"),
    Case("sd2.safetensors", "zeroscope", dtype=torch.bfloat16),
    Case("sd2_folder", "zeroscope", dtype=torch.bfloat16),
)


@dataclass(frozen=True)
class Measured:
    """What a case took."""

    size: int
    """Of the files, bytes."""
    load: float
    """Seconds, without the libraries' import."""
    clip: float
    """Seconds."""
    memory: int
    """Greatest resident memory of the process, bytes; mapped files count."""
    deviation: float
    """Of the frames' pixel values, 0…255."""

    def __str__(self) -> str:
        return f"{self.size / 1e9:5.1f} GB   {self.load:5.1f} s   {self.clip:5.1f} s   {self.memory / 1e9:5.1f} GB"


def measure(case: Case, folder: Path) -> Measured:
    """Load and sample a case whose files lie in `folder`; those that are missing are written first."""
    for name in case.names:
        if not (folder / name).exists():
            alone(write, Path(name).stem, folder / name)
    return alone(_sample, case, folder)


def alone(function: Callable[..., Result], *arguments: Any) -> Result:
    """The function's result from a process of its own, which gives all memory back and has a peak of its own."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _sample(case: Case, folder: Path) -> Measured:
    import resource  # not on Windows; on Linux it counts kilobytes

    began = time.perf_counter()
    loras = [(folder / case.t2v_lora, 0.8)] if case.t2v_lora else []
    models = load_models(Sources.of(folder / case.t2i, folder / case.t2v, t2v_loras=loras), dtype=case.dtype)
    if case.lora:
        models = models.with_loras([(folder / case.lora, 1.0)])
    loaded = time.perf_counter()
    plan = Plan(steps=1, refine=(1,), refine_steps=1)
    steps = elevate(models, prompt="a cat", plan=plan, frames=2, height=64, width=64, seed=0)
    frames = [step.frame[1] for step in steps if step.frame]
    done = time.perf_counter()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    size = sum(_size(folder / name) for name in case.names)
    return Measured(size, loaded - began, done - loaded, peak, float(np.std(frames)))


def _size(path: Path) -> int:
    return sum(each.stat().st_size for each in (path.rglob("*") if path.is_dir() else [path]) if each.is_file())


def main() -> None:
    print(f"load before {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads")
    with tempfile.TemporaryDirectory() as folder:
        for case in CASES:
            print(f"{case!s:70s} {measure(case, Path(folder))}", flush=True)


if __name__ == "__main__":
    no_options(__doc__)
    main()
