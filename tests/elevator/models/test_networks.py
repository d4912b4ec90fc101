"""Loading folders: what is read, what is shared, and what is refused with which sentence."""

from __future__ import annotations

import json
import pickle
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from diffusers import MotionAdapter, UNet3DConditionModel, UNetMotionModel
from transformers.models.t5.modeling_t5 import T5Attention

from elevator import ModelError, Plan, Sources, elevate, load_models
from elevator.models import lavie
from elevator.models.preview import STABLE_DIFFUSION, LatentRgb, fit
from tests.elevator.golden import FOLDER, Call, models

pytestmark = pytest.mark.slow


@pytest.fixture
def t2i(tmp_path):
    return shutil.copytree(FOLDER / "t2i", tmp_path / "t2i")


@pytest.fixture
def t2v(tmp_path):
    return shutil.copytree(FOLDER / "zeroscope", tmp_path / "t2v")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def test_each_networks_weights_are_read_once():
    assert load_models(Sources.of(FOLDER / "t2i", FOLDER / "zeroscope")).loads == 5  # two UNets, two text encoders, VAE
    assert load_models(Sources.of(FOLDER / "t2i", FOLDER / "animatediff")).loads == 4


def test_sampling_reads_no_weights():
    pair = models("animatediff")
    before = pair.loads
    list(elevate(pair, prompt="a", plan=Plan(steps=1, refine=()), frames=1, height=16, width=16, seed=0))
    assert pair.loads == before


def test_weights_are_frozen_and_in_the_wanted_precision():
    pair = load_models(Sources.of(FOLDER / "t2i", FOLDER / "animatediff"), dtype=torch.float16)
    for network in (pair.t2i.unet, pair.t2v.unet, pair.t2i_text.encoder):
        assert {p.dtype for p in network.parameters()} == {torch.float16}
        assert not any(p.requires_grad for p in network.parameters())
        assert not network.training
    assert {p.dtype for p in pair.vae.parameters()} == {torch.float32}


def test_half_precision_samples():
    pair = load_models(Sources.of(FOLDER / "t2i", FOLDER / "animatediff"), dtype=torch.float16)
    plan = Plan(steps=3, refine=(2,), refine_steps=1, guidance=2, video_guidance=2)
    request: dict[str, Any] = {"prompt": "a", "plan": plan, "frames": 2, "height": 32, "width": 32, "seed": 0}
    half = [step.frame[1] for step in elevate(pair, **request) if step.frame]
    full = [step.frame[1] for step in elevate(models("animatediff"), **request) if step.frame]
    assert np.abs(np.stack(half).astype(int) - np.stack(full)).mean() < 4


def test_animatediff_holds_the_t2is_weights_once():
    pair = models("animatediff")
    own = {p.data_ptr() for p in pair.t2i.unet.parameters()}
    shared = [p for name, p in pair.t2v.unet.named_parameters() if "motion_modules" not in name]
    assert {p.data_ptr() for p in shared} == own


def test_animatediff_equals_diffusers_own_composition():
    pair = models("animatediff")
    adapter = MotionAdapter.from_pretrained(FOLDER / "animatediff" / "motion_adapter", local_files_only=True)
    composed = UNetMotionModel.from_unet2d(pair.t2i.unet, adapter)
    assert composed.state_dict().keys() == pair.t2v.unet.state_dict().keys()
    for name, tensor in composed.state_dict().items():
        assert torch.equal(tensor, pair.t2v.unet.state_dict()[name]), name


def test_a_whole_motion_unet_with_its_own_text_encoder_loads(tmp_path):
    models("animatediff").t2v.unet.save_pretrained(tmp_path / "t2v" / "unet")
    shutil.copytree(FOLDER / "zeroscope" / "text_encoder", tmp_path / "t2v" / "text_encoder")
    shutil.copytree(FOLDER / "zeroscope" / "tokenizer", tmp_path / "t2v" / "tokenizer")
    pair = load_models(Sources.of(FOLDER / "t2i", tmp_path / "t2v"))
    assert pair.max_frames == 32
    z, text = torch.randn(1, 3, 4, 4, 4), torch.randn(1, 77, 32)
    with torch.inference_mode():
        assert torch.allclose(
            pair.t2v(z, 500, Call.of(text)), models("animatediff").t2v(z, 500, Call.of(text)), atol=1e-5
        )


def test_the_t2v_uses_its_own_schedule_where_it_has_one(t2v):
    assert models("zeroscope").t2v_schedule.offset == 1
    shutil.copytree(FOLDER / "t2i" / "scheduler", t2v / "scheduler")
    change(t2v / "scheduler" / "scheduler_config.json", beta_schedule="linear", steps_offset=0)
    pair = load_models(Sources.of(FOLDER / "t2i", t2v))
    assert pair.t2v_schedule.offset == 0
    assert not torch.equal(pair.t2v_schedule.alphas_cumprod, pair.t2i_schedule.alphas_cumprod)


def test_prompts_are_padded_to_the_tokenizers_length(t2i):
    change(t2i / "tokenizer" / "tokenizer_config.json", model_max_length=24)
    pair = load_models(Sources.of(t2i, FOLDER / "zeroscope"))
    assert pair.t2i_text("a dog").shape == (1, 24, 32)
    assert pair.t2v_text("a dog").shape == (1, 77, 32)
    request: dict[str, Any] = {
        "plan": Plan(steps=2, refine=(2,), refine_steps=1),
        "frames": 1,
        "height": 32,
        "width": 32,
        "seed": 0,
    }
    assert list(elevate(pair, prompt="a dog", **request))[-1].phase == "decoding"


def test_a_tokenizer_without_a_length_takes_the_encoders(t2i):
    path = t2i / "tokenizer" / "tokenizer_config.json"
    config = json.loads(path.read_text())
    del config["model_max_length"]
    path.write_text(json.dumps(config))
    assert load_models(Sources.of(t2i, FOLDER / "zeroscope")).t2i_text.length == 77


def test_padding_is_the_tokenizers_own(t2i):
    standard = models("zeroscope").t2i_text
    change(t2i / "tokenizer" / "tokenizer_config.json", pad_token="!")
    other = load_models(Sources.of(t2i, FOLDER / "zeroscope")).t2i_text
    assert not torch.allclose(standard("a dog"), other("a dog"))


def test_previews_use_the_map_beside_the_vae(t2i):
    assert models("zeroscope").rgb is STABLE_DIFFUSION
    path = t2i / "vae" / "latent_rgb.json"
    path.write_text(json.dumps({"factors": [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]], "bias": [0, 0, -1]}))
    pair = load_models(Sources.of(t2i, FOLDER / "zeroscope"))
    draft = pair.draft(torch.ones(1, 4, 2, 2))
    assert draft is not None
    assert draft[0, 0, 0].tolist() == [255, 255, 128]
    path.write_text(json.dumps({"factors": [[1, 0, 0]]}))
    with pytest.raises(ModelError, match="not a preview map of 4 channels"):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


def test_a_fitted_map_is_found_again_and_stored_beside_the_vae(t2i):
    true = LatentRgb(((0.1, 0.2, 0.3), (0.3, -0.2, 0.1), (0, 0.1, 0), (-0.1, 0, 0.2)), (0.1, 0, -0.1))
    latents = torch.randn(2, 4, 4, 6)
    colours = torch.einsum("nchw,cr->nrhw", latents, torch.tensor(true.factors))
    colours = colours + torch.tensor(true.bias)[:, None, None]
    fitted = fit(latents, colours.repeat_interleave(8, dim=2).repeat_interleave(8, dim=3))
    assert np.allclose(fitted.factors, true.factors, atol=1e-5)
    assert np.allclose(fitted.bias, true.bias, atol=1e-5)
    fitted.save(t2i / "vae")
    assert load_models(Sources.of(t2i, FOLDER / "zeroscope")).rgb == fitted


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder", "scheduler"])
def test_a_missing_part_is_named(t2i, part):
    shutil.rmtree(t2i / part)
    with pytest.raises(ModelError, match=rf"{part}.* choose a model folder in diffusers layout\."):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


def test_a_missing_tokenizer_is_named(t2i):
    shutil.rmtree(t2i / "tokenizer")
    with pytest.raises(ModelError, match="tokenizer"):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


def test_a_missing_t2v_is_named(tmp_path):
    with pytest.raises(ModelError, match="holds no model; choose a model file or a folder in diffusers layout"):
        load_models(Sources.of(FOLDER / "t2i", tmp_path))


def test_the_kind_is_read_from_the_config(tmp_path):
    with pytest.raises(ModelError, match="choose a folder with a UNet2DConditionModel"):
        load_models(Sources.of(FOLDER / "zeroscope", FOLDER / "zeroscope"))
    with pytest.raises(ModelError, match=r"no text-to-video model that is known here \(.*choose a motion module"):
        load_models(Sources.of(FOLDER / "t2i", FOLDER / "t2i"))


@pytest.mark.parametrize("content", ["", "[1]", "{"])
def test_a_broken_config_is_named(t2i, content):
    (t2i / "unet" / "config.json").write_text(content)
    with pytest.raises(ModelError, match="not a readable config"):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


@pytest.mark.parametrize("part", ["unet/diffusion_pytorch_model", "text_encoder/model", "vae/diffusion_pytorch_model"])
def test_truncated_weights_are_named(t2i, part):
    path = t2i / f"{part}.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ModelError, match="does not load; download or copy it again"):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


def test_weights_of_another_shape_are_refused(t2i):
    change(t2i / "unet" / "config.json", cross_attention_dim=16)
    with pytest.raises(
        ModelError, match=r"The weights in .*unet do not fit its config\.json \(8 tensors .*\); choose another"
    ):
        load_models(Sources.of(t2i, FOLDER / "zeroscope"))


def test_pickled_weights_load_without_running_their_code(t2v, tmp_path):
    folder = t2v / "unet"
    unet = UNet3DConditionModel.from_pretrained(folder, local_files_only=True)
    (folder / "diffusion_pytorch_model.safetensors").unlink()
    torch.save(unet.state_dict(), folder / "diffusion_pytorch_model.bin")
    pair = load_models(Sources.of(FOLDER / "t2i", t2v))
    assert torch.equal(pair.t2v.unet.conv_in.weight, models("zeroscope").t2v.unet.conv_in.weight)

    class Hostile:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("code",))

    with (folder / "diffusion_pytorch_model.bin").open("wb") as file:
        pickle.dump(Hostile(), file, protocol=2)  # as torch.save writes
    with pytest.raises(ModelError, match="does not load"):
        load_models(Sources.of(FOLDER / "t2i", t2v))
    assert not (tmp_path / "ran").exists()


def test_different_latent_spaces_are_refused(tmp_path):
    config = json.loads((FOLDER / "zeroscope" / "unet" / "config.json").read_text())
    UNet3DConditionModel.from_config(config | {"in_channels": 8}).save_pretrained(tmp_path / "unet")
    with pytest.raises(ModelError, match=r"T2I 4, T2V 8, VAE 4.* choose a T2V made for this T2I's VAE"):
        load_models(Sources.of(FOLDER / "t2i", tmp_path))


def test_text_of_another_width_is_refused(tmp_path):
    config = json.loads((FOLDER / "zeroscope" / "unet" / "config.json").read_text())
    UNet3DConditionModel.from_config(config | {"cross_attention_dim": 16}).save_pretrained(tmp_path / "unet")
    with pytest.raises(ModelError, match="T2V reads text embeddings of width 16, but its text encoder gives 32"):
        load_models(Sources.of(FOLDER / "t2i", tmp_path))


def test_a_motion_adapter_of_another_family_is_refused(tmp_path):
    config = json.loads((FOLDER / "animatediff" / "motion_adapter" / "config.json").read_text())
    for name, changed in {
        "shape": {"block_out_channels": [32, 32]},
        "blocks": {"block_out_channels": [32] * 3},
    }.items():
        MotionAdapter.from_config(config | changed).save_pretrained(tmp_path / name / "motion_adapter")
        with pytest.raises(ModelError, match="does not fit this T2I"):
            load_models(Sources.of(FOLDER / "t2i", tmp_path / name))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there():
    with pytest.raises(ModelError, match="cuda is not available here; use cpu"):
        load_models(Sources.of(FOLDER / "t2i", FOLDER / "zeroscope"), device="cuda")


@pytest.mark.parametrize("frames", [1, 16, 61, 200])
def test_lavies_distances_fall_into_the_buckets_of_t5(frames):
    positions = torch.arange(frames)
    distance = positions[None, :] - positions[:, None]
    expected = T5Attention._relative_position_bucket(
        distance, bidirectional=True, num_buckets=lavie.BUCKETS, max_distance=lavie.MAX_DISTANCE
    )
    assert torch.equal(lavie._buckets(frames, torch.device("cpu")), expected)
