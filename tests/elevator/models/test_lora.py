"""LoRAs on the T2I, against peft's own forward pass."""

from __future__ import annotations

import shutil
from typing import Any

import pytest
import torch
from diffusers import MotionAdapter, StableDiffusionPipeline, UNet2DConditionModel, UNetMotionModel
from peft import LoraConfig
from peft.utils import get_peft_model_state_dict
from safetensors.torch import load_file, save_file

from elevator import LoraError, Plan, Sources, elevate, load_models
from elevator.models.loras import merged, read
from tests.elevator.golden import FOLDER, Call, models, relative_error

ATTENTION = ["to_q", "to_k", "to_v", "to_out.0"]
FILE = "pytorch_lora_weights.safetensors"


def trained(seed, **config):
    """The T2I's UNet with a LoRA of random weights, computed by peft."""
    torch.manual_seed(seed)
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    unet.add_adapter(LoraConfig(init_lora_weights="gaussian", **({"r": 4, "target_modules": ATTENTION} | config)))
    for name, parameter in unet.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return unet.eval().requires_grad_(False)


@torch.inference_mode()
def output(unet):
    generator = torch.Generator().manual_seed(0)
    z, text = torch.randn(3, 4, 8, 8, generator=generator), torch.randn(3, 77, 32, generator=generator)
    return unet(z, 500, text).sample


TINY = UNet2DConditionModel.load_config(FOLDER / "t2i" / "unet", local_files_only=True)
BASE = output(models("zeroscope").t2i.unet)


@pytest.fixture
def lora(tmp_path):
    """A trained UNet, and the folder of its LoRA in the layout of diffusers' pipelines."""
    unet = trained(0, lora_alpha=4)  # this layout holds no α, which readers then take to be r
    StableDiffusionPipeline.save_lora_weights(tmp_path / "a", unet_lora_layers=get_peft_model_state_dict(unet))
    return unet, tmp_path / "a"


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"lora_alpha": 16},
        {"target_modules": [*ATTENTION, "conv1", "conv2", "conv_in", "proj_in", "ff.net.2"], "lora_alpha": 2},
        {"rank_pattern": {"to_q": 2}, "alpha_pattern": {"to_q": 6, "up_blocks.1.*to_v": 1}},
        {"use_rslora": True, "lora_alpha": 3},
    ],
    ids=["plain", "alpha", "convolutions", "patterns", "rslora"],
)
def test_a_lora_equals_pefts_forward_pass(tmp_path, config):
    unet = trained(1, **config)
    unet.save_lora_adapter(tmp_path)
    pair = models("zeroscope").with_loras(((tmp_path, 1.0),))
    assert relative_error(output(pair.t2i.unet), output(unet)) <= 1e-4
    assert relative_error(output(unet), BASE) > 1e-2


def test_prefixed_files_and_paths_to_files(lora):
    unet, folder = lora
    assert all(key.startswith("unet.") for key in load_file(folder / FILE))
    for path in (folder, folder / FILE):
        pair = models("zeroscope").with_loras(((path, 1.0),))
        assert relative_error(output(pair.t2i.unet), output(unet)) <= 1e-4


def test_older_key_names(lora, tmp_path):
    unet, folder = lora
    tensors = load_file(folder / FILE)
    renamed = {k.replace("lora_A", "lora.down").replace("lora_B", "lora.up"): v for k, v in tensors.items()}
    save_file(renamed, tmp_path / "old.safetensors")
    pair = models("zeroscope").with_loras(((tmp_path / "old.safetensors", 1.0),))
    assert relative_error(output(pair.t2i.unet), output(unet)) <= 1e-4


def test_weights_scale_the_difference_and_loras_add_up(lora, tmp_path):
    unet, folder = lora
    other = trained(2)
    other.save_lora_adapter(tmp_path / "b")
    base = models("zeroscope")
    name = "down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.weight"

    def weight(*loras):
        return base.with_loras(loras).t2i.unet.get_parameter(name)

    original = base.t2i.unet.get_parameter(name)
    a, b = weight((folder, 1.0)) - original, weight((tmp_path / "b", 1.0)) - original
    both = weight((folder, 0.8), (tmp_path / "b", -0.5)) - original
    assert torch.allclose(both, 0.8 * a - 0.5 * b, atol=1e-6)
    unet.set_adapters(["default"], weights=0.5)
    assert relative_error(output(base.with_loras(((folder, 0.5),)).t2i.unet), output(unet)) <= 1e-4


def test_weight_zero_and_no_lora_are_the_base_exactly(lora):
    _, folder = lora
    base = models("zeroscope")
    changed = base.with_loras(((folder, 1.0),))
    nothing = base.with_loras(((folder, 0.0),)).t2i.unet
    assert torch.equal(output(nothing), BASE)
    assert [p.data_ptr() for p in nothing.parameters()] == [p.data_ptr() for p in base.t2i.unet.parameters()]
    assert torch.equal(output(changed.with_loras(()).t2i.unet), BASE)
    assert torch.equal(output(base.t2i.unet), BASE)


def test_switching_reads_no_weights_and_the_same_set_does_nothing(lora):
    _, folder = lora
    base = models("zeroscope")
    before = base.loads
    pair = base.with_loras(((folder, 1.0),))
    assert pair.with_loras(((folder, 1.0),)) is pair
    assert base.with_loras(()) is base
    again = pair.with_loras(((folder, 0.3),)).with_loras(((folder, 1.0),))
    assert torch.equal(output(again.t2i.unet), output(pair.t2i.unet))
    assert again.loads == base.loads == before


def test_untouched_layers_share_the_bases_memory(lora):
    _, folder = lora
    base = models("zeroscope")
    pair = base.with_loras(((folder, 1.0),))
    own = {name: p.data_ptr() for name, p in base.t2i.unet.named_parameters()}
    changed = {name for name, p in pair.t2i.unet.named_parameters() if p.data_ptr() != own[name]}
    assert changed
    assert all(".attn" in name and name.endswith("weight") for name in changed)
    assert not any(p.requires_grad for p in pair.t2i.unet.parameters())


def test_the_anchor_stays_with_a_lora(lora):
    _, folder = lora
    pair = models("zeroscope").with_loras(((folder, 1.0),))
    z, text = torch.randn(1, 3, 4, 8, 8), torch.randn(1, 77, 32)
    with torch.inference_mode():
        before = pair.t2i(z, 500, Call.of(text))
        z[0, 0] += 1
        assert (pair.t2i(z, 500, Call.of(text)) - before)[0, 2].abs().max() > 1e-4


def test_a_lora_changes_the_clip_but_not_the_t2v(lora):
    _, folder = lora
    base = models("animatediff")
    pair = base.with_loras(((folder, 1.0),))
    assert pair.t2v is base.t2v
    request: dict[str, Any] = {"prompt": "a", "plan": Plan(steps=2, refine=()), "frames": 1, "seed": 0}
    request |= {"height": 16, "width": 16}
    plain, styled = (next(s.frame[1] for s in elevate(m, **request) if s.frame) for m in (base, pair))
    assert (plain != styled).any()


def test_how_much_of_a_file_fitted_is_reported(lora, tmp_path):
    _, folder = lora
    tensors = load_file(folder / FILE)
    pair = models("zeroscope").with_loras(((folder, 1.0),))
    assert (pair.loras[0].matched, pair.loras[0].keys) == (len(tensors), len(tensors))
    more = {"text_encoder.layers.0.q_proj.lora_A.weight": torch.ones(2, 2)}
    more |= {f"unet.elsewhere.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(tensors | more, tmp_path / "more.safetensors")
    applied = models("zeroscope").with_loras(((tmp_path / "more.safetensors", 0.5),)).loras[0]
    assert (applied.matched, applied.keys, applied.weight) == (len(tensors), len(tensors) + 3, 0.5)
    assert f"more.safetensors: {len(tensors)} of {len(tensors) + 3} keys matched" in str(applied)


def test_a_lora_that_fits_in_part_is_said_with_the_prompt(lora, tmp_path):
    _, folder = lora
    more = {f"unet.elsewhere.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}
    save_file(load_file(folder / FILE) | more, tmp_path / "more.safetensors")
    base = models("zeroscope")
    assert base.with_loras(((folder, 1.0),)).notes("a cat") == base.notes("a cat")
    partial = base.with_loras(((tmp_path / "more.safetensors", 1.0),))
    assert any("keys matched" in note for note in partial.notes("a cat"))


@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_lora_that_fits_nothing_is_refused_whatever_its_weight(tmp_path, weight):
    path = tmp_path / "other.safetensors"
    save_file({f"unet.elsewhere.to_q.lora_{side}.weight": torch.ones(2, 2) for side in "AB"}, path)
    with pytest.raises(LoraError, match=r"None of the layers .* use a LoRA made for its family"):
        models("zeroscope").with_loras(((path, weight),))


def test_a_lora_of_another_shape_is_refused(lora, tmp_path):
    _, folder = lora
    tensors = {key: torch.cat([t, t], dim=1) if "lora_A" in key else t for key, t in load_file(folder / FILE).items()}
    save_file(tensors, tmp_path / "wide.safetensors")
    with pytest.raises(LoraError, match="another shape than this T2I at "):
        models("zeroscope").with_loras(((tmp_path / "wide.safetensors", 1.0),))


def test_missing_broken_and_unsupported_files(lora, tmp_path):
    _, folder = lora
    base = models("zeroscope")
    with pytest.raises(LoraError, match=r"no LoRA at .*nowhere; choose a folder"):
        base.with_loras(((tmp_path / "nowhere", 1.0),))
    with pytest.raises(LoraError, match=f"no LoRA at .*; choose a folder that holds {FILE}"):
        base.with_loras(((tmp_path, 1.0),))
    broken = shutil.copytree(folder, tmp_path / "broken") / FILE
    broken.write_bytes(broken.read_bytes()[:200])
    with pytest.raises(LoraError, match="not a readable safetensors file"):
        base.with_loras(((broken, 1.0),))
    save_file({"unet.a.to_q.lora_magnitude_vector": torch.ones(2)}, tmp_path / "dora.safetensors")
    with pytest.raises(LoraError, match="holds no complete LoRA layer"):
        base.with_loras(((tmp_path / "dora.safetensors", 1.0),))
    with pytest.raises(LoraError, match=r"weight of .* is nan; give a finite number"):
        base.with_loras(((folder, float("nan")),))


def wide(width):
    """A UNet of some family's text width, and a LoRA on what reads the text."""
    name = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    return (
        UNet2DConditionModel.from_config({**TINY, "cross_attention_dim": width}),
        {f"{name}.lora_down.weight": torch.ones(2, width), f"{name}.lora_up.weight": torch.ones(32, 2)},
    )


@pytest.mark.parametrize(
    ("width", "other", "sentence"),
    [
        (768, 2048, r"is a LoRA for SDXL, but this model is SD 1\.x; choose a LoRA made for SD 1\.x\."),
        (768, 1024, r"is a LoRA for SD 2\.x, but this model is SD 1\.x; choose a LoRA made for SD 1\.x\."),
        (1024, 768, r"is a LoRA for SD 1\.x, but this model is SD 2\.x; choose a LoRA made for SD 2\.x\."),
    ],
)
def test_a_lora_of_another_family_is_refused_by_name(tmp_path, width, other, sentence):
    unet, own = wide(width)
    save_file(wide(other)[1], tmp_path / "other.safetensors")
    save_file(own, tmp_path / "own.safetensors")
    assert merged(unet, [(read(tmp_path / "own.safetensors"), 1.0)]) is not unet
    with pytest.raises(LoraError, match=sentence):
        merged(unet, [(read(tmp_path / "other.safetensors"), 1.0)])


KEY = "lora_unet_down_blocks_0_attentions_0_proj_in"


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        (
            {f"{KEY}.oft_R.weight": torch.ones(2, 2)},
            r"of a kind that is not read \(OFT as peft .*download a plain LoRA",
        ),
        ({f"{KEY}.hra_u": torch.ones(2, 2)}, r"is a LoRA of a kind that is not read \(another method of peft"),
        ({f"{KEY}.boft_R": torch.ones(2, 2)}, r"is a LoRA of a kind that is not read \(BOFT as peft"),
        ({f"{KEY}.lora_A": torch.ones(2, 2), f"{KEY}.lora_E": torch.ones(2)}, r"not read \(AdaLoRA\)"),
        ({f"{KEY}.vera_lambda_b": torch.ones(2)}, r"not read \(VeRA\)"),
        ({f"{KEY}.hada_w1_a": torch.ones(2, 2)}, "holds no complete LoRA layer"),
        ({f"{KEY}.lokr_w1": torch.ones(2, 2)}, "holds no complete LoRA layer"),
        ({f"{KEY}.lora_down.weight": torch.ones(2, 2), f"{KEY}.dora_scale": torch.ones(2)}, "holds no complete LoRA"),
        ({f"{KEY}.lora_down.weight": torch.ones(2, 2)}, "holds no complete LoRA layer"),
        ({"encoder.down.0.block.0.conv1.weight": torch.ones(2, 2)}, r"is no LoRA but .* \(VAE\); choose a LoRA"),
    ],
    ids=[
        "OFT of peft",
        "HRA of peft",
        "BOFT of peft",
        "AdaLoRA",
        "VeRA",
        "half a LoHa",
        "half a LoKr",
        "half a DoRA",
        "half",
        "VAE",
    ],
)
def test_what_cannot_be_read_is_refused(tmp_path, file, sentence):
    save_file(file, tmp_path / "lora.safetensors")
    with pytest.raises(LoraError, match=sentence):
        read(tmp_path / "lora.safetensors")


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32])
def test_numbers_that_are_not_finite_are_said_when_the_file_is_read(tmp_path, broken, dtype):
    """As a training leaves them whose loss has become NaN, and half precision where it overflows."""
    held = {key: tensor.to(dtype) for key, tensor in wide(768)[1].items()}
    name = next(key for key in held if "lora_up" in key)
    held[name][0, 0] = broken
    save_file(held, tmp_path / "spoilt.safetensors")
    with pytest.raises(
        LoraError, match=rf"spoilt\.safetensors holds numbers that are not finite, in {name}: its training"
    ):
        read(tmp_path / "spoilt.safetensors")


def test_a_weight_that_the_precision_cannot_hold_is_said_with_the_file(tmp_path):
    unet, own = wide(768)
    save_file(own, tmp_path / "own.safetensors")
    with pytest.raises(LoraError, match=r"weight of .*own\.safetensors is too great: down_blocks.* becomes infinite"):
        merged(unet.to(torch.float16), [(read(tmp_path / "own.safetensors"), 1e6)])


def test_a_bias_that_the_layer_has_not_is_refused_by_name(tmp_path):
    unet, own = wide(768)
    layer = next(iter(own)).partition(".")[0]
    save_file({f"{layer}.diff": torch.ones(32, 768), f"{layer}.diff_b": torch.ones(32)}, tmp_path / "own.safetensors")
    with pytest.raises(LoraError, match=r"has down_blocks\.0.*attn2\.to_k\.bias, which this T2I has not; use a LoRA"):
        merged(unet, [(read(tmp_path / "own.safetensors"), 1.0)])


@pytest.mark.parametrize("settings", ["{", "[]", '{"lora_alpha": "much"}', '{"alpha_pattern": {"(": 1}}'])
def test_unreadable_settings_are_refused(tmp_path, settings):
    save_file(wide(768)[1], tmp_path / "lora.safetensors", metadata={"lora_adapter_metadata": settings})
    with pytest.raises(LoraError, match="unreadable LoRA settings in its metadata; download or train it again"):
        read(tmp_path / "lora.safetensors")


def test_a_lora_beside_a_motion_adapter_goes_to_the_t2v_alone(lora, tmp_path):
    """As AnimateDiff's domain adapter and AnimateLCM's LoRA do."""
    trained_t2i, folder = lora
    motion = shutil.copytree(FOLDER / "animatediff", tmp_path / "motion")
    shutil.copy(folder / FILE, motion / FILE)
    pair = load_models(Sources.of(FOLDER / "t2i", motion))
    assert torch.equal(output(pair.t2i.unet), BASE), "the T2I has no part in it"
    adapter = MotionAdapter.from_pretrained(motion / "motion_adapter", local_files_only=True)
    trained_t2i.fuse_lora()
    trained_t2i.unload_lora()
    expected = UNetMotionModel.from_unet2d(trained_t2i, adapter).eval()
    z, text = torch.randn(1, 4, 3, 8, 8), torch.randn(3, 77, 32)
    with torch.inference_mode():
        assert relative_error(pair.t2v.unet(z, 500, text).sample, expected(z, 500, text).sample) < 1e-5
        assert relative_error(models("animatediff").t2v.unet(z, 500, text).sample, expected(z, 500, text).sample) > 1e-3
