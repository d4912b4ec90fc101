"""elevate(): progress, cancelling, determinism, previews, frames and refused requests."""

from __future__ import annotations

import dataclasses
import gc
import weakref
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator import ElevatorError, NumericsError, Plan, PlanError, RequestError, elevate
from elevator.calls import calls_of
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.noise import chain_noise, starting_noise
from elevator.chain.schedule import Schedule
from tests.elevator.golden import drain, models

pytestmark = pytest.mark.slow

PLAN = Plan(steps=5, refine=(4, 3), refine_steps=2)
PUBLISHED = Plan()
REQUEST: dict[str, Any] = {
    "prompt": "a dog",
    "negative_prompt": "blurry",
    "frames": 3,
    "height": 32,
    "width": 48,
    "seed": 1,
}


class Counted:
    """A network that counts its calls and notes how many prompts each had."""

    def __init__(self, network, broken_at=None):
        self.network, self.broken_at = network, broken_at
        self.prompts = []

    def __call__(self, z, t, call):
        self.prompts.append(len(call.hidden))
        output = self.network(z, t, call)
        return output * float("nan") if len(self.prompts) == self.broken_at else output


def counted(t2v="zeroscope", broken=None):
    """Models whose networks count; `broken`: the network and call that give NaN."""
    pair = models(t2v)
    wrapped: dict[str, Any] = {name: Counted(getattr(pair, name), (broken or {}).get(name)) for name in ("t2i", "t2v")}
    return dataclasses.replace(pair, **wrapped)


def sample(pair=None, plan=PLAN, **changes):
    return elevate(pair or models("zeroscope"), plan=plan, **(REQUEST | changes))


def frames_of(steps):
    return np.stack([step.frame[1] for step in steps if step.frame is not None])


@pytest.mark.parametrize("t2v", ["zeroscope", "animatediff"])
@pytest.mark.parametrize("frames", [1, 2, 3])
def test_one_step_per_unit_of_work(t2v, frames):
    pair = counted(t2v)
    steps = list(sample(pair, frames=frames))
    calls = calls_of(PLAN)
    assert [step.index for step in steps] == list(range(1, len(steps) + 1))
    assert {step.total for step in steps} == {len(steps)} == {1 + calls.total + frames}
    phases = [step.phase for step in steps]
    assert phases[0] == "text"
    assert phases[-frames:] == ["decoding"] * frames
    assert phases.count("painting") == calls.painting + calls.correction
    assert phases.count("refining") == calls.refining == len(pair.t2v.prompts)
    assert phases.count("inverting") == calls.inverting
    assert calls.painting + calls.correction + calls.inverting == len(pair.t2i.prompts)
    network_steps = steps[1:-frames]
    assert all(step.timestep in range(1000) for step in network_steps)
    assert all(step.timestep is None for step in (steps[0], *steps[-frames:]))


def test_frames_come_one_by_one_in_order():
    steps = [step for step in sample() if step.phase == "decoding"]
    assert [step.frame[0] for step in steps] == [0, 1, 2]
    for step in steps:
        assert step.frame[1].shape == (32, 48, 3)
        assert step.frame[1].dtype == np.uint8


def test_previews_are_small_pictures_of_the_whole_clip():
    for step in sample():
        preview = step.preview()
        if step.phase == "text":
            assert preview is None
        else:
            assert preview.shape == (3, 4, 6, 3)
            assert preview.dtype == np.uint8


def test_the_clip_is_the_decoded_chain_of_what_was_asked_for():
    """Every part in its place: prompts, text encoders, schedules and guidances all differ."""
    plan = Plan(steps=5, refine=(4, 3), refine_steps=2, guidance=5, video_guidance=2)
    schedule = Schedule.from_config({"steps_offset": 1})
    pair = dataclasses.replace(models("zeroscope"), t2v_schedule=schedule)
    texts = [Text(encoder.together(("blurry", "a dog"))[:, None]) for encoder in (pair.t2i_text, pair.t2v_text)]
    t2i = Denoiser("T2I", pair.t2i, pair.t2i_schedule.with_steps(5), texts[0], 5)
    t2v = Denoiser("T2V", pair.t2v, schedule.with_steps(5), texts[1], 2)
    shape, seed = (4, 4, 6), REQUEST["seed"]
    noise = starting_noise(seed, plan.alpha, 3, shape)
    units, latents = drain(chain(t2i, t2v, plan, noise, partial(chain_noise, seed, 3, shape)))

    steps = list(sample(pair, plan=plan))
    assert np.array_equal(frames_of(steps), [pair.decode(z) for z in latents])
    previews = [step.preview() for step in steps if step.phase != "text"]
    drafts = [pair.draft(z) for z in [unit.clean for unit in units] + [latents] * 3]
    assert all(np.array_equal(np.asarray(a), np.asarray(b)) for a, b in zip(previews, drafts, strict=True))
    assert [step.timestep for step in steps[1:-3]] == [unit.timestep for unit in units]


def test_published_plan_makes_the_published_calls_less_the_wasted_ones():
    zero = Counted(lambda z, t, text: torch.zeros_like(z))
    video = Counted(lambda z, t, text: torch.zeros_like(z))
    schedule = Schedule.from_config({"steps_offset": 1}).with_steps(50)
    text = Text(torch.zeros(2, 1, 2, 3))
    t2i, t2v = (Denoiser("", network, schedule, text, 7.5) for network in (zero, video))
    z = starting_noise(0, 1.5, 2, (4, 2, 2))
    units, _ = drain(chain(t2i, t2v, PUBLISHED, z, lambda *_: z))
    assert zero.prompts.count(2) == 50
    assert zero.prompts.count(1) == 116 + 36
    assert sum(zero.prompts) / 2 == 126  # in guided pairs; the published code makes 151
    assert video.prompts == [2] * 32
    assert len(units) == calls_of(PUBLISHED).total


def test_a_guidance_of_one_runs_the_prompt_alone():
    pair = counted()
    list(sample(pair, plan=dataclasses.replace(PLAN, video_guidance=1)))
    assert set(pair.t2v.prompts) == {1}
    pair = counted()
    list(sample(pair, plan=Plan(steps=3, refine=(), guidance=1)))
    assert pair.t2i.prompts == [1, 1, 1]


@pytest.mark.parametrize("stop", range(1, 8))
def test_closing_makes_no_further_call(stop):
    pair = counted()
    steps = sample(pair)
    for _ in range(stop):
        next(steps)
    steps.close()
    assert len(pair.t2i.prompts) + len(pair.t2v.prompts) == stop - 1
    assert next(steps, None) is None


def test_closing_frees_the_latents():
    pair = models("zeroscope")
    schedule = pair.t2i_schedule.with_steps(PLAN.steps)
    text = Text(pair.t2i_text.together(("", "a dog"))[:, None])
    t2i = Denoiser("T2I", pair.t2i, schedule, text, 7.5)
    t2v = Denoiser("T2V", pair.t2v, schedule, text, 7.5)
    units = chain(
        t2i, t2v, PLAN, starting_noise(0, 1, 2, (4, 4, 4)), lambda _, n, k=0: starting_noise(n, 0, 2, (4, 4, 4))
    )
    seen = [weakref.ref(tensor) for _ in range(7) for tensor in vars(next(units)).values() if torch.is_tensor(tensor)]
    assert len({ref() for ref in seen if ref() is not None}) > 0
    units.close()
    gc.collect()
    assert [ref() for ref in seen if ref() is not None] == []


def test_same_seed_same_frames_and_other_seed_others():
    first, again = frames_of(sample()), frames_of(sample())
    assert np.array_equal(first, again)
    assert not np.array_equal(first, frames_of(sample(seed=2)))
    assert not np.array_equal(first, frames_of(sample(prompt="a cat on a roof")))
    assert not np.array_equal(first, frames_of(sample(negative_prompt="")))


@pytest.mark.parametrize("t2v", ["zeroscope", "animatediff"])
@pytest.mark.parametrize("changes", [{}, {"cache_interval": 2, "inversion_steps": 2}])
def test_same_frames_whatever_the_chunks(t2v, changes):
    plan = dataclasses.replace(PLAN, **changes)
    whole = frames_of(sample(models(t2v), plan))
    for chunk in (1, 2):
        cut = frames_of(sample(models(t2v), dataclasses.replace(plan, chunk=chunk)))
        assert np.abs(whole.astype(int) - cut).max() <= 1


def test_a_prompt_is_encoded_once():
    pair = models("zeroscope")
    text = dataclasses.replace(pair.t2i_text)
    encoded = []

    class Noted:
        config, device = text.encoder.config, text.encoder.device

        def __call__(self, *arguments, **more):
            encoded.append(len(arguments[0]))
            return text.encoder(*arguments, **more)

    pair = dataclasses.replace(pair, t2i_text=dataclasses.replace(text, encoder=Noted()))
    for seed in (1, 2, 3):
        list(sample(pair, Plan(steps=1, refine=()), seed=seed))
    assert encoded == [1, 1]
    list(sample(pair, Plan(steps=1, refine=()), prompt="a cat"))
    assert encoded == [1, 1, 1]


def test_a_frame_decoded_in_tiles_is_nearly_the_whole_one():
    pair = models("zeroscope")
    latents = torch.randn(4, 16, 16, generator=torch.Generator().manual_seed(0))
    whole, tiled = pair.decode(latents), pair.decode(latents, tile=64)
    assert whole.shape == tiled.shape == (128, 128, 3)
    assert 0 < np.abs(whole.astype(int) - tiled).mean() < 20
    assert np.array_equal(pair.decode(latents[:, :8, :8], tile=64), pair.decode(latents[:, :8, :8]))


def test_the_global_generator_has_no_part_in_it():
    torch.manual_seed(0)
    first = frames_of(sample())
    torch.manual_seed(1)
    assert np.array_equal(first, frames_of(sample()))


def test_the_callers_grad_mode_is_left_alone_between_units():
    assert torch.is_grad_enabled()
    for step in sample():
        assert torch.is_grad_enabled()
        assert not torch.is_inference_mode_enabled()
        step.preview()


def test_frame_zero_does_not_depend_on_the_clip_length_without_refining():
    # Frames meet only in the T2V; frame 0 is every other frame's anchor but reads none of them.
    plan = Plan(steps=4, refine=())
    short, long = frames_of(sample(plan=plan, frames=2)), frames_of(sample(plan=plan, frames=5))
    assert np.abs(short.astype(int) - long[:2]).max() <= 1


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"prompt": ""}, "prompt is empty"),
        ({"prompt": " \n\t"}, "prompt is empty"),
        ({"prompt": None}, "prompt is empty"),
        ({"negative_prompt": None}, "give a text"),
        ({"frames": 0}, "frames is 0; choose 1 or more"),
        ({"frames": -1}, "choose 1 or more"),
        ({"frames": 2.0}, "frames is 2.0; give a whole number"),
        ({"height": 40}, "height is 40, but these models make multiples of 16 pixels; choose for example 32"),
        ({"width": 0}, "choose for example 16"),
        ({"width": -16}, "width is -16"),
        ({"width": "48"}, "give a whole number"),
        ({"seed": 1.5}, "seed is 1.5; give a whole number"),
        ({"seed": None}, "give a whole number"),
        ({"seed": True}, "give a whole number"),
    ],
)
def test_bad_requests_are_refused_before_any_work(changes, sentence):
    pair = counted()
    with pytest.raises(RequestError, match=sentence) as raised:
        sample(pair, **changes)
    assert str(raised.value).endswith(".")
    assert pair.t2i.prompts == []


def test_longer_than_the_motion_adapter_can():
    assert next(sample(models("animatediff"), frames=32)).phase == "text"
    with pytest.raises(RequestError, match="frames is 33; this T2V makes at most 32 at once"):
        sample(models("animatediff"), frames=33)


def test_more_steps_than_levels():
    with pytest.raises(PlanError, match="choose 1 to 1000"):
        sample(plan=Plan(steps=1001, refine=()))


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        ({"t2i": 1}, "The T2I gave numbers that are not finite at step 1 of 5, timestep 801"),
        ({"t2i": 2}, "The T2I .* step 2 of 5, timestep 601"),
        ({"t2v": 2}, "The T2V .* step 3 of 5, timestep 401"),
    ],
)
def test_numbers_that_are_not_finite_name_their_step(broken, sentence):
    with pytest.raises(NumericsError, match=sentence):
        list(sample(counted(broken=broken)))


@pytest.mark.parametrize("value", [float("nan"), 6e37])
def test_a_picture_that_is_not_finite_is_refused(value):
    with pytest.raises(NumericsError, match="VAE"):
        models("zeroscope").decode(torch.full((4, 4, 4), value))


def test_schedules_must_have_the_plans_steps():
    pair = models("zeroscope")
    t2i = Denoiser("T2I", pair.t2i, pair.t2i_schedule.with_steps(4), Text(torch.zeros(2, 1, 1)), 7.5)
    with pytest.raises(PlanError, match="The T2I's schedule has 4 timesteps; give it the plan's 5"):
        next(chain(t2i, t2i, PLAN, torch.zeros(1, 4, 4, 4), lambda *_: torch.zeros(1, 4, 4, 4)))


@settings(max_examples=100)
@given(
    st.fixed_dictionaries(
        {
            "prompt": st.text(max_size=9),
            "frames": st.integers(-2, 4),
            "height": st.integers(-16, 80),
            "width": st.sampled_from([16, 32, 33]),
            "seed": st.integers(),
        }
    )
)
def test_any_request_starts_or_is_refused_with_a_sentence(changes):
    try:
        step = next(sample(**changes))
    except ElevatorError as error:
        step, sentence = None, str(error)
    else:
        sentence = "."
    assert sentence.endswith(".")
    fits = changes["prompt"].strip() and changes["frames"] > 0 and changes["height"] > 0
    fits = fits and changes["height"] % 16 == 0 and changes["width"] % 16 == 0
    assert (step is not None) == bool(fits)
