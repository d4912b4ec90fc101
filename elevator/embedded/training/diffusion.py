"""The v-prediction objective on the shared schedule, and a plain guided DDIM loop for previews."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from .models import new_scheduler

ALPHAS: Tensor = new_scheduler().alphas_cumprod.float()
"""(1000,) cumulative alphas; the last one is zero."""

_SNR_CAP = 6.0
_SUBJECT_WEIGHT = 4.0


@dataclass(frozen=True)
class NoiseLevels:
    """How often which timesteps are drawn in training."""

    last: float = 0.05
    """Share of samples at exactly t = 999, pure noise."""
    late: float = 0.15
    """Share of the others drawn from t >= 500, where things get their place."""

    def draw(self, count: int, generator: torch.Generator) -> Tensor:
        """(count,) timesteps."""
        anywhere = torch.randint(0, 1000, (count,), generator=generator)
        late = torch.randint(500, 1000, (count,), generator=generator)
        t = torch.where(torch.rand(count, generator=generator) < self.late, late, anywhere)
        return torch.where(torch.rand(count, generator=generator) < self.last, torch.full_like(t, 999), t)


def shaped(values: Tensor, like: Tensor) -> Tensor:
    """Values (b,) as (b, 1, …), to go with latents (b, …)."""
    return values.view(-1, *(1,) * (like.dim() - 1))


def add_noise(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """Latents (b, ...) at timesteps (b,)."""
    alpha = shaped(ALPHAS[t], x0)
    return alpha.sqrt() * x0 + (1 - alpha).sqrt() * noise


def velocity(x0: Tensor, noise: Tensor, t: Tensor) -> Tensor:
    """v = sqrt(a) noise - sqrt(1 - a) x0."""
    alpha = shaped(ALPHAS[t], x0)
    return alpha.sqrt() * noise - (1 - alpha).sqrt() * x0


def clean(x: Tensor, v: Tensor, t: Tensor) -> Tensor:
    """x0 = sqrt(a) x - sqrt(1 - a) v."""
    alpha = shaped(ALPHAS[t], x)
    return alpha.sqrt() * x - (1 - alpha).sqrt() * v


def subject_weight(x0: Tensor, t: Tensor) -> Tensor:
    """(b, 1, h, w) weights of an error: up to 5 on subjects, which fill a seventh of a frame; 1 on backgrounds.

    Only as far as noise lets the subject be seen. Weights at places that the input does not show would draw the
    prediction towards "there may be something here", and subjects would swell.
    """
    differs = (x0 - x0.median(-1, keepdim=True).values).abs().mean(1, keepdim=True).clamp(max=1)
    return 1 + _SUBJECT_WEIGHT * _seen(t, x0) * differs


def _seen(t: Tensor, like: Tensor) -> Tensor:
    """How well things show in latents at t: 1 up to t = 400, then falling to 0 in pure noise."""
    return (shaped(ALPHAS[t], like) / 0.4).clamp(max=1)


def v_loss(output: Tensor, x0: Tensor, noise: Tensor, t: Tensor, low: float) -> Tensor:
    """Weighted squared error of v, (b, 4, 16, 16) with t (b,).

    Min-SNR weights, shifted by one so that they stay 1 in pure noise. `low` is extra weight on 4 x 4 means of
    the error where things do not show yet: there it counts more where a thing is than how its surface looks.
    """
    error = output.float() - velocity(x0, noise, t)
    weight = ((1 - ALPHAS[t]) * _SNR_CAP).clamp(max=1.0)  # min(snr + 1, cap) / (snr + 1)
    each = (error.square() * subject_weight(x0, t)).flatten(1).mean(1)
    unseen = 1 - _seen(t, x0).flatten()
    each = each + low * unseen * functional.avg_pool2d(error, 4).square().flatten(1).mean(1)
    return (each * weight).mean()


def ddim(predict: Callable[[Tensor, Tensor], Tensor], noise: Tensor, steps: int) -> Tensor:
    """Deterministic DDIM from pure noise (b, ...); `predict(x, t)` returns guided v."""
    times = [999 - round(i * 1000 / steps) for i in range(steps)]
    x = noise
    for i, time in enumerate(times):
        t = torch.full((len(x),), time)
        v = predict(x, t)
        x0 = clean(x, v, t)
        if i + 1 == len(times):
            return x0
        alpha, following = shaped(ALPHAS[t], x), float(ALPHAS[times[i + 1]])
        eps = alpha.sqrt() * v + (1 - alpha).sqrt() * x
        x = following**0.5 * x0 + (1 - following) ** 0.5 * eps
    return x
