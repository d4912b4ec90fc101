"""What presets cost at true size: `python -m tests.benchmarks.sampler [--t2v NAME …] [--device cuda]`.

Times each distinct call (256 × 256, 8 frames; median of 3) on networks of the true sizes with random weights, and
multiplies by the counted calls of each preset; beside it the arithmetic, and the share of this machine's rate in matrix
products. The published call pattern (`tests/published.py`) comes first. Checks the method: the sum of the timed calls
against one whole run of the preset `fast` at 128 × 128, 4 frames, which must agree within 15 %.

On a GPU the networks run in half precision and channels-last, compiled if `--compile` is given.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from elevator.arguments import ArgumentParser
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import ClipAttention, Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.schedule import Schedule
from elevator.cost.estimating import measure
from elevator.models.pair import T2V, InflatedT2I
from elevator.plan import Plan
from elevator.presets import presets_for
from tests.benchmarks.call_shapes import (
    NETWORKS,
    WIDTHS,
    image_calls,
    image_unet,
    our_counts,
    published_counts,
    total,
    video_calls,
    video_unet,
)

CHECK = "fast"
"""The preset that is run whole."""


def channels_last(network: torch.nn.Module) -> None:
    """Lay the weights of 2-D and 3-D convolutions out channels-last; ZeroScope has both, which one `to` refuses."""
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in network.parameters():
        if weight.ndim in formats:
            weight.data = weight.data.contiguous(memory_format=formats[weight.ndim])


class Bench:
    """One machine's networks and rates."""

    def __init__(self, device: str, compiled: bool) -> None:
        self.device, self.compiled = torch.device(device), compiled
        self.dtype = torch.float16 if self.device.type == "cuda" else torch.float32

    def network(self, make: Callable[[], Any]) -> Any:
        """A network on the device."""
        unet = torch.nn.Module.to(make(), self.device, self.dtype)  # diffusers' own logs a warning
        if self.device.type == "cuda":
            channels_last(unet)
        if self.compiled:
            unet.compile()
        return unet

    def seconds(self, call: Callable[[], Any], repeats: int = 3) -> float:
        """Median time of a call, after one that warms up."""
        times = []
        with torch.inference_mode():
            for _ in range(repeats + 1):
                self._wait()
                began = time.perf_counter()
                call()
                self._wait()
                times.append(time.perf_counter() - began)
        return statistics.median(times[1:])

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)

    def matmul_rate(self) -> float:
        """FLOP a second in products of square matrices."""
        size = 8192 if self.device.type == "cuda" else 2048
        a, b = (torch.randn(size, size, device=self.device, dtype=self.dtype) for _ in range(2))
        return 2 * size**3 / self.seconds(lambda: a @ b)

    def peak(self) -> float:
        """Greatest memory so far, GB: the process's, or the device's."""
        if self.device.type == "cuda":
            return torch.cuda.max_memory_allocated(self.device) / 1e9
        import resource  # not on Windows; on Linux it counts kilobytes

        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def flops(network: str, frames: int, pixels: int) -> dict[str, float]:
    """FLOP of each kind of call."""
    with FakeTensorMode():
        found = {name: float(measure(call).flops) for name, call in image_calls(image_unet(), frames, pixels)}
        video = video_calls(video_unet(network), network, frames, pixels)
        return found | {name: float(measure(call).flops) for name, call in video}


def timed(bench: Bench, calls: Iterator[tuple[str, Callable[[], Tensor]]]) -> dict[str, float]:
    """Seconds of each kind of call."""
    return {name: bench.seconds(call) for name, call in calls}


def whole_run(bench: Bench, plan: Plan, unet: Any, video: Any, network: str, frames: int, pixels: int) -> float:
    """Seconds of a chain from noise to latents."""
    unet.set_attn_processor(ClipAttention())
    schedule = Schedule.of("stable_diffusion").with_steps(plan.steps)

    def denoiser(name: str, net: Any, width: int, guidance: float) -> Denoiser:
        text = torch.zeros(2, 1, 77, width, device=bench.device, dtype=bench.dtype)
        return Denoiser(name, net, schedule, Text(text), guidance)

    t2i = denoiser("T2I", InflatedT2I(unet), 768, plan.guidance)
    t2v = denoiser("T2V", T2V(video, network == "animatediff"), WIDTHS[network], plan.video_guidance)
    noise = torch.randn(frames, 4, pixels // 8, pixels // 8, device=bench.device)
    bench._wait()
    began = time.perf_counter()
    for _ in chain(t2i, t2v, plan, noise, lambda *_: noise):
        pass
    bench._wait()
    return time.perf_counter() - began


def agrees(bench: Bench, kind: str, unet: Any, video: Any) -> bool:
    """Whether the sum of timed calls is the time of a whole run, at 128 × 128 and 4 frames; prints both."""
    network, plan = NETWORKS[kind], presets_for(kind)[CHECK].plan
    small = timed(bench, image_calls(unet, 4, 128)) | timed(bench, video_calls(video, network, 4, 128))
    expected = total(our_counts(plan), small)
    taken = whole_run(bench, plan, unet, video, network, 4, 128)
    within = abs(expected / taken - 1) <= 0.15
    print(
        f"\n{kind}: {CHECK} whole at 128 × 128, 4 frames: {taken:.1f} s, the sum of its calls {expected:.1f} s"
        f" ({expected / taken - 1:+.1%}, {'within' if within else 'NOT within'} 15 %);"
        f" peak memory {bench.peak():.1f} GB",
        flush=True,
    )
    return within


def report(bench: Bench, kind: str, image_seconds: dict[str, float], video: Any, rate: float) -> None:
    """Print a T2V's presets. `image_seconds`: of each of the T2I's calls, which all T2Vs share."""
    network, presets = NETWORKS[kind], presets_for(kind)
    seconds = image_seconds | timed(bench, video_calls(video, network, 8, 256))
    work = flops(network, 8, 256)
    published = published_counts(presets["published"].plan)
    print(f"{kind}, 256 × 256, 8 frames; ratios to the published call pattern")
    rows = [("(published calls)", published)] + [(name, our_counts(preset.plan)) for name, preset in presets.items()]
    base_flops, base_seconds = total(published, work), total(published, seconds)
    for name, counts in rows:
        own_flops, own_seconds = total(counts, work), total(counts, seconds)
        print(
            f"{name:18s} {sum(counts.values()):4d} calls {own_flops / 1e12:7.1f} TFLOP ({own_flops / base_flops:.3f})"
            f" {own_seconds:7.1f} s ({own_seconds / base_seconds:.3f}), {own_flops / own_seconds / rate:.0%} of matmul"
        )


def main() -> int:
    parser = ArgumentParser(prog="python -m tests.benchmarks.sampler", description=__doc__)
    parser.add_argument("--t2v", nargs="+", choices=NETWORKS, default=list(NETWORKS))
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--compile", action="store_true", help="compile the networks with torch.compile")
    parser.add_argument("--check-only", action="store_true", help="compare the sum of calls with a whole run only")
    options = parser.parse_args()
    bench = Bench(options.device, options.compile)
    rate = bench.matmul_rate()
    threads = f"{torch.get_num_threads()} threads, load before {os.getloadavg()[0]:.1f}"
    print(f"{options.device}, {bench.dtype}, {threads}; matrix products run at {rate / 1e9:.0f} GFLOP/s")
    agreed = True
    unet = bench.network(image_unet)
    image_seconds = {} if options.check_only else timed(bench, image_calls(unet, 8, 256))
    for kind in options.t2v:
        video = bench.network(partial(video_unet, NETWORKS[kind]))
        agreed = agrees(bench, kind, unet, video) and agreed
        if not options.check_only:
            report(bench, kind, image_seconds, video, rate)
    return 0 if agreed else 1


if __name__ == "__main__":
    sys.exit(main())
