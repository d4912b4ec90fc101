"""The generator that turns a prompt into frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

import numpy as np
from torch import Tensor

from .calls import calls_of
from .chain.algorithm import as_it_is, chain, check_lcm
from .chain.noise import chain_noise, lcm_noise, starting_noise
from .chain.schedule import END, Schedule, add_noise
from .chain.stages import Hold, Unit
from .errors import RequestError
from .memory import enough_for
from .models.pair import Models
from .pixels import Pixels
from .plan import Plan
from .prompt_schedule import Prompts
from .steps import relay

__all__ = ["Step", "elevate"]


@dataclass(frozen=True, eq=False)
class Step:
    """One finished unit of work of `elevate`."""

    phase: str
    """Text | encoding | painting | refining | inverting | decoding."""
    index: int
    """Units done so far, 1 … total."""
    total: int
    """Units in all, known from the start."""
    timestep: int | None = None
    """That the network was told."""
    frame: tuple[int, Pixels] | None = None
    """While decoding: frame number, (H, W, 3)."""
    notes: tuple[str, ...] = ()
    """With the text: a sentence for each thing in the prompts that is not understood."""
    preview: Callable[[], Pixels | None] = field(default=lambda: None, repr=False)
    """Gives the clip as predicted so far, (F, h, w, 3) at latent resolution, or None when there is nothing to show.
    Computed on each call, cheaply: a linear map from latents to colours."""
    latents: Tensor | None = field(default=None, repr=False)
    """After a call of a network of the chain: the point that it led to, (F, C, h, w). Not to be changed."""
    clean: Tensor | None = field(default=None, repr=False)
    """The clip as predicted so far, (F, C, h, w): what `Models.decode` makes frames of. Not to be changed."""


@dataclass(frozen=True, eq=False)
class Footage:
    """Pictures that a clip is made from."""

    frames: Pixels | None
    """(F, H, W, 3)."""
    strength: float
    """0: the frames stay, 1: nothing is seen of them."""
    anchor: Pixels | None
    """(H, W, 3)."""

    @property
    def count(self) -> int:
        """How many pictures must be encoded: none of frames that noise hides altogether."""
        frames = 0 if self.frames is None or self.strength == 1 else len(self.frames)
        return frames + (self.anchor is not None)


def elevate(
    models: Models,
    *,
    prompt: str = "",
    negative_prompt: str = "",
    prompts: Mapping[int, str] | None = None,
    plan: Plan,
    frames: int,
    height: int,
    width: int,
    seed: int,
    init_frames: Pixels | None = None,
    strength: float = 1.0,
    anchor_frame: Pixels | None = None,
) -> Generator[Step, None, None]:
    """Sample a clip; yields a `Step` after every unit of work, the frames last, one by one in order.

    prompts: {frame: text} instead of a prompt; the embeddings of frames between two are mixed in a straight line.
    init_frames: (F, H, W, 3) uint8, footage to start from: it is noised to the level that `strength` says (as image
    to image, arXiv 2108.01073), and the chain runs the last ⌈strength · S⌉ steps. 1 makes a clip as without footage,
    0 gives the footage through the VAE.
    anchor_frame: (H, W, 3) uint8, the look of frame 0, which stays that picture at every level of noise; all other
    frames attend to it.

    A unit is a text encoding (1 in all), an encoded picture, a call of a network of the chain (on one chunk or
    window), or a decoded frame. Closing the iterator stops within one unit and drops everything that it holds.
    Same seed, same frames; frame k's noise does not depend on the clip's length.

    Raises RequestError (prompt, length, size, seed or footage), PlanError (steps the schedules cannot make)
    before the first unit, NumericsError when a network fails, and OutOfMemory.
    """
    _check_size(models, plan, frames, height, width, seed)
    asked = Prompts.of(prompt, negative_prompt, prompts, frames)
    footage = _footage(init_frames, strength, anchor_frame, (frames, height, width))
    schedules = schedules_of(models, plan)
    check_lcm(schedules[0], plan)
    return _elevate(models, asked, plan, (frames, height, width), seed, footage, schedules)


def schedules_of(models: Models, plan: Plan) -> tuple[Schedule, Schedule]:
    """The T2I's and the T2V's, with the timesteps of a plan. Raises PlanError if they cannot make its steps."""
    t2i = models.t2i_schedule.with_steps(plan.steps)
    t2v = models.t2v_schedule
    return t2i, t2v.matched(t2i) if plan.matching == "snr" else t2v.with_steps(plan.steps)


def _elevate(
    models: Models,
    prompts: Prompts,
    plan: Plan,
    size: tuple[int, int, int],
    seed: int,
    footage: Footage,
    schedules: tuple[Schedule, Schedule],
) -> Generator[Step, None, None]:
    frames, schedule = size[0], schedules[0]
    start = plan.steps - math.ceil(footage.strength * plan.steps)
    total = 1 + footage.count + calls_of(plan, frames, start).total + frames
    with enough_for("text"):
        t2i, t2v = models.denoisers(prompts, frames, plan, schedules)
    texts = (prompts.negative, *prompts.texts)
    number = count(1)
    yield Step(
        "text", next(number), total, notes=tuple(dict.fromkeys(note for text in texts for note in models.notes(text)))
    )

    shape = models.latent_shape(*size[1:])
    z = models.place(starting_noise(seed, plan.alpha, frames, shape))
    pictures: list[Tensor] = []
    for picture in _pictures(footage):
        with enough_for("encoding"):
            pictures.append(models.encode(picture))
        yield Step("encoding", next(number), total)
    hold = as_it_is if footage.anchor is None else _holding(schedule, pictures.pop(), z[0])
    if pictures:
        clean = z.new_empty(z.shape)
        for k, latents in enumerate(pictures):
            clean[k] = latents
        z = clean if start == plan.steps else add_noise(schedule, clean, z, schedule.timesteps[start])

    def noise(purpose: str, n: int, k: int = 0) -> Tensor:
        if purpose == "lcm step":
            return models.place(lcm_noise(seed, plan.alpha, frames, shape, n))
        return models.place(chain_noise(seed, frames, shape, purpose, n, k))

    def step(unit: Unit) -> Step:
        preview = partial(models.draft, unit.clean)
        return Step(
            unit.phase, next(number), total, unit.timestep, preview=preview, latents=unit.latents, clean=unit.clean
        )

    with enough_for("painting"):  # what no phase has claimed
        z = yield from relay(chain(t2i, t2v, plan, z, noise, start, hold), step)

    with enough_for("decoding"):
        made = models.frames(z, plan.tile)
    for k in range(frames):
        with enough_for("decoding"):
            picture = next(made)
        yield Step("decoding", next(number), total, frame=(k, picture), preview=partial(models.draft, z))


def _pictures(footage: Footage) -> list[Pixels]:
    """What is to be encoded, the anchor last."""
    frames = [] if footage.frames is None or footage.strength == 1 else list(footage.frames)
    return frames + ([] if footage.anchor is None else [footage.anchor])


def _holding(schedule: Schedule, anchor: Tensor, epsilon: Tensor) -> Hold:
    """Keeps frame 0 at the anchor's latents, with the same noise at every level; both (C, h, w)."""

    def hold(z: Tensor, t: int) -> Tensor:
        z = z.clone()
        z[0] = anchor if t == END else add_noise(schedule, anchor, epsilon, t)
        return z

    return hold


def _check_size(models: Models, plan: Plan, frames: int, height: int, width: int, seed: int) -> None:
    """Raise RequestError for the first thing that the models cannot sample."""
    for name, value in (("frames", frames), ("height", height), ("width", width), ("seed", seed)):
        if not isinstance(value, int) or isinstance(value, bool):
            raise RequestError(f"{name} is {value!r}; give a whole number.")
    if frames < 1:
        raise RequestError(f"frames is {frames}; choose 1 or more.")
    if models.max_frames is not None and min(frames, plan.window or frames) > models.max_frames:
        name = "frames" if plan.window is None else "window"
        raise RequestError(
            f"{name} is {frames if plan.window is None else plan.window}; this T2V makes at most {models.max_frames} "
            "at once, choose that many or less" + (", or a plan with a window." if plan.window is None else ".")
        )
    for name, value in (("height", height), ("width", width)):
        if value < 1 or value % models.size_multiple:
            nearest = max(round(value / models.size_multiple), 1) * models.size_multiple
            raise RequestError(
                f"{name} is {value}, but these models make multiples of {models.size_multiple} pixels; "
                f"choose for example {nearest}."
            )


def _footage(frames: Any, strength: object, anchor: Any, size: tuple[int, int, int]) -> Footage:
    """Raise RequestError for pictures of another kind or size than the clip's."""
    if not isinstance(strength, int | float) or isinstance(strength, bool) or not 0 <= strength <= 1:
        raise RequestError(f"strength is {strength!r}; choose 0 (the footage stays) to 1 (nothing is seen of it).")
    if frames is None and strength != 1:
        raise RequestError(f"strength is {strength}, but there are no init_frames; give both or none.")
    for name, pictures, shape in (("init_frames", frames, (*size, 3)), ("anchor_frame", anchor, (*size[1:], 3))):
        if pictures is not None and (
            not isinstance(pictures, np.ndarray) or pictures.dtype != np.uint8 or pictures.shape != shape
        ):
            given = (
                f"{pictures.shape} {pictures.dtype}" if isinstance(pictures, np.ndarray) else type(pictures).__name__
            )
            raise RequestError(f"{name} is {given}; give a uint8 array of shape {shape}, the clip's size.")
    return Footage(frames, float(strength), anchor)
