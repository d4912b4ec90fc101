"""What users of diffusers' pipelines write on their second line works here as it does there."""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    UNet2DConditionModel,
)
from diffusers.loaders import StableDiffusionLoraLoaderMixin
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import CLIPTextModel, CLIPTokenizer

from elevator import LoraError, ModelError, Plan, RequestError, VideoElevatorPipeline, elevate
from elevator.models.offload import Offloader
from tests.elevator.golden import FOLDER, models
from tests.elevator.test_pipeline import PLAN, SIZE, call, clip_of, pixels

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "SAMPLER.md"
pytestmark = pytest.mark.slow


@pytest.fixture
def pipe():
    """Of its own networks, for some of these tests move them."""
    made = VideoElevatorPipeline.from_pretrained(FOLDER / "t2i", FOLDER / "zeroscope")
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def theirs():
    """diffusers' own pipeline, around the same T2I and a motion adapter of random weights."""
    t2i = FOLDER / "t2i"
    unet = UNet2DConditionModel.from_pretrained(t2i / "unet", local_files_only=True)
    channels = tuple(unet.config.block_out_channels)
    adapter = MotionAdapter(
        block_out_channels=channels, motion_num_attention_heads=2, motion_norm_num_groups=2, motion_layers_per_block=1
    )
    made = AnimateDiffPipeline(
        vae=AutoencoderKL.from_pretrained(t2i / "vae", local_files_only=True),
        text_encoder=CLIPTextModel.from_pretrained(t2i / "text_encoder", local_files_only=True),
        tokenizer=CLIPTokenizer.from_pretrained(t2i / "tokenizer", local_files_only=True),
        unet=unet,
        motion_adapter=adapter,
        scheduler=DDIMScheduler(),
    )
    made.to(torch.float32)
    made.set_progress_bar_config(disable=True)
    return made


@pytest.fixture(scope="module")
def lora(tmp_path_factory):
    """diffusers' file of a LoRA on the T2I."""
    folder = tmp_path_factory.mktemp("lora")
    torch.manual_seed(0)
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    unet.add_adapter(LoraConfig(r=2, init_lora_weights=False, target_modules=["to_q", "to_v"]))
    layers = get_peft_model_state_dict(unet)
    StableDiffusionLoraLoaderMixin.save_lora_weights(folder, unet_lora_layers=layers)
    return folder


def learned_word(folder: Path, word: str, width: int) -> Path:
    """A textual inversion file as diffusers writes it."""
    path = folder / f"{word.strip('<>')}.safetensors"
    save_file({word: torch.randn(1, width, generator=torch.Generator().manual_seed(3))}, path)
    return path


def small(theirs, **changes: Any) -> Any:
    """A clip of diffusers' pipeline of the size of ours."""
    return theirs(
        **{"prompt": "a dog", "num_frames": 2, "num_inference_steps": 2, "output_type": "np", **SIZE, **changes}
    )


# Where and what it is -----------------------------------------------------------------------------------------


def test_it_says_where_and_what_it_is(pipe, theirs) -> None:
    assert (pipe.device, pipe.dtype) == (theirs.device, theirs.dtype)
    shared = {"unet", "vae", "text_encoder", "tokenizer"}
    assert shared <= theirs.components.keys()
    assert shared <= pipe.components.keys()
    for name, component in pipe.components.items():
        assert component is getattr(pipe, name)
    assert pipe.unet is pipe.models.t2i.unet
    assert pipe.video_unet is pipe.models.t2v.unet


@pytest.mark.parametrize("how", [(torch.float64,), ("cpu", torch.float64), (torch.float64, torch.device("cpu"))])
def test_to_takes_what_diffusers_takes_and_returns_itself(pipe, how) -> None:
    assert pipe.to(*how) is pipe
    assert pipe.dtype == torch.float64
    for network in (pipe.unet, pipe.video_unet, pipe.text_encoder, pipe.video_text_encoder):
        assert {each.dtype for each in network.parameters()} == {torch.float64}
    assert {each.dtype for each in pipe.vae.parameters()} == {torch.float32}
    call(pipe)


def test_to_and_back_makes_the_same_clip_with_its_loras_and_words(pipe, lora, tmp_path) -> None:
    pipe.load_lora_weights(lora, adapter_name="a")
    pipe.load_textual_inversion(learned_word(tmp_path, "<okapi>", pipe.text_encoder.config.hidden_size))
    before = pixels(call(pipe, prompt="a dog <okapi>"))
    pipe.to(dtype=torch.float64).to("cpu", torch.float32)
    assert [each.path for each in pipe.models.loras] == [lora]
    assert [each.token for each in pipe.models.embeddings] == ["<okapi>"]
    assert np.array_equal(pixels(call(pipe, prompt="a dog <okapi>")), before)


@pytest.mark.parametrize("how", [("cpu", "cpu"), (torch.float16, torch.float32), (3,)])
def test_to_refuses_what_makes_no_sense(pipe, how) -> None:
    with pytest.raises(RequestError, match="one device, one dtype, or both"):
        pipe.to(*how)
    with pytest.raises(RequestError, match="knows no place"):
        pipe.to(place="cpu")


def test_a_device_elsewhere_gets_all_networks(pipe) -> None:
    """No GPU is needed to see that: the meta device holds nothing."""
    pipe.to("meta")
    assert pipe.device.type == "meta"
    for component in (pipe.unet, pipe.video_unet, pipe.vae, pipe.text_encoder, pipe.video_text_encoder):
        assert {each.device.type for each in component.parameters()} == {"meta"}


def test_offloading_keeps_networks_in_the_processors_memory_but_the_one_that_runs(pipe, monkeypatch) -> None:
    expected = pixels(call(pipe))
    pipe.enable_model_cpu_offload(device="cpu")
    ran = []
    monkeypatch.setattr(Offloader, "to_device", lambda self, network: ran.append((self.device, network)) or network)
    assert np.array_equal(pixels(call(pipe)), expected)
    networks = {id(network) for device, network in ran if device is not None}
    assert networks == {id(each) for each in (pipe.unet, pipe.video_unet, pipe.vae, pipe.text_encoder)} | {
        id(pipe.video_text_encoder)
    }
    assert pipe.models.reading.waiting == torch.device("cpu")


def test_tiles_are_switched_on_and_off(pipe) -> None:
    assert pipe._plan(PLAN, "", None, None, None, None).tile is None
    pipe.enable_vae_tiling()
    assert pipe._plan(PLAN, "", None, None, None, None).tile == pipe.vae.config.sample_size
    pipe.disable_vae_tiling()
    assert pipe._plan(replace(PLAN, tile=64), "", None, None, None, None).tile == 64
    pipe.enable_vae_slicing()
    pipe.disable_vae_slicing()


# Batches and generators ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("output_type", ["pil", "np", "pt"])
def test_batches_have_diffusers_shapes(pipe, theirs, output_type) -> None:
    ours = call(pipe, num_videos_per_prompt=2, output_type=output_type).frames
    # Theirs takes num_videos_per_prompt and makes one clip all the same.
    expected = small(theirs, prompt=["a dog"] * 2, output_type=output_type).frames
    assert type(ours) is type(expected)
    if output_type == "pil":
        assert [[frame.size for frame in clip] for clip in ours] == [
            [frame.size for frame in clip] for clip in expected
        ]
    else:
        assert ours.shape == expected.shape


def test_clips_of_one_prompt_follow_each_other_each_with_its_own_noise(pipe) -> None:
    clips = call(pipe, prompt=["a dog", "a cat"], negative_prompt=["", "blurry"], num_videos_per_prompt=2, seed=7)
    found = [np.stack([np.asarray(frame) for frame in clip]) for clip in clips.frames]
    prompts = [("a dog", ""), ("a dog", ""), ("a cat", "blurry"), ("a cat", "blurry")]
    for number, (prompt, negative) in enumerate(prompts):
        assert np.array_equal(found[number], clip_of(prompt=prompt, negative_prompt=negative, seed=7 + number))


def test_a_used_generator_goes_on_as_theirs_does(pipe, theirs) -> None:
    for make in (lambda **more: call(pipe, seed=None, output_type="np", **more), lambda **more: small(theirs, **more)):
        generator = torch.Generator().manual_seed(1)
        first, second = (make(generator=generator).frames for _ in range(2))
        again = make(generator=torch.Generator().manual_seed(1)).frames
        assert np.array_equal(first, again)
        assert not np.array_equal(first, second)


def test_a_generator_for_each_clip(pipe, theirs) -> None:
    for make in (lambda **more: call(pipe, seed=None, output_type="np", **more), lambda **more: small(theirs, **more)):
        generators = [torch.Generator().manual_seed(seed) for seed in (1, 2)]
        both = make(generator=generators, prompt=["a dog"] * 2).frames
        second = make(generator=torch.Generator().manual_seed(2)).frames
        assert np.allclose(both[1], second[0], atol=1e-4)
        assert not np.allclose(both[0], second[0], atol=1e-4)


def test_eta_goes_into_the_plan(pipe) -> None:
    assert np.array_equal(pixels(call(pipe, eta=0.5)), clip_of(plan=replace(PLAN, eta=0.5)))


# Callbacks ----------------------------------------------------------------------------------------------------


def test_a_callback_gets_latents_in_diffusers_shape(pipe, theirs) -> None:
    def shapes(make: Any) -> list[torch.Size]:
        seen = []

        def look(pipe: Any, number: int, timestep: int, told: dict[str, Any]) -> dict[str, Any]:
            seen.append(told["latents"].shape)
            return told

        make(look)
        return seen

    ours = shapes(lambda look: call(pipe, callback_on_step_end=look))
    expected = shapes(lambda look: small(theirs, callback_on_step_end=look))
    assert set(ours) == set(expected)
    steps = [step for step in elevate(pipe.models, prompt="a dog", plan=PLAN, frames=2, seed=7, **SIZE)]
    assert len(ours) == sum(step.timestep is not None for step in steps)


def test_a_callback_that_asks_for_none_gets_none(pipe) -> None:
    told = []
    call(pipe, callback_on_step_end=lambda *heard: told.append(heard[3]), callback_on_step_end_tensor_inputs=())
    assert told
    assert all("latents" not in each for each in told)


def test_latents_may_be_looked_at_and_spoiled_but_not_exchanged(pipe) -> None:
    def spoil(pipe: Any, number: int, timestep: int, told: dict[str, Any]) -> None:
        told["latents"].zero_()

    assert np.array_equal(pixels(call(pipe, callback_on_step_end=spoil)), clip_of())
    with pytest.raises(RequestError, match="look at the latents and not change them"):
        call(pipe, callback_on_step_end=lambda *told: {"latents": told[3]["latents"] + 1})


def test_an_interrupted_call_makes_no_further_step_and_gives_what_there_is(pipe, theirs) -> None:
    for make in (
        lambda **more: call(pipe, plan=replace(PLAN, steps=6), output_type="np", **more),
        lambda **more: small(theirs, num_inference_steps=6, **more),
    ):
        seen: list[int] = []

        def stop(pipe: Any, number: int, timestep: int, told: dict[str, Any], seen: list[int] = seen) -> dict[str, Any]:
            seen.append(number)
            pipe._interrupt = number == 1
            return told

        frames = make(callback_on_step_end=stop).frames
        assert seen == [0, 1]
        assert frames.shape[1] == 2
        assert make().frames.shape == frames.shape, "the next call is not interrupted"


def test_an_interrupted_batch_ends_with_its_clip(pipe) -> None:
    def stop(pipe: Any, *told: Any) -> None:
        pipe._interrupt = True
        assert pipe.interrupt

    assert len(call(pipe, num_videos_per_prompt=3, callback_on_step_end=stop).frames) == 1


# LoRAs and learned words --------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
def test_adapters_are_listed_switched_and_deleted_as_theirs(pipe, theirs, lora) -> None:
    for each in (pipe, theirs):
        each.load_lora_weights(str(lora), adapter_name="a")
        each.load_lora_weights(str(lora), adapter_name="b")
        each.set_adapters(["a", "b"], [1.0, 0.5])
    assert pipe.get_active_adapters() == theirs.get_active_adapters() == ["a", "b"]
    assert pipe.get_list_adapters()["unet"] == theirs.get_list_adapters()["unet"]
    for each in (pipe, theirs):
        each.disable_lora()
    assert np.array_equal(pixels(call(pipe)), clip_of())
    for each in (pipe, theirs):
        each.enable_lora()
        each.delete_adapters("a")
    assert pipe.get_active_adapters() == theirs.get_active_adapters() == ["b"]
    assert [(each.path, each.weight) for each in pipe.models.loras] == [(lora, 0.5)]
    for each in (pipe, theirs):
        each.unload_lora_weights()
    assert pipe.get_list_adapters() == theirs.get_list_adapters() == {}
    with pytest.raises(LoraError, match="no adapter b"):
        pipe.delete_adapters(["b"])


def test_what_is_loaded_while_loras_are_off_waits(pipe, lora) -> None:
    pipe.disable_lora()
    pipe.load_lora_weights(lora, adapter_name="a")
    assert pipe.models.loras == ()
    assert pipe.get_active_adapters() == ["a"]
    pipe.enable_lora()
    assert len(pipe.models.loras) == 1


def test_learned_words_come_and_go(pipe, theirs, tmp_path) -> None:
    width = pipe.text_encoder.config.hidden_size
    files = [learned_word(tmp_path, word, width) for word in ("<okapi>", "<ink>", "<snow>")]
    plain = pixels(call(pipe, prompt="a dog <okapi>"))
    pipe.load_textual_inversion(files[0])
    theirs.load_textual_inversion(files[0])
    assert not np.array_equal(pixels(call(pipe, prompt="a dog <okapi>")), plain)
    pipe.load_textual_inversion([str(file) for file in files[1:]])
    assert [each.token for each in pipe.models.embeddings] == ["<okapi>", "<ink>", "<snow>"]
    with pytest.raises(ModelError, match="Two embeddings are called <ink>"):
        pipe.load_textual_inversion(files[1])
    with pytest.raises(ValueError, match="<okapi>"):
        theirs.load_textual_inversion(files[0])
    pipe.unload_textual_inversion()
    theirs.unload_textual_inversion()
    assert np.array_equal(pixels(call(pipe, prompt="a dog <okapi>")), plain)


# The list -----------------------------------------------------------------------------------------------------


def left_out(kind: str) -> set[str]:
    """What docs/SAMPLER.md says is not there."""
    rows = re.findall(rf"^\| {kind} \| (.+?) \|", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    return {name for row in rows for name in re.findall(r"`(\w+)`", row)}


def test_all_that_is_left_out_is_listed_and_nothing_else() -> None:
    public = {name for name in dir(AnimateDiffPipeline) if not name.startswith("_")}
    assert left_out("method") == public - set(dir(VideoElevatorPipeline))
    theirs = set(inspect.signature(AnimateDiffPipeline.__call__).parameters) - {"kwargs"}
    ours = set(inspect.signature(VideoElevatorPipeline.__call__).parameters)
    assert left_out("argument") == theirs - ours


def test_a_pipeline_of_a_test_is_not_another_tests() -> None:
    """Of shared models, these tests would move the weights."""
    assert models("zeroscope").reading.dtype == torch.float32
    assert Plan(steps=3, refine=(2,), refine_steps=1) == PLAN
