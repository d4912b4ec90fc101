"""What is heard of two models, and the plan that follows, on the tiny random models of recordings."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import msgspec
import pytest
import torch

from elevator import LowPass, PlanError, RequestError
from elevator.calibration.calibrating import BUDGET, LEAST_FRAMES, MISMATCH, ROOM, calibrator, matched
from elevator.calibration.choosing import leftover
from elevator.calibration.probing import Size, calls_to_probe, curve_of, decibels, motion_mask, probe, refined_at
from elevator.chain.frequency import lowpass
from elevator.chain.schedule import Schedule
from elevator.cost.estimating import estimate
from elevator.plan import Plan
from elevator.presets import Preset
from elevator.sampler import schedules_of
from elevator.steps import relay, result
from elevator.study.prompts import StudyPrompt
from tests.elevator.golden import models

ROOT = Path(__file__).resolve().parents[3]

pytestmark = pytest.mark.slow

SIZE = Size(frames=4, height=32, width=16)
PROMPTS = [StudyPrompt("a red fox runs", (3,)), StudyPrompt("a fish swims", (4,))]
BALANCED = Plan(steps=6, refine=(5, 3), refine_steps=2, way_back="blend", blend=1.0)
PRESETS = {
    "published": Preset("", Plan(steps=6, refine=(5, 3), refine_steps=2)),
    "balanced": Preset("", BALANCED),
    "fast": Preset("", replace(BALANCED, steps=4, refine=(4, 2))),
}


@cache
def pair(t2v="zeroscope"):
    return replace(models(t2v), presets=PRESETS)


def listened(made, plan, seed=3):
    """How many calls it took, and what was heard."""
    calls: list[None] = []
    work = probe(made, plan, schedules_of(made, plan), "a red fox runs", seed, SIZE)
    return calls, result(relay(work, calls.append))


@cache
def heard(t2v="zeroscope", plan=BALANCED, seed=3):
    return listened(pair(t2v), plan, seed)


@cache
def found(budget=0.8, preset=None):
    return calibrator(pair(), PROMPTS, SIZE, budget, preset).run()


@pytest.mark.parametrize("t2v", ["zeroscope", "animatediff"])
@pytest.mark.parametrize("plan", [BALANCED, replace(BALANCED, chunk=3, window=3, overlap=1, matching="snr")])
def test_every_step_is_heard_with_as_many_calls_as_were_said(t2v, plan):
    calls, steps = heard(t2v, plan)
    assert len(calls) == calls_to_probe(plan, SIZE.frames)
    assert len(steps) == plan.steps
    assert [len(each.open) for each in steps] == [2, 2, 2, 2, 2, 1]
    assert all(each.open[-1] == 0 and each.difference > 0 and 0 <= each.kept <= 1 for each in steps)
    assert steps[-1].kept == 1


def test_what_is_heard_is_what_the_samplers_own_refinement_says():
    """The first refinement of a clip is the one that was heard at that step, but for its noise."""
    plan = refined_at(BALANCED, 2)
    assert (plan.refine, plan.refine_steps, plan.way_back) == ((4, 2), 2, "blend")
    assert plan.filters_at(2)
    assert refined_at(BALANCED, 4).refine == (2,)
    assert (refined_at(BALANCED, 5).refine, refined_at(BALANCED, 5).refine_steps) == ((1,), 1)
    assert refined_at(PRESETS["published"].plan, 2) == plan


def test_frames_in_chunks_say_the_same():
    (_, whole), (_, cut) = heard(), heard(plan=replace(BALANCED, chunk=3))
    assert [each.difference for each in cut] == pytest.approx([each.difference for each in whole], rel=1e-3)


class Guess:
    """A network whose clean prediction, in v, is a picture: the same whatever it is given."""

    def __init__(self, frames):
        self.clean = torch.tensor(frames)[:, None, None, None]

    def __call__(self, z, t, call):
        a = SCHEDULE.alpha(t)
        return (a.sqrt() * z - self.clean) / (1 - a).sqrt()


SCHEDULE = Schedule.of("stable_diffusion", "v_prediction")


def guessing(t2i, t2v):
    """What is heard of two networks with one guess each, a number a frame."""
    schedules = {"t2i_schedule": SCHEDULE, "t2v_schedule": SCHEDULE}
    made = replace(pair(), t2i=Guess(t2i), t2v=Guess(t2v), **schedules)
    return listened(made, replace(BALANCED, lowpass=LowPass(d_t=0.9)))[1]


def test_only_what_moves_is_news():
    still, moving = [0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, -1.0]
    assert max(each.difference for each in guessing(moving, still)) > 0.1
    assert max(each.difference for each in guessing(still, moving)) > 0.1
    assert max(each.difference for each in guessing(moving, moving)) == pytest.approx(0, abs=1e-4)
    assert max(each.difference for each in guessing(still, [1.0, 1.0, 1.0, 1.0])) == pytest.approx(0, abs=1e-4)


def test_a_t2i_that_listens_to_nobody_keeps_nothing_and_a_sure_t2v_needs_one_step():
    steps = guessing([0.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, -1.0])
    assert max(each.kept for each in steps[:-1]) == pytest.approx(0, abs=1e-3)
    assert max(max(each.open) for each in steps) == pytest.approx(0, abs=1e-3)


def test_motion_is_what_changes_slowly_over_time():
    gain = motion_mask(LowPass(d_t=0.4), 16, 4, 4)
    time = torch.arange(16) / 16
    shared, slow, quick = torch.ones(16), torch.sin(2 * torch.pi * time), torch.cos(2 * torch.pi * 8 * time)
    left = [
        float(
            lowpass(x[:, None, None, None].expand(16, 4, 4, 4).contiguous(), gain).square().mean() / x.square().mean()
        )
        for x in (shared, slow, quick)
    ]
    assert left[0] == pytest.approx(0, abs=1e-9)
    assert left[1] > 0.9
    assert left[2] < 0.01


def test_the_curve_is_the_mean_of_the_clips():
    schedules = schedules_of(pair(), BALANCED)
    clips = [heard(seed=3)[1], heard(seed=4)[1]]
    curve = curve_of(schedules, clips)
    assert [point.countdown for point in curve] == [6, 5, 4, 3, 2, 1]
    assert [point.timestep for point in curve] == list(schedules[0].timesteps)
    for i, point in enumerate(curve):
        one, other = (clip[i] for clip in clips)
        assert point.news == pytest.approx((one.difference * one.kept + other.difference * other.kept) / 2)
        assert point.open == pytest.approx(
            [(one.kept * a + other.kept * b) / 2 for a, b in zip(one.open, other.open, strict=True)]
        )
        assert point.snr == pytest.approx(decibels(schedules[0], schedules[0].timesteps[i]))


@pytest.mark.parametrize(("budget", "preset"), [(0.8, "balanced"), (1.0, "balanced"), (0.65, "fast")])
def test_the_frame_is_the_dearest_that_has_room(budget, preset):
    calibration = found(budget)
    assert calibration.preset == preset
    assert calibration.share <= budget
    assert replace(calibration.plan, refine=(5, 3), refine_steps=2, steps=6) == BALANCED


def test_the_documents_say_by_which_limits_it_goes():
    text = " ".join((ROOT / "docs" / "SAMPLER.md").read_text("utf-8").split())
    assert "leaves its own refinements a third of their arithmetic" in text
    assert "more than 3 dB apart on average" in text
    assert "0.8 if not given" in text
    assert (ROOM, MISMATCH, BUDGET) == (1 / 3, 3, 0.8)


def test_arithmetic_is_that_of_the_whole_clip():
    size = {"frames": SIZE.frames, "height": SIZE.height, "width": SIZE.width}
    flops = [estimate(plan, pair(), **size).flops for plan in (found().plan, BALANCED)]
    assert found().share == pytest.approx(flops[0] / flops[1])
    assert found().preset_share == 1
    inverted = found(2.0, "published")
    flops[0] = estimate(inverted.plan, pair(), **size).flops
    assert inverted.preset == "published"
    assert inverted.share == pytest.approx(flops[0] / flops[1])


def test_the_settings_and_the_preset_are_the_plan():
    calibration = found()
    assert PRESETS[calibration.preset].plan.changed(json.loads(msgspec.json.encode(calibration.settings))) == (
        calibration.plan
    )


def test_a_larger_budget_leaves_less_unheard():
    left = [leftover(each.curve, each.plan.refine) for each in (found(0.8), found(2.0, "balanced"))]
    assert left[1] < left[0]


@pytest.mark.parametrize(
    ("changes", "error", "said"),
    [
        ({"size": replace(SIZE, frames=LEAST_FRAMES - 1)}, RequestError, "clips of 4 or more"),
        ({"size": replace(SIZE, height=33)}, RequestError, "multiples of"),
        ({"budget": 0.0}, RequestError, "The budget is 0"),
        ({"budget": 0.05}, RequestError, "choose 0."),
        ({"preset": "quick"}, PlanError, "no preset 'quick'"),
        ({"preset": "balanced", "budget": 0.3}, RequestError, "choose 0."),
    ],
)
def test_what_cannot_be_calibrated_is_told_before_any_call(changes, error, said):
    given = {"size": SIZE, "budget": 0.8, "preset": None} | changes
    with pytest.raises(error, match=said):
        calibrator(pair(), PROMPTS, given["size"], given["budget"], given["preset"])


def test_presets_that_never_refine_leave_nothing_to_choose():
    alone = {"published": Preset("", Plan(steps=6, refine=(), refine_steps=1))}
    with pytest.raises(RequestError, match="No preset of these models refines"):
        calibrator(replace(pair(), presets=alone), PROMPTS, SIZE)


def test_the_budget_that_is_named_is_enough():
    with pytest.raises(RequestError) as refused:
        calibrator(pair(), PROMPTS, SIZE, 0.05)
    named = float(str(refused.value).split("choose ")[1].split()[0])
    assert calibrator(pair(), PROMPTS, SIZE, named).frame.preset == "fast"
    with pytest.raises(RequestError):
        calibrator(pair(), PROMPTS, SIZE, named - 0.02)


def test_models_that_never_differ_are_told():
    ready = calibrator(pair(), PROMPTS, SIZE)
    schedules = {"t2i_schedule": SCHEDULE, "t2v_schedule": SCHEDULE}
    still = Guess([0.0, 0.0, 0.0, 0.0])
    silent = replace(ready, models=replace(pair(), t2i=still, t2v=still, **schedules))
    with pytest.raises(RequestError, match="choose a preset"):
        silent.run()


@pytest.mark.parametrize(
    ("schedule", "matching"),
    [("stable_diffusion", "index"), ("lavie", "snr"), ("animatediff", "index"), ("lcm", "index")],
)
def test_levels_are_matched_by_snr_where_the_schedules_differ(schedule, matching):
    other = replace(pair(), t2v_schedule=Schedule.of(schedule))
    assert matched(other, replace(BALANCED, steps=20, refine=(15,))).matching == matching
