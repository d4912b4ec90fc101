"""Schedules and DDIM moves, by difference to diffusers' schedulers."""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, EulerDiscreteScheduler, LCMScheduler
from hypothesis import given
from hypothesis import strategies as st

from elevator.chain.schedule import END, KNOWN, Schedule, add_noise, ddim_invert_step, ddim_step, lcm_step, predict
from elevator.errors import ModelError, PlanError

CONFIGS = st.fixed_dictionaries(
    {
        "beta_schedule": st.sampled_from(["linear", "scaled_linear"]),
        "beta_start": st.sampled_from([0.00085, 0.0001]),
        "beta_end": st.sampled_from([0.012, 0.02]),
        "prediction_type": st.sampled_from(["epsilon", "v_prediction"]),
        "set_alpha_to_one": st.booleans(),
        "timestep_spacing": st.sampled_from(["leading", "trailing", "linspace"]),
        "steps_offset": st.sampled_from([0, 1]),
        "rescale_betas_zero_snr": st.booleans(),
    }
).map(lambda config: config | {"clip_sample": False})
SD = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}


def close(x, reference):
    """Equal to float32 rounding, relative to the reference's size."""
    return (x - reference).abs().max() <= 2e-5 * max(1.0, float(reference.abs().max()))


def visited(theirs):
    """The timesteps without the superfluous −1 that diffusers' trailing spacing has for 61, 103, 121 or 122 steps."""
    return [t for t in theirs.timesteps.tolist() if t >= 0]


def at_zero_snr(schedule, t):
    return t >= 0 and schedule.prediction_type == "epsilon" and schedule.alpha(t) == 0


@given(CONFIGS, st.integers(1, 400))
def test_timesteps_and_levels(config, steps):
    ours, theirs = Schedule.from_config(config), DDIMScheduler.from_config(config)
    theirs.set_timesteps(steps)
    assert torch.equal(ours.alphas_cumprod, theirs.alphas_cumprod)
    assert ours.final_alpha == theirs.final_alpha_cumprod
    if at_zero_snr(ours, int(theirs.timesteps[0])):
        with pytest.raises(ModelError, match="zero SNR"):
            ours.with_steps(steps)
    else:
        assert ours.with_steps(steps).timesteps == tuple(visited(theirs))


@given(CONFIGS, st.integers(1, 200), st.data())
def test_ddim_step(config, steps, data):
    ours, theirs = Schedule.from_config(config), DDIMScheduler.from_config(config)
    theirs.set_timesteps(steps)
    t = data.draw(st.sampled_from(visited(theirs)))
    if at_zero_snr(ours, t):
        return
    output, z = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(t))
    step = theirs.step(output, t, z, eta=0.0)
    z_next, x0 = ddim_step(ours, output, z, t, max(t - 1000 // steps, END))
    assert close(z_next, step.prev_sample)
    assert close(x0, step.pred_original_sample)
    assert torch.isfinite(z_next).all()


@given(CONFIGS.filter(lambda c: c["timestep_spacing"] != "linspace"), st.integers(1, 200), st.data())
def test_ddim_invert_step(config, steps, data):
    ours = Schedule.from_config(config)
    with warnings.catch_warnings():
        theirs = DDIMInverseScheduler.from_config(config)
    theirs.set_timesteps(steps)
    t = data.draw(st.sampled_from(visited(theirs)))
    t_from = max(t - 1000 // steps, END)
    output, z = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(t))
    moved = theirs.step(output, t, z).prev_sample
    assert close(ddim_invert_step(ours, output, z, t_from, t), moved)


@given(CONFIGS, st.integers(0, 999))
def test_add_noise_and_predict_undo_each_other(config, t):
    ours, theirs = Schedule.from_config(config), DDIMScheduler.from_config(config)
    x0, epsilon = torch.randn(2, 3, 4, 2, 2, generator=torch.Generator().manual_seed(t))
    z = add_noise(ours, x0, epsilon, t)
    assert close(z, theirs.add_noise(x0, epsilon, torch.tensor([t])))
    if at_zero_snr(ours, t):
        return
    output = epsilon
    if ours.prediction_type == "v_prediction":
        output = theirs.get_velocity(x0, epsilon, torch.tensor([t]))
    predicted = predict(ours, output, z, t)
    # An epsilon prediction divides rounding errors by √ᾱ.
    room = 1e-5 / max(float(ours.alpha(t).sqrt()), 1e-3) if ours.prediction_type == "epsilon" else 1e-5
    assert (predicted.x0 - x0).abs().max() <= room
    assert (predicted.epsilon - epsilon).abs().max() <= 1e-5


def test_zero_terminal_snr_with_v_prediction_is_finite_at_its_first_step():
    config = SD | {"rescale_betas_zero_snr": True, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    schedule = Schedule.from_config(config).with_steps(10)
    assert schedule.timesteps[0] == 999
    assert schedule.alpha(999) == 0
    z, v = torch.randn(2, 5, generator=torch.Generator().manual_seed(0))
    z_next, x0 = ddim_step(schedule, v, z, 999, 899)
    assert torch.equal(x0, -v)
    assert torch.isfinite(z_next).all()
    inverted = ddim_invert_step(schedule, v, z, 899, 999)
    assert torch.isfinite(inverted).all()


def test_last_level_is_the_final_alpha():
    schedule = Schedule.from_config(SD).with_steps(10)
    assert schedule.after(0) == schedule.timesteps[1]
    assert schedule.after(9) == END
    assert schedule.alpha(END) == schedule.alphas_cumprod[0]


def test_absent_keys_have_diffusers_defaults():
    ours, theirs = Schedule.from_config({}), DDIMScheduler()
    assert torch.equal(ours.alphas_cumprod, theirs.alphas_cumprod)
    assert ours.final_alpha == theirs.final_alpha_cumprod == 1


def test_trained_betas_are_taken_as_they_are():
    betas = [0.1, 0.2, 0.3]
    schedule = Schedule.from_config({"trained_betas": betas})
    assert schedule.alphas_cumprod.tolist() == pytest.approx([0.9, 0.72, 0.504])


@pytest.mark.parametrize("steps", [0, -3, 1001])
def test_steps_outside_the_schedule(steps):
    with pytest.raises(PlanError, match="choose 1 to 1000"):
        Schedule.from_config(SD).with_steps(steps)


def test_offset_past_the_schedule():
    with pytest.raises(PlanError, match="use fewer steps"):
        Schedule.from_config(SD).with_steps(1000)


@pytest.mark.parametrize(
    ("key", "value"),
    [("prediction_type", "sample"), ("timestep_spacing", "quadratic"), ("beta_schedule", "squaredcos_cap_v2")],
)
def test_unknown_kinds(key, value):
    with pytest.raises(ModelError, match=key):
        Schedule.from_config({key: value})


def test_a_level_is_unit_variance():
    schedule = Schedule.from_config(SD)
    one = torch.ones(())
    for t in (0, 500, 999):
        signal, noise = add_noise(schedule, one, 0 * one, t), add_noise(schedule, 0 * one, one, t)
        assert math.isclose(float(signal**2 + noise**2), 1, rel_tol=1e-6)


@pytest.mark.slow
@given(st.integers(1, 50))
def test_lcm_steps_and_timesteps(steps):
    ours, theirs = Schedule.of("lcm").with_steps(steps), LCMScheduler.from_config(dict(KNOWN["lcm"], clip_sample=False))
    theirs.set_timesteps(steps)
    assert ours.timesteps == tuple(theirs.timesteps.tolist())
    z = torch.randn(1, 4, 3, 2, 2, generator=torch.Generator().manual_seed(steps))
    asked = []
    for i, t in enumerate(ours.timesteps):
        output = torch.randn(z.shape, generator=torch.Generator().manual_seed(i))
        step = theirs.step(output, t, z, generator=torch.Generator().manual_seed(1000 + i))

        def noise(i=i):
            asked.append(i)
            return torch.randn(1, 4, 3, 2, 2, generator=torch.Generator().manual_seed(1000 + i))

        z_next, clean = lcm_step(ours, output, z, t, ours.after(i), noise)
        assert close(z_next, step.prev_sample)
        assert close(clean, step.denoised)
        z = step.prev_sample
    assert asked == list(range(steps - 1))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")  # diffusers' call of numpy
@given(st.integers(1, 50))
def test_eulers_steps_are_ddims_in_other_units(steps):
    config = dict(KNOWN["lightning"])
    ours, theirs = Schedule.of("lightning").with_steps(steps), EulerDiscreteScheduler.from_config(config)
    theirs.set_timesteps(steps)
    assert ours.timesteps == tuple(int(t) for t in theirs.timesteps)
    start = torch.randn(1, 4, 3, 2, 2, generator=torch.Generator().manual_seed(steps))
    z, x = start, start / ours.alpha(ours.timesteps[0]).sqrt()
    for i, t in enumerate(theirs.timesteps):
        assert close(theirs.scale_model_input(x, t), z), "what the network is given"
        output = torch.randn(z.shape, generator=torch.Generator().manual_seed(i))
        x = theirs.step(output, t, x).prev_sample
        z, _ = ddim_step(ours, output, z, int(t), ours.after(i))
    assert close(z, x)


def test_unknown_schedules_and_too_many_lcm_steps_are_refused():
    with pytest.raises(ModelError, match="no schedule called 'magic'; choose one of animatediff, lavie, lcm, lightn"):
        Schedule.of("magic")
    with pytest.raises(
        PlanError, match="steps is 51; one of these models is an LCM of 50 steps, choose that many or less"
    ):
        Schedule.of("lcm").with_steps(51)


def test_known_schedules_are_the_published_ones():
    for name, first, last in (("lavie", 1e-4, 0.02), ("animatediff", 0.00085, 0.012), ("lcm", 0.00085, 0.012)):
        betas = torch.linspace(first, last, 1000)
        assert torch.equal(Schedule.of(name).alphas_cumprod, torch.cumprod(1 - betas, 0))
    at_681 = [10 * torch.log10(s.alpha(681) / (1 - s.alpha(681))) for s in map(Schedule.of, KNOWN)]
    assert dict(zip(KNOWN, [round(float(x), 1) for x in at_681], strict=True)) == {
        "animatediff": -13.6,
        "lavie": -20.4,
        "lcm": -13.6,
        "lightning": -13.6,
        "stable_diffusion": -9.8,
    }
