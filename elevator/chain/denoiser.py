"""A network, its schedule and its text: everything that a step asks for, for T2I and T2V alike."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from ..devices import moved
from ..spans import Span, chunks
from .cross_frame import Call, DeepFeatures, KeysValues, Text
from .schedule import Schedule
from .watching import Watch

NEGATIVE, POSITIVE, BOTH = slice(0, 1), slice(1, 2), slice(0, 2)
"""Prompts of a denoiser's text."""


class Network(Protocol):
    """A noise-predicting network over clips, or some of their frames."""

    def __call__(self, z: Tensor, t: int, call: Call) -> Tensor:
        """z: (B, F, C, h, w) latents at timestep t, one clip for each of the call's prompts; returns z's shape."""
        ...


class GuidedOutput(NamedTuple):
    """What a guided call gives, each (F, C, h, w)."""

    guided: Tensor
    prompted: Tensor
    """The half for the prompt alone."""


def whole_clip(frames: int) -> tuple[Span, ...]:
    """One span of all frames."""
    return chunks(frames, None)


@dataclass(frozen=True, eq=False)
class Denoiser:
    """Network outputs for one clip and one pair of prompts.

    Every method is a generator that runs the network on one span of frames after the other, yields between them, and
    returns the output for the whole clip. Whoever closes it there spares the rest.
    """

    name: str
    """For error messages: T2I or T2V."""
    network: Network
    schedule: Schedule
    """With its timesteps."""
    text: Text
    """Of two prompts, the negative one first."""
    guidance: float
    """W."""
    spans: Callable[[int], tuple[Span, ...]] = whole_clip
    """How a clip of so many frames is cut."""
    watch: Watch = field(default_factory=Watch, repr=False)
    weights: dict[Span, Tensor] = field(default_factory=dict, repr=False)
    """How much the frames of spans that overlap count, on the device."""

    def guided(self, z: Tensor, t: int, features: DeepFeatures | None = None) -> Generator[None, None, GuidedOutput]:
        """Classifier-free guidance, e_uncond + w (e_text − e_uncond) (arXiv 2207.12598), of (F, C, h, w).

        At w = 1 the formula is the text half alone, so only that half is computed.
        """
        if self.guidance == 1:
            alone = yield from self.with_prompt(z, t, features)
            return GuidedOutput(alone, alone)
        uncond, cond = yield from self._output(z, t, BOTH, features)
        return GuidedOutput(torch.add(uncond, cond - uncond, alpha=self.guidance), cond)

    def with_prompt(self, z: Tensor, t: int, features: DeepFeatures | None = None) -> Generator[None, None, Tensor]:
        """The output for the prompt alone."""
        return (yield from self._output(z, t, POSITIVE, features))[0]

    def with_negative(self, z: Tensor, t: int, features: DeepFeatures | None = None) -> Generator[None, None, Tensor]:
        """The output for the negative prompt alone."""
        return (yield from self._output(z, t, NEGATIVE, features))[0]

    def _output(
        self, z: Tensor, t: int, prompts: slice, features: DeepFeatures | None
    ) -> Generator[None, None, Tensor]:
        """(prompts, F, C, h, w), the weighted sum of what the spans give."""
        spans = self.spans(len(z))
        anchors: dict[torch.nn.Module, KeysValues] | None = {} if len(spans) > 1 else None
        total = None
        for k, span in enumerate(spans):
            if k:
                yield
            part = self._part(z[span.frames], t, Call(self.text, prompts, span.frames, anchors, features))
            if len(spans) == 1:
                return part
            total = z.new_zeros(len(part), *z.shape) if total is None else total
            total[:, span.frames] += self._weighed(part, span)
        assert total is not None
        return total

    def _weighed(self, part: Tensor, span: Span) -> Tensor:
        """A span's output, (prompts, frames, C, h, w), as it counts beside that of others."""
        if all(weight == 1 for weight in span.weights):
            return part
        if span not in self.weights:
            self.weights[span] = moved(torch.tensor(span.weights, dtype=part.dtype), part.device)
        return part * self.weights[span][:, None, None, None]

    # No grad mode is left open across a generator's yield: each call opens and closes its own.
    @torch.inference_mode()
    def _part(self, z: Tensor, t: int, call: Call) -> Tensor:
        # Latents and their arithmetic stay in float32; the network runs in the precision of its text.
        batch = z.to(self.text.hidden.dtype).expand(call.prompts.stop - call.prompts.start, *z.shape)
        output = self.network(batch, t, call).to(z.dtype)
        self.watch.look(output, lambda: self._not_finite(t))
        return output

    def _not_finite(self, t: int) -> str:
        timesteps = self.schedule.timesteps
        step = f"step {timesteps.index(t) + 1} of {len(timesteps)}, " if t in timesteps else ""
        return (
            f"The {self.name} gave numbers that are not finite at {step}timestep {t}; "
            "use dtype float32 or check the model's files."
        )
