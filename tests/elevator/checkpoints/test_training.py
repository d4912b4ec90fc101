"""What models were trained for, by what their files say and by what they are called."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from elevator.checkpoints import Layout, identify, values
from elevator.checkpoints.header import read_header
from elevator.checkpoints.identity import distilled_of_t2i, t2i_embeds_guidance
from elevator.checkpoints.training import distilled_of, few_steps_of_folder
from elevator.checkpoints.values import values_of

BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
WIDE = torch.linspace(-0.3, 0.3, 320)
"""With a deviation above that of models that predict epsilon."""


def sd2(**others: torch.Tensor) -> dict[str, torch.Tensor]:
    """As many of a SD 2.x's tensors as say what it is."""
    unet = "model.diffusion_model.input_blocks."
    return {
        f"{unet}0.0.weight": torch.zeros(8, 4, 3, 3),
        f"{unet}1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1024),
        "cond_stage_model.model.ln_final.weight": torch.zeros(8),
        **others,
    }


def prediction(path: Path) -> str | None:
    return identify(path).prediction


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_a_wide_bias_means_v_and_is_said_to_be_a_guess(tmp_path, dtype, suffix):
    path = tmp_path / f"model{suffix}"
    (save_file if suffix == ".safetensors" else torch.save)(sd2(**{BIAS: WIDE.to(dtype)}), path)
    identity = identify(path)
    assert identity.prediction == "v_prediction"
    (note,) = identity.notes
    assert note.startswith(f"model{suffix} is taken as a model that predicts v, by its weights; if its pictures are")
    held = values_of(path, read_header(path), BIAS)
    assert torch.equal(torch.tensor(held), WIDE.to(dtype).float())


def test_a_narrow_bias_another_width_and_other_channels_say_nothing(tmp_path):
    path = tmp_path / "model.safetensors"
    first, text = "model.diffusion_model.input_blocks.0.0.weight", "cond_stage_model.model.ln_final.weight"
    reads = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    for others in (
        {BIAS: WIDE / 10},
        {BIAS: WIDE, first: torch.zeros(8, 9, 3, 3)},  # SD 2.0's for filling in predicts epsilon
    ):
        save_file(sd2(**others), path)
        assert (prediction(path), identify(path).notes) == (None, ())
    sd1 = {name: tensor for name, tensor in sd2(**{BIAS: WIDE}).items() if name != text}
    save_file(sd1 | {reads: torch.zeros(8, 768)}, path)
    assert prediction(path) is None


@pytest.mark.parametrize(
    ("step", "predicts"), [(110000, "v_prediction"), (140000, "v_prediction"), (220000, "epsilon"), (875000, "epsilon")]
)
def test_the_published_pickles_are_known_by_their_steps(tmp_path, step, predicts):
    torch.save({"state_dict": sd2(), "global_step": step}, tmp_path / "model.ckpt")
    assert prediction(tmp_path / "model.ckpt") == predicts
    torch.save({"state_dict": sd2(), "global_step": step + 1}, tmp_path / "model.ckpt")
    assert prediction(tmp_path / "model.ckpt") is None


def test_either_a_width_or_the_text_encoders_names_tell_a_sd2(tmp_path):
    reads = "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight"
    openclip = {name: tensor for name, tensor in sd2().items() if name != reads}
    wide = {name: tensor for name, tensor in sd2().items() if not name.startswith("cond_stage_model.")}
    for tensors in (openclip, wide):
        torch.save({"state_dict": tensors, "global_step": 110000}, tmp_path / "model.ckpt")
        assert prediction(tmp_path / "model.ckpt") == "v_prediction"
    torch.save({"state_dict": wide | {reads: torch.zeros(8, 768)}, "global_step": 110000}, tmp_path / "model.ckpt")
    assert prediction(tmp_path / "model.ckpt") is None


@pytest.mark.parametrize("suffix", [".yaml", ".yml"])
@pytest.mark.parametrize(
    ("text", "predicts"),
    [
        ('model:\n  params:\n    parameterization: "v"\n', "v_prediction"),
        ("\ufeffmodel:\r\n  params:\r\n    parameterization: v\r\n", "v_prediction"),
        ("    parameterization: 'eps'\n", "epsilon"),
        ("model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n", "epsilon"),
        ("# parameterization: v\nnotes: none\n", None),
        ("\udcff", None),
    ],
)
def test_the_settings_beside_a_file(tmp_path, suffix, text, predicts):
    save_file(sd2(), tmp_path / "model.safetensors")
    (tmp_path / f"model{suffix}").write_bytes(text.encode("utf-8", "surrogateescape"))
    assert prediction(tmp_path / "model.safetensors") == predicts


def test_settings_of_a_mebibyte_are_read_and_larger_ones_are_none(tmp_path):
    save_file(sd2(), tmp_path / "model.safetensors")
    for size, predicts in ((1 << 20, "v_prediction"), ((1 << 20) + 1, None)):
        (tmp_path / "model.yaml").write_bytes(b"    parameterization: v\n".ljust(size, b"#"))
        assert prediction(tmp_path / "model.safetensors") == predicts


def test_what_a_file_states_goes_before_what_is_guessed(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file(sd2(**{BIAS: WIDE}), path, {"modelspec.prediction_type": "epsilon"})
    assert (prediction(path), identify(path).notes) == ("epsilon", ())
    (tmp_path / "model.yaml").write_text("target: LatentDiffusion")
    save_file(sd2(**{BIAS: WIDE}), path)
    assert (prediction(path), identify(path).notes) == ("epsilon", ())
    save_file(sd2(v_pred=torch.zeros(0)), path)
    assert prediction(path) == "v_prediction"
    assert not identify(path).zero_snr
    save_file(sd2(v_pred=torch.zeros(0), ztsnr=torch.zeros(0)), path)
    assert identify(path).zero_snr


@pytest.mark.parametrize("suffix", [".safetensors", ".ckpt"])
def test_values_are_those_of_the_tensor_wherever_it_lies(tmp_path, monkeypatch, suffix):
    """In a pickle, tensors may be parts of one storage."""
    path, whole = tmp_path / f"model{suffix}", torch.arange(12.0)
    tensors = {"a": whole[:3], "b": whole[3:7], "c": whole[7:]}
    (save_file if suffix == ".safetensors" else torch.save)(
        {name: tensor.clone() if suffix == ".safetensors" else tensor for name, tensor in tensors.items()}, path
    )
    for name, tensor in tensors.items():
        assert values_of(path, read_header(path), name) == tuple(tensor.tolist())
    monkeypatch.setattr(values, "MOST", 4)
    assert values_of(path, read_header(path), "b") == (3, 4, 5, 6)
    assert values_of(path, read_header(path), "c") == ()


def test_values_that_are_not_there(tmp_path):
    path = tmp_path / "model.ckpt"
    torch.save(sd2(**{BIAS: WIDE}), path, _use_new_zipfile_serialization=False)
    assert values_of(path, read_header(path), BIAS) == ()
    save_file(sd2(**{BIAS: torch.zeros(4, dtype=torch.int64)}), tmp_path / "whole.safetensors")
    header = read_header(tmp_path / "whole.safetensors")
    assert values_of(tmp_path / "whole.safetensors", header, BIAS) == ()
    assert values_of(tmp_path / "whole.safetensors", header, "none") == ()
    save_file(sd2(**{BIAS: WIDE}), tmp_path / "gone.safetensors")
    header = read_header(tmp_path / "gone.safetensors")
    (tmp_path / "gone.safetensors").write_bytes(struct.pack("<Q", 0))
    assert values_of(tmp_path / "gone.safetensors", header, BIAS) == ()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("AnimateLCM_sd15_t2v.ckpt", "animatelcm"),
        ("animatelcm.safetensors", "animatelcm"),
        ("sd15_lcm-v2.ckpt", "animatelcm"),
        ("LCMMotion.ckpt", "animatelcm"),
        ("animatediff_lightning_4step_comfyui.safetensors", "lightning"),
        ("AnimateDiffLightning.safetensors", "lightning"),
        ("mm_calcmotion_v2.ckpt", None),
        ("filmcamera.ckpt", None),
        ("enlightning.ckpt", None),
        ("mm_sd_v15_v2.ckpt", None),
        ("AnimateLCM/diffusion_pytorch_model.safetensors", "animatelcm"),
        ("AnimateLCM/diffusion_pytorch_model.fp16.safetensors", "animatelcm"),
        ("AnimateLCM/motion_adapter/diffusion_pytorch_model.safetensors", "animatelcm"),
        ("AnimateLCM/mm_sd_v15_v2.ckpt", None),
        ("models--wangfuyun--AnimateLCM/snapshots/3d4d00fc113225e1/diffusion_pytorch_model.safetensors", "animatelcm"),
        ("models--ByteDance--AnimateDiff-Lightning/snapshots/0123456789ab/model.safetensors", "lightning"),
        ("lightning/tools/mine/diffusion_pytorch_model.safetensors", None),
        ("models--a--AnimateLCM/snapshots/3d4d00fc113225e1/motion_adapter/model.safetensors", "animatelcm"),
        ("AnimateLCM/main/snapshots/3d4d00fc113225e1/motion_adapter/model.safetensors", None),  # too far up
    ],
)
def test_names_count_as_words_and_the_guess_is_said(tmp_path, name, kind):
    path = tmp_path / "all" / name
    path.parent.mkdir(parents=True)
    save_file({"down_blocks.0.motion_modules.0.pos_embed.pe": torch.zeros(1, 8, 8)}, path)
    found, note = distilled_of(path, Layout.DIFFUSERS, read_header(path))
    assert found == kind
    assert bool(note) == (kind is not None)
    if kind:
        assert note.startswith(f"{path.name} is taken as Animate")
        assert note.endswith("; if it is another, set t2v_schedule.")


def test_a_module_without_positions_is_animatelcm_by_any_name(tmp_path):
    path = tmp_path / "mm_sd_v15_v2.safetensors"
    block = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0"
    save_file({f"{block}.to_q.weight": torch.zeros(8, 8)}, path)
    assert (identify(path).distilled, identify(path).notes) == ("animatelcm", ())
    save_file({f"{block}.to_q.weight": torch.zeros(8, 8), f"{block}.pos_encoder.pe": torch.zeros(1, 8, 8)}, path)
    assert identify(path).distilled is None


def test_a_folder_with_lcms_scheduler_is_animatelcm(tmp_path):
    (tmp_path / "scheduler").mkdir()
    (tmp_path / "motion_adapter").mkdir()
    (tmp_path / "motion_adapter" / "config.json").write_text('{"_class_name": "MotionAdapter"}')
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"_class_name": "LCMScheduler"}')
    assert (identify(tmp_path).distilled, identify(tmp_path).notes) == ("animatelcm", ())


def test_a_folder_with_animatelcms_lora_is_animatelcm(tmp_path):
    folder = tmp_path / "mm_sd_v15_v2"
    folder.mkdir()
    (folder / "config.json").write_text('{"_class_name": "MotionAdapter"}')
    assert identify(folder).distilled is None
    (folder / "AnimateLCM_sd15_t2v_lora.safetensors").touch()
    assert (identify(folder).distilled, identify(folder).notes) == ("animatelcm", ())


@pytest.mark.parametrize(
    ("scheduler", "unet", "kind"),
    [
        ({"_class_name": "LCMScheduler"}, {}, "lcm"),
        ({"_class_name": "DDIMScheduler"}, {"time_cond_proj_dim": 256}, "lcm"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "trailing"}, {}, "turbo"),
        ({"_class_name": "EulerAncestralDiscreteScheduler", "timestep_spacing": "trailing"}, {}, "turbo"),
        ({"_class_name": "EulerDiscreteScheduler", "timestep_spacing": "leading"}, {}, None),
        ({"_class_name": "DDIMScheduler", "timestep_spacing": "trailing"}, {}, None),
        ({}, {}, None),
    ],
)
def test_a_folder_is_distilled_by_its_configs(tmp_path, scheduler, unet, kind):
    configs = {"scheduler_config.json": scheduler, "config.json": unet}
    found, note = few_steps_of_folder(tmp_path, lambda file: configs[file.name])
    assert (found, bool(note)) == (kind, kind == "turbo")
    for name, part in (("scheduler_config.json", "scheduler"), ("config.json", "unet")):
        (tmp_path / part).mkdir()
        (tmp_path / part / name).write_text(json.dumps(configs[name]))
    assert distilled_of_t2i(tmp_path) == kind
    assert t2i_embeds_guidance(tmp_path) == bool(unet)
    assert distilled_of_t2i(tmp_path / "unet" / "config.json") is None, "of a file nothing is known"


LORA = {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.zeros(8, 768)}


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("lcm-lora-sdv1-5.safetensors", "lcm"),
        ("LCM.safetensors", "lcm"),
        ("HyperSD.safetensors", "hyper"),
        ("models--latent-consistency--lcm-lora-sdv1-5/snapshots/0123456789ab/pytorch_lora_weights.safetensors", "lcm"),
        ("Hyper-SD15-8steps-lora.safetensors", "hyper"),
        ("hyper_realism.safetensors", None),
        ("sdxl_lightning_4step_lora.safetensors", "lightning"),
        ("lightning_strikes.safetensors", None),
        ("sd_turbo.safetensors", "turbo"),
        ("turbo_car.safetensors", None),
        ("calcmotion.safetensors", None),
    ],
)
def test_a_name_of_a_few_step_model_is_a_hint_and_decides_nothing(tmp_path, name, kind):
    path = tmp_path / "all" / name
    path.parent.mkdir(parents=True)
    save_file(LORA, path)
    found = identify(path)
    assert found.distilled is None
    assert bool(found.notes) == (kind is not None)
    if kind:
        assert f"{path.name} may be " in found.notes[0]
        assert found.notes[0].endswith(f'; if it is, set distilled to "{kind}".')


def test_metadata_of_a_few_step_model_say_it(tmp_path):
    path = tmp_path / "lcm-lora.safetensors"
    for title, kind in (("Hyper-SD15, 8 steps", "hyper"), ("Dream LCM", "lcm"), ("Lightning over the sea", None)):
        save_file(LORA, path, {"modelspec.title": title})
        assert identify(path).distilled == kind
