"""Listens to T2I and T2V at every step of one chain, over the sampler's own bridge."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator
from dataclasses import dataclass, replace
from functools import partial

import torch
from torch import Tensor

from ..chain.algorithm import chain
from ..chain.frequency import lowpass, mask
from ..chain.noise import chain_noise, lcm_noise, starting_noise
from ..chain.schedule import Schedule
from ..models.pair import Models
from ..plan import LowPass, Plan
from ..prompt_schedule import Prompts
from .choosing import Point

LEAST_SHARE = 1e-12
"""Of signal or noise: what is less is taken for it, −120 dB."""
LEAST_DEVIATION = 1e-9


@dataclass(frozen=True)
class Size:
    """Of a clip."""

    frames: int
    height: int
    """Pixels."""
    width: int


@dataclass(frozen=True)
class Heard:
    """What was heard at one step of one clip; see `Point`."""

    difference: float
    kept: float
    open: tuple[float, ...]


def refined_at(plan: Plan, i: int) -> Plan:
    """The plan with a refinement after step i, which is handed back without inversions, and filtered as one that is
    not the last."""
    countdown = plan.steps - i
    steps = min(plan.refine_steps, countdown)
    bare = replace(plan, refine=(), refine_steps=steps, way_back="blend", inversion_steps=None, correction=False)
    return replace(bare, blend=1.0, refine=(countdown, steps) if steps < countdown else (countdown,))


def calls_to_probe(plan: Plan, frames: int) -> int:
    """Network calls that `probe` makes for a clip: a yield each."""
    painting, refining = outputs_to_probe(plan)
    return painting * len(plan.image_spans(frames)) + refining * len(plan.video_spans(frames))


def outputs_to_probe(plan: Plan) -> tuple[int, int]:
    """Guided outputs of T2I and T2V that `probe` asks for."""
    return 2 * plan.steps - 1, sum(min(plan.refine_steps, countdown) for countdown in range(1, plan.steps + 1))


def probe(
    models: Models, plan: Plan, schedules: tuple[Schedule, Schedule], text: str, seed: int, size: Size
) -> Generator[None, None, list[Heard]]:
    """What is heard at each step of the T2I's own chain; yields after every network call.

    From every step the sampler's chain goes on aside: it refines there, and takes one T2I step more.
    plan: its `refine_steps` are how many T2V steps are listened to. schedules: T2I's and T2V's, with its timesteps.
    """
    shape = models.latent_shape(size.height, size.width)
    t2i, t2v = models.denoisers(Prompts("", (text,)), size.frames, plan, schedules)
    gain = motion_mask(plan.lowpass, size.frames, *shape[1:])
    spans = {"painting": len(plan.image_spans(size.frames)), "refining": len(plan.video_spans(size.frames))}

    def noise(i: int, purpose: str, n: int, k: int = 0) -> Tensor:
        if purpose == "lcm step":
            return models.place(lcm_noise(seed, plan.alpha, size.frames, shape, n))
        return models.place(chain_noise(seed, size.frames, shape, purpose, i if purpose == "refine" else n, k))

    z = models.place(starting_noise(seed, plan.alpha, size.frames, shape))
    painted: list[Tensor] = []
    after: list[Tensor] = []
    said: list[list[Tensor]] = []
    for i in range(plan.steps):
        said.append([])
        units: Counter[str] = Counter()
        for unit in chain(t2i, t2v, refined_at(plan, i), z, partial(noise, i), i):
            yield
            units[unit.phase] += 1
            if units[unit.phase] % spans[unit.phase]:  # the output is not yet whole
                continue
            slow = lowpass(unit.clean, gain)
            if unit.phase == "refining":
                said[i].append(slow)
            elif not said[i]:
                painted.append(slow)
                z = unit.latents
            else:
                after.append(slow)
                break
    deviation = max(_rms(z - z.mean()), LEAST_DEVIATION)
    heard = []
    for i, each in enumerate(said):
        news = each[-1] - painted[i]
        kept = _part(after[i] - painted[i + 1], news) if i + 1 < plan.steps else 1.0
        heard.append(Heard(_rms(news) / deviation, kept, tuple(_rms(x - each[-1]) / deviation for x in each)))
    return heard


def motion_mask(filtered: LowPass, frames: int, height: int, width: int) -> Tensor:
    """Gain of what is motion, (F, h, w): slow changes over time. What all frames share is the look, which is the
    T2I's to say; what changes faster than the plan's low-pass lets through is flicker."""
    gain = mask(LowPass("temporal", d_t=filtered.d_t), frames, height, width).clone()
    gain[0] = 0
    return gain


def curve_of(schedules: tuple[Schedule, Schedule], clips: list[list[Heard]]) -> list[Point]:
    """The means over clips, a point a step."""
    steps = len(schedules[0].timesteps)
    points = []
    for i, t in enumerate(schedules[0].timesteps):
        here = [clip[i] for clip in clips]
        news = [[heard.kept * each for each in (heard.difference, *heard.open)] for heard in here]
        mean = [sum(values) / len(clips) for values in zip(*news, strict=True)]
        points.append(
            Point(
                countdown=steps - i,
                timestep=t,
                snr=decibels(schedules[0], t),
                video_snr=decibels(schedules[1], schedules[1].timesteps[i]),
                difference=sum(heard.difference for heard in here) / len(clips),
                kept=sum(heard.kept for heard in here) / len(clips),
                news=mean[0],
                open=tuple(mean[1:]),
            )
        )
    return points


def decibels(schedule: Schedule, t: int) -> float:
    """The signal-to-noise ratio ᾱ/(1−ᾱ) at a timestep, dB."""
    alpha = schedule.alpha(t).double().clamp(LEAST_SHARE, 1 - LEAST_SHARE)
    return float(10 * torch.log10(alpha / (1 - alpha)))


def _rms(x: Tensor) -> float:
    return float(x.float().square().mean().sqrt())


def _part(x: Tensor, of: Tensor) -> float:
    """How much of one clip another one has, by their projection, 0 … 1."""
    whole = float(of.square().sum())
    return min(max(float((x * of).sum()) / whole, 0.0), 1.0) if whole else 0.0
