"""LoRAs for motion modules, in AnimateDiff's own layout and diffusers', against diffusers' own loading."""

from __future__ import annotations

import copy
from functools import cache

import pytest
import torch
from diffusers import (
    AnimateDiffPipeline,
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    UNet2DConditionModel,
)
from safetensors.torch import save_file
from transformers import AutoTokenizer, CLIPTextModel

from elevator import LoraError, Sources, load_models
from elevator.checkpoints import Family, Kind, identify
from elevator.models import loras
from tests.elevator.golden import FOLDER, models, relative_error

RANK = 4
SIDES = ("to_q", "to_k", "to_v", "to_out.0")


@cache
def motion_layers():
    """The layers that camera LoRAs change, by diffusers' names, and the shapes of their weights."""
    unet = models("animatediff").t2v.unet
    return {
        name.removesuffix(".weight"): weight.shape
        for name, weight in unet.named_parameters()
        if ".motion_modules." in name and any(name.endswith(f".{side}.weight") for side in SIDES)
    }


def camera(seed):
    """(layer, "down" or "up") → tensor, of a LoRA for all attention of the motion modules."""
    generator = torch.Generator().manual_seed(seed)
    return {
        (layer, side): 0.3 * torch.randn(shape, generator=generator)
        for layer, (out, width) in motion_layers().items()
        for side, shape in (("down", (RANK, width)), ("up", (out, RANK)))
    }


def original(tensors):
    """As v2_lora_PanLeft.ckpt and its kin are: the modules' own names, LoRAs as attention processors."""
    file = {}
    for (layer, side), tensor in tensors.items():
        module, _, name = layer.removesuffix(".0").rpartition(".")
        module = module.replace(".transformer_blocks.", ".temporal_transformer.transformer_blocks.")
        module = module.replace(".attn1", ".attention_blocks.0").replace(".attn2", ".attention_blocks.1")
        file[f"{module}.processor.{name}_lora.{side}.weight"] = tensor
    return file


def diffusers(tensors):
    """As guoyww/animatediff-motion-lora-… on the hub are."""
    file = {}
    for (layer, side), tensor in tensors.items():
        module, _, name = layer.removesuffix(".0").rpartition(".")
        file[f"unet.{module}.processor.{name}_lora.{side}.weight"] = tensor
    return file


def peft(tensors):
    """As diffusers and peft write one today."""
    return {f"unet.{layer}.lora_{'A' if side == 'down' else 'B'}.weight": t for (layer, side), t in tensors.items()}


def kohya(tensors):
    """Under the names of kohya's scripts."""
    return {f"lora_unet_{layer.replace('.', '_')}.lora_{side}.weight": t for (layer, side), t in tensors.items()}


LAYOUTS = {"original": original, "diffusers": diffusers, "peft": peft, "kohya": kohya}


def write(folder, seed, layout="diffusers"):
    file = LAYOUTS[layout](camera(seed))
    if layout == "original":
        path = folder / f"v2_lora_Pan{seed}.ckpt"
        torch.save({"state_dict": file}, path)
    else:
        path = folder / f"pan_{seed}_{layout}.safetensors"
        save_file(file, path)
    return path


def reference(*files):
    """The motion network of diffusers' pipeline with these LoRAs at their weights."""
    folder = FOLDER / "t2i"
    pipeline = AnimateDiffPipeline(
        vae=AutoencoderKL.from_pretrained(folder / "vae", local_files_only=True),
        text_encoder=CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32, local_files_only=True),
        tokenizer=AutoTokenizer.from_pretrained(folder / "tokenizer", local_files_only=True),
        unet=UNet2DConditionModel.from_pretrained(folder / "unet", local_files_only=True),
        motion_adapter=MotionAdapter.from_pretrained(FOLDER / "animatediff" / "motion_adapter", local_files_only=True),
        scheduler=DDIMScheduler(steps_offset=1, clip_sample=False),
    )
    for number, (path, _) in enumerate(files):
        pipeline.load_lora_weights(path.parent, weight_name=path.name, adapter_name=f"a{number}", local_files_only=True)
    pipeline.set_adapters([f"a{number}" for number in range(len(files))], [weight for _, weight in files])
    return pipeline.unet.eval()


@torch.inference_mode()
def output(unet):
    generator = torch.Generator().manual_seed(0)
    z, text = torch.randn(1, 4, 3, 8, 8, generator=generator), torch.randn(3, 77, 32, generator=generator)
    return unet(z, 500, text).sample


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Already found a `peft_config`")
@pytest.mark.parametrize("place", ["of the T2V", "of the clip"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_several_at_once_equal_diffusers_loading(tmp_path, layout, place):
    weights = (0.8, -0.4)
    expected = output(reference(*((write(tmp_path, seed), weight) for seed, weight in enumerate(weights))))
    files = [(write(tmp_path, seed, layout), weight) for seed, weight in enumerate(weights)]
    if place == "of the T2V":
        pair = load_models(Sources.of(FOLDER / "t2i", FOLDER / "animatediff", t2v_loras=files))
    else:
        pair = models("animatediff").with_loras(files)
        assert (
            [each.matched for each in pair.loras]
            == [each.keys for each in pair.loras]
            == [2 * len(motion_layers())] * 2
        )
        assert pair.t2i.unet is models("animatediff").t2i.unet
    assert relative_error(output(pair.t2v.unet), expected) < 1e-5
    assert relative_error(output(models("animatediff").t2v.unet), expected) > 1e-2


def test_they_read_no_network_again_and_share_all_other_layers(tmp_path):
    base = models("animatediff")
    pair = base.with_loras([(write(tmp_path, 0), 1.0)])
    assert pair.loads == base.loads
    own = {name: p.data_ptr() for name, p in base.t2v.unet.named_parameters()}
    changed = {
        name.removesuffix(".weight") for name, p in pair.t2v.unet.named_parameters() if p.data_ptr() != own[name]
    }
    assert changed == set(motion_layers())
    assert pair.with_loras(()).t2v is base.t2v


def test_a_file_for_pictures_and_motion_goes_to_both(tmp_path):
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
    picture = {f"unet.{layer}.lora_A.weight": torch.ones(2, 32), f"unet.{layer}.lora_B.weight": torch.ones(32, 2)}
    save_file({**peft(camera(0)), **picture}, tmp_path / "both.safetensors")
    base = models("animatediff")
    pair = base.with_loras([(tmp_path / "both.safetensors", 0.5)])
    assert not torch.equal(pair.t2i.unet.get_submodule(layer).weight, base.t2i.unet.get_submodule(layer).weight)
    assert torch.equal(pair.t2v.unet.get_submodule(layer).weight, base.t2v.unet.get_submodule(layer).weight)
    motion = next(iter(motion_layers()))
    assert not torch.equal(pair.t2v.unet.get_submodule(motion).weight, base.t2v.unet.get_submodule(motion).weight)
    assert (pair.loras[0].matched, pair.loras[0].keys) == (2 * len(motion_layers()) + 2,) * 2
    zeroscope = models("zeroscope").with_loras([(tmp_path / "both.safetensors", 0.5)])
    assert "2 of" in str(zeroscope.loras[0])


@pytest.mark.parametrize("t2v", ["zeroscope", "lavie"])
def test_without_motion_modules_the_sentence_says_what_it_is_for(tmp_path, t2v):
    with pytest.raises(LoraError, match=r"pan_0_.* is a LoRA for motion modules, and this T2V has none; take it away"):
        models(t2v).with_loras([(write(tmp_path, 0), 1.0)])


def test_one_for_other_modules_is_refused(tmp_path):
    file = {f"unet.mid_block.motion_modules.9.attn1.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(file, tmp_path / "other.safetensors")
    with pytest.raises(LoraError, match=r"None of the layers of .* is in this motion module; use a LoRA made for its"):
        models("animatediff").with_loras([(tmp_path / "other.safetensors", 1.0)])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_it_is_known_as_what_it_is(tmp_path, layout):
    identity = identify(write(tmp_path, 0, layout))
    assert (identity.kind, identity.width) == (Kind.MOTION_LORA, None)
    levels = {
        key: torch.ones(2, 320)
        for level in range(4)
        for key in original({(f"up_blocks.{level}.motion_modules.0.transformer_blocks.0.attn1.to_q", "down"): 0})
    }
    save_file(levels, tmp_path / "levels.safetensors")
    assert identify(tmp_path / "levels.safetensors").family is Family.SD1


def test_the_domain_adapter_is_a_lora_for_pictures(tmp_path):
    """v3_sd15_adapter.ckpt: its layers are the image UNet's, wherever it is put."""
    layer = "down_blocks.0.attentions.0.transformer_blocks.0.attn1"
    file = {
        f"{layer}.processor.to_{name}_lora.{side}.weight": torch.randn(shape)
        for name in ("q", "k", "v", "out")
        for side, shape in (("down", (RANK, 32)), ("up", (32, RANK)))
    }
    torch.save(file, tmp_path / "v3_sd15_adapter.ckpt")
    assert identify(tmp_path / "v3_sd15_adapter.ckpt").kind is Kind.LORA
    base = models("animatediff")
    on_t2v = load_models(
        Sources.of(FOLDER / "t2i", FOLDER / "animatediff", t2v_loras=[(tmp_path / "v3_sd15_adapter.ckpt", 1.0)])
    )
    expected = loras.merged(copy.deepcopy(base.t2v.unet), [(loras.read(tmp_path / "v3_sd15_adapter.ckpt"), 1.0)])
    assert torch.equal(output(on_t2v.t2v.unet), output(expected))
    name = f"{layer}.to_out.0.weight"
    assert torch.equal(on_t2v.t2i.unet.get_parameter(name), base.t2i.unet.get_parameter(name))
    on_t2i = base.with_loras([(tmp_path / "v3_sd15_adapter.ckpt", 1.0)])
    assert torch.equal(on_t2i.t2i.unet.get_parameter(name), on_t2v.t2v.unet.get_parameter(name))
