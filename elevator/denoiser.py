"""A network, its schedule and its text: everything that a step asks for, for T2I and T2V alike."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from .errors import NumericsError
from .schedule import Schedule


class Network(Protocol):
    """A noise-predicting network over whole clips."""

    def __call__(self, z: Tensor, t: int, text: Tensor) -> Tensor:
        """z: (B, F, C, h, w) latents at timestep t; text: (B, L, D) embeddings; returns z's shape."""
        ...


@dataclass(frozen=True, eq=False)
class Denoiser:
    """Network outputs for one clip and one pair of prompts."""

    name: str  #: for error messages: T2I or T2V
    network: Network
    schedule: Schedule  #: with its timesteps
    negative: Tensor  #: (1, L, D)
    positive: Tensor  #: (1, L, D)
    guidance: float  #: w

    def guided(self, z: Tensor, t: int) -> Tensor:
        """Classifier-free guidance, e_uncond + w (e_text − e_uncond) (arXiv 2207.12598), of (F, C, h, w).

        At w = 1 the formula is the text half alone, so only that half is computed.
        """
        if self.guidance == 1:
            return self.with_prompt(z, t)
        text = torch.cat([self.negative, self.positive])
        uncond, cond = self._output(torch.stack([z, z]), t, text)
        return torch.add(uncond, cond - uncond, alpha=self.guidance)

    def with_prompt(self, z: Tensor, t: int) -> Tensor:
        """The output for the prompt alone."""
        return self._output(z[None], t, self.positive)[0]

    def with_negative(self, z: Tensor, t: int) -> Tensor:
        """The output for the negative prompt alone."""
        return self._output(z[None], t, self.negative)[0]

    # No grad mode is left open across a generator's yield: each call opens and closes its own.
    @torch.inference_mode()
    def _output(self, z: Tensor, t: int, text: Tensor) -> Tensor:
        # Latents and their arithmetic stay in float32; the network runs in the precision of its text.
        output = self.network(z.to(text.dtype), t, text).to(z.dtype)
        if not torch.isfinite(output).all():
            timesteps = self.schedule.timesteps
            step = f"step {timesteps.index(t) + 1} of {len(timesteps)}, " if t in timesteps else ""
            raise NumericsError(
                f"The {self.name} gave numbers that are not finite at {step}timestep {t}; "
                "use dtype float32 or check the model's files."
            )
        return output
