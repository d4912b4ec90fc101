"""Noise schedules and the moves between their levels: DDIM, its inversion, and LCM steps.

A *level* is named by a timestep t: z_t = √ᾱ_t · x0 + √(1−ᾱ_t) · ε. Timestep −1 is the end of the chain,
whose ᾱ is `final_alpha`. Formulas: Song et al., DDIM (arXiv 2010.02502), eq. 12 with eta 0; v prediction:
Salimans & Ho (arXiv 2202.00512), appendix D; zero terminal SNR and spacings: Lin et al. (arXiv 2305.08891),
algorithm 1 and table 2; LCM: Luo et al. (arXiv 2310.04378), algorithm 3. Euler's step on noise levels σ = √(1/ᾱ − 1)
is the same move as DDIM's, so a config of `EulerDiscreteScheduler` is read as one of DDIM that ends at ᾱ = 1
(AnimateDiff-Lightning). Configs are those of diffusers' schedulers; its `clip_sample` and `thresholding`
are left out, because latents have no fixed range to clip to (diffusers' own SD pipelines switch them off).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ..errors import ModelError, PlanError

END = -1
"""The "timestep" after the last one."""

KNOWN: Mapping[str, Mapping[str, Any]] = {
    "animatediff": {"beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012},
    "lavie": {"beta_schedule": "linear", "beta_start": 0.0001, "beta_end": 0.02},
    "lcm": {"_class_name": "LCMScheduler", "beta_schedule": "linear", "beta_start": 0.00085, "beta_end": 0.012},
    "lightning": {
        "_class_name": "EulerDiscreteScheduler",
        "beta_schedule": "linear",
        "beta_start": 0.00085,
        "beta_end": 0.012,
        "timestep_spacing": "trailing",
        "set_alpha_to_one": True,
    },
    "stable_diffusion": {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012},
}
"""Configs of models whose files hold none, by model; keys that are absent here are Stable Diffusion's own."""
LCM_STEPS = 50
"""original_inference_steps of LCMs that do not say it."""
DISTILLED: Mapping[str, Mapping[str, Any]] = {
    "lcm": {"lcm_steps": LCM_STEPS},
    "none": {"lcm_steps": 0},
    "hyper": {"spacing": "trailing"},
    "lightning": {"spacing": "trailing", "final_alpha": torch.tensor(1.0)},
    "turbo": {"spacing": "trailing", "final_alpha": torch.tensor(1.0)},
}
"""How T2Is that were distilled to a few steps walk their own levels of noise, as their authors use them: LCM-LoRA and
other LCMs by LCM steps; Hyper-SD's LoRAs by DDIM (arXiv 2404.13686), SD-Turbo (arXiv 2311.17042) and Lightning's kin
(arXiv 2402.13929) by Euler, which ends at ᾱ = 1, all three with trailing timesteps. `none`: it was not distilled."""
_STABLE_DIFFUSION = {"set_alpha_to_one": False, "steps_offset": 1, "timestep_spacing": "leading"}


class Prediction(NamedTuple):
    """What a network's output says about the latents it was given."""

    x0: Tensor
    """The clean latents, same shape as the input."""
    epsilon: Tensor
    """The noise, same shape."""


@dataclass(frozen=True, eq=False)
class Schedule:
    """Levels of noise, and the timesteps that visit some of them in descending order."""

    alphas_cumprod: Tensor
    """ᾱ, (T,) float32."""
    final_alpha: Tensor
    """ᾱ of level −1, 0-d float32."""
    prediction_type: str = "epsilon"
    """What the network predicts: epsilon | v_prediction."""
    spacing: str = "leading"
    """Leading | trailing | linspace."""
    offset: int = 0
    """Added to leading timesteps (SD: 1)."""
    lcm_steps: int = 0
    """original_inference_steps of an LCM, which takes LCM steps at some of these; 0: DDIM steps."""
    timesteps: tuple[int, ...] = ()
    """(S,), descending; empty until `with_steps`."""

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Schedule:
        """Read a diffusers scheduler config; absent keys have `DDIMScheduler`'s defaults.

        Raises ModelError for a schedule, prediction type or spacing that is not known here.
        """
        prediction_type = config.get("prediction_type", "epsilon")
        spacing = config.get("timestep_spacing", "leading")
        if prediction_type not in ("epsilon", "v_prediction"):
            raise ModelError(
                f"The scheduler's prediction_type is {prediction_type!r}; "
                "use a model that predicts epsilon or v_prediction."
            )
        if spacing not in ("leading", "trailing", "linspace"):
            raise ModelError(
                f"The scheduler's timestep_spacing is {spacing!r}; change it to leading, trailing or linspace."
            )
        betas = _betas(config)
        if config.get("rescale_betas_zero_snr", False):
            betas = _rescale_to_zero_terminal_snr(betas)
        alphas_cumprod = torch.cumprod(1.0 - betas, dim=0)
        to_one = config.get("set_alpha_to_one", True)
        return cls(
            alphas_cumprod,
            torch.tensor(1.0) if to_one else alphas_cumprod[0],
            prediction_type,
            spacing,
            int(config.get("steps_offset", 0)),
            int(config.get("original_inference_steps", LCM_STEPS))
            if config.get("_class_name") == "LCMScheduler"
            else 0,
        )

    @classmethod
    def of(cls, name: str, prediction_type: str = "epsilon", *, zero_snr: bool = False) -> Schedule:
        """One of the `KNOWN` schedules. Raises ModelError for another name or prediction type.

        zero_snr: its levels rescaled to zero terminal SNR, and visited from the very last one (2305.08891, sec. 3.3).
        """
        if name not in KNOWN:
            raise ModelError(f"There is no schedule called {name!r}; choose one of {', '.join(sorted(KNOWN))}.")
        noisiest = {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing"} if zero_snr else {}
        return cls.from_config({**_STABLE_DIFFUSION, **KNOWN[name], "prediction_type": prediction_type, **noisiest})

    def distilled(self, kind: str) -> Schedule:
        """The same levels, walked as a model of one of the kinds in `DISTILLED`. Raises ModelError for another."""
        if kind not in DISTILLED:
            raise ModelError(f"distilled is {kind!r}; choose one of {', '.join(sorted(DISTILLED))}.")
        return self if kind == "lcm" and self.lcm_steps else replace(self, **DISTILLED[kind])

    def with_steps(self, steps: int) -> Schedule:
        """The same levels with S = `steps` timesteps. Raises PlanError if they do not fit."""
        total = len(self.alphas_cumprod)
        if not 1 <= steps <= total:
            raise PlanError(f"steps is {steps}; choose 1 to {total}, the number of levels of the schedule.")
        if self.lcm_steps:
            timesteps = self._lcm_timesteps(steps)
        elif self.spacing == "leading":
            timesteps = [k * (total // steps) + self.offset for k in reversed(range(steps))]
        elif self.spacing == "trailing":
            # By arange as in diffusers, so that halves round alike; it may give one value too many.
            timesteps = (np.arange(total, 0, -total / steps)[:steps].round().astype(int) - 1).tolist()
        else:
            timesteps = np.linspace(0, total - 1, steps).round().astype(int)[::-1].tolist()
        if timesteps[0] >= total:
            raise PlanError(
                f"With {steps} steps and an offset of {self.offset} the first timestep, {timesteps[0]}, "
                f"lies past the schedule's {total} levels; use fewer steps."
            )
        return self.with_timesteps(tuple(timesteps))

    def matched(self, other: Schedule) -> Schedule:
        """The same levels, visited where their SNR ᾱ/(1−ᾱ) is nearest (by ratio) to that at the other's timesteps.

        No level is visited twice: where the nearest is taken, as beyond the noisiest that this schedule knows, the
        next one that is free follows. Raises PlanError if there are fewer levels than timesteps.
        """
        own = torch.logit(self.alphas_cumprod.double(), eps=1e-12)
        theirs = torch.logit(torch.stack([other.alpha(t) for t in other.timesteps]).double(), eps=1e-12)
        nearest = (own[None, :] - theirs[:, None]).abs().argmin(dim=1).tolist()
        if len(nearest) > len(own):
            raise PlanError(f"steps is {len(nearest)}; choose {len(own)} or less, the levels of the T2V's schedule.")
        timesteps: list[int] = []
        for i, level in enumerate(nearest):
            free = timesteps[-1] - 1 if timesteps else level
            timesteps.append(max(min(level, free), len(nearest) - 1 - i))
        return self.with_timesteps(tuple(timesteps))

    def _lcm_timesteps(self, steps: int) -> list[int]:
        """`steps` of the timesteps that the LCM was distilled on, evenly chosen as diffusers does."""
        if steps > self.lcm_steps:
            raise PlanError(
                f"steps is {steps}; one of these models is an LCM of {self.lcm_steps} steps, choose that many or less."
            )
        stride = len(self.alphas_cumprod) // self.lcm_steps
        distilled = [k * stride - 1 for k in range(self.lcm_steps, 0, -1)]
        return [distilled[int(k)] for k in np.linspace(0, self.lcm_steps, steps, endpoint=False)]

    def with_timesteps(self, timesteps: tuple[int, ...]) -> Schedule:
        """The same levels visited at the given descending timesteps."""
        if self.prediction_type == "epsilon" and self.alphas_cumprod[timesteps[0]] == 0:
            raise ModelError(
                "The schedule starts at zero SNR, where epsilon says nothing about the picture; "
                "use a v_prediction model or set rescale_betas_zero_snr to false."
            )
        return replace(self, timesteps=timesteps)

    def alpha(self, t: int) -> Tensor:
        """ᾱ_t, 0-d float32; t = −1 gives `final_alpha`."""
        return self.alphas_cumprod[t] if t >= 0 else self.final_alpha

    def after(self, i: int) -> int:
        """The timestep that follows the i-th one: t_{i+1}, or −1 after the last."""
        return self.timesteps[i + 1] if i + 1 < len(self.timesteps) else END


def predict(schedule: Schedule, output: Tensor, z: Tensor, t: int) -> Prediction:
    """Clean latents and noise from a network's output at (z, t); any shape.

    At ᾱ_t = 0 a v prediction gives x0 = −v and ε = z, both finite.
    """
    signal, noise = schedule.alpha(t).sqrt(), (1 - schedule.alpha(t)).sqrt()
    if schedule.prediction_type == "v_prediction":
        return Prediction(signal * z - noise * output, signal * output + noise * z)
    return Prediction((z - noise * output) / signal, output)


def move(schedule: Schedule, prediction: Prediction, t: int, sigma: Tensor | float = 0.0) -> Tensor:
    """The latents at level t that hold this x0 and this ε, but for noise of deviation `sigma` to be added."""
    alpha = schedule.alpha(t)
    return alpha.sqrt() * prediction.x0 + (1 - alpha - sigma**2).sqrt() * prediction.epsilon


def ddim_sigma(schedule: Schedule, t: int, t_next: int, eta: float) -> Tensor:
    """Deviation of the noise in a DDIM step with eta (arXiv 2010.02502, eq. 16), 0-d."""
    alpha, alpha_next = schedule.alpha(t), schedule.alpha(t_next)
    return eta * ((1 - alpha_next) / (1 - alpha) * (1 - alpha / alpha_next)).sqrt()


def ddim_step(schedule: Schedule, output: Tensor, z: Tensor, t: int, t_next: int) -> tuple[Tensor, Tensor]:
    """One DDIM step (eta 0) from level t down to level t_next; returns (z at t_next, x0)."""
    prediction = predict(schedule, output, z, t)
    return move(schedule, prediction, t_next), prediction.x0


def lcm_step(
    schedule: Schedule, output: Tensor, z: Tensor, t: int, t_next: int, draw: Callable[[], Tensor]
) -> tuple[Tensor, Tensor]:
    """One multistep LCM step from level t to t_next; returns (z at t_next, clean latents).

    The clean latents are the consistency function's, c_skip · z + c_out · x0 with the coefficients of diffusers
    (σ_data .5, timesteps scaled by 10). `draw` gives fresh noise; the last step asks for none.
    """
    scaled = 10.0 * t
    c_skip, c_out = 0.25 / (scaled**2 + 0.25), scaled / (scaled**2 + 0.25) ** 0.5
    clean = c_out * predict(schedule, output, z, t).x0 + c_skip * z
    return (clean if t_next == END else add_noise(schedule, clean, draw(), t_next)), clean


def ddim_invert_step(schedule: Schedule, output: Tensor, z: Tensor, t_from: int, t: int) -> Tensor:
    """One inverse DDIM step from level t_from up to level t.

    `output` is the network's output at (z, t): as published, the network is told the level that it is
    heading for, and its output is read as if it had been told t_from.
    """
    return move(schedule, predict(schedule, output, z, t_from), t)


def add_noise(schedule: Schedule, x0: Tensor, epsilon: Tensor, t: int) -> Tensor:
    """√ᾱ_t · x0 + √(1−ᾱ_t) · ε."""
    return move(schedule, Prediction(x0, epsilon), t)


def _betas(config: Mapping[str, Any]) -> Tensor:
    """β, (T,) float32."""
    if config.get("trained_betas") is not None:
        return torch.tensor(config["trained_betas"], dtype=torch.float32)
    kind = config.get("beta_schedule", "linear")
    start, end = config.get("beta_start", 0.0001), config.get("beta_end", 0.02)
    total = config.get("num_train_timesteps", 1000)
    if kind == "linear":
        return torch.linspace(start, end, total, dtype=torch.float32)
    if kind == "scaled_linear":
        return torch.linspace(start**0.5, end**0.5, total, dtype=torch.float32) ** 2
    raise ModelError(f"The scheduler's beta_schedule is {kind!r}; use a model with linear or scaled_linear.")


def _rescale_to_zero_terminal_snr(betas: Tensor) -> Tensor:
    """Shift and scale √ᾱ so that it ends at exactly 0 and starts where it did (2305.08891, algorithm 1)."""
    root = torch.cumprod(1.0 - betas, dim=0).sqrt()
    first, last = root[0].clone(), root[-1].clone()
    alphas_cumprod = ((root - last) * (first / (first - last))) ** 2
    alphas = torch.cat([alphas_cumprod[:1], alphas_cumprod[1:] / alphas_cumprod[:-1]])
    return 1.0 - alphas
