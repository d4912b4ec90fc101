"""Makes the clips of the study's arms, with the product's own sampler."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from typing import Any

import msgspec
import numpy as np
import torch
from torch import Tensor

from ..calls import calls_of
from ..chain.cross_frame import Call
from ..chain.noise import chain_noise, starting_noise
from ..chain.schedule import Schedule, ddim_step, lcm_step
from ..cost.estimating import Estimate, estimate
from ..cost.shapes import Shapes, load_shapes
from ..defaults import native_size
from ..embedded import WEIGHTS
from ..embedded.small_world.styles import WEIGHTS as STYLE_WEIGHTS
from ..errors import PlanError
from ..models.loading import load_models
from ..models.pair import T2V, Models
from ..pixels import Pixels
from ..plan import Plan
from ..prompt_schedule import Prompts
from ..provenance import recorded, source_files
from ..sampler import elevate
from ..sources import Lora, Sources
from ..steps import result
from .arms import T2I_ALONE, T2V_ALONE, Arm

EDITION = 1
"""Raised when sampler or measures change what comes out, so that no clip of before counts any longer."""


@dataclass(frozen=True)
class RenoisedT2V(T2V):
    """A T2V that is told other timesteps: those of its own schedule with the SNRs of another one's.

    All schedules keep the variance, so latents of one SNR are the same on both.
    """

    levels: tuple[int, ...] = ()
    """The network's own timestep for each of the other schedule's."""

    def __call__(self, z: Tensor, t: int, call: Call) -> Tensor:
        """See `Network`."""
        return super().__call__(z, self.levels[t], call)


def renoised(models: Models, name: str) -> Models:
    """The models with a T2V that behaves as one trained on the schedule of this name, with zero terminal SNR."""
    own = models.t2v_schedule
    other = Schedule.of(name, own.prediction_type, zero_snr=True)
    snrs = [torch.logit(each.alphas_cumprod.double(), eps=1e-12) for each in (own, other)]
    levels = (snrs[0][None] - snrs[1][:, None]).abs().argmin(dim=1).tolist()
    network = RenoisedT2V(models.t2v.unet, models.t2v.on_t2i, models.t2v.offloader, tuple(levels))
    return replace(models, t2v=network, t2v_schedule=other)


@dataclass(frozen=True)
class Machine:
    """Where clips are made."""

    device: str = "cpu"
    dtype: str = "float32"


@dataclass(frozen=True)
class Recipe:
    """All that a clip depends on but its prompt and seed."""

    arm: Arm
    t2v: str
    """As it was named."""
    sources: Sources
    plan: Plan
    frames: int
    height: int
    width: int
    calls: int
    tflop: float
    key: str
    """Hash of `settings`."""
    settings: dict[str, Any]
    """As they are hashed: what decides the clip, files by their hashes."""


class Recipes:
    """Those of one pair of models, by headers alone."""

    def __init__(self, sources: Sources, size: tuple[int, int] | None, frames: int, machine: Machine) -> None:
        self.sources, self.size, self.frames, self.machine = sources, size, frames, machine
        self.shapes = _shapes(sources)
        native = native_size(self.shapes.models)
        self.width, self.height = size or (native, native)

    def recipe(self, arm: Arm) -> Recipe:
        """Of an arm. Raises PlanError where this pair cannot make it, with the reason."""
        if arm.few_steps and self.sources.distilled is None:
            return self._few_steps().recipe(arm)
        models = self.shapes.models
        plan, frames = _plain(arm, arm.plan(models.presets)), arm.frames or self.frames
        if models.max_frames is not None and min(frames, plan.window or frames) > models.max_frames:
            raise PlanError(f"This T2V makes at most {models.max_frames} frames at once.")
        sources = self.sources
        if arm.style is not None:
            lora = Lora(str(WEIGHTS / "loras" / arm.style), STYLE_WEIGHTS[arm.style])
            sources = msgspec.structs.replace(sources, loras=(*sources.loras, lora))
        calls, flops = self._cost(arm, plan, frames)
        settings = {
            "edition": EDITION,
            "way": arm.way,
            "plan": asdict(plan),
            "frames": frames,
            "size": [self.width, self.height],
            "schedule": arm.schedule,
            "files": _files(sources, _parts(arm, plan)),
            "loras": [lora.weight for lora in sources.loras],
            "machine": asdict(self.machine),
            **({"distilled": sources.distilled} if sources.distilled else {}),
        }
        key = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
        return Recipe(
            arm, self.sources.t2v, sources, plan, frames, self.height, self.width, calls, flops / 1e12, key, settings
        )

    def _few_steps(self) -> Recipes:
        """Those of the same pair with the embedded LoRA that distils the T2I."""
        lora = Lora(str(WEIGHTS / "lcm"), 1.0)
        sources = msgspec.structs.replace(self.sources, loras=(*self.sources.loras, lora), distilled="lcm")
        return Recipes(sources, self.size, self.frames, self.machine)

    def _cost(self, arm: Arm, plan: Plan, frames: int) -> tuple[int, int]:
        """Network calls and floating-point operations."""
        length = 1 if arm.way == T2I_ALONE else frames
        if plan.cache_interval > 1:
            return calls_of(plan, frames).total, self._estimate(plan, frames).flops
        cost = self._calls(length, plan.window, plan.overlap)
        if arm.way == T2V_ALONE:
            return plan.steps, plan.steps * cost.refining.flops + frames * cost.decoding.flops
        once, times = calls_of(plan), frames // length
        single = (once.correction + once.inverting) * cost.painting.flops // 2  # one prompt's share of a guided call
        chain = once.painting * cost.painting.flops + single + once.refining * cost.refining.flops
        return times * calls_of(plan, length).total, times * chain + frames * cost.decoding.flops

    def _calls(self, frames: int, window: int | None, overlap: int) -> Estimate:
        """What each kind of call takes, which takes a second to find out; most arms have the same."""
        return self._estimate(Plan(2, (2,), 1, window=window, overlap=overlap), frames)

    def _estimate(self, plan: Plan, frames: int) -> Estimate:
        return _estimate(self.sources, plan, frames, self.height, self.width)


@lru_cache(maxsize=8)
def _shapes(sources: Sources) -> Shapes:
    return load_shapes(sources)


@lru_cache
def _estimate(sources: Sources, plan: Plan, frames: int, height: int, width: int) -> Estimate:
    return estimate(plan, _shapes(sources), frames=frames, height=height, width=width)


def _plain(arm: Arm, plan: Plan) -> Plan:
    """A plan that refines nowhere is left nothing that only refinements need: so it is the same whatever the T2V."""
    if plan.refine and arm.way != T2I_ALONE:
        return plan
    return Plan(plan.steps, (), 1, plan.alpha, plan.guidance, cache_interval=plan.cache_interval, eta=plan.eta)


def _parts(arm: Arm, plan: Plan) -> tuple[str, ...]:
    """First words of the sources that a clip depends on."""
    if arm.way == T2V_ALONE:
        return ("t2v", "t2v_text", "t2v_loras", "t2i", "vae")
    return ("t2i", "vae", "loras", "embeddings", *(("t2v", "t2v_text", "t2v_loras") if plan.refine else ()))


@lru_cache(maxsize=32)
def _digests(sources: Sources) -> dict[str, tuple[str, ...]]:
    """Hashes of the files of each source."""
    found: dict[str, list[str]] = {}
    for file in source_files(sources):
        found.setdefault(file.source, []).append(recorded(file).sha256)
    return {source: tuple(hashes) for source, hashes in found.items()}


def _files(sources: Sources, parts: tuple[str, ...]) -> dict[str, str]:
    """A hash for each source that counts."""
    return {
        source: hashlib.sha256("".join(hashes).encode()).hexdigest()[:16]
        for source, hashes in _digests(sources).items()
        if source.split()[0] in parts
    }


@lru_cache(maxsize=4)
def _pair(sources: Sources, machine: Machine) -> Models:
    return load_models(sources, machine.device, getattr(torch, machine.dtype))


@lru_cache(maxsize=8)
def models_of(sources: Sources, schedule: str | None, machine: Machine) -> Models:
    """The models of a recipe, loaded once in a process."""
    models = _pair(sources.pair, machine).with_sources(sources)
    return models if schedule is None else renoised(models, schedule)


@dataclass(frozen=True, eq=False)
class Made:
    """A clip and what it took."""

    clip: Pixels
    """(F, H, W, 3)."""
    seconds: float
    """Of the processor; where the device is another one, of the clock."""


def make(recipe: Recipe, text: str, seed: int, machine: Machine) -> Made:
    """The clip of a prompt. Raises ElevatorError if the models cannot make it."""
    models = models_of(recipe.sources, recipe.arm.schedule, machine)
    now = time.process_time if machine.device == "cpu" else time.perf_counter
    before = now()
    return Made(np.stack(list(_frames(models, recipe, text, seed))), now() - before)


def _frames(models: Models, recipe: Recipe, text: str, seed: int) -> Iterator[Pixels]:
    size = (recipe.height, recipe.width)
    if recipe.arm.way == T2V_ALONE:
        yield from t2v_alone(models, recipe.plan, text, seed, recipe.frames, *size)
        return
    clips = [(seed, recipe.frames)]
    if recipe.arm.way == T2I_ALONE:
        clips = [(seed + k, 1) for k in range(recipe.frames)]
    for each, frames in clips:
        steps = elevate(models, prompt=text, plan=recipe.plan, frames=frames, height=size[0], width=size[1], seed=each)
        yield from (step.frame[1] for step in steps if step.frame is not None)


def t2v_alone(
    models: Models, plan: Plan, text: str, seed: int, frames: int, height: int, width: int
) -> Iterator[Pixels]:
    """Guided sampling with the T2V only, from the noise that the chain would start with."""
    schedule = models.t2v_schedule.with_steps(plan.steps)
    _, t2v = models.denoisers(Prompts("", (text,)), frames, plan, (schedule, schedule))
    shape = models.latent_shape(height, width)
    z = models.place(starting_noise(seed, plan.alpha, frames, shape))
    for i, t in enumerate(schedule.timesteps):
        output, after = result(t2v.guided(z, t)).guided, schedule.after(i)
        if schedule.lcm_steps:
            z = lcm_step(schedule, output, z, t, after, partial(_fresh, models, seed, frames, shape, i))[0]
        else:
            z = ddim_step(schedule, output, z, t, after)[0]
    yield from (models.decode(frame) for frame in z)


def _fresh(models: Models, seed: int, frames: int, shape: tuple[int, int, int], i: int) -> Tensor:
    """What an LCM adds after its i-th step."""
    return models.place(chain_noise(seed, frames, shape, "alone", i))
