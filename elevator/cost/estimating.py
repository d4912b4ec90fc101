"""What a clip takes, before anything is loaded: memory, network calls, arithmetic.

The sampler's own denoisers are run once for each kind of call on shapes alone (`elevator.cost.shapes`).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from ..calls import Calls, calls_of
from ..chain.cross_frame import DeepFeatures, Text
from ..chain.denoiser import Denoiser
from ..models.decoding import decoded
from ..models.offload import Offloader
from ..models.pair import Models
from ..plan import Plan
from ..steps import result
from ..text import TextEncoder
from .allocations import Allocations
from .shapes import Shapes, shapes_of

PROCESS = 480_000_000
"""Bytes of Python, torch, diffusers and transformers, and of the kernels that oneDNN compiles; measured."""
LATENTS = 8
"""Clips of latents that the chain holds beside an inversion's path: noise, predictions, what a step makes of them."""


@dataclass(frozen=True)
class Cost:
    """What a piece of work takes."""

    flops: int
    """Floating-point operations; a multiplication and an addition are two."""
    memory: int
    """Bytes of tensors at most, beside those that were there before."""


NOTHING = Cost(0, 0)


@dataclass(frozen=True)
class Estimate:
    """What a clip takes on a processor; sizes in bytes."""

    weights: int
    """Of all networks."""
    loading: int
    """Files and weights at once while models load; 0: they are loaded already."""
    painting: Cost
    """A guided output of the T2I for the whole clip."""
    refining: Cost
    """A guided output of the T2V for the whole clip; nothing where the plan refines nowhere."""
    decoding: Cost
    """A frame."""
    kept: int
    """Latents and features that the chain holds from call to call."""
    calls: Calls
    flops: int
    """Of the whole clip, its prompts left out."""
    process: int = PROCESS

    @property
    def activations(self) -> int:
        """Of the kind of call that takes most."""
        return max(self.painting.memory, self.refining.memory, self.decoding.memory)

    @property
    def peak(self) -> int:
        """Most that the process holds while loading or sampling. Files mapped into memory count."""
        return self.process + max(self.loading, self.weights + self.activations + self.kept)

    def fits(self, available: int) -> bool:
        """Whether so many bytes are enough."""
        return self.peak <= available

    def __str__(self) -> str:
        return (
            f"This clip takes {self.peak / 1e9:.1f} GB of memory, {self.weights / 1e9:.1f} GB of them for weights, "
            f"{self.calls.total} network calls and {self.flops / 1e12:.3g} TFLOP."
        )


def measure(work: Callable[[], Any]) -> Cost:
    """Run `work` and count. On shapes alone this takes seconds at most, whatever their size.

    Matrix products, convolutions and attention are counted, all else is not.
    """
    attention = {torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention}
    with torch.no_grad(), Allocations() as held, FlopCounterMode(display=False, custom_mapping=attention) as counter:
        work()
    return Cost(counter.get_total_flops(), held.peak)


def _attention(query: Any, key: Any, value: Any, *_: Any, **__: Any) -> int:
    """FLOPs of the processor's fused attention by its shapes: a kernel that torch's counter leaves out."""
    count: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return count


def estimate(
    plan: Plan, models: Shapes | Models, *, frames: int, height: int, width: int, start: int = 0, chunks: int = 1
) -> Estimate:
    """What `elevate` takes for one clip, in a process that does nothing else.

    models: shapes alone, see `load_shapes`, or models that are loaded. height, width: pixels.
    start: the chain's first step, where it starts from footage. chunks: that the longer prompt takes, of 77 tokens.
    The memory is that of a processor; what other devices take beside tensors is not known here.
    """
    shapes = models if isinstance(models, Shapes) else shapes_of(models)
    each = rates(plan, shapes, frames=frames, height=height, width=width, start=start, chunks=chunks)
    levels = max((len(plan.inverts_to(plan.steps - countdown)) for countdown in plan.refine), default=0)
    return Estimate(
        weights=shapes.weights,
        loading=shapes.loading,
        painting=each.guided.whole,
        refining=each.refining,
        decoding=each.decoding,
        kept=each.guided.kept + (levels + LATENTS) * each.latents,
        calls=calls_of(plan, frames, start),
        flops=each.flops(plan, start),
    )


@dataclass(frozen=True)
class Rates:
    """What the outputs take that a plan's chain asks for, and with them any plan that asks for outputs of these kinds:

    plans that differ in steps, refinements and way back alone.
    """

    guided: _Repeated
    """Of the T2I."""
    refining: Cost
    """A guided output of the T2V; nothing where the plan refines nowhere."""
    decoding: Cost
    """A frame."""
    frames: int
    prompts: int
    """That a guided call has: a call with one prompt takes its share of it."""
    latents: int
    """Bytes of a clip's."""

    def flops(self, plan: Plan, start: int = 0) -> int:
        """Of a whole clip, its prompts left out."""
        once = calls_of(plan, 1, start)  # one call an output, as the spans are in each output's cost
        single = self.guided.flops(once.correction + once.inverting, once.shallow_correction + once.shallow_inverting)
        painting = self.guided.flops(once.painting, once.shallow_painting)
        refining = once.refining * self.refining.flops
        return painting + single // self.prompts + refining + self.frames * self.decoding.flops


def rates(
    plan: Plan, shapes: Shapes, *, frames: int, height: int, width: int, start: int = 0, chunks: int = 1
) -> Rates:
    """What each output of a plan's chain takes; see `estimate`."""
    own = shapes.models
    with shapes.mode:
        z = torch.empty(frames, *own.latent_shape(height, width))
        t2i_text, t2v_text = (_text(own, encoder, chunks) for encoder in (own.t2i_text, own.t2v_text))
        painter, guidance = own.painter(plan)
        t2i = Denoiser(
            "T2I", replace(painter, offloader=Offloader()), own.t2i_schedule, t2i_text, guidance, plan.image_spans
        )
        t2v = Denoiser(
            "T2V",
            replace(own.t2v, offloader=Offloader()),
            own.t2v_schedule,
            t2v_text,
            plan.video_guidance,
            plan.video_spans,
        )
        guided = _repeated(t2i.guided, z, plan)
        refining = measure(lambda: result(t2v.guided(z, 0))) if calls_of(plan, 1, start).refining else NOTHING
        decoding = measure(lambda: decoded(own.vae, z[:1].float(), plan.tile))
    return Rates(guided, refining, decoding, frames, 1 if guidance == 1 else 2, z.nbytes)


@dataclass(frozen=True)
class _Repeated:
    """What an output of the T2I takes, run whole and with deep features reused."""

    whole: Cost
    shallow: Cost
    kept: int
    """Bytes of the features."""

    def flops(self, count: int, shallow: int) -> int:
        """Of `count` outputs, of which so many are shallow."""
        return (count - shallow) * self.whole.flops + shallow * self.shallow.flops


def _repeated(output: Callable[..., Generator[None, None, Any]], z: Tensor, plan: Plan) -> _Repeated:
    if plan.cache_interval == 1:
        return _Repeated(measure(lambda: result(output(z, 0))), NOTHING, 0)
    features = DeepFeatures()
    whole = measure(lambda: result(output(z, 0, features)))
    features.whole = False
    shallow = measure(lambda: result(output(z, 0, features)))
    return _Repeated(whole, shallow, sum(each.nbytes for each in features.kept.values()))


def _text(models: Models, encoder: TextEncoder, chunks: int) -> Text:
    """Embeddings of two prompts."""
    shape = 2, 1, chunks * encoder.length, encoder.encoder.config.hidden_size
    return Text(torch.empty(shape, dtype=models.reading.dtype))
