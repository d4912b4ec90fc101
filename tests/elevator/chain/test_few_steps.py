"""T2Is that were distilled to a few steps: their steps against diffusers' schedulers, and their calls."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from diffusers import DDIMScheduler, EulerDiscreteScheduler, LCMScheduler

from elevator import ModelError, Plan, PlanError
from elevator.calls import calls_of
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Call, Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.noise import lcm_noise, starting_noise
from elevator.chain.schedule import Schedule, ddim_step
from tests.elevator.golden import drain

LEVELS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012, "steps_offset": 1}
ZERO_SNR = {**LEVELS, "rescale_betas_zero_snr": True, "prediction_type": "v_prediction", "timestep_spacing": "trailing"}
SHAPE = (4, 4, 4)
TEXT = Text(torch.stack([torch.full((1, 3, 2), -1.0), torch.full((1, 3, 2), 1.0)]))


class Counting:
    """A network that gives numbers of its own for each timestep, and counts what it is asked."""

    def __init__(self):
        self.prompts = []

    def __call__(self, z, t, call):
        self.prompts.append(call.prompts)
        return torch.randn(z.shape, generator=torch.Generator().manual_seed(t)) + 0.1 * z


def painted(schedule, plan):
    """Where a chain starts and ends, and its network."""
    network = Counting()
    t2i = Denoiser("T2I", network, schedule.with_steps(plan.steps), TEXT, plan.guidance)
    z = starting_noise(0, plan.alpha, 2, SHAPE)

    def noise(purpose, n, k=0):
        return torch.randn(z.shape, generator=torch.Generator().manual_seed(n))

    _, latents = drain(chain(t2i, replace(t2i, network=Counting()), plan, z, noise))
    return z, latents, network


@pytest.mark.parametrize("config", [LEVELS, ZERO_SNR], ids=["epsilon", "v"])
@pytest.mark.parametrize("steps", [1, 4, 6, 8])
def test_a_chain_of_an_lcm_is_diffusers_lcm_loop(config, steps):
    plan = Plan(steps=steps, refine=(), guidance=1.0)
    z, latents, _ = painted(Schedule.from_config(config).distilled("lcm"), plan)
    scheduler = LCMScheduler.from_config({**config, "clip_sample": False})
    scheduler.set_timesteps(steps)
    for i, t in enumerate(scheduler.timesteps.tolist()):
        output = Counting()(z, t, Call(TEXT, slice(1, 2), slice(0, 2)))
        z = scheduler.step(output, t, z, generator=torch.Generator().manual_seed(i)).prev_sample
    assert (latents - z).norm() / z.norm() < 1e-5


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' call of numpy
@pytest.mark.parametrize("steps", [1, 4, 8])
def test_trailing_steps_are_those_of_ddim_and_euler(steps):
    hyper = Schedule.from_config({**LEVELS, "set_alpha_to_one": False}).distilled("hyper").with_steps(steps)
    told = {**LEVELS, "timestep_spacing": "trailing"}
    ddim = DDIMScheduler.from_config({**told, "set_alpha_to_one": False, "clip_sample": False})
    ddim.set_timesteps(steps)
    assert hyper.timesteps == tuple(ddim.timesteps.tolist())
    turbo = Schedule.from_config(LEVELS).distilled("turbo").with_steps(steps)
    euler = EulerDiscreteScheduler.from_config(told)
    euler.set_timesteps(steps)
    assert turbo.timesteps == tuple(int(t) for t in euler.timesteps)
    z = y = torch.randn(1, *SHAPE, generator=torch.Generator().manual_seed(9))
    w, x = z, z / turbo.alpha(turbo.timesteps[0]).sqrt()
    for i, t in enumerate(hyper.timesteps):
        output = torch.randn(z.shape, generator=torch.Generator().manual_seed(i))
        z = ddim_step(hyper, output, z, t, hyper.after(i))[0]
        y = ddim.step(output, t, y).prev_sample
        w = ddim_step(turbo, output, w, t, turbo.after(i))[0]
        euler.scale_model_input(x, euler.timesteps[i])
        x = euler.step(output, euler.timesteps[i], x).prev_sample
    assert torch.allclose(z, y, rtol=1e-4, atol=1e-5)
    assert torch.allclose(w, x, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ["lcm", "hyper", "lightning", "turbo"])
def test_without_guidance_the_network_is_asked_once_a_step_for_the_prompt_alone(kind):
    plan = Plan(steps=4, refine=(4, 3), refine_steps=1, guidance=1.0, way_back="blend", correction=False)
    _, _, network = painted(Schedule.from_config(LEVELS).distilled(kind), plan)
    assert network.prompts == [slice(1, 2)] * 4
    assert calls_of(plan).painting == 4


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({}, "this T2I is an LCM, whose steps add noise; set correction to false, or choose the preset turbo"),
        ({"way_back": "blend", "eta": 0.5}, "eta is 0.5, but this T2I is an LCM"),
    ],
)
def test_what_lcm_steps_cannot_have_is_refused(changes, sentence):
    plan = Plan(steps=4, refine=(4,), refine_steps=1, **changes)
    with pytest.raises(PlanError, match=sentence):
        painted(Schedule.from_config(LEVELS).distilled("lcm"), plan)


def test_the_noise_of_lcm_steps_is_as_alike_between_frames_as_the_first():
    shape = (4, 64, 64)
    z = lcm_noise(3, 1.5, 2, shape, 1)
    assert float((z[0] * z[1]).mean()) == pytest.approx(1.5**2 / (1 + 1.5**2), abs=0.03)
    assert float(z.std()) == pytest.approx(1, abs=0.02)
    assert abs(float((z[0] * lcm_noise(3, 1.5, 2, shape, 2)[0]).mean())) < 0.03
    assert torch.equal(z, lcm_noise(3, 1.5, 5, shape, 1)[:2]), "a longer clip has the same"


def test_an_unknown_distillation_is_refused():
    with pytest.raises(ModelError, match="distilled is 'magic'; choose one of hyper, lcm, lightning, none, turbo"):
        Schedule.from_config(LEVELS).distilled("magic")
    own = Schedule.from_config({**LEVELS, "_class_name": "LCMScheduler", "original_inference_steps": 20})
    assert own.distilled("lcm").lcm_steps == 20
    assert own.distilled("none").lcm_steps == 0
