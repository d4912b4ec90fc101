"""Speed: the card's own ceiling, every kind of call in four ways, whole clips, and what takes the time."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile

from elevator import Models, elevate
from elevator.chain.cross_frame import Call, Text
from elevator.cost.estimating import measure
from elevator.models.compiled import compile_layers
from elevator.models.decoding import Decoder, decoded
from elevator.models.pair import T2V, InflatedT2I
from elevator.plan import Plan
from elevator.presets import presets_for
from tests.benchmarks.call_shapes import our_counts, total
from tests.benchmarks.sampler import channels_last
from tests.gpu.card import Card, Took
from tests.gpu.memory import precision
from tests.gpu.networks import PAIRS, image_unet, image_vae, pair, video_unet
from tests.gpu.parts import Check, Finding, Setting

GOAL = 0.45
"""Share of the ceiling while sampling."""
SECONDS = {("zeroscope", "published"): 20.0, ("zeroscope", "fast"): 5.0}
"""Goals for whole clips on an H100."""
SHORT = Plan(steps=1, refine=(1,), refine_steps=1)
"""The whole clip of the miniature."""
COMPILING = 75.0
"""Seconds that must be left for a network to be compiled."""


@dataclass(frozen=True)
class Kind:
    """A kind of network call."""

    name: str
    """As `our_counts` counts it."""
    network: str
    """`t2i`, or a T2V of PAIRS."""
    prompts: int
    frames: int

    def __str__(self) -> str:
        return f"{self.network} {self.name}, {self.frames} frames"


class Bench:
    """What all checks of this part share: the ceiling, one T2I, and the times of all calls."""

    def __init__(self, setting: Setting) -> None:
        self.setting, self.card = setting, Card(torch.device(setting.device))
        self.dtype = precision(setting)
        self.repeats = 1 if setting.small else 3
        self.side = 64 if setting.small else 512
        self.ceiling = 0.0
        self.image = image_unet(self.card.device, self.dtype, setting.small)
        self.seconds: dict[Kind, float] = {}
        """Of calls as the networks lie now."""
        self.work: dict[str, float] = {}
        """FLOP of a frame with one prompt, by network."""
        self.decoding = 0.0

    def frames(self, kind: str) -> int:
        return 2 if self.setting.small else PAIRS[kind]

    def kinds(self, network: str) -> Iterator[Kind]:
        """Those that clips make of this network."""
        if network != "t2i":
            yield Kind("video", network, 2, self.frames(network))
            return
        for frames in sorted({self.frames(each) for each in PAIRS}):
            yield Kind("pair", "t2i", 2, frames)
            yield Kind("single", "t2i", 1, frames)

    def call(self, unet: Any, kind: Kind) -> Callable[[], Tensor]:
        """The network on random latents, as the chain calls it."""
        network = InflatedT2I(unet) if kind.network == "t2i" else T2V(unet, on_t2i=False)
        side, like = self.side // 8, next(unet.parameters())
        z = torch.randn(kind.prompts, kind.frames, 4, side, side, device=like.device).to(like.dtype)
        text = torch.randn(kind.prompts, 1, 77, unet.config.cross_attention_dim, device=like.device).to(like.dtype)
        told = Call(Text(text), slice(0, kind.prompts), slice(0, kind.frames))
        return lambda: network(z, 500, told)

    def flops(self, kind: Kind) -> int:
        """Counted once a network, on one without values; the T2I's work grows evenly with prompts and frames."""
        frames = kind.prompts * kind.frames
        if kind.network not in self.work:
            with FakeTensorMode():
                place, small = torch.device("cpu"), self.setting.small
                unet = (image_unet if kind.network == "t2i" else _video(kind.network))(place, torch.float32, small)
                self.work[kind.network] = measure(self.call(unet, kind)).flops / frames
        return round(self.work[kind.network] * frames)

    def told(self, kind: Kind, way: str, took: Took, work: int) -> Finding:
        """A call's finding; work: its FLOP."""
        share = work / took.seconds / self.ceiling
        text = f"{took.seconds * 1e3:.1f} ms, {share:.0%} of the ceiling; the first {took.first:.1f} s; "
        text += f"{took.own / 1e9:.2f} GB beside {took.held / 1e9:.2f}"
        values = {"ms": took.seconds * 1e3, "share": share, "first_s": took.first, "own_GB": took.own / 1e9}
        return Finding(f"{kind}, {way}", text, None, {**values, "TFLOP": work / 1e12})


def _video(network: str) -> Callable[[torch.device, torch.dtype, bool], Any]:
    return lambda device, dtype, small: video_unet(network, device, dtype, small)


def table(setting: Setting) -> Iterator[Finding]:
    """All of it in one check, because what comes later needs the times of what comes first."""
    bench = Bench(setting)
    yield _ceiling(bench)
    yield from _ways(bench, "t2i", bench.image)
    yield from _decoding(bench)
    kinds = ("lavie",) if setting.small else tuple(PAIRS)
    for kind in kinds:
        models = pair(kind, bench.card.device, bench.dtype, setting.small, bench.image)
        if kind != "animatediff":  # its network is AnimateLCM's
            yield from _ways(bench, kind, models.t2v.unet)
        yield from _clips(bench, kind, models)
        if kind in ("zeroscope", "animatelcm", "lavie"):
            yield _whole(bench, kind, models)
        del models
        bench.card.empty()
    yield _profile(bench, bench.call(bench.image, next(bench.kinds("t2i"))))
    yield from _compiled(bench, "t2i", bench.image)
    for kind in kinds[:1]:
        yield from _compiled(bench, kind, video_unet(kind, bench.card.device, bench.dtype, setting.small))


def _ceiling(bench: Bench) -> Finding:
    size, moved = (256, 2**20) if bench.setting.small else (8192, 2**30)
    bench.ceiling = bench.card.products(size, torch.float32 if bench.setting.small else torch.bfloat16)
    copy = bench.card.copies(moved)
    text = f"{bench.ceiling / 1e12:.3g} TFLOP/s in {size}³ products, {copy / 1e12:.3g} TB/s in copies; {bench.card}"
    return Finding(
        "ceiling", text, None, {"TFLOP_s": bench.ceiling / 1e12, "TB_s": copy / 1e12, "card": str(bench.card)}
    )


def _ways(bench: Bench, network: str, unet: Any) -> Iterator[Finding]:
    """Eager, as a CUDA graph, and both of them channels-last, as which the network stays for the clips after it."""
    kinds = list(bench.kinds(network))
    work = {kind: bench.flops(kind) for kind in kinds}
    for way in ("eager", "channels-last"):
        if way == "channels-last":
            channels_last(unet)
        for kind in kinds:
            call = bench.call(unet, kind)
            took = bench.card.took(call, bench.repeats)
            bench.seconds[kind] = took.seconds
            yield bench.told(kind, way, took, work[kind])
            if kind.name != "single" and bench.card.is_cuda:
                yield bench.told(kind, f"{way}, CUDA graph", _as_graph(bench.card, call), work[kind])


def _as_graph(card: Card, call: Callable[[], Tensor]) -> Took:
    """A call captured once and played again: what is left without the processor's part."""
    card.empty()
    held, began = card.held, time.perf_counter()
    torch.cuda.reset_peak_memory_stats(card.device)
    with torch.inference_mode():
        stream = torch.cuda.Stream(card.device)
        stream.wait_stream(torch.cuda.current_stream(card.device))
        with torch.cuda.stream(stream):
            for _ in range(2):
                call()
        torch.cuda.current_stream(card.device).wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            output = call()
    card.wait()
    first = time.perf_counter() - began
    took = statistics.median(card.seconds(graph.replay) for _ in range(4))
    peak = torch.cuda.max_memory_allocated(card.device)
    del graph, output
    card.empty()
    return Took(first, took, peak, held)


def _compiled(bench: Bench, network: str, unet: Any) -> Iterator[Finding]:
    """Layers compiled for the shapes of guided calls."""
    if not bench.setting.small and bench.setting.left < COMPILING:
        yield Finding(f"{network}, compiled", f"not tried: {bench.setting.left:.0f} s were left")
        return
    kind = next(bench.kinds(network))
    layers = compile_layers(unet, "eager" if bench.setting.small else "inductor")
    call = bench.call(unet, kind)
    took = bench.card.took(call, bench.repeats)
    told = bench.told(kind, f"{layers} layers compiled", took, bench.flops(kind))
    yield told
    if bench.card.is_cuda:
        yield bench.told(kind, "compiled, CUDA graph", _as_graph(bench.card, call), bench.flops(kind))


def _decoding(bench: Bench) -> Iterator[Finding]:
    """A frame, as the product decodes it and in other ways, the last of them with weights in half precision too."""
    side = bench.side // 8
    vae = image_vae(bench.card.device, bench.setting.small)
    z = torch.randn(4, side, side, device=bench.card.device)
    times = {}
    for way, half in (("float32", False), ("float16 by autocast", bench.card.is_cuda)):
        decoder = Decoder(vae, half)
        took = bench.card.took(partial(_frame, decoder, z), bench.repeats)
        times[way] = took.seconds
        text = f"{took.seconds * 1e3:.1f} ms, the first {took.first:.2f} s, {took.own / 1e9:.2f} GB"
        if half and not decoder.half:
            text += "; the numbers were too large, and it was float32 after all"
        yield Finding(f"decoding, {way}", text, None, {"ms": took.seconds * 1e3, "own_GB": took.own / 1e9})
    bench.decoding = times["float16 by autocast"]
    if bench.card.is_cuda:
        nn.Module.to(vae, torch.float16)
        channels_last(vae)
        took = bench.card.took(lambda: decoded(vae, z[None].half(), None))
        text = f"{took.seconds * 1e3:.1f} ms, the first {took.first:.2f} s, {took.own / 1e9:.2f} GB"
        yield Finding("decoding, float16 and channels-last throughout", text, None, {"ms": took.seconds * 1e3})


def _frame(decoder: Decoder, latents: Tensor) -> Any:
    return decoder.begin(latents)()


def _sum(bench: Bench, kind: str, plan: Plan) -> tuple[float, float]:
    """Seconds of the networks for a clip, and of the decoding."""
    frames = bench.frames(kind)
    network = "animatelcm" if kind == "animatediff" else kind
    costs = {
        each.name: seconds for each, seconds in bench.seconds.items() if each.network == "t2i" and each.frames == frames
    }
    costs["video"] = bench.seconds[Kind("video", network, 2, frames)]
    return total(our_counts(plan), costs), frames * bench.decoding


def _clips(bench: Bench, kind: str, models: Models) -> Iterator[Finding]:
    """Whole clips of every preset: the sum of their calls and frames."""
    for name, preset in models.presets.items():
        networks, decoding = _sum(bench, kind, preset.plan)
        goal = None if bench.setting.small else SECONDS.get((kind, name))
        text = f"{networks + decoding:.2f} s, {decoding:.2f} of them decoding" + (
            f" (goal: {goal:.0f} s)" if goal else ""
        )
        ok = None if goal is None else networks + decoding <= goal
        yield Finding(f"{kind} {name}, {bench.frames(kind)} frames, summed", text, ok, {"seconds": networks + decoding})


def _whole(bench: Bench, kind: str, models: Models) -> Finding:
    """`fast` from the prompt to the last frame, against its sum."""
    plan = SHORT if bench.setting.small else presets_for(kind)["fast"].plan
    networks, decoding = _sum(bench, kind, plan)
    asked: dict[str, Any] = {
        "frames": bench.frames(kind),
        "height": bench.side,
        "width": bench.side,
        "plan": plan,
        "prompt": "a fox",
    }
    seconds: dict[str, float] = {}
    began = mark = time.perf_counter()
    for step in elevate(models, seed=1, **asked):
        now = time.perf_counter()
        seconds[step.phase] = seconds.get(step.phase, 0.0) + now - mark
        mark = now
    whole = mark - began
    off, beside = (networks + decoding) / whole - 1, 1 - (networks + decoding) / whole
    ok = None if bench.setting.small else abs(off) <= 0.1
    text = f"{whole:.2f} s; the sum is {off:+.1%} of it (within 10 %), {beside:.1%} are not the networks; "
    text += ", ".join(f"{name} {took:.2f}" for name, took in seconds.items())
    return Finding(f"{kind} fast, whole", text, ok, {"seconds": whole, "off": off, "not_networks": beside})


def _profile(bench: Bench, call: Callable[[], Tensor]) -> Finding:
    """Which kernels take the time of a guided call."""
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if bench.card.is_cuda else [])]
    with torch.inference_mode():
        call()
        with profile(activities=activities) as seen:
            call()
            bench.card.wait()
    name = "self_device_time_total" if bench.card.is_cuda else "self_cpu_time_total"
    rows = sorted(seen.key_averages(), key=lambda row: -getattr(row, name))
    kernels = [
        row for row in rows if getattr(row, name) > 0 and (not bench.card.is_cuda or row.device_type.name == "CUDA")
    ]
    whole = sum(getattr(row, name) for row in kernels) or 1
    shares = {row.key[:90]: round(getattr(row, name) / whole, 3) for row in kernels[:12]}
    text = "; ".join(f"{key[:60]} {share:.0%}" for key, share in list(shares.items())[:6])
    return Finding("kernels of a guided call", text, None, {"shares": shares, "device_ms": whole / 1e3})


CHECKS: tuple[Check, ...] = (table,)
