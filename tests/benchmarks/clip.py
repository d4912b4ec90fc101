"""How long one elevated clip takes: `python -m tests.benchmarks.clip`, in the backend's environment.

Prints, for each video model, seconds for 16 frames with two threads, and how much of them the video model alone and
a clip without refining take, beside the load that the machine had before.
The promise: 25 s on two cores that do nothing else.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

import torch

from elevator import Models, Sources, load_models
from elevator.embedded.training.clips import ClipKind, sample
from elevator.embedded.training.prompts import read_prompts
from tests.benchmarks.options import no_options

WEIGHTS = Path(__file__).resolve().parents[2] / "elevator" / "embedded" / "weights"


def seconds(models: Models, kind: ClipKind) -> float:
    """One clip of the first prompt."""
    began = time.perf_counter()
    sample(models, kind, read_prompts()[0])
    return time.perf_counter() - began


def main() -> None:
    """Time each way of making a clip once, after one clip that warms up."""
    load = os.getloadavg()[0]
    torch.set_num_threads(2)
    print(f"load before {load:.1f}")
    for t2v in ("zeroscope", "animatediff"):
        models = load_models(Sources.of(WEIGHTS / "t2i", WEIGHTS / t2v))
        seconds(models, ClipKind("warm-up", t2v, frames=1))
        whole = seconds(models, ClipKind("elevated", t2v))
        alone = seconds(models, ClipKind("alone", t2v, alone=True))
        plain = seconds(models, ClipKind("unrefined", t2v, refine=False))
        print(f"{t2v:12s} elevated {whole:5.1f} s   alone {alone / whole:4.0%}   without refining {plain / whole:4.0%}")


if __name__ == "__main__":
    no_options(__doc__)
    main()
