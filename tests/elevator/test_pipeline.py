"""VideoElevatorPipeline: diffusers' call conventions around elevate()."""

from __future__ import annotations

import inspect
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import AnimateDiffPipeline, AnimateDiffVideoToVideoPipeline, UNet2DConditionModel
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from diffusers.video_processor import VideoProcessor
from hypothesis import assume, given
from hypothesis import strategies as st
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from PIL import Image

from elevator import LoraError, Plan, PlanError, RequestError, VideoElevatorPipeline, elevate, pipeline
from elevator.calls import calls_of
from elevator.defaults import STRENGTH, fitted, native_size, with_steps
from elevator.presets import T2VS, presets_for
from elevator.sampler import Step
from tests.elevator.golden import FOLDER, models

PLAN = Plan(steps=3, refine=(2,), refine_steps=1)
SIZE: dict[str, Any] = {"height": 16, "width": 32}


@pytest.fixture
def pipe():
    made = VideoElevatorPipeline(models("zeroscope"))
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture
def asked(monkeypatch):
    """What elevate() is asked for, without sampling; the clips are grey."""
    noted = {}

    def noting(given, **settings):
        elevate(given, **settings).close()  # checked, but not sampled
        noted.update(settings)
        yield Step("decoding", 1, 1, frame=(0, np.full((16, 32, 3), 128, np.uint8)))

    monkeypatch.setattr(pipeline, "elevate", noting)
    return noted


@pytest.fixture(scope="module")
def loras(tmp_path_factory):
    """Two LoRAs of random weights on the T2I: a folder with diffusers' file, and one with a file of another name."""
    folders = [tmp_path_factory.mktemp(name) for name in "ab"]
    for seed, (folder, name) in enumerate(zip(folders, (None, "own.safetensors"), strict=True)):
        torch.manual_seed(seed)
        unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
        unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
        layers = get_peft_model_state_dict(unet)
        StableDiffusionLoraLoaderMixin.save_lora_weights(folder, unet_lora_layers=layers, weight_name=name)
    return folders


def clip_of(given=None, **changes):
    """The frames of elevate() itself, (F, H, W, 3)."""
    request = {"prompt": "a dog", "plan": PLAN, "frames": 2, "seed": 7, **SIZE} | changes
    steps = elevate(given or models("zeroscope"), **request)
    return np.stack([step.frame[1] for step in steps if step.frame is not None])


def call(pipe, prompt="a dog", **changes):
    return pipe(prompt, **{"plan": PLAN, "num_frames": 2, "seed": 7, **SIZE, **changes})


def pixels(output):
    return np.stack([np.asarray(frame) for frame in output.frames[0]])


def test_a_clip_is_that_of_elevate(pipe):
    output = call(pipe, negative_prompt="blurry")
    assert np.array_equal(pixels(output), clip_of(negative_prompt="blurry"))
    assert isinstance(output.frames[0][0], Image.Image)


@pytest.mark.parametrize("output_type", ["pil", "np", "pt"])
def test_frames_are_shaped_as_diffusers_shapes_them(pipe, output_type):
    frames = call(pipe, output_type=output_type).frames
    decoded = torch.from_numpy(clip_of()).permute(3, 0, 1, 2)[None].float() / 127.5 - 1  # as a VAE gives it
    expected = VideoProcessor(do_resize=False).postprocess_video(decoded, output_type)
    assert type(frames) is type(expected)
    if output_type == "pil":
        assert [len(clip) for clip in frames] == [len(clip) for clip in expected]
        frames, expected = ([np.asarray(frame) for frame in batch[0]] for batch in (frames, expected))
        assert np.array_equal(frames, expected)
    else:
        assert (frames.shape, frames.dtype) == (expected.shape, expected.dtype)
        assert abs(frames - expected).max() < 1e-6


def test_without_return_dict_it_is_a_tuple_of_the_frames(pipe):
    (frames,) = call(pipe, return_dict=False, output_type="np")
    assert np.array_equal(frames, call(pipe, output_type="np").frames)


@pytest.mark.parametrize("other", [AnimateDiffPipeline, AnimateDiffVideoToVideoPipeline])
def test_arguments_are_called_as_diffusers_calls_them(other):
    ours = inspect.signature(VideoElevatorPipeline.__call__).parameters
    theirs = inspect.signature(other.__call__).parameters
    own = {"video_guidance_scale", "preset", "plan", "seed", "video", "strength", "image", "num_frames"}
    assert ours.keys() - own <= theirs.keys()
    for name in ("output_type", "return_dict", "negative_prompt", "height", "width", "callback_on_step_end"):
        assert ours[name].default == theirs[name].default
    if other is AnimateDiffVideoToVideoPipeline:
        assert theirs["strength"].default == STRENGTH


def test_the_seed_is_the_generators_and_otherwise_torchs_own(pipe, asked):
    generator = torch.Generator().manual_seed(11)
    call(pipe, generator=generator, seed=None)
    drawn = asked["seed"]
    call(pipe, generator=generator, seed=None)
    assert asked["seed"] != drawn, "a generator that was used goes on"
    call(pipe, generator=torch.Generator().manual_seed(11), seed=None)
    assert asked["seed"] == drawn
    torch.manual_seed(1)
    call(pipe, seed=None)
    first = asked["seed"]
    call(pipe, seed=None)
    assert asked["seed"] != first
    torch.manual_seed(1)
    call(pipe, seed=None)
    assert asked["seed"] == first
    with pytest.raises(RequestError, match="Both a generator and a seed"):
        call(pipe, generator=generator, seed=1)


def test_what_is_not_given_comes_from_models_and_preset(pipe, asked):
    pipe("a dog")
    assert (asked["height"], asked["width"], asked["frames"]) == (64, 64, 16)
    assert asked["plan"] == models("zeroscope").presets["published"].plan
    assert (asked["prompt"], asked["negative_prompt"], asked["init_frames"]) == ("a dog", "", None)
    assert "prompts" not in asked
    assert asked["strength"] == 1
    with pytest.raises(PlanError, match="no preset 'nonsense' here; choose one of published"):
        pipe("a dog", preset="nonsense")


def test_guidances_and_steps_change_the_plan(pipe, asked):
    call(pipe, plan=Plan(), guidance_scale=5, video_guidance_scale=3, num_inference_steps=25)
    assert asked["plan"] == Plan(steps=25, refine=(22, 18, 12, 8), refine_steps=4, guidance=5, video_guidance=3)


def test_prompts_by_frame_footage_and_anchor(pipe, asked):
    video = np.random.default_rng(0).integers(0, 256, (3, 16, 32, 3), np.uint8)
    call(pipe, {0: "a dog", 2: "a cat"}, num_frames=None, video=[Image.fromarray(frame) for frame in video])
    assert asked["prompts"] == {0: "a dog", 2: "a cat"}
    assert "prompt" not in asked
    assert np.array_equal(asked["init_frames"], video)
    assert (asked["frames"], asked["strength"]) == (3, STRENGTH)
    call(pipe, video=video, strength=0.3, image=video[2])
    assert np.array_equal(asked["init_frames"], video[:2])
    assert np.array_equal(asked["anchor_frame"], video[2])
    assert asked["strength"] == 0.3


def test_footage_changes_the_clip_and_leaves_no_warning(pipe):
    video = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    assert np.array_equal(pixels(call(pipe, video=video, strength=1.0)), clip_of())
    assert not np.array_equal(pixels(call(pipe, video=video)), clip_of())


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"output_type": "latent"}, "output_type is 'latent'; choose pil, np or pt."),
        ({"prompt": ""}, "The prompt is empty"),
        ({"prompt": ["a dog", 2]}, "prompt is a int"),
        ({"prompt": []}, "No clip is asked for"),
        ({"num_videos_per_prompt": 0}, "No clip is asked for"),
        ({"prompt": ["a dog", "a cat"], "negative_prompt": ["blurry"]}, "2 prompts and 1 negative"),
        ({"seed": None, "generator": [torch.Generator()], "num_videos_per_prompt": 2}, "1 generators and 2 clips"),
        ({"callback_on_step_end_tensor_inputs": ["latents", "prompt_embeds"]}, "no prompt_embeds"),
        ({"height": 17}, "height is 17"),
    ],
)
def test_impossible_requests_are_refused(pipe, change, sentence):
    with pytest.raises(RequestError, match=sentence):
        call(pipe, **change)


def test_the_callback_hears_of_every_network_call_in_order(pipe):
    heard = []
    call(pipe, callback_on_step_end=lambda *told: heard.append(told))
    steps = [step for step in elevate(pipe.models, prompt="a dog", plan=PLAN, frames=2, seed=7, **SIZE)]
    network = [step for step in steps if step.timestep is not None]
    assert [(number, timestep) for _, number, timestep, _ in heard] == [
        (number, step.timestep) for number, step in enumerate(network)
    ]
    assert all(told[0] is pipe for told in heard)
    assert [told[3]["step"].phase for told in heard] == [step.phase for step in network]


def test_the_progress_bar_counts_every_unit(pipe, capsys):
    pipe.set_progress_bar_config(ascii=True, mininterval=0)
    call(pipe)
    total = 1 + calls_of(PLAN, 2).total + 2
    assert f"{total}/{total}" in capsys.readouterr().err


@pytest.mark.slow
def test_loras_come_and_go_by_name(pipe, loras):
    a, b = loras[0], loras[1] / "own.safetensors"
    bare = pipe.models
    pipe.load_lora_weights(a)
    pipe.load_lora_weights(loras[1], weight_name="own.safetensors", adapter_name="b")
    assert [(lora.path, lora.weight) for lora in pipe.models.loras] == [(a, 1.0), (b, 1.0)]
    pipe.set_adapters(["b", "default_0"], adapter_weights=[0.5, 2])
    changed = pixels(call(pipe))
    assert np.array_equal(changed, clip_of(bare.with_loras([(b, 0.5), (a, 2.0)])))
    assert not np.array_equal(changed, clip_of())
    pipe.set_adapters("b", 0.25)
    assert [(lora.path, lora.weight) for lora in pipe.models.loras] == [(b, 0.25)]
    pipe.set_adapters(["default_0", "b"])
    assert [lora.weight for lora in pipe.models.loras] == [1.0, 1.0]
    pipe.unload_lora_weights()
    assert pipe.models.loras == ()
    assert np.array_equal(pixels(call(pipe)), clip_of())
    pipe.load_lora_weights(a, adapter_name="b")
    assert len(pipe.models.loras) == 1


def test_a_loaded_lora_leaves_the_weights_of_others(pipe, loras):
    pipe.load_lora_weights(loras[0], adapter_name="a")
    pipe.set_adapters("a", 0.5)
    pipe.load_lora_weights(loras[1], "own.safetensors", "b")
    assert [lora.weight for lora in pipe.models.loras] == [0.5, 1.0]


def test_impossible_adapters_are_refused_and_change_nothing(pipe, loras):
    pipe.load_lora_weights(loras[0], adapter_name="a")
    before = pipe.models
    with pytest.raises(LoraError, match="no adapter b; choose of: a"):
        pipe.set_adapters(["a", "b"])
    with pytest.raises(LoraError, match="1 adapters and 2 weights"):
        pipe.set_adapters("a", [1, 2])
    with pytest.raises(LoraError, match="an adapter a already"):
        pipe.load_lora_weights(loras[1], "own.safetensors", adapter_name="a")
    with pytest.raises(LoraError):
        pipe.load_lora_weights(loras[1], adapter_name="b")
    assert pipe.models is before
    with pytest.raises(LoraError, match="no adapter b"):
        pipe.set_adapters("b")


def test_it_loads_as_the_library_does():
    made = VideoElevatorPipeline.from_pretrained(
        str(FOLDER / "t2i"), FOLDER / "zeroscope", torch_dtype=torch.float16, prediction_type="v_prediction"
    )
    assert made.models.t2i.unet.dtype == torch.float16
    assert made.models.t2i_schedule != models("zeroscope").t2i_schedule


def test_sizes_come_from_the_unet_or_are_512():
    pair = models("zeroscope")
    assert native_size(pair) == 64

    nameless = SimpleNamespace(config={"sample_size": None})
    assert native_size(replace(pair, t2i=replace(pair.t2i, unet=nameless))) == 512


@st.composite
def plans(draw):
    steps = draw(st.integers(1, 60))
    refine = tuple(sorted(draw(st.sets(st.integers(1, steps))), reverse=True))
    inversion_steps = draw(st.none() | st.integers(1, 60))
    refine_steps = draw(st.integers(1, min(refine, default=60)))
    try:
        return Plan(steps=steps, refine=refine, refine_steps=refine_steps, inversion_steps=inversion_steps)
    except PlanError:
        assume(False)


@given(plans(), st.integers(1, 120))
def test_a_rescaled_plan_is_possible_and_keeps_its_proportions(plan, steps):
    scaled = with_steps(plan, steps)
    assert scaled.steps == steps
    assert with_steps(plan, plan.steps) == plan
    assert bool(scaled.refine) == bool(plan.refine)
    assert len(scaled.refine) <= len(plan.refine)
    ratio = Fraction(steps, plan.steps)
    assert scaled.refine_steps == max(round(plan.refine_steps * ratio), 1)
    for countdown in plan.refine:
        wanted = max(countdown * ratio, scaled.refine_steps)
        assert min(abs(wanted - other) for other in scaled.refine) <= Fraction(1, 2)
    assert (scaled.inversion_steps is None) == (plan.inversion_steps is None)
    others = {"steps": 0, "refine": 0, "refine_steps": 0, "inversion_steps": 0}
    assert vars(scaled) | others == vars(plan) | others


@pytest.mark.parametrize("t2v", T2VS)
def test_every_preset_can_be_rescaled(t2v):
    for preset in presets_for(t2v).values():
        for steps in range(1, 61):
            assert with_steps(preset.plan, steps).steps == steps


def test_no_steps_are_refused():
    with pytest.raises(PlanError, match="steps is 0"):
        with_steps(Plan(), 0)


@pytest.mark.parametrize(("size", "kept"), [((20, 10), (0, 40)), ((10, 10), (10, 30))])
def test_pictures_are_scaled_to_cover_and_cut_in_the_middle(size, kept):
    """A picture of vertical stripes, whose columns tell where they come from."""
    wide = np.broadcast_to(np.linspace(0, 255, 40)[None, :, None], (20, 40, 3)).astype(np.uint8)
    found = fitted(Image.fromarray(wide).convert("RGBA"), size)
    assert found.shape == (size[1], size[0], 3)
    columns = wide[0, slice(*kept), 0].astype(float)
    expected = columns.reshape(size[0], -1).mean(axis=1)
    assert np.abs(found[5, :, 0] - expected).max() < 4


def test_a_picture_of_the_right_size_is_not_touched():
    picture = np.random.default_rng(0).integers(0, 256, (17, 33, 3), np.uint8)
    assert np.array_equal(fitted(picture, (33, 17)), picture)
