"""The key names of LoRA files: one LoRA written in each, against peft's own forward pass and diffusers' loading."""

from __future__ import annotations

import contextlib
import copy
import json
import tempfile
from functools import cache
from pathlib import Path

import pytest
import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel
from diffusers.loaders.single_file_utils import convert_ldm_unet_checkpoint
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import save_file
from transformers import AutoTokenizer, CLIPTextModel

from elevator import LoraError
from elevator.models import loras as lora
from elevator.models.loras.algorithms import LowRankPair
from elevator.models.loras.names import ldm_names
from tests.elevator.golden import FOLDER, models, relative_error

RANK, ALPHA = 4, 2.0
UNET_LAYERS = ["to_q", "to_k", "to_v", "to_out.0", "proj_in", "ff.net.0.proj", "ff.net.2"]
ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
RESNETS = ["conv1", "conv2", "conv_shortcut", "time_emb_proj", "downsamplers.0.conv", "upsamplers.0.conv"]
TEXT_LAYERS = ["q_proj", "k_proj", "v_proj", "out_proj", "fc1", "fc2"]


def matches(read):
    """How many of a LoRA's keys fit the bases, and how many it has."""
    unet, text = bases()
    return lora.matches(unet, text, read), read.keys


@cache
def bases():
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    text = CLIPTextModel.from_pretrained(FOLDER / "t2i" / "text_encoder", dtype=torch.float32, local_files_only=True)
    return unet.eval().requires_grad_(False), text.eval().requires_grad_(False)


class Trained:
    """The two networks with a LoRA of random weights, as peft computes it, and its tensors by layer."""

    def __init__(self, unet_layers, alpha=ALPHA):
        self.unet, self.text = copy.deepcopy(bases())
        torch.manual_seed(0)
        for network, layers in ((self.unet, unet_layers), (self.text, TEXT_LAYERS)):
            network.add_adapter(
                LoraConfig(r=RANK, lora_alpha=alpha, init_lora_weights="gaussian", target_modules=layers)
            )
            for name, parameter in network.named_parameters():
                if "lora_B" in name:
                    torch.nn.init.normal_(parameter, std=0.2)
            network.eval().requires_grad_(False)

    def tensors(self):
        """(part, layer, "A" or "B") → tensor."""
        return {
            (part, *key.removesuffix(".weight").rsplit(".lora_", 1)): tensor.contiguous()
            for part, network in (("unet", self.unet), ("text_encoder", self.text))
            for key, tensor in get_peft_model_state_dict(network).items()
        }


@cache
def trained(layers="attention", alpha=ALPHA):
    return Trained({"attention": ATTENTION, "all": UNET_LAYERS + RESNETS}[layers], alpha)


@torch.inference_mode()
def outputs(unet, text):
    generator = torch.Generator().manual_seed(0)
    z, embedding = torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 77, 32, generator=generator)
    tokens = torch.randint(0, text.config.vocab_size, (1, 77), generator=generator)
    return unet(z, 500, embedding).sample, text(tokens).last_hidden_state


def text_name(layer):
    """The layer's name in files from before the module text_model was left out."""
    return f"text_model.{layer}"


def kohya(tensors, alpha=ALPHA, name=lambda layer: layer):
    """As kohya's scripts write it."""
    file = {}
    for (part, layer, side), tensor in tensors.items():
        layer = name(layer) if part == "unet" else text_name(layer)
        module = {"unet": "lora_unet_", "text_encoder": "lora_te_"}[part] + layer.replace(".", "_")
        file[f"{module}.lora_{'down' if side == 'A' else 'up'}.weight"] = tensor
        file[f"{module}.alpha"] = torch.tensor(alpha)
    return file


def diffusers(tensors):
    """As diffusers writes it today."""
    return {
        f"{part}.{layer if part == 'unet' else text_name(layer)}.lora_{side}.weight": tensor
        for (part, layer, side), tensor in tensors.items()
    }


def older_diffusers(tensors):
    """As diffusers wrote it with layers of its own."""
    down_up = {"A": "down", "B": "up"}
    return {
        f"unet.{layer}.lora.{down_up[side]}.weight"
        if part == "unet"
        else f"text_encoder.{text_name(layer)}.lora_linear_layer.{down_up[side]}.weight": tensor
        for (part, layer, side), tensor in tensors.items()
    }


def attention_processors(tensors):
    """As diffusers wrote it while LoRAs were attention processors."""
    file = {}
    for (part, layer, side), tensor in tensors.items():
        module, name = layer.removesuffix(".0").rsplit(".", 1)
        if part == "text_encoder" and ".mlp" in module:
            name = f"{name}.lora_linear_layer"
        elif part == "text_encoder":
            name = f"to_{name.removesuffix('_proj')}_lora"
        else:
            module, name = f"{module}.processor", f"{name}_lora"
        prefix = f"{part}.{module}" if part == "unet" else f"{part}.{text_name(module)}"
        file[f"{prefix}.{name}.{'down' if side == 'A' else 'up'}.weight"] = tensor
    return file


LDM = {own: ldm for ldm, own in ldm_names(bases()[0]).items()}
SD = {
    "block_out_channels": (32, 32, 64, 64),
    "down_block_types": ("CrossAttnDownBlock2D",) * 3 + ("DownBlock2D",),
    "up_block_types": ("UpBlock2D",) + ("CrossAttnUpBlock2D",) * 3,
    "layers_per_block": 2,
}


def peft(tensors, before="", adapter=""):
    """As peft writes it, under names that do not tell the two networks apart; α is in a config beside the file."""
    return {
        f"{before}base_model.model.{layer if part == 'unet' else text_name(layer)}.lora_{side}{adapter}.weight": tensor
        for (part, layer, side), tensor in tensors.items()
    }


def wrapped_peft(tensors):
    """As peft's files become in a pipeline's."""
    return {
        f"{part}.base_model.model.{layer if part == 'unet' else text_name(layer)}.lora_{side}.weight": tensor
        for (part, layer, side), tensor in tensors.items()
    }


def comfy(tensors, unet="diffusion_model.", text="text_encoders.clip_l.transformer."):
    """As ComfyUI's LoraSave writes it: the checkpoint's own names."""
    down_up = {"A": "down", "B": "up"}
    return {
        f"{unet}{LDM[layer]}.lora_{down_up[side]}.weight"
        if part == "unet"
        else f"{text}{text_name(layer)}.lora_{down_up[side]}.weight": tensor
        for (part, layer, side), tensor in tensors.items()
    }


def renamed(written, **prefixes):
    """What another tool writes, with other words before the layers' names."""
    return lambda tensors: {
        next((key.replace(old, new, 1) for old, new in prefixes.items() if key.startswith(old)), key): tensor
        for key, tensor in written(tensors).items()
    }


STYLES = {
    "kohya": (kohya, "all", ALPHA),
    "kohya with the names of the original layout": (lambda t: kohya(t, name=LDM.__getitem__), "all", ALPHA),
    "diffusers": (diffusers, "all", RANK),
    "older diffusers": (older_diffusers, "all", RANK),
    "attention processors": (attention_processors, "attention", RANK),
}
OTHERS = {
    "peft": (peft, "all", RANK),
    "peft with the adapter's name": (lambda t: peft(t, adapter=".my_style"), "all", RANK),
    "peft in a pipeline": (wrapped_peft, "all", RANK),
    "ComfyUI": (comfy, "all", RANK),
    "ComfyUI, as in a checkpoint": (
        lambda t: comfy(t, "model.diffusion_model.", "cond_stage_model.transformer."),
        "all",
        RANK,
    ),
    "a bare text encoder's name": (lambda t: comfy(t, text="clip_l."), "all", RANK),
    "`.weight` left out": (
        lambda t: {name.removesuffix(".weight"): each for name, each in peft(t).items()},
        "all",
        RANK,
    ),
    "the parts of a pipeline": (
        renamed(diffusers, **{"unet.": "pipe.unet.", "text_encoder.": "pipe.text_encoder."}),
        "all",
        RANK,
    ),
    "LyCORIS with the networks' names": (
        renamed(kohya, lora_unet_="lycoris_unet_", lora_te_="lycoris_te_"),
        "all",
        ALPHA,
    ),
    "wrapped once more": (renamed(kohya, lora_unet_="lora.lora_unet_", lora_te_="network.lora_te_"), "all", ALPHA),
    "OneTrainer": (renamed(kohya, lora_te_="lora_te1_"), "all", ALPHA),
    "OneTrainer with dots": (renamed(kohya, lora_unet_="lora_unet.", lora_te_="lora_te."), "all", ALPHA),
    "LyCORIS alone": (renamed(kohya, lora_unet_="lycoris_", lora_te_="lycoris_"), "all", ALPHA),
    "compiled and in parallel": (
        renamed(diffusers, **{"unet.": "unet._orig_mod.", "text_encoder.": "text_encoder.module."}),
        "all",
        RANK,
    ),
    "no words before the names": (renamed(diffusers, **{"unet.": "", "text_encoder.": ""}), "all", RANK),
}
"""Those that diffusers does not load for Stable Diffusion."""


@pytest.mark.parametrize("style", [*STYLES, *OTHERS])
def test_every_style_of_names_equals_pefts_forward_pass(tmp_path, style):
    written, layers, alpha = {**STYLES, **OTHERS}[style]
    reference = trained(layers, alpha)
    file = written(reference.tensors())
    save_file(file, tmp_path / "lora.safetensors")
    read = lora.read(tmp_path / "lora.safetensors")
    assert matches(read) == (len(file), len(file))
    unet, text = bases()
    ours = outputs(lora.merged(unet, [(read, 1.0)]), lora.merged(text, [(read, 1.0)], target="text_encoder"))
    for result, expected, plain in zip(ours, outputs(reference.unet, reference.text), outputs(*bases()), strict=True):
        assert relative_error(result, expected) < 1e-5
        assert relative_error(plain, expected) > 1e-2


@pytest.mark.parametrize("style", [style for style in STYLES if "original" not in style])
def test_every_style_of_names_equals_diffusers_loading(tmp_path, style):
    written, layers, alpha = STYLES[style]
    save_file(written(trained(layers, alpha).tensors()), tmp_path / "lora.safetensors")
    unet, text = copy.deepcopy(bases())
    vae = AutoencoderKL.from_pretrained(FOLDER / "t2i" / "vae", local_files_only=True)
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "t2i" / "tokenizer", local_files_only=True)
    scheduler = DDIMScheduler(steps_offset=1, clip_sample=False)
    pipeline = StableDiffusionPipeline(vae, text, tokenizer, unet, scheduler, None, None, requires_safety_checker=False)
    pipeline.load_lora_weights(tmp_path, weight_name="lora.safetensors", local_files_only=True)
    read = lora.read(tmp_path / "lora.safetensors")
    ours = outputs(lora.merged(bases()[0], [(read, 1.0)]), lora.merged(bases()[1], [(read, 1.0)], "text_encoder"))
    for result, expected in zip(ours, outputs(unet, text), strict=True):
        assert relative_error(result, expected) < 1e-5


@pytest.mark.parametrize(
    ("config", "ups"),
    [({}, [(0, 1, 1)]), (SD, [(0, 2, 1), (1, 5, 2), (2, 8, 2)])],
    ids=["tiny", "as deep as Stable Diffusion"],
)
def test_names_of_the_original_layout_are_those_of_diffusers_conversion(config, ups):
    with torch.device("meta"):
        unet = UNet2DConditionModel.from_config({**bases()[0].config, **config})
    layers = {name.removesuffix(".weight") for name, weight in unet.named_parameters() if weight.ndim > 1}
    ours = {ldm: name for ldm, name in ldm_names(unet).items() if name in layers}
    assert set(ours.values()) == layers, "each layer has such a name"
    # The conversion finds an upsampling by its ending alone, in whichever place after the attention it stands.
    assert {ldm: name for ldm, name in ours.items() if "upsamplers" in name} == {
        f"output_blocks.{n}.{k}.conv": f"up_blocks.{b}.upsamplers.0.conv" for b, n, k in ups
    }
    # Each tensor holds its own name's place, by which it is found again under diffusers' name.
    places = dict(enumerate(ours))
    file = {f"model.diffusion_model.{places[k]}.{kind}": torch.tensor(k) for k in places for kind in ("weight", "bias")}
    converted = convert_ldm_unet_checkpoint(file, dict(unet.config))
    assert {f"{own}.weight": ldm for ldm, own in ours.items()} == {
        key: places[int(place)] for key, place in converted.items() if key.endswith("weight")
    }


def test_a_convolution_with_a_middle_tensor_equals_three_convolutions(tmp_path):
    name = "down_blocks.0.resnets.0.conv1"
    down, middle, up = torch.randn(4, 32, 1, 1), torch.randn(4, 4, 3, 3), torch.randn(32, 4, 1, 1)
    sides = {"down": down, "mid": middle, "up": up}
    file = {f"lora_unet_{name.replace('.', '_')}.lora_{side}.weight": tensor for side, tensor in sides.items()}
    save_file(file, tmp_path / "lora.safetensors")
    unet = lora.merged(bases()[0], [(lora.read(tmp_path / "lora.safetensors"), 0.5)])
    x, convolve = torch.randn(1, 32, 8, 8), torch.nn.functional.conv2d
    expected = convolve(convolve(convolve(x, down), middle, padding=1), up) * 0.5
    result = unet.get_submodule(name)(x) - bases()[0].get_submodule(name)(x)
    assert relative_error(result, expected) < 1e-5


def test_a_motion_network_takes_the_loras_of_its_t2i(tmp_path):
    save_file(kohya(trained("all").tensors()), tmp_path / "lora.safetensors")
    read = lora.read(tmp_path / "lora.safetensors")
    motion = models("animatediff").t2v.unet
    assert (lora.matches(motion, bases()[1], read), read.keys) == matches(read)
    merged, t2i = lora.merged(motion, [(read, 0.7)]), lora.merged(bases()[0], [(read, 0.7)])
    for name, weight in t2i.named_parameters():
        assert torch.equal(merged.get_parameter(name), weight), name


def test_a_pickled_lora_equals_the_same_in_safetensors(tmp_path):
    file = kohya(trained().tensors())
    save_file(file, tmp_path / "lora.safetensors")
    torch.save({"state_dict": file}, tmp_path / "lora.ckpt")
    one, other = (
        lora.merged(bases()[0], [(lora.read(tmp_path / f"lora.{end}"), 1.0)]) for end in ("safetensors", "ckpt")
    )
    assert all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


def test_a_part_that_nothing_touches_is_the_base_itself(tmp_path):
    unet, text = bases()
    tensors = trained().tensors()
    only_text = {key: tensor for key, tensor in tensors.items() if key[0] == "text_encoder"}
    save_file(kohya(only_text), tmp_path / "text.safetensors")
    save_file(kohya(tensors), tmp_path / "both.safetensors")
    read = lora.read(tmp_path / "text.safetensors")
    assert lora.merged(unet, [(read, 1.0)]) is unet
    assert lora.merged(unet, [(lora.read(tmp_path / "both.safetensors"), 0.0)]) is unet
    assert lora.merged(text, []) is text
    changed = lora.merged(text, [(read, 1.0), (read, 0.5)], target="text_encoder")
    own = {name: p.data_ptr() for name, p in text.named_parameters()}
    assert {name for name, p in changed.named_parameters() if p.data_ptr() != own[name]} == {
        f"{layer}.weight" for _, layer, _ in only_text
    }
    name = "encoder.layers.0.mlp.fc1.weight"
    once = lora.merged(text, [(read, 1.5)], target="text_encoder").get_parameter(name)
    assert torch.allclose(changed.get_parameter(name), once, atol=1e-6)


def test_each_part_has_its_own_settings(tmp_path):
    """As diffusers writes them when the two parts were trained with different α."""
    reference = trained(alpha=8.0)
    metadata = {
        f"{part}.{key}": value for part in ("unet", "text_encoder") for key, value in (("r", 4), ("lora_alpha", 8))
    }
    metadata |= {"text_encoder.lora_alpha": 2}
    save_file(
        diffusers(reference.tensors()),
        tmp_path / "lora.safetensors",
        metadata={"lora_adapter_metadata": json.dumps(metadata)},
    )
    read = lora.read(tmp_path / "lora.safetensors")
    scales = {
        target: {each.weight.scale for each in layers.values() if isinstance(each.weight, LowRankPair)}
        for target, layers in read.layers.items()
    }
    assert scales == {"unet": {2.0}, "motion": set(), "text_encoder": {0.5}}


@pytest.mark.parametrize(
    "shapes",
    [
        {"down": (2, 32, 3, 3), "up": (32, 2, 2, 1)},
        {"down": (2, 32, 3, 3), "up": (32, 3, 1, 1)},
        {"down": (2, 32, 3, 3), "up": (64, 2, 1, 1)},
        {"down": (2, 64, 3, 3), "up": (32, 2, 1, 1)},
        {"down": (2, 32, 1, 3), "up": (32, 2, 1, 1)},
        {"down": (2, 32, 3, 3), "mid": (2, 2, 3, 3), "up": (32, 2, 1, 1)},
        {"down": (2, 32, 1, 1), "mid": (2, 3, 3, 3), "up": (32, 2, 1, 1)},
        {"down": (2, 32, 1, 1), "mid": (2, 2, 1, 3), "up": (32, 2, 1, 1)},
    ],
    ids=str,
)
def test_shapes_that_do_not_fit_are_refused(tmp_path, shapes):
    layer = "lora_unet_down_blocks_0_resnets_0_conv1"
    save_file({f"{layer}.lora_{k}.weight": torch.ones(v) for k, v in shapes.items()}, tmp_path / "lora.safetensors")
    with pytest.raises(
        LoraError, match=r"another shape than this T2I at down_blocks\.0\.resnets\.0\.conv1; use a LoRA"
    ):
        lora.merged(bases()[0], [(lora.read(tmp_path / "lora.safetensors"), 1.0)])


@pytest.mark.parametrize("parts", [("unet", "text_encoder"), ("unet",), ("text_encoder",)])
def test_pefts_folders_of_two_networks_are_one_lora(tmp_path, parts):
    """As training scripts that use peft save them, each with its own settings."""
    reference, alphas = trained("all", 8.0), {"unet": 8.0, "text_encoder": 8.0}
    for part in parts:
        (tmp_path / "style" / part).mkdir(parents=True)
        own = {key: tensor for key, tensor in reference.tensors().items() if key[0] == part}
        save_file(peft(own), tmp_path / "style" / part / "adapter_model.safetensors")
        config = {"r": RANK, "lora_alpha": alphas[part], "peft_type": "LORA"}
        (tmp_path / "style" / part / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    read = lora.read(tmp_path / "style")
    assert [target for target, layers in read.layers.items() if layers] == [
        p for p in ("unet", "text_encoder") if p in parts
    ]
    unet, text = bases()
    ours = outputs(lora.merged(unet, [(read, 1.0)]), lora.merged(text, [(read, 1.0)], target="text_encoder"))
    changed, plain = outputs(reference.unet, reference.text), outputs(*bases())
    for part, result, expected in zip(
        alphas, ours, (c if p in parts else n for p, c, n in zip(alphas, changed, plain, strict=True)), strict=True
    ):
        assert relative_error(result, expected) < 1e-5, part


@pytest.mark.parametrize("config", ["{", "[]", '{"lora_alpha": "much"}'])
def test_an_unreadable_config_of_pefts_is_named(tmp_path, config):
    save_file(peft(trained("all").tensors()), tmp_path / "adapter_model.safetensors")
    (tmp_path / "adapter_config.json").write_text(config, encoding="utf-8")
    with pytest.raises(LoraError, match=r"adapter_config\.json.*; download or"):
        lora.read(tmp_path)


SHAPES = st.lists(st.integers(0, 3), max_size=4).map(tuple)


@given(shapes=st.dictionaries(st.sampled_from(["down", "mid", "up"]), SHAPES), alpha=st.none() | SHAPES)
def test_any_shapes_are_merged_or_refused(shapes, alpha):
    layer = "down_blocks.0.resnets.0.conv1"
    file = {f"lora_unet_{layer.replace('.', '_')}.lora_{side}.weight": torch.ones(s) for side, s in shapes.items()}
    if alpha is not None:
        file[f"lora_unet_{layer.replace('.', '_')}.alpha"] = torch.ones(alpha)
    base = torch.nn.Module()
    base.down_blocks, base.up_blocks = torch.nn.ModuleList([torch.nn.Module()]), torch.nn.ModuleList()
    base.down_blocks[0].resnets = torch.nn.ModuleList([torch.nn.Module()])
    base.down_blocks[0].resnets[0].conv1 = torch.nn.Conv2d(2, 3, 3)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        save_file(file, path)
        with contextlib.suppress(LoraError):
            lora.merged(base, [(lora.read(path), 1.0)])
