"""What chunks save: `python -m tests.benchmarks.activations`, in the backend's environment.

One guided call of Stable Diffusion 1.5's UNet with random weights, 512 × 512, 16 frames, whole and in chunks, each in a
process of its own: the greatest memory that the call adds to what the process had, and its time. The promise: chunks
of 4 take at most a third.
"""

from __future__ import annotations

import os
import resource
import time
from functools import partial

import torch

from elevator.chain.cross_frame import ClipAttention, Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.schedule import Schedule
from elevator.models.pair import InflatedT2I
from elevator.spans import chunks
from elevator.steps import result
from tests.benchmarks.call_shapes import image_unet
from tests.benchmarks.full_size import alone
from tests.benchmarks.options import no_options

FRAMES, PIXELS = 16, 512


def guided(frames: int, pixels: int, chunk: int | None) -> tuple[int, float]:
    """Bytes that a guided call adds to the process's greatest memory, and seconds."""
    unet = image_unet()
    unet.set_attn_processor(ClipAttention())
    t2i = Denoiser(
        "T2I",
        InflatedT2I(unet),
        Schedule.of("stable_diffusion").with_steps(2),
        Text(torch.zeros(2, 1, 77, 768)),
        7.5,
        partial(chunks, size=chunk),
    )
    result(t2i.guided(torch.randn(1, 4, 8, 8), 500))  # compiles kernels and makes the text's keys
    before, began = _peak(), time.perf_counter()
    result(t2i.guided(torch.randn(frames, 4, pixels // 8, pixels // 8), 500))
    return _peak() - before, time.perf_counter() - began


def _peak() -> int:
    """Greatest resident memory of this process so far, bytes; Linux counts kilobytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main() -> None:
    print(f"load before {os.getloadavg()[0]:.1f}, {torch.get_num_threads()} threads")
    whole, seconds = alone(guided, FRAMES, PIXELS, None)
    print(f"whole        {whole / 1e9:5.2f} GB   {seconds:5.1f} s", flush=True)
    for chunk in (4, 2):
        held, seconds = alone(guided, FRAMES, PIXELS, chunk)
        print(f"chunks of {chunk}  {held / 1e9:5.2f} GB   {seconds:5.1f} s   {held / whole:.2f} of it", flush=True)


if __name__ == "__main__":
    no_options(__doc__)
    main()
