"""Each kind of LoRA against the arithmetic of LyCORIS, and of peft."""

from __future__ import annotations

import copy
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from diffusers import UNet2DConditionModel
from hypothesis import given
from hypothesis import strategies as st
from lycoris.modules.boft import ButterflyOFTModule
from lycoris.modules.diag_oft import DiagOFTModule
from lycoris.modules.full import FullModule
from lycoris.modules.glora import GLoRAModule
from lycoris.modules.ia3 import IA3Module
from lycoris.modules.locon import LoConModule
from lycoris.modules.loha import LohaModule
from lycoris.modules.lokr import LokrModule
from lycoris.modules.norms import NormModule
from peft import IA3Config, LoHaConfig, LoKrConfig, LoraConfig, get_peft_model
from safetensors.torch import save_file
from torch._subclasses.fake_tensor import FakeTensor

from elevator import LoraError, Sources, load_models, load_shapes
from elevator.models import loras
from tests.elevator.golden import FOLDER, relative_error

LINEAR = "down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"
WIDER = "down_blocks.0.attentions.0.transformer_blocks.0.ff.net.0.proj"
CONVOLUTION = "down_blocks.0.resnets.0.conv1"
SMALL = "down_blocks.0.attentions.0.proj_in"
LAYERS = (LINEAR, WIDER, CONVOLUTION, SMALL)
NORMS = ("down_blocks.0.resnets.0.norm1", "down_blocks.0.attentions.0.transformer_blocks.0.norm1")
WD = {"weight_decompose": True}


@cache
def base():
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    return unet.eval().requires_grad_(False)


@cache
def layer_input(name):
    """Something of the shape that the layer reads in one call of the network."""
    seen = []
    hook = base().get_submodule(name).register_forward_hook(lambda module, given, output: seen.append(given[0]))
    torch.manual_seed(1)
    with torch.inference_mode():
        base()(torch.randn(1, 4, 8, 8), 500, torch.randn(1, 77, 32))
    hook.remove()
    return seen[0].clone()


def randomised(module, seed=0):
    """The module with small random numbers for all that a training would change."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            around = parameter if "dora_scale" in name or name == "rescale" else torch.zeros_like(parameter)
            parameter.copy_(around + 0.2 * torch.randn(parameter.shape, generator=generator))
    return module.eval().requires_grad_(False)


def stored(module):
    """What LyCORIS saves of a module."""
    if isinstance(module, FullModule):  # which saves the difference from what it was at the start
        return {"diff": module.weight, **({} if module.bias is None else {"diff_b": module.bias})}
    return module.state_dict()


def written(path, modules):
    """A file as LyCORIS writes it with kohya's scripts."""
    tensors = {
        f"lora_unet_{layer.replace('.', '_')}.{key}": tensor.detach().clone().contiguous()
        for layer, module in modules.items()
        for key, tensor in stored(module).items()
    }
    save_file(tensors, path)
    return tensors


KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "LoRA": (LoConModule, {"lora_dim": 4, "alpha": 2}),
    "LoRA, tucker": (LoConModule, {"lora_dim": 4, "alpha": 2, "use_tucker": True}),
    "LoRA, rank stabilised": (LoConModule, {"lora_dim": 4, "alpha": 2, "rs_lora": True}),
    "DoRA": (LoConModule, {"lora_dim": 4, "alpha": 2, **WD}),
    "DoRA on inputs": (LoConModule, {"lora_dim": 4, "alpha": 2, **WD, "wd_on_out": False}),
    "LoHa": (LohaModule, {"lora_dim": 4, "alpha": 2}),
    "LoHa, tucker": (LohaModule, {"lora_dim": 4, "alpha": 2, "use_tucker": True}),
    "LoHa, rank stabilised": (LohaModule, {"lora_dim": 4, "alpha": 2, "rs_lora": True}),
    "LoHa, decomposed": (LohaModule, {"lora_dim": 4, "alpha": 2, **WD}),
    "LoKr": (LokrModule, {"lora_dim": 2, "alpha": 1}),
    "LoKr, both factors": (LokrModule, {"lora_dim": 1, "alpha": 3, "decompose_both": True}),
    "LoKr, both whole": (LokrModule, {"lora_dim": 100000, "alpha": 7, "full_matrix": True}),
    "LoKr of another factor": (LokrModule, {"lora_dim": 3, "alpha": 1, "factor": 2}),
    "LoKr, unbalanced": (LokrModule, {"lora_dim": 2, "alpha": 1, "unbalanced_factorization": True}),
    "LoKr, tucker": (LokrModule, {"lora_dim": 2, "alpha": 1, "use_tucker": True}),
    "LoKr, rank stabilised": (LokrModule, {"lora_dim": 2, "alpha": 1, "rs_lora": True}),
    "LoKr, decomposed": (LokrModule, {"lora_dim": 2, "alpha": 1, **WD, "wd_on_out": False}),
    "GLoRA": (GLoRAModule, {"lora_dim": 4, "alpha": 2}),
    "full difference": (FullModule, {}),
    "IA3": (IA3Module, {}),
    "IA3 on inputs": (IA3Module, {"train_on_input": True}),
    "OFT": (DiagOFTModule, {"lora_dim": 4}),
    "OFT, constrained": (DiagOFTModule, {"lora_dim": 4, "constraint": 0.01}),
    "OFT, rescaled": (DiagOFTModule, {"lora_dim": 4, "rescaled": True}),
    "BOFT": (ButterflyOFTModule, {"lora_dim": 4}),
    "BOFT, constrained": (ButterflyOFTModule, {"lora_dim": 8, "constraint": 0.01}),
    "BOFT, rescaled": (ButterflyOFTModule, {"lora_dim": 4, "rescaled": True}),
}
AS_A_WHOLE = ("rescaled", "decomposed", "DoRA")
"""Kinds whose strength LyCORIS puts in at another place; at strength 1 there is no difference."""


@pytest.mark.parametrize("strength", [1.0, 0.5])
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_equals_lycoris_forward_pass(tmp_path, kind, strength):
    if strength != 1 and any(word in kind for word in AS_A_WHOLE):
        strength = 1.0
    module, settings = KINDS[kind]
    layers = {name: copy.deepcopy(base().get_submodule(name)) for name in LAYERS}
    modules = {
        name: randomised(module("a", layer, multiplier=strength, **settings), number)
        for number, (name, layer) in enumerate(layers.items())
    }
    file = written(tmp_path / "lora.safetensors", modules)
    read = loras.read(tmp_path / "lora.safetensors")
    assert loras.matches(base(), torch.nn.Module(), read) == read.keys == len(file)
    merged = loras.merged(base(), [(read, strength)])
    for name, reference in modules.items():
        x = layer_input(name)
        with torch.inference_mode():
            ours, expected = merged.get_submodule(name)(x), reference(x)
            assert relative_error(base().get_submodule(name)(x), expected) > 1e-3, name
            assert relative_error(ours, expected) < 1e-5, name


def test_norms_equal_lycoris_and_share_a_file_with_other_kinds(tmp_path):
    """As LyCORIS' `train_norm` writes them, in either layout's names."""
    layers = {name: copy.deepcopy(base().get_submodule(name)) for name in (*NORMS, LINEAR)}
    kinds = (NormModule, NormModule, LohaModule)
    modules = {name: randomised(kind("a", layer)) for kind, (name, layer) in zip(kinds, layers.items(), strict=True)}
    file = written(tmp_path / "lora.safetensors", modules)
    renamed = {
        key.replace("down_blocks_0_resnets_0_norm1", "input_blocks_1_0_in_layers_0"): t for key, t in file.items()
    }
    assert renamed.keys() != file.keys()
    save_file(renamed, tmp_path / "ldm.safetensors")
    for path in ("lora.safetensors", "ldm.safetensors"):
        read = loras.read(tmp_path / path)
        assert loras.matches(base(), torch.nn.Module(), read) == len(file)
        merged = loras.merged(base(), [(read, 1.0)])
        for name, reference in modules.items():
            with torch.inference_mode():
                ours, expected = merged.get_submodule(name)(layer_input(name)), reference(layer_input(name))
            assert relative_error(ours, expected) < 1e-5


@pytest.mark.parametrize("kind", KINDS)
def test_no_strength_is_the_base_and_two_files_add_up(tmp_path, kind):
    module, settings = KINDS[kind]
    for number in (0, 1):
        layer = copy.deepcopy(base().get_submodule(WIDER))
        written(tmp_path / f"{number}.safetensors", {WIDER: randomised(module("a", layer, **settings), number)})
    one, other = (loras.read(tmp_path / f"{number}.safetensors") for number in (0, 1))
    plain = base().get_submodule(WIDER).weight

    def difference(*files):
        return loras.merged(base(), list(files)).get_submodule(WIDER).weight - plain

    assert torch.allclose(difference((one, 1.0), (other, 0.0)), difference((one, 1.0)), atol=1e-6)
    both = difference((one, 1.0), (other, 0.5))
    assert torch.allclose(both, difference((one, 1.0)) + difference((other, 0.5)), atol=1e-5)
    assert torch.equal(both, difference((one, 1.0), (other, 0.5)))


TARGETS = ["to_q", "to_v", "ff.net.2", "conv1"]
PEFT = {
    "LoRA": LoraConfig(r=4, lora_alpha=16, target_modules=TARGETS, init_lora_weights=False),
    "per layer": LoraConfig(
        r=4,
        lora_alpha=16,
        target_modules=TARGETS,
        rank_pattern={"to_q": 2, "up_blocks.0.resnets.0.conv1": 3},
        alpha_pattern={"to_q": 6, "mid_block.attentions.0.*to_v": 1},
        init_lora_weights=False,
    ),
    "rank stabilised": LoraConfig(r=4, lora_alpha=3, use_rslora=True, target_modules=TARGETS, init_lora_weights=False),
    "DoRA": LoraConfig(r=4, lora_alpha=16, use_dora=True, target_modules=TARGETS, init_lora_weights=False),
    "LoHa": LoHaConfig(r=4, alpha=16, target_modules=TARGETS, init_weights=False),
    "LoHa of convolutions": LoHaConfig(
        r=4, alpha=2, target_modules=TARGETS, use_effective_conv2d=True, init_weights=False
    ),
    "LoKr": LoKrConfig(r=2, alpha=6, target_modules=TARGETS, init_weights=False),
    "LoKr of convolutions": LoKrConfig(
        r=2, alpha=1, target_modules=TARGETS, use_effective_conv2d=True, decompose_both=True, init_weights=False
    ),
    "LoKr, both whole": LoKrConfig(r=64, alpha=16, target_modules=TARGETS, init_weights=False),
    "IA3": IA3Config(
        target_modules=["to_k", "to_v", "ff.net.2"], feedforward_modules=["ff.net.2"], init_ia3_weights=False
    ),
    "IA3 of convolutions": IA3Config(
        target_modules=["conv1", "conv2", "to_k"], feedforward_modules=["conv2"], init_ia3_weights=False
    ),
    "IA3 by patterns": IA3Config(
        target_modules=r".*\.(conv1|conv2)", feedforward_modules=r".*up_blocks\..*\.conv2", init_ia3_weights=False
    ),
}


@pytest.mark.parametrize("kind", PEFT)
def test_every_kind_equals_pefts_forward_pass_from_its_own_folder(tmp_path, kind):
    torch.manual_seed(0)
    unet = copy.deepcopy(base())
    trained = get_peft_model(unet, PEFT[kind]).eval()
    for name, parameter in trained.named_parameters():
        if "magnitude" in name or "ia3_l" in name:
            parameter.data += 0.1 * torch.randn_like(parameter)
        elif parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    trained.save_pretrained(tmp_path)
    assert (tmp_path / "adapter_model.safetensors").is_file()
    for path in (tmp_path, tmp_path / "adapter_model.safetensors"):
        read = loras.read(path)
        assert loras.matches(base(), torch.nn.Module(), read) == read.keys
        merged = loras.merged(base(), [(read, 1.0)])
        z, text = torch.randn(2, 4, 8, 8), torch.randn(2, 77, 32)
        with torch.inference_mode():
            ours, expected, plain = merged(z, 500, text).sample, unet(z, 500, text).sample, base()(z, 500, text).sample
        assert relative_error(ours, expected) < 1e-5
        assert relative_error(plain, expected) > 1e-3


@pytest.mark.slow
def test_one_file_of_all_kinds_is_weighed_on_shapes_alone(tmp_path):
    """As an estimate of memory has it: the same networks, of which no value is computed."""
    names = [name for name, module in base().named_modules() if name.endswith(("to_q", "to_k", "to_v", "conv1"))]
    layers = dict(zip(names, KINDS, strict=False))
    assert set(layers.values()) == set(KINDS)
    modules = {
        name: randomised(module("a", copy.deepcopy(base().get_submodule(name)), **settings))
        for name, (module, settings) in ((name, KINDS[kind]) for name, kind in layers.items())
    }
    written(tmp_path / "lora.safetensors", modules)
    sources = Sources.of(FOLDER / "t2i", FOLDER / "animatediff", loras=[(tmp_path / "lora.safetensors", 1.0)])
    shapes, real = load_shapes(sources), load_models(sources)
    assert shapes.models.loras == real.loras
    assert real.loras[0].matched == real.loras[0].keys
    own = {name: tuple(parameter.shape) for name, parameter in real.t2i.unet.named_parameters()}
    assert {name: tuple(each.shape) for name, each in shapes.models.t2i.unet.named_parameters()} == own
    assert all(isinstance(each, FakeTensor) for each in shapes.models.t2i.unet.parameters())


SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
NAMES = [
    *("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b", "hada_t1", "hada_t2"),
    *("lokr_w1", "lokr_w1_a", "lokr_w1_b", "lokr_w2", "lokr_w2_a", "lokr_w2_b", "lokr_t2"),
    *("a1.weight", "a2.weight", "b1.weight", "b2.weight", "bm.weight"),
    *("lora_down.weight", "lora_up.weight", "dora_scale", "lora_magnitude_vector"),
    *("diff", "diff_b", "w_norm", "b_norm", "weight", "on_input", "ia3_l", "oft_blocks", "rescale", "alpha"),
]


@given(
    st.dictionaries(st.sampled_from(NAMES), SHAPES, min_size=1),
    st.sampled_from(["conv", "linear", "norm", "alone"]),
    st.sampled_from([NAMES[:6], NAMES[6:13], NAMES[13:18], NAMES[18:22], ["on_input", "weight"], ["oft_blocks"]]),
    SHAPES,
)
def test_any_tensors_are_merged_or_refused(shapes, layer, whole, all_of_one):
    shapes = {**dict.fromkeys(whole, all_of_one), **shapes}
    network = torch.nn.Module()
    network.conv, network.linear = torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(2, 4)
    network.norm, network.alone = torch.nn.LayerNorm(4), torch.nn.Linear(2, 4, bias=False)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "lora.safetensors"
        save_file({f"lora_unet_{layer}.{name}": torch.ones(shape) for name, shape in shapes.items()}, path)
        with suppress(LoraError):
            loras.merged(network, [(loras.read(path), 1.0)])
