"""The two halves of temporal motion refining, each a generator that yields after every network call.

Source: VideoElevator, section 3.2. All latents are (F, C, h, w).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial

from torch import Tensor

from .denoiser import Denoiser
from .schedule import END, add_noise, ddim_invert_step, ddim_step, lcm_step


@dataclass(frozen=True, eq=False)
class Unit:
    """What the chain knows after one network call."""

    phase: str  #: painting | refining | inverting
    timestep: int  #: that the network was told
    latents: Tensor  #: (F, C, h, w), the point that the call led to
    clean: Tensor  #: (F, C, h, w), the clip as predicted so far


def refine(
    t2v: Denoiser, x0: Tensor, noise: Callable[[int], Tensor], t: int, i: int, steps: int
) -> Generator[Unit, None, Tensor]:
    """Noise x0 to level t of the T2V's schedule and take T2V steps i … i + steps − 1; returns the clean latents.

    noise(0): ε that x0 is noised with, (F, C, h, w); noise(k): what an LCM adds after its k-th step here.
    """
    schedule = t2v.schedule
    y = add_noise(schedule, x0, noise(0), t)
    for k in range(i, i + steps):
        t_k, t_next = schedule.timesteps[k], schedule.after(k)
        output = t2v.guided(y, t_k)
        if schedule.lcm_steps:
            y, x0 = lcm_step(schedule, output, y, t_k, t_next, partial(noise, k - i + 1))
        else:
            y, x0 = ddim_step(schedule, output, y, t_k, t_next)
        yield Unit("refining", t_k, y, x0)
    return x0


def invert(t2i: Denoiser, x0: Tensor, i: int) -> Generator[Unit, None, list[Tensor]]:
    """DDIM inversion of x0 to the level that follows step i, with the negative prompt and no guidance.

    Returns the latents of every level on the way, cleanest first: those of the last timestep up to those of
    timestep i + 1. After the last step there is no such level and the list is empty.
    """
    path: list[Tensor] = []
    z, t_from = x0, END
    for t in reversed(t2i.schedule.timesteps[i + 1 :]):
        z = ddim_invert_step(t2i.schedule, t2i.with_negative(z, t), z, t_from, t)
        t_from = t
        path.append(z)
        yield Unit("inverting", t, z, x0)
    return path
