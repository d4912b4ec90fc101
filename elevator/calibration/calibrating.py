"""The whole calibration: which preset is the frame, what its curve is, and the plan that follows."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..cost.estimating import Rates, rates
from ..cost.shapes import shapes_of
from ..defaults import preset_plan
from ..errors import RequestError
from ..models.pair import Models
from ..plan import Plan
from ..presets import default_of
from ..sampler import elevate, schedules_of
from ..steps import relay, result
from ..study.prompts import StudyPrompt
from .choosing import Point, choose
from .probing import Size, calls_to_probe, curve_of, decibels, outputs_to_probe, probe, refined_at

BUDGET = 0.8
"""Of the reference's arithmetic."""
REFERENCE = "balanced"
"""The preset that the budget is a part of, where there is one of this name."""
ROOM = 1 / 3
"""A preset is the frame where the budget leaves its refinements this part of what they take by hand."""
MISMATCH = 3.0
"""Mean distance of the schedules' SNRs at the same steps from which they are matched by SNR, dB: twice the noise."""
LEAST_FRAMES = 4
"""A clip of fewer has no slow change."""
SILENCE = 1e-6
"""News of a whole curve that are none."""


@dataclass(frozen=True)
class Frame:
    """A preset whose refinements are to be chosen."""

    preset: str
    plan: Plan
    """As it was made by hand."""
    rates: Rates

    @property
    def bare(self) -> int:
        """Floating-point operations without refinements."""
        return self.rates.flops(replace(self.plan, refine=(), refine_steps=1))

    @property
    def least(self) -> int:
        """The smallest budget that it takes."""
        return round(self.bare + ROOM * (self.rates.flops(self.plan) - self.bare))


@dataclass(frozen=True)
class Calibration:
    """What was found for a pair."""

    preset: str
    """Whose settings the plan has but for `settings`."""
    plan: Plan
    settings: dict[str, object]
    """What a style's `plan` table, or --set, says."""
    curve: tuple[Point, ...]
    reference: str
    """The preset that arithmetic is relative to."""
    budget: float
    share: float
    """Of the reference's arithmetic, that the plan takes."""
    preset_share: float
    """That the preset takes as it was made by hand."""
    probing: float
    """What the probing took, in clips of the reference."""


@dataclass(frozen=True)
class Calibrator:
    """A calibration that is ready to go: everything has been checked that can be without a network call."""

    models: Models
    prompts: Sequence[StudyPrompt]
    size: Size
    frame: Frame
    reference: str
    whole: int
    """Floating-point operations of the reference."""
    budget: float

    @property
    def calls(self) -> int:
        """Network calls of the probing."""
        return len(self.prompts) * calls_to_probe(self.frame.plan, self.size.frames)

    @property
    def clips(self) -> float:
        """Arithmetic of the probing, in clips of the reference."""
        painting, refining = outputs_to_probe(self.frame.plan)
        each = self.frame.rates
        flops = painting * each.guided.whole.flops + refining * each.refining.flops
        return len(self.prompts) * flops / self.whole

    def run(self, told: Callable[[], object] = lambda: None) -> Calibration:
        """Probe and choose; `told` is called after every network call. Raises ElevatorError."""
        plan = self.frame.plan
        schedules, clips = schedules_of(self.models, plan), []
        for prompt in self.prompts:
            steps = probe(self.models, plan, schedules, prompt.text, prompt.seeds[0], self.size)
            clips.append(result(relay(steps, lambda _: told())))
        curve = curve_of(schedules, clips)
        if sum(point.news for point in curve) <= SILENCE:
            raise RequestError(
                "The motion of both models' clean predictions is the same at every step, so nothing says where the T2V "
                "is needed; choose a preset."
            )
        price = self.frame.rates.flops
        chosen = choose(curve, plan, price, int(self.budget * self.whole))
        if chosen is None:
            raise RequestError(
                f"A budget of {self.budget:g} has no room for a refinement of the preset {self.frame.preset} that is "
                "worth its price; choose a larger budget or another preset."
            )
        return Calibration(
            preset=self.frame.preset,
            plan=chosen,
            settings=_settings(chosen, self.models.presets[self.frame.preset].plan),
            curve=tuple(curve),
            reference=self.reference,
            budget=self.budget,
            share=price(chosen) / self.whole,
            preset_share=price(plan) / self.whole,
            probing=self.clips,
        )


def calibrator(
    models: Models, prompts: Sequence[StudyPrompt], size: Size, budget: float = BUDGET, preset: str | None = None
) -> Calibrator:
    """What is to be probed, and in which frame.

    preset: the frame; None: the dearest preset, at most as dear as the reference, that has room for a third of its own
    refinements in the budget. Raises RequestError or PlanError where the pair cannot be calibrated.
    """
    if size.frames < LEAST_FRAMES:
        raise RequestError(f"frames is {size.frames}; motion is listened to in clips of {LEAST_FRAMES} or more.")
    if budget <= 0:
        raise RequestError(f"The budget is {budget}; choose a part of the arithmetic such as {BUDGET}.")
    if preset is not None:
        preset_plan(models, preset)
    reference = REFERENCE if REFERENCE in models.presets else default_of(models.presets)
    frames = list(_frames(models, size, {reference, *models.presets} if preset is None else {reference, preset}))
    whole = next(each.rates.flops(each.plan) for each in frames if each.preset == reference)
    if preset is None:
        offered = [each for each in frames if each.rates.flops(each.plan) <= whole]
    else:
        offered = [each for each in frames if each.preset == preset]
    offered = sorted((each for each in offered if each.plan.refine), key=lambda each: -each.rates.flops(each.plan))
    if not offered:
        raise RequestError("No preset of these models refines, so there is nothing to choose; choose another T2V.")
    room = [each for each in offered if each.least <= budget * whole]
    if not room:
        raise _too_little(budget, min(each.least for each in offered) / whole)
    frame = replace(room[0], plan=matched(models, room[0].plan))
    elevate(
        models,
        prompt=prompts[0].text,
        plan=frame.plan,
        frames=size.frames,
        height=size.height,
        width=size.width,
        seed=0,
    ).close()  # says what is wrong with size and steps
    return Calibrator(models, prompts, size, frame, reference, whole, budget)


def matched(models: Models, plan: Plan) -> Plan:
    """The plan with levels of noise matched by SNR, if the schedules' SNRs differ and the T2V can be told any level."""
    t2i, t2v = schedules_of(models, plan)
    levels = zip(t2i.timesteps, t2v.timesteps, strict=True)
    apart = sum(abs(decibels(t2i, a) - decibels(t2v, b)) for a, b in levels) / plan.steps
    return plan if apart <= MISMATCH or t2v.lcm_steps else replace(plan, matching="snr")


def _frames(models: Models, size: Size, names: set[str]) -> Iterator[Frame]:
    shapes, known = shapes_of(models), {}
    for name, preset in models.presets.items():
        if name in names:
            plan = preset.plan
            kind = replace(refined_at(plan, 0), steps=1, refine=(1,), refine_steps=1)  # and so of outputs of its kinds
            if kind not in known:
                known[kind] = rates(kind, shapes, frames=size.frames, height=size.height, width=size.width)
            yield Frame(name, plan, known[kind])


def _settings(plan: Plan, preset: Plan) -> dict[str, object]:
    settings: dict[str, object] = {"refine": list(plan.refine), "refine_steps": plan.refine_steps}
    return settings | ({} if plan.matching == preset.matching else {"matching": plan.matching})


def _too_little(budget: float, least: float) -> RequestError:
    return RequestError(
        f"A budget of {budget:g} has no room for what the T2V says; choose {math.ceil(100 * least) / 100:g} or more."
    )
