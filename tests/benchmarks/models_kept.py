"""What it costs to change LoRAs and models between jobs, and what a job takes beside sampling, in one process.

`python -m tests.benchmarks.models_kept` prints a table. The job is the style plain's: 16 frames of 64 × 64.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

from backend.styles.catalogue import read_catalogue
from backend.worker.maker import Advance, Extra
from backend.worker.sampling import SamplingMaker
from elevator import Plan
from tests.backend.clip_orders import WEIGHTS, lora, order
from tests.benchmarks.options import no_options

ROUNDS = 3


@dataclass(frozen=True)
class Timing:
    """Seconds of one job."""

    before: float
    """Until the text is read: loading, LoRAs."""
    sampling: float
    after: float
    """From the last frame on: hashes, measures, contact sheet, record."""


def timed(maker: SamplingMaker, **fields: Any) -> Timing:
    """Run a job."""
    began = time.perf_counter()
    text = last = began
    for item in maker.make(order(**fields)):
        now = time.perf_counter()
        if isinstance(item, Advance) and item.phase == "text":
            text = now
        if isinstance(item, Advance) and item.phase == "decoding":
            last = now
        assert not isinstance(item, Extra) or item.data
    return Timing(text - began, last - text, time.perf_counter() - last)


def main() -> None:
    """Measure and print."""
    maker = SamplingMaker("cpu")
    recipe = read_catalogue().recipes["plain"]
    long: dict[str, Any] = {"frames": 16, "plan": recipe.plan}
    short: dict[str, Any] = {"frames": 1, "plan": Plan(steps=1, refine=())}
    rows = [("first job of the process", timed(maker, **long))]
    rows += [("the same again", timed(maker, **long)) for _ in range(ROUNDS)]
    for weight in (1.0, 0.5, 0.0):
        rows.append((f"a LoRA at {weight:g}", timed(maker, **short, loras=lora(weight))))
    rows.append(("another T2V, AnimateDiff", timed(maker, **short, t2v=str(WEIGHTS / "animatediff"))))
    rows.append(("the first T2V again", timed(maker, **short)))
    print("| job | until the text is read | sampling | after the last frame | share beside sampling |")
    print("|---|---|---|---|---|")
    for name, took in rows:
        share = (took.before + took.after) / (took.before + took.sampling + took.after)
        beside = f"{share:.2%}" if took.sampling > 1 else "–"
        print(f"| {name} | {took.before:.3f} s | {took.sampling:.2f} s | {took.after:.3f} s | {beside} |")


if __name__ == "__main__":
    no_options(__doc__)
    main()
