"""The sampling chain, and the generator that turns a prompt into frames.

Source: VideoElevator (arXiv 2403.05438), algorithm in section 3; the correction of the inverted path is the
direct-inversion trick (arXiv 2310.01506) of the published sampler.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from functools import partial

from torch import Tensor

from .denoiser import Denoiser
from .errors import PlanError, RequestError
from .frequency import lowpass, mask
from .models import Models
from .noise import refinement_noise, starting_noise
from .plan import Plan
from .preview import Pixels
from .schedule import Schedule, ddim_step
from .stages import Unit, invert, refine


@dataclass(frozen=True, eq=False)
class Step:
    """One finished unit of work of :func:`elevate`."""

    phase: str  #: text | painting | refining | inverting | decoding
    index: int  #: units done so far, 1 … total
    total: int  #: units in all, known from the start
    timestep: int | None = None  #: that the network was told
    frame: tuple[int, Pixels] | None = None  #: while decoding: frame number, (H, W, 3)
    notes: tuple[str, ...] = ()  #: with the text: a sentence for each thing in the prompts that is not understood
    draft: Callable[[], Pixels | None] = field(default=lambda: None, repr=False)

    def preview(self) -> Pixels | None:
        """The clip as predicted so far, (F, h, w, 3) at latent resolution, or None when there is nothing to show.

        Computed on each call, cheaply: a linear map from latents to colours.
        """
        return self.draft()


def chain(
    t2i: Denoiser, t2v: Denoiser, plan: Plan, z: Tensor, noise: Callable[[int, int], Tensor]
) -> Generator[Unit, None, Tensor]:
    """Sample latents; yields after every network call and returns the result, (F, C, h, w).

    t2i, t2v: with schedules of ``plan.steps`` timesteps; z: starting noise, (F, C, h, w);
    noise(n, k): noise of the n-th refinement, (F, C, h, w), as :func:`~elevator.stages.refine` asks for it.
    Closing the generator stops before the next call.
    """
    schedule = t2i.schedule
    for name, timesteps in (("T2I", schedule.timesteps), ("T2V", t2v.schedule.timesteps)):
        if len(timesteps) != plan.steps:
            raise PlanError(f"The {name}'s schedule has {len(timesteps)} timesteps; give it the plan's {plan.steps}.")
    gain = mask(plan.lowpass, z.shape[0], *z.shape[2:])
    path: list[Tensor] = []  # the last inversion's latents, those of the present level last
    refinements = 0
    for i, t in enumerate(schedule.timesteps):
        z_next, x0 = ddim_step(schedule, t2i.guided(z, t), z, t, schedule.after(i))
        yield Unit("painting", t, z_next, x0)
        if plan.refines_at(i):
            if plan.filters_at(i):
                x0 = lowpass(x0, gain)
            x0 = yield from refine(t2v, x0, partial(noise, refinements), t, i, plan.refine_steps)
            path = yield from invert(t2i, x0, i)
            refinements += 1
            z = path[-1] if path else x0
        else:
            if len(path) > 1:
                y = path.pop()
                z_next = z_next + path[-1] - ddim_step(schedule, t2i.with_prompt(y, t), y, t, schedule.after(i))[0]
                yield Unit("painting", t, z_next, x0)
            z = z_next
    return z


def elevate(
    models: Models,
    *,
    prompt: str,
    negative_prompt: str = "",
    plan: Plan,
    frames: int,
    height: int,
    width: int,
    seed: int,
) -> Generator[Step, None, None]:
    """Sample a clip; yields a :class:`Step` after every unit of work, the frames last, one by one in order.

    A unit is a text encoding (1 in all), a network call of the chain, or a decoded frame. Closing the
    iterator stops within one unit and drops everything that it holds. Same seed, same frames.

    Raises RequestError (empty prompt, length, size or seed), PlanError (steps the schedules cannot make)
    before the first unit, and NumericsError when a network fails.
    """
    _check_request(models, prompt, negative_prompt, frames, height, width, seed)
    t2i_schedule = models.t2i_schedule.with_steps(plan.steps)
    t2v_schedule = models.t2v_schedule.with_steps(plan.steps)
    return _elevate(
        models, (negative_prompt, prompt), plan, frames, (height, width), seed, (t2i_schedule, t2v_schedule)
    )


def _elevate(
    models: Models,
    prompts: tuple[str, str],
    plan: Plan,
    frames: int,
    size: tuple[int, int],
    seed: int,
    schedules: tuple[Schedule, Schedule],
) -> Generator[Step, None, None]:
    total = 1 + plan.calls().total + frames
    t2i, t2v = models.denoisers(prompts, schedules, (plan.guidance, plan.video_guidance))
    yield Step("text", 1, total, notes=tuple(dict.fromkeys(note for text in prompts for note in models.notes(text))))

    shape = models.latent_shape(*size)
    z = models.place(starting_noise(seed, plan.alpha, frames, shape))
    units = chain(t2i, t2v, plan, z, lambda n, k: models.place(refinement_noise(seed, n, k, frames, shape)))
    done = 1
    while True:
        try:
            unit = next(units)
        except StopIteration as end:
            z = end.value
            break
        done += 1
        yield Step(unit.phase, done, total, unit.timestep, draft=partial(models.draft, unit.clean))

    for k in range(frames):
        yield Step("decoding", done + k + 1, total, frame=(k, models.decode(z[k])), draft=partial(models.draft, z))


def _check_request(
    models: Models, prompt: str, negative_prompt: str, frames: int, height: int, width: int, seed: int
) -> None:
    """Raise RequestError for the first thing that the models cannot sample."""
    if not isinstance(prompt, str) or not prompt.strip():
        raise RequestError("The prompt is empty; describe what the clip shows.")
    if not isinstance(negative_prompt, str):
        raise RequestError(f"The negative prompt is {negative_prompt!r}; give a text, or an empty one.")
    for name, value in (("frames", frames), ("height", height), ("width", width), ("seed", seed)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError(f"{name} is {value!r}; give a whole number.")
    if frames < 1:
        raise RequestError(f"frames is {frames}; choose 1 or more.")
    if models.max_frames is not None and frames > models.max_frames:
        raise RequestError(f"frames is {frames}; this T2V makes at most {models.max_frames}.")
    for name, value in (("height", height), ("width", width)):
        if value < 1 or value % models.size_multiple:
            nearest = max(round(value / models.size_multiple), 1) * models.size_multiple
            raise RequestError(
                f"{name} is {value}, but these models make multiples of {models.size_multiple} pixels; "
                f"choose for example {nearest}."
            )
