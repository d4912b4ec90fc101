"""The sampling chain: T2I steps, and between some of them the T2V's.

Source: VideoElevator (arXiv 2403.05438), algorithm in section 3; the correction of the inverted path is the
direct-inversion trick (arXiv 2310.01506) of the published sampler.
"""

from __future__ import annotations

from collections.abc import Generator
from functools import partial
from typing import Protocol

from torch import Tensor

from ..devices import has_fft, moved
from ..errors import PlanError
from ..plan import Plan
from .denoiser import Denoiser
from .frequency import lowpass, mask
from .schedule import END, Schedule, ddim_sigma, ddim_step, lcm_step, move, predict
from .stages import Hold, Reuse, Unit, calling, hand_back, refine


class Noise(Protocol):
    """Where a chain gets its noise from; equal arguments give equal noise."""

    def __call__(self, purpose: str, n: int, k: int = 0) -> Tensor:
        """(F, C, h, w). `refine`: what enters the n-th refinement, or an LCM adds after its k-th step there;

        `way back`: what the n-th refinement's result is noised with; `step`: what DDIM with eta adds at step n;
        `lcm step`: the same of a T2I that is an LCM.
        """
        ...


def as_it_is(z: Tensor, t: int) -> Tensor:
    """The Hold of a chain in which nothing is fixed."""
    return z


def chain(
    t2i: Denoiser, t2v: Denoiser, plan: Plan, z: Tensor, noise: Noise, start: int = 0, hold: Hold = as_it_is
) -> Generator[Unit, None, Tensor]:
    """Sample latents; yields after every network call and returns the result, (F, C, h, w).

    t2i, t2v: with schedules of `plan.steps` timesteps; z: latents at the level of step `start`, (F, C, h, w), at
    step 0 noise. Closing the generator stops before the next call.
    """
    schedule, every = t2i.schedule, plan.cache_interval
    _check_steps(t2i, t2v, plan)
    check_lcm(schedule, plan)
    gain = mask(plan.lowpass, z.shape[0], *z.shape[2:])
    gain = moved(gain, z.device) if has_fft(z.device) else gain
    path: list[Tensor] = []  # the last inversion's latents, those of the present level last
    painting, correcting = Reuse(every), Reuse(every)
    refinements = 0
    clean = z = hold(z, schedule.after(start - 1))
    for i in range(start, plan.steps):
        t, t_next = schedule.timesteps[i], schedule.after(i)
        output = yield from calling("painting", t, z, clean, t2i.guided(z, t, painting.next()))
        painted = predict(schedule, output.guided, z, t)
        if schedule.lcm_steps:
            z_next, clean = lcm_step(schedule, output.guided, z, t, t_next, partial(noise, "lcm step", i))
            painted = painted._replace(x0=clean)
        else:
            z_next, clean = move(schedule, painted, t_next), painted.x0
        if plan.eta:
            sigma = ddim_sigma(schedule, t, t_next, plan.eta)
            z_next = move(schedule, painted, t_next, sigma) + sigma * noise("step", i)
        z_next = hold(z_next, t_next)
        yield Unit("painting", t, z_next, clean)
        if plan.refines_at(i):
            x0 = hold(lowpass(clean, gain) if plan.filters_at(i) else clean, END)
            level = t if plan.matching == "index" else t2v.schedule.timesteps[i]
            refined = yield from refine(t2v, x0, partial(noise, "refine", refinements), level, i, plan.refine_steps)
            clean = hold(refined, END)
            path = yield from hand_back(t2i, plan, clean, i, painted, partial(noise, "way back", refinements), hold)
            painting, correcting = Reuse(every), Reuse(every)
            refinements += 1
            z = path[-1]
        elif plan.corrects and len(path) > 1:
            y = path.pop()
            on_path = y is z  # right after a refinement: what is known of the one is known of the other
            prompted = output.prompted
            if not on_path:
                prompted = yield from calling("painting", t, z_next, clean, t2i.with_prompt(y, t, correcting.next()))
            z = hold(z_next + path[-1] - ddim_step(schedule, prompted, y, t, t_next)[0], t_next)
            if not on_path:
                yield Unit("painting", t, z, clean)
        else:
            z = z_next
    for denoiser in (t2i, t2v):
        denoiser.watch.settle()
    return hold(z, END)


def check_lcm(schedule: Schedule, plan: Plan) -> None:
    """Raise PlanError if a T2I of this schedule is an LCM, and the plan has what its steps cannot have."""
    if schedule.lcm_steps and plan.refine and plan.corrects:
        raise PlanError(
            "correction keeps a chain without noise on its path, but this T2I is an LCM, whose steps add noise; "
            "set correction to false, or choose the preset turbo."
        )
    if schedule.lcm_steps and plan.eta:
        raise PlanError(f"eta is {plan.eta}, but this T2I is an LCM, whose steps add noise of their own; set eta to 0.")


def _check_steps(t2i: Denoiser, t2v: Denoiser, plan: Plan) -> None:
    for name, timesteps in (("T2I", t2i.schedule.timesteps), ("T2V", t2v.schedule.timesteps)):
        if len(timesteps) != plan.steps:
            raise PlanError(f"The {name}'s schedule has {len(timesteps)} timesteps; give it the plan's {plan.steps}.")
