"""Models from their true files, one head wide: loaded by the normal loader, and one guided step taken."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from elevator import LoraError, ModelError, Plan, Sources, elevate, load_models
from tests.elevator.golden import Call, relative_error
from tests.true_shapes.random_weights import write, write_embedding

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Path of a written family; each is written once."""
    folder = tmp_path_factory.mktemp("files")
    made = {}

    def path(family, suffix=".safetensors"):
        name = f"{family}{suffix}"
        if name not in made:
            made[name] = write(family, folder / name, "tiny")
        return made[name]

    return path


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    """Loading asks nobody: any look-up of a name or connection fails the test."""

    def refuse(*args, **kwargs):
        raise AssertionError(f"asked the network: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)


def guided_step(models):
    """The frames of a one-step chain with one refinement: every network is called, with guidance."""
    plan = Plan(steps=1, refine=(1,), refine_steps=1, guidance=2, video_guidance=2)
    steps = elevate(models, prompt="a (cat:1.2)", plan=plan, frames=2, height=64, width=64, seed=0)
    return [step.frame[1] for step in steps if step.frame]


T2IS = [("sd1", ".safetensors"), ("sd1_bare", ".safetensors"), ("sd1_ema", ".ckpt"), ("sd1_folder", "")]
MOTION = [
    ("motion_v2", ".ckpt"),
    ("motion_v3", ".safetensors"),
    ("motion_lcm", ".ckpt"),
    ("lightning", ".safetensors"),
    ("adapter_v3_folder", ""),
]


@pytest.mark.parametrize(("t2i", "suffix"), T2IS)
def test_sd1_in_every_layout_takes_a_step(files, t2i, suffix):
    models = load_models(Sources.of(files(t2i, suffix), files("motion_v2", ".ckpt")))
    assert len(guided_step(models)) == 2
    assert models.t2i_schedule.offset == 1


@pytest.mark.parametrize(("t2v", "suffix"), MOTION)
def test_motion_modules_in_every_layout_take_a_step(files, t2v, suffix):
    models = load_models(Sources.of(files("sd1"), files(t2v, suffix)))
    assert len(guided_step(models)) == 2
    assert models.max_frames == 32
    assert models.t2v_schedule.lcm_steps == (50 if t2v == "motion_lcm" else 0)
    assert models.t2v_schedule.spacing == ("trailing" if t2v == "lightning" else "leading")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_lavie_takes_a_step(files, suffix):
    models = load_models(Sources.of(files("sd1"), files("lavie", suffix), t2v_text=files("sd1_bare")))
    assert len(guided_step(models)) == 2
    assert models.t2v_text.encoder is not models.t2i_text.encoder


def test_sd2_and_zeroscope_take_a_step(files):
    for t2i, suffix in (("sd2", ".safetensors"), ("sd2", ".ckpt"), ("sd2_folder", "")):
        assert len(guided_step(load_models(Sources.of(files(t2i, suffix), files("zeroscope", ""))))) == 2


def test_a_sd2_checkpoint_is_padded_with_zero_and_a_sd1_with_the_end(files):
    sd2, sd1 = (
        load_models(Sources.of(files(t2i), files(t2v, "")))
        for t2i, t2v in (("sd2", "zeroscope"), ("sd1", "adapter_v2_folder"))
    )
    assert sd1.t2i_text.tokenizer.pad_token_id == 49407
    assert sd2.t2i_text.tokenizer.pad_token_id == 0
    assert sd2.t2i_text.encoder.config.num_hidden_layers == 23


def test_the_prediction_type_is_the_files_the_callers_or_epsilon(files, tmp_path):
    tensors = load_file(files("sd2"))
    save_file(tensors, tmp_path / "v.safetensors", {"modelspec.prediction_type": "v"})
    t2v = files("zeroscope", "")
    assert load_models(Sources.of(files("sd2"), t2v)).t2i_schedule.prediction_type == "epsilon"
    assert load_models(Sources.of(tmp_path / "v.safetensors", t2v)).t2i_schedule.prediction_type == "v_prediction"
    asked = load_models(Sources.of(files("sd2"), t2v, prediction_type="v_prediction"))
    assert asked.t2i_schedule.prediction_type == "v_prediction"
    with pytest.raises(ModelError, match="prediction_type is 'magic'; use a model that predicts epsilon or v"):
        load_models(Sources.of(files("sd2"), t2v, prediction_type="magic"))


def test_zero_terminal_snr_is_the_callers_or_the_files(files, tmp_path):
    """2305.08891, sections 3.1 and 3.3: the last level holds no signal, and the chain begins there."""
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    save_file(load_file(files("sd2")) | marks, tmp_path / "marked.safetensors")
    sd2, folder, t2v = files("sd2"), files("sd2_folder", ""), files("zeroscope", "")

    def ends(t2i, asked, predicts="v_prediction"):
        sources = Sources.of(t2i, t2v, prediction_type=predicts, rescale_betas_zero_snr=asked)
        schedule = load_models(sources).t2i_schedule
        return float(schedule.alphas_cumprod[-1]) == 0, schedule.spacing

    for t2i in (sd2, folder):
        assert [ends(t2i, asked) for asked in (None, True)] == [(False, "leading"), (True, "trailing")]
    assert [ends(tmp_path / "marked.safetensors", asked) for asked in (None, False)] == [
        (True, "trailing"),
        (False, "leading"),
    ]
    asked = Sources.of(sd2, t2v, prediction_type="epsilon", rescale_betas_zero_snr=True)
    with pytest.raises(ModelError, match="use a v_prediction model or set rescale_betas_zero_snr to false"):
        load_models(asked).t2i_schedule.with_steps(10)


def test_another_vae_takes_the_place_of_the_checkpoints(files, tmp_path):
    own = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt")))
    write("vae", tmp_path / "other.safetensors", "tiny", seed=5)
    other = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt"), vae=tmp_path / "other.safetensors"))
    folder = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt"), vae=files("sd1_folder", "") / "vae"))
    own_folder = load_models(Sources.of(files("sd1_folder", ""), files("motion_v2", ".ckpt")))
    z = torch.randn(4, 8, 8)
    assert (own.decode(z) != other.decode(z)).any()
    assert (own.decode(z) != folder.decode(z)).any()
    assert (own_folder.decode(z) == folder.decode(z)).all()
    tensors = {name: t for name, t in load_file(files("sd1")).items() if not name.startswith("first_stage_model.")}
    save_file(tensors, tmp_path / "bare.safetensors")
    with pytest.raises(ModelError, match=r"holds no VAE; name one for it too, such as that of SD 1\.x"):
        load_models(Sources.of(tmp_path / "bare.safetensors", files("motion_v2", ".ckpt")))
    load_models(
        Sources.of(tmp_path / "bare.safetensors", files("motion_v2", ".ckpt"), vae=tmp_path / "other.safetensors")
    )


@pytest.mark.parametrize(
    ("layer", "said"),
    [
        ("encoder.conv_out.weight", r"broken\.safetensors lacks layers of a VAE"),
        ("decoder.conv_in.weight", r"broken\.safetensors .* lacks, .* such as decoder\.conv_in\.weight"),
    ],
)
def test_a_vae_without_a_layer_is_said(files, tmp_path, layer, said):
    write("vae", tmp_path / "whole.safetensors", "tiny")
    tensors = load_file(tmp_path / "whole.safetensors")
    assert layer in tensors
    save_file({name: tensor for name, tensor in tensors.items() if name != layer}, tmp_path / "broken.safetensors")
    with pytest.raises(ModelError, match=said):
        load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt"), vae=tmp_path / "broken.safetensors"))


def test_animatelcms_lora_goes_on_the_t2v_alone(files):
    plain = load_models(Sources.of(files("sd1"), files("motion_lcm", ".ckpt")))
    tuned = load_models(Sources.of(files("sd1"), files("motion_lcm", ".ckpt"), t2v_loras=((files("lora_lcm"), 0.8),)))
    z, text = torch.randn(1, 2, 4, 8, 8), torch.randn(1, 77, 64)
    with torch.inference_mode():
        assert torch.equal(plain.t2i(z, 500, Call.of(text)), tuned.t2i(z, 500, Call.of(text)))
        assert relative_error(tuned.t2v(z, 500, Call.of(text)), plain.t2v(z, 500, Call.of(text))) > 1e-3
    with pytest.raises(ModelError, match="no motion module and takes no LoRAs; leave the T2V's LoRAs out"):
        load_models(Sources.of(files("sd1"), files("lavie"), t2v_loras=((files("lora_lcm"), 0.8),)))


def test_loras_go_to_the_t2v_only_if_asked(files):
    base = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt")))
    loras = ((files("lora_kohya"), 0.7), (files("lora_peft"), -0.3))
    on_t2i, on_both = base.with_loras(loras), base.with_loras(loras, on_t2v=True)
    z, text = torch.randn(1, 2, 4, 8, 8), torch.randn(1, 77, 64)
    with torch.inference_mode():
        outputs = [models.t2v(z, 500, Call.of(text)) for models in (base, on_t2i, on_both)]
    assert torch.equal(outputs[0], outputs[1])
    assert relative_error(outputs[2], outputs[0]) > 1e-3
    words = [(models.t2i_text("a dog"), models.t2v_text("a dog")) for models in (base, on_t2i, on_both)]
    assert relative_error(words[1][0], words[0][0]) > 1e-3, "kohya's file has a part for the text encoder"
    assert torch.equal(words[1][1], words[0][1])
    assert torch.equal(words[2][1], words[2][0])
    assert [each.matched == each.keys for each in on_t2i.loras] == [True, True]
    assert on_both.with_loras(()).t2v is base.t2v
    assert base.loads == on_both.loads
    with pytest.raises(LoraError, match="no layers of the T2I, so LoRAs cannot go to it"):
        load_models(Sources.of(files("sd1"), files("lavie"))).with_loras(loras, on_t2v=True)


def test_embeddings_stay_when_loras_change(files, tmp_path):
    base = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt")))
    write_embedding(tmp_path / "cat.safetensors", "a1111", vectors=3, width=64)
    taught = base.with_embeddings([tmp_path / "cat.safetensors"])
    assert relative_error(taught.t2i_text("a cat"), base.t2i_text("a cat")) > 1e-2
    assert torch.equal(taught.t2v_text("a cat"), taught.t2i_text("a cat"))
    styled = taught.with_loras(((files("lora_peft"), 1.0),))
    untaught = base.with_loras(((files("lora_peft"), 1.0),)).t2i_text("a cat")
    assert relative_error(styled.t2i_text("a cat"), untaught) > 1e-2
    assert torch.equal(styled.with_embeddings(()).t2i_text("a cat"), untaught)
    assert torch.equal(styled.with_loras(()).t2i_text("a cat"), taught.t2i_text("a cat"))
    write_embedding(tmp_path / "wide.safetensors", "a1111", vectors=1, width=128)
    with pytest.raises(ModelError, match=r"wide.* does not fit this text encoder \(64 wide\)"):
        base.with_embeddings([tmp_path / "wide.safetensors"])


def test_a_long_prompt_and_its_notes_reach_the_caller(files):
    models = load_models(Sources.of(files("sd1"), files("motion_v2", ".ckpt")))
    plan = Plan(steps=1, refine=(1,), refine_steps=1, guidance=2)
    request: dict[str, Any] = {"plan": plan, "frames": 1, "height": 64, "width": 64, "seed": 0}
    steps = list(elevate(models, prompt="dog, " * 100 + "(cat:1.3", negative_prompt="[a:b:0.5]", **request))
    assert steps[-1].frame is not None
    assert len(steps[0].notes) == 2
    assert not any(step.notes for step in steps[1:])


WRONG = {
    "motion_v2": r"not a whole text-to-image model \(motion module, .*choose a checkpoint",
    "lora_kohya": r"not a whole text-to-image model \(LoRA, ",
    "vae": r"not a whole text-to-image model \(VAE, ",
}


@pytest.mark.parametrize("family", WRONG)
def test_a_wrong_file_as_t2i_is_named_for_what_it_is(files, family):
    with pytest.raises(ModelError, match=WRONG[family]):
        load_models(Sources.of(files(family), files("motion_v2", ".ckpt")))


@pytest.mark.parametrize("family", ["sd1", "lora_peft", "vae"])
def test_a_wrong_file_as_t2v_is_named_for_what_it_is(files, family):
    with pytest.raises(ModelError, match=r"no text-to-video model that is known here .*choose a motion module"):
        load_models(Sources.of(files("sd1"), files(family)))


@pytest.mark.parametrize("name", ["model_index.json", "config.json"])
def test_a_folder_of_another_kind_is_named_by_its_class(files, tmp_path, name):
    (tmp_path / name).write_text('{"_class_name": "FluxPipeline"}')
    with pytest.raises(ModelError, match="holds a model of the class FluxPipeline; choose a checkpoint of SD 1"):
        load_models(Sources.of(tmp_path, files("motion_v2", ".ckpt")))


def test_what_is_guessed_of_a_t2v_is_said_unless_its_schedule_is_given(files, tmp_path):
    path = tmp_path / "AnimateLCM" / "module.ckpt"
    path.parent.mkdir()
    shutil.copy(files("motion_v2", ".ckpt"), path)
    (guess,) = load_models(Sources.of(files("sd1"), path)).guesses
    assert guess.startswith("module.ckpt is taken as AnimateLCM")
    assert load_models(Sources.of(files("sd1"), path, t2v_schedule="animatediff")).guesses == ()


def test_sdxl_and_inpainting_checkpoints_are_refused(files, tmp_path):
    tensors = load_file(files("sd1"))
    first = "model.diffusion_model.input_blocks.0.0.weight"
    save_file(tensors | {first: torch.ones(32, 9, 3, 3)}, tmp_path / "inpainting.safetensors")
    with pytest.raises(
        ModelError,
        match="takes 9 channels, as models that fill in parts of a picture do; choose the model that it was made from",
    ):
        load_models(Sources.of(tmp_path / "inpainting.safetensors", files("motion_v2", ".ckpt")))
    save_file(tensors | {first: torch.ones(32, 8, 3, 3)}, tmp_path / "edits.safetensors")
    with pytest.raises(ModelError, match=r"takes 8 channels, .*; choose a checkpoint that paints from words"):
        load_models(Sources.of(tmp_path / "edits.safetensors", files("motion_v2", ".ckpt")))
    sdxl = {name.replace("cond_stage_model", "conditioner.embedders.0"): tensor for name, tensor in tensors.items()}
    save_file(sdxl, tmp_path / "sdxl.safetensors")
    with pytest.raises(ModelError, match=r"is of SDXL; choose a checkpoint of SD 1\.x or SD 2\.x"):
        load_models(Sources.of(tmp_path / "sdxl.safetensors", files("motion_v2", ".ckpt")))


@pytest.mark.parametrize(
    ("missing", "part"),
    [
        ("model.diffusion_model.out.2.bias", "UNet2DConditionModel"),
        ("first_stage_model.decoder.conv_in.bias", "AutoencoderKL"),
        ("cond_stage_model.transformer.text_model.final_layer_norm.bias", "CLIPTextModel"),
    ],
)
def test_a_layer_that_is_missing_is_named(files, tmp_path, missing, part):
    tensors = load_file(files("sd1"))
    del tensors[missing]
    save_file(tensors, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match=rf"1 tensors that a {part} should not have, lacks.* such as .*bias; "):
        load_models(Sources.of(tmp_path / "model.safetensors", files("motion_v2", ".ckpt")))


def test_a_truncated_file_is_refused_before_it_is_read(files, tmp_path):
    whole = files("motion_v3")
    cut = tmp_path / whole.name
    cut.write_bytes(whole.read_bytes()[:-100])
    with pytest.raises(ModelError, match="its end is missing; download or copy it again"):
        load_models(Sources.of(files("sd1"), cut))


@pytest.mark.parametrize("place", ["t2i", "t2v", "vae"])
def test_a_hostile_pickle_is_refused_and_does_not_run(files, tmp_path, place):
    class Hostile:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").write_text, ("code",))

    with (tmp_path / "model.ckpt").open("wb") as file:
        pickle.dump({"state_dict": Hostile()}, file, protocol=2)
    paths = {"t2i": files("sd1"), "t2v": files("motion_v2", ".ckpt")} | {place: tmp_path / "model.ckpt"}
    with pytest.raises(ModelError, match=r"holds code .* and is refused.*choose the same model as a \.safetensors"):
        load_models(Sources.of(**paths))
    assert not (tmp_path / "ran").exists()


def test_a_t2v_folder_whose_latents_are_scaled_otherwise_is_refused(files, tmp_path):
    t2v = shutil.copytree(files("zeroscope", ""), tmp_path / "t2v")
    path = t2v / "vae" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"scaling_factor": 0.13025}))
    with pytest.raises(ModelError, match=r"scaled by 0\.13025 and the T2I's by 0\.18215; choose a T2V made for"):
        load_models(Sources.of(files("sd2"), t2v))


def test_a_motion_module_of_another_family_is_refused(files, tmp_path):
    """Told by the true width of the T2I's text alone, because all layers fit."""
    t2i = shutil.copytree(files("sd2_folder", ""), tmp_path / "t2i")
    path = t2i / "unet" / "config.json"
    config = json.loads(path.read_text()) | {"cross_attention_dim": 1024}
    path.write_text(json.dumps(config))
    tensors = load_file(t2i / "unet" / "diffusion_pytorch_model.safetensors")
    wide = {
        name: torch.zeros(len(t), 1024).half() if ".attn2.to_k" in name or ".attn2.to_v" in name else t
        for name, t in tensors.items()
    }
    save_file(wide, t2i / "unet" / "diffusion_pytorch_model.safetensors")
    with pytest.raises(ModelError, match=r"motion module for SD 1\.x, but the T2I is of SD 2\.x; choose a T2I of SD 1"):
        load_models(Sources.of(t2i, files("motion_v2", ".ckpt")))


@pytest.mark.parametrize(
    ("family", "layer", "said"),
    [
        ("sd1", "model.diffusion_model.out.", r"lacks layers of a UNet of SD 1\.x; choose another file"),
        ("sd1", "model.diffusion_model.input_blocks.1.", "lacks layers of a UNet2DConditionModel; choose another file"),
        ("sd1", "cond_stage_model.transformer.text_model.embeddings.", "lacks layers of the text encoder of SD 1"),
        ("sd2", "cond_stage_model.model.positional_embedding", "lacks layers of the text encoder of SD 2"),
        ("lavie", "conv_in.", r"lavie\.safetensors lacks layers of LaVie's UNet; choose another file"),
        ("lavie", "down_blocks.0.resnets.0.conv1", "lacks layers of a LaVieUNet; choose another file"),
        ("motion_v2", "down_blocks.0.", r"motion_v2\.safetensors .*; choose another file"),
    ],
)
def test_a_part_that_says_nothing_of_its_shape_is_named(files, tmp_path, family, layer, said):
    tensors = {name: tensor for name, tensor in load_file(files(family)).items() if not name.startswith(layer)}
    assert len(tensors) < len(load_file(files(family)))
    save_file(tensors, tmp_path / f"{family}.safetensors")
    own = tmp_path / f"{family}.safetensors"
    paths = (own, files("motion_v2", ".ckpt")) if family.startswith("sd") else (files("sd1"), own)
    with pytest.raises(ModelError, match=said):
        load_models(Sources.of(*paths))


def test_a_vae_under_diffusers_names_is_read_from_a_file_of_its_own(files, tmp_path):
    t2i, t2v = files("sd1_folder", ""), files("motion_v2", ".ckpt")
    (weights,) = (t2i / "vae").glob("*.safetensors")
    tensors, old = load_file(weights), {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    renamed = {}
    for name, tensor in tensors.items():
        for new, earlier in old.items():
            if ".attentions." in name and f".{new}." in name:
                name = name.replace(f".{new}.", f".{earlier}.")
                tensor = tensor[:, :, None, None] if tensor.ndim == 2 else tensor
        renamed[name] = tensor.contiguous()
    save_file(renamed | {"loss.logvar": torch.zeros(1)}, tmp_path / "old.safetensors")
    z = torch.randn(4, 8, 8, generator=torch.Generator().manual_seed(0))
    read, own = (load_models(Sources.of(t2i, t2v, vae=vae)) for vae in (tmp_path / "old.safetensors", None))
    assert (read.decode(z) == own.decode(z)).all()
    save_file({k: v for k, v in renamed.items() if k != "encoder.conv_out.weight"}, tmp_path / "old.safetensors")
    with pytest.raises(ModelError, match="lacks layers of a VAE; choose another file"):
        load_models(Sources.of(t2i, t2v, vae=tmp_path / "old.safetensors"))


def test_a_broken_tokenizer_is_named(files, tmp_path):
    t2i = shutil.copytree(files("sd1_folder", ""), tmp_path / "t2i")
    (t2i / "tokenizer").mkdir()
    with pytest.raises(ModelError, match=r"The tokenizer in .*t2i does not load; download or copy it again"):
        load_models(Sources.of(t2i, files("motion_v2", ".ckpt")))
