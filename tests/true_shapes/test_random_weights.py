"""The files and folders of random weights: libraries load them, and one forward pass of each network is finite."""

from __future__ import annotations

import json
from typing import Literal

import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel, UNetMotionModel
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import CLIPTextModel

from tests.true_shapes.configs import config
from tests.true_shapes.random_weights import FILES, entries, file_entries, keys, tensors, write, write_embedding


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write("sd1_folder", tmp_path_factory.mktemp("tiny") / "sd1", "tiny", torch.float32)


def load(cls, folder):
    """A model from a folder, strictly: no tensor missing or left over."""
    model, info = cls.from_pretrained(folder, local_files_only=True, output_loading_info=True)
    assert not info["missing_keys"]
    assert not info["mismatched_keys"]
    assert all(key.endswith("position_ids") for key in info["unexpected_keys"])
    return model.eval()


def finite(tensor):
    return bool(tensor.isfinite().all()) and tensor.std() > 1e-3


@torch.inference_mode()
def test_a_tiny_folder_loads_strictly_and_runs(folder):
    unet, vae = load(UNet2DConditionModel, folder / "unet"), load(AutoencoderKL, folder / "vae")
    text = load(CLIPTextModel, folder / "text_encoder")(torch.arange(77)[None]).last_hidden_state
    assert text.shape == (1, 77, 64)
    assert finite(noise := unet(torch.randn(1, 4, 8, 8), 500, text).sample)
    assert finite(vae.decode(noise).sample)
    listed = load_file(folder / "vae" / "diffusion_pytorch_model.safetensors")
    assert torch.equal(
        vae.decoder.mid_block.attentions[0].to_q.bias, listed["decoder.mid_block.attentions.0.query.bias"]
    )


@torch.inference_mode()
def test_tiny_zeroscope_is_pickles_and_runs(tmp_path):
    made = write("zeroscope", tmp_path, "tiny", torch.float32)
    unet = load(UNet3DConditionModel, made / "unet")
    text = load(CLIPTextModel, made / "text_encoder")(torch.arange(77)[None]).last_hidden_state
    assert finite(unet(torch.randn(1, 4, 3, 8, 8), 500, text).sample)
    assert not list(made.rglob("*.safetensors"))


@torch.inference_mode()
@pytest.mark.parametrize("version", ["adapter_v2", "adapter_v3"])
def test_a_tiny_adapter_runs_on_the_tiny_unet(folder, tmp_path, version):
    adapter = load(MotionAdapter, write(f"{version}_folder", tmp_path, "tiny", torch.float32))
    unet = UNetMotionModel.from_unet2d(load(UNet2DConditionModel, folder / "unet"), adapter)
    assert finite(unet(torch.randn(1, 4, 3, 8, 8), 500, torch.randn(3, 77, 64)).sample)


@torch.inference_mode()
@pytest.mark.parametrize(("family", "files"), [("sd1", "sd1.safetensors"), ("sd2", "sd2.ckpt")])
def test_diffusers_reads_a_tiny_single_file(tmp_path, family, files):
    parts = tmp_path / "parts"
    for part in ("unet", "vae"):
        (parts / part).mkdir(parents=True)
        (parts / part / "config.json").write_text(json.dumps(config(family, part, "tiny")))
    path = str(write(family, tmp_path / files, "tiny", torch.float32))
    read = {"local_files_only": True, "config": str(parts)}
    unet = UNet2DConditionModel.from_single_file(path, subfolder="unet", **read)
    vae = AutoencoderKL.from_single_file(path, subfolder="vae", **read)
    assert finite(noise := unet(torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, 64)).sample)
    assert finite(vae.decode(noise).sample)


@pytest.mark.parametrize(("family", "wrapped"), [("sd1", "state_dict"), ("lavie", "ema"), ("motion_v2", None)])
def test_pickles_hold_tensors_alone_under_their_key(tmp_path, family, wrapped):
    content = torch.load(write(family, tmp_path / "file.ckpt", "tiny"), weights_only=True)
    held = content[wrapped] if wrapped else content
    assert {key: tuple(tensor.shape) for key, tensor in held.items()} == {
        key: entry.shape for key, entry in file_entries(family, "tiny").items()
    }
    assert held.keys().isdisjoint({"state_dict", "ema"})


def test_dtypes_that_are_not_free_stay(tmp_path):
    held = load_file(write("sd1", tmp_path / "file.safetensors", "tiny"))
    fixed = {key: tensor.dtype for key, tensor in held.items() if tensor.dtype != torch.float16}
    position_ids = "cond_stage_model.transformer.text_model.embeddings.position_ids"
    assert fixed.pop(position_ids) == torch.int64
    assert held[position_ids].tolist() == [list(range(77))]
    assert fixed.pop("model_ema.num_updates") == torch.int32
    assert set(fixed) == keys("ldm_schedule").keys() - {"model_ema.num_updates"}
    assert set(fixed.values()) == {torch.float32}


def test_values_follow_from_seed_and_name(tmp_path):
    paths = [tmp_path / f"{n}.safetensors" for n in range(3)]
    first, second, other = (
        load_file(write("motion_v3", path, "tiny", seed=seed)) for path, seed in zip(paths, (0, 0, 1), strict=True)
    )
    name = "down_blocks.0.motion_modules.0.temporal_transformer.proj_in.weight"
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first[name], other[name])
    assert not torch.equal(first[name], first[name.replace("modules.0", "modules.1")])


def test_positions_are_diffusers_own():
    made = MotionAdapter.from_config(config("adapter_v2", "motion_adapter", "tiny")).state_dict()
    held = {key: tensor for key, tensor in made.items() if key.endswith(".pe")}
    assert held
    from_list = tensors(
        {key: entry for key, entry in entries("adapter_v2", "tiny").items() if key in held}, torch.float32
    )
    for key, tensor in held.items():
        assert torch.allclose(tensor, from_list[key], atol=1e-5)


def test_rank_alpha_and_metadata_of_a_lora(tmp_path):
    path = write("lora_kohya", tmp_path / "lora.safetensors", "tiny", rank=8, metadata={"ss_network_dim": "8"})
    held = load_file(path)
    name = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn1_to_q"
    assert held[f"{name}.lora_down.weight"].shape == (8, 128)
    assert held[f"{name}.alpha"] == FILES["lora_kohya"].alpha == 16
    with safe_open(path, "pt") as file:
        assert file.metadata() == {"format": "pt", "ss_network_dim": "8"}


def test_the_three_embedding_formats(tmp_path):
    names: dict[Literal["a1111_pt", "a1111", "diffusers"], str] = {
        "a1111_pt": "cat.pt",
        "a1111": "cat.safetensors",
        "diffusers": "learned_embeds.bin",
    }
    paths = {style: tmp_path / name for style, name in names.items()}
    values = {style: write_embedding(path, style, "<cat>", vectors=3, width=1024) for style, path in paths.items()}
    read = {
        "a1111_pt": torch.load(paths["a1111_pt"], weights_only=True)["string_to_param"]["*"],
        "a1111": load_file(paths["a1111"])["emb_params"],
        "diffusers": torch.load(paths["diffusers"], weights_only=True)["<cat>"],
    }
    for style, value in values.items():
        assert value.shape == (3, 1024)
        assert torch.equal(read[style], value)


def test_any_other_width_is_refused():
    with pytest.raises(ValueError, match=r"There is no width 0\.5; choose 1\.0 or 'tiny'"):
        config("sd1", "unet", 0.5)
