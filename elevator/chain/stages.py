"""The two halves of temporal motion refining, each a generator that yields after every network call.

Source: VideoElevator, section 3.2. All latents are (F, C, h, w).
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial
from typing import TypeAlias, TypeVar

from torch import Tensor

from ..memory import enough_for
from ..plan import BLEND, Plan
from ..steps import relay
from .cross_frame import DeepFeatures
from .denoiser import Denoiser
from .schedule import END, Prediction, add_noise, ddim_invert_step, ddim_step, lcm_step, move

Result = TypeVar("Result")
Hold: TypeAlias = Callable[[Tensor, int], Tensor]
"""Latents at a level, by timestep, to those with everything fixed that is to stay."""


@dataclass(frozen=True, eq=False)
class Unit:
    """What the chain knows after one network call."""

    phase: str
    """Painting | refining | inverting."""
    timestep: int
    """That the network was told."""
    latents: Tensor
    """(F, C, h, w), the point that the call led to."""
    clean: Tensor
    """(F, C, h, w), the clip as predicted so far."""


@dataclass(eq=False)
class Reuse:
    """Which calls of a row run the T2I whole: the first, and every `interval`-th after it."""

    interval: int
    count: int = 0
    features: DeepFeatures = field(default_factory=DeepFeatures)

    def next(self) -> DeepFeatures | None:
        """For the next call of the row; None: nothing is reused."""
        if self.interval == 1:
            return None
        self.features.whole = self.count % self.interval == 0
        self.count += 1
        return self.features


def calling(
    phase: str, t: int, latents: Tensor, clean: Tensor, calls: Generator[None, None, Result]
) -> Generator[Unit, None, Result]:
    """A denoiser's calls of one step, with a unit between two of them, which has led nowhere yet.

    Raises OutOfMemory with the phase.
    """
    with enough_for(phase):
        return (yield from relay(calls, lambda _: Unit(phase, t, latents, clean)))


def refine(
    t2v: Denoiser, x0: Tensor, noise: Callable[[int], Tensor], level: int, i: int, steps: int
) -> Generator[Unit, None, Tensor]:
    """Noise x0 to a level of the T2V's schedule and take T2V steps i … i + steps − 1; returns the clean latents.

    noise(0): ε that x0 is noised with, (F, C, h, w); noise(k): what an LCM adds after its k-th step here.
    """
    schedule = t2v.schedule
    y = add_noise(schedule, x0, noise(0), level)
    for k in range(i, i + steps):
        t, t_next = schedule.timesteps[k], schedule.after(k)
        output = (yield from calling("refining", t, y, x0, t2v.guided(y, t))).guided
        if schedule.lcm_steps:
            y, x0 = lcm_step(schedule, output, y, t, t_next, partial(noise, k - i + 1))
        else:
            y, x0 = ddim_step(schedule, output, y, t, t_next)
        yield Unit("refining", t, y, x0)
    return x0


def invert(t2i: Denoiser, x0: Tensor, plan: Plan, i: int, hold: Hold) -> Generator[Unit, None, list[Tensor]]:
    """DDIM inversion of x0 to the level that follows step i, with the negative prompt and no guidance.

    Returns the latents of every level on the way, cleanest first: those of the last timestep up to those of
    timestep i + 1, or of as many as the plan's grid has. After the last step there is no level and the list is empty.
    """
    path: list[Tensor] = []
    z, t_from = x0, END
    reuse = Reuse(plan.cache_interval)
    for k in plan.inverts_to(i):
        t = t2i.schedule.timesteps[k]
        output = yield from calling("inverting", t, z, x0, t2i.with_negative(z, t, reuse.next()))
        z = hold(ddim_invert_step(t2i.schedule, output, z, t_from, t), t)
        t_from = t
        path.append(z)
        yield Unit("inverting", t, z, x0)
    return path


def hand_back(
    t2i: Denoiser, plan: Plan, x0: Tensor, i: int, painted: Prediction, noise: Callable[[], Tensor], hold: Hold
) -> Generator[Unit, None, list[Tensor]]:
    """Bring refined x0 back to the T2I's level after step i, by the plan's way; the last of the list is at that level.

    painted: what the T2I predicted at step i. noise: gives (F, C, h, w) for the ways that add some.
    """
    level = t2i.schedule.after(i)
    if plan.way_back == "inversion":
        path = yield from invert(t2i, x0, plan, i, hold)
        return path or [x0]
    if plan.way_back == "blend":
        part = BLEND if plan.blend is None else plan.blend
        mixed = Prediction(part * x0 + (1 - part) * painted.x0, painted.epsilon)
        return [hold(move(t2i.schedule, mixed, level), level)]
    if level == END:
        return [x0]
    epsilon = noise()
    if plan.way_back == "same_noise":
        epsilon = epsilon[:1].expand_as(epsilon)
    return [hold(add_noise(t2i.schedule, x0, epsilon, level), level)]
