"""The choices of a plan beside the published ones, each against a plain version of its own or diffusers' scheduler."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from diffusers import DDIMScheduler
from torch import Tensor

from elevator import Plan, PlanError
from elevator.calls import calls_of
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Call, DeepFeatures, Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.noise import chain_noise, starting_noise
from elevator.chain.schedule import END, Schedule, add_noise, predict
from elevator.steps import result
from tests.elevator.golden import drain, models, relative_error

pytestmark = pytest.mark.slow

PLAN = Plan(steps=6, refine=(5, 3), refine_steps=2)
SHAPE = (4, 8, 8)
TEXT = torch.randn(2, 1, 77, 32, generator=torch.Generator().manual_seed(0))


def denoisers(plan: Plan, frames: int, t2v: str = "zeroscope", spans: bool = True) -> tuple[Denoiser, Denoiser]:
    pair = models(t2v)
    schedule = pair.t2i_schedule.with_steps(plan.steps)
    video = pair.t2v_schedule.matched(schedule) if plan.matching == "snr" else pair.t2v_schedule.with_steps(plan.steps)
    made = (
        Denoiser("T2I", pair.t2i, schedule, Text(TEXT), plan.guidance),
        Denoiser("T2V", pair.t2v, video, Text(TEXT), plan.video_guidance),
    )
    return (replace(made[0], spans=plan.image_spans), replace(made[1], spans=plan.video_spans)) if spans else made


def noise(frames: int):
    return lambda purpose, n, k=0: chain_noise(0, frames, SHAPE, purpose, n, k)


@cache  # several tests hold a choice against the same chain
def sampled(plan: Plan, frames: int = 3, t2v: str = "zeroscope") -> Tensor:
    z = starting_noise(0, plan.alpha, frames, SHAPE)
    units, latents = drain(chain(*denoisers(plan, frames, t2v), plan, z, noise(frames)))
    assert len(units) == calls_of(plan, frames).total
    return latents


class Handed:
    """The chain of a plan that refines once, by hand up to the hand-over; `after` finishes it."""

    def __init__(self, plan: Plan, frames: int = 3) -> None:
        (countdown,) = plan.refine
        self.i, self.plan, self.frames = plan.steps - countdown, plan, frames
        self.t2i, self.t2v = denoisers(plan, frames)
        self.scheduler = DDIMScheduler.from_config(
            {
                "beta_schedule": "scaled_linear",
                "beta_start": 0.00085,
                "beta_end": 0.012,
                "clip_sample": False,
                "set_alpha_to_one": False,
                "steps_offset": 1,
            }
        )
        self.scheduler.set_timesteps(plan.steps)
        z = self.down(starting_noise(0, plan.alpha, frames, SHAPE), 0, self.i)
        t = self.t2i.schedule.timesteps[self.i]
        self.painted = predict(self.t2i.schedule, result(self.t2i.guided(z, t)).guided, z, t)
        y = add_noise(self.t2v.schedule, self.painted.x0, noise(frames)("refine", 0), self.level(t))
        for k in range(self.i, self.i + plan.refine_steps):
            t_k = self.t2v.schedule.timesteps[k]
            prediction = predict(self.t2v.schedule, result(self.t2v.guided(y, t_k)).guided, y, t_k)
            self.x0 = prediction.x0
            y = add_noise(self.t2v.schedule, self.x0, prediction.epsilon, self.t2v.schedule.after(k))

    def level(self, t: int) -> int:
        return self.t2v.schedule.timesteps[self.i] if self.plan.matching == "snr" else t

    def down(self, z: Tensor, start: int, stop: int) -> Tensor:
        for i in range(start, stop):
            t = self.t2i.schedule.timesteps[i]
            extra = {"eta": self.plan.eta, "variance_noise": noise(self.frames)("step", i)} if self.plan.eta else {}
            z = self.scheduler.step(result(self.t2i.guided(z, t)).guided, t, z, **extra).prev_sample
        return z

    def after(self, z: Tensor) -> Tensor:
        return self.down(z, self.i + 1, self.plan.steps)

    def next_level(self) -> int:
        return self.t2i.schedule.timesteps[self.i + 1]


ONCE = Plan(steps=6, refine=(4,), refine_steps=2)


def test_random_noise_is_added_to_the_refined_clip():
    handed = Handed(replace(ONCE, way_back="random_noise"))
    z = handed.scheduler.add_noise(handed.x0, noise(3)("way back", 0), torch.tensor(handed.next_level()))
    assert relative_error(sampled(handed.plan), handed.after(z)) <= 1e-4


def test_the_same_noise_is_one_frames_for_all():
    handed = Handed(replace(ONCE, way_back="same_noise"))
    epsilon = noise(3)("way back", 0)[:1].expand(3, -1, -1, -1)
    z = handed.scheduler.add_noise(handed.x0, epsilon, torch.tensor(handed.next_level()))
    assert relative_error(sampled(handed.plan), handed.after(z)) <= 1e-4


@pytest.mark.parametrize("part", [None, 0.2, 1.0])
def test_a_blend_keeps_the_t2is_noise(part):
    handed = Handed(replace(ONCE, way_back="blend", blend=part))
    share = 0.5 if part is None else part
    mixed = share * handed.x0 + (1 - share) * handed.painted.x0
    z = handed.scheduler.add_noise(mixed, handed.painted.epsilon, torch.tensor(handed.next_level()))
    assert relative_error(sampled(handed.plan), handed.after(z)) <= 1e-4


def test_an_inversion_on_a_coarse_grid_visits_the_levels_that_the_plan_says():
    plan = Plan(steps=10, refine=(8,), refine_steps=2, inversion_steps=3)
    assert plan.inverts_to(2) == (7, 5, 3)
    handed = Handed(plan)
    z, t_from, alphas = handed.x0, -1, handed.scheduler.alphas_cumprod
    for i in (7, 5, 3):
        t = handed.t2i.schedule.timesteps[i]
        epsilon = result(handed.t2i.with_negative(z, t))
        alpha_from = alphas[t_from] if t_from >= 0 else handed.scheduler.final_alpha_cumprod
        clean = (z - (1 - alpha_from).sqrt() * epsilon) / alpha_from.sqrt()
        z, t_from = alphas[t].sqrt() * clean + (1 - alphas[t]).sqrt() * epsilon, t
    assert relative_error(sampled(plan), handed.after(z)) <= 1e-4


def test_without_correction_the_chain_goes_on_from_the_inverted_clip():
    plan = replace(ONCE, correction=False)
    handed = Handed(plan)
    z, t_from, alphas = handed.x0, -1, handed.scheduler.alphas_cumprod
    for i in (5, 4, 3):
        t = handed.t2i.schedule.timesteps[i]
        epsilon = result(handed.t2i.with_negative(z, t))
        alpha_from = alphas[t_from] if t_from >= 0 else handed.scheduler.final_alpha_cumprod
        clean = (z - (1 - alpha_from).sqrt() * epsilon) / alpha_from.sqrt()
        z, t_from = alphas[t].sqrt() * clean + (1 - alphas[t]).sqrt() * epsilon, t
    assert relative_error(sampled(plan), handed.after(z)) <= 1e-4
    assert relative_error(sampled(plan), sampled(ONCE)) > 1e-3


@pytest.mark.parametrize("eta", [0.3, 1.0])
def test_eta_is_that_of_diffusers(eta):
    handed = Handed(replace(ONCE, way_back="random_noise", eta=eta))
    z = handed.scheduler.add_noise(handed.x0, noise(3)("way back", 0), torch.tensor(handed.next_level()))
    assert relative_error(sampled(handed.plan), handed.after(z)) <= 1e-4


@pytest.mark.parametrize("start", [0, 2])
def test_latents_are_held_at_their_own_levels(start):
    """What is held is told the level of noise of what it gets: at first that of the first step to come."""
    t2i, t2v = denoisers(PLAN, 3)
    held, z = [], starting_noise(0, 1.5, 3, SHAPE)

    def hold(z, t):
        held.append(t)
        return z

    drain(chain(t2i, t2v, PLAN, z, noise(3), start, hold))
    assert held[0] == t2i.schedule.timesteps[start]
    assert held[-1] == END
    assert set(held) == {*t2i.schedule.timesteps[start:], END}


def test_noise_is_matched_by_snr():
    t2i = Schedule.of("stable_diffusion").with_steps(50)
    for name in ("lavie", "animatediff"):
        matched = Schedule.of(name).matched(t2i)
        for ours, theirs in zip(matched.timesteps, t2i.timesteps, strict=True):
            snr, wanted = (10 * torch.log10(s.alpha(t) / (1 - s.alpha(t))) for s, t in ((matched, ours), (t2i, theirs)))
            assert abs(snr - wanted) < (0.3 if theirs > 10 else 3)
    # The differences that matching by index leaves, in dB, at t = 681 (the method's trap 5).
    levels = {name: Schedule.of(name).alpha(681) for name in ("stable_diffusion", "animatediff", "lavie")}
    found = {name: round(float(10 * torch.log10(a / (1 - a))), 1) for name, a in levels.items()}
    assert found == {"stable_diffusion": -9.8, "animatediff": -13.6, "lavie": -20.4}


@pytest.mark.parametrize(("steps", "shared"), [(1, 0), (12, 0), (50, 3), (1000, 100)])
def test_every_level_is_visited_once(steps: int, shared: int) -> None:
    """A T2I of zero terminal SNR begins noisier than AnimateDiff can be: its first steps want the same level.

    shared: how many timesteps, at least, have a nearest level that is taken.
    """
    own = Schedule.of("animatediff")
    other = Schedule.of("stable_diffusion", "v_prediction", zero_snr=True).with_steps(steps)
    levels = own.matched(other).timesteps
    assert len(levels) == steps
    assert list(levels) == sorted(set(levels), reverse=True)
    assert 0 <= levels[-1] <= levels[0] <= 999
    logs = torch.logit(own.alphas_cumprod.double())
    nearest = [int((logs - torch.logit(other.alpha(t).double(), eps=1e-12)).abs().argmin()) for t in other.timesteps]
    taken = [k for k in range(1, steps) if nearest[k] >= levels[k - 1]]
    assert len(taken) >= shared
    if steps < 1000:
        assert [k for k in range(steps) if levels[k] != nearest[k]] == taken
        assert all(levels[k] == levels[k - 1] - 1 for k in taken), "the next one that is free"


def test_more_steps_than_levels_are_not_matched():
    few = replace(Schedule.of("lavie"), alphas_cumprod=Schedule.of("lavie").alphas_cumprod[:10])
    assert few.matched(Schedule.of("stable_diffusion").with_steps(10)).timesteps == tuple(range(9, -1, -1))
    with pytest.raises(PlanError, match="steps is 11; choose 10 or less, the levels of the T2V's schedule"):
        few.matched(Schedule.of("stable_diffusion").with_steps(11))


def test_equal_schedules_match_step_by_step():
    assert torch.equal(sampled(replace(PLAN, matching="snr")), sampled(PLAN))


def test_a_matched_t2v_is_noised_to_its_own_level_and_told_so():
    plan = replace(ONCE, matching="snr", way_back="random_noise")
    t2i, t2v = denoisers(plan, 3)
    t2v = replace(t2v, schedule=Schedule.of("lavie").matched(t2i.schedule))
    seen = []

    def network(z, t, call):
        seen.append((z[0].clone(), t))
        return torch.zeros_like(z)

    z = starting_noise(0, 1.5, 3, SHAPE)
    units, _ = drain(chain(t2i, replace(t2v, network=network), plan, z, noise(3)))
    clean = [unit.clean for unit in units if unit.phase == "painting"][2]
    entered = add_noise(t2v.schedule, clean, noise(3)("refine", 0), t2v.schedule.timesteps[2])
    assert torch.equal(seen[0][0], entered)
    assert [t for _, t in seen] == list(t2v.schedule.timesteps[2:4])
    assert t2v.schedule.timesteps[2] != t2i.schedule.timesteps[2]


# Chunks are the T2I's, which is the same beside every T2V.
@pytest.mark.parametrize(
    ("t2v", "chunk"), [*(("zeroscope", chunk) for chunk in (1, 2, 3, 4)), ("animatediff", 2), ("lavie", 2)]
)
def test_chunks_change_nothing(t2v, chunk):
    assert relative_error(sampled(replace(PLAN, chunk=chunk), 5, t2v), sampled(PLAN, 5, t2v)) <= 1e-5


@pytest.mark.parametrize("interval", [2, 3])
def test_chunks_change_nothing_where_features_are_reused(interval):
    plan = replace(PLAN, cache_interval=interval)
    assert relative_error(sampled(replace(plan, chunk=2), 5), sampled(plan, 5)) <= 1e-5


def test_one_window_changes_nothing():
    assert torch.equal(sampled(replace(PLAN, window=5, overlap=2), 5), sampled(PLAN, 5))


def test_windows_are_the_weighted_outputs_of_clips_of_their_own():
    plan = replace(PLAN, window=4, overlap=2)
    _, t2v = denoisers(plan, 6)
    z = torch.randn(6, *SHAPE)
    _, whole = denoisers(PLAN, 4, spans=False)
    first, second = (result(whole.guided(z[start : start + 4], 500)).guided for start in (0, 2))
    expected = torch.cat([first[:2], (first[2:] * torch.tensor([2 / 3, 1 / 3]).view(2, 1, 1, 1)), second[2:]])
    expected[2:4] += second[:2] * torch.tensor([1 / 3, 2 / 3]).view(2, 1, 1, 1)
    assert relative_error(result(t2v.guided(z, 500)).guided, expected) <= 1e-5


@pytest.mark.parametrize("frames", [1, 3])
def test_reused_features_of_the_same_latents_give_the_same_output(frames):
    network, z = models("zeroscope").t2i, torch.randn(2, frames, *SHAPE)
    call = Call(Text(TEXT), slice(0, 2), slice(0, frames))
    features = DeepFeatures()
    with torch.inference_mode():
        plain = network(z, 500, call)
        whole = network(z, 500, replace(call, features=features))
        features.whole = False
        assert torch.equal(plain, whole)
        assert relative_error(network(z, 500, replace(call, features=features)), plain) <= 1e-5
        nearby = network(z + 0.1 * torch.randn_like(z), 480, replace(call, features=features))
        assert 1e-3 < relative_error(nearby, plain) < 1


def test_features_are_reused_between_whole_calls_and_not_across_a_refinement():
    plan = replace(PLAN, steps=9, refine=(5,), cache_interval=3, correction=False)
    seen = []

    class Noted:
        def __call__(self, z, t, call):
            seen.append((len(call.hidden), call.features.whole))
            return models("zeroscope").t2i(z, t, call)

    t2i, t2v = denoisers(plan, 2)
    drain(chain(replace(t2i, network=Noted()), t2v, plan, starting_noise(0, 1, 2, SHAPE), noise(2)))
    painted = [whole for prompts, whole in seen if prompts == 2]
    assert painted == [True, False, False, True, False, True, False, False, True]  # the refinement is after the fifth
    assert [whole for prompts, whole in seen if prompts == 1] == [True, False, False, True]
    calls = calls_of(plan)
    assert (calls.shallow_painting, calls.shallow_inverting) == (5, 2)


def test_closing_between_two_chunks_makes_no_further_call():
    plan = replace(PLAN, chunk=1, window=2)
    calls = []

    def network(z, t, call):
        calls.append(z.shape[1])
        return z / 2

    for stop in range(1, calls_of(plan, 4).total + 1):
        calls.clear()
        t2i, t2v = (replace(each, network=network) for each in denoisers(plan, 4))
        units = chain(t2i, t2v, plan, starting_noise(0, 1, 4, SHAPE), noise(4))
        for _ in range(stop):
            next(units)
        units.close()
        assert len(calls) == stop
        assert max(calls) <= 2
