"""The lists in keys/ against facts that others published: counts, and sizes of files to the byte."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKL, MotionAdapter, UNet2DConditionModel, UNet3DConditionModel
from transformers import CLIPTextConfig, CLIPTextModel

from tests.true_shapes.configs import CONFIGS, PARTS, TINY, config
from tests.true_shapes.random_weights import entries, file_entries, keys

CLASSES = {cls.__name__: cls for cls in (UNet2DConditionModel, UNet3DConditionModel, AutoencoderKL, MotionAdapter)}
BUFFERS = ("position_ids", ".pe", ".freqs")
F32, F16 = (4, "F32"), (2, "F16")
KINDS = {torch.int64: (8, "I64"), torch.int32: (4, "I32"), torch.float32: F32}


def parameters(name):
    return sum(math.prod(entry.shape) for key, entry in keys(name).items() if not key.endswith(BUFFERS))


@pytest.mark.parametrize(
    ("name", "tensors", "count"),
    [
        ("ldm_unet_sd1", 686, 859_520_964),
        ("ldm_ema_sd1", 686, 859_520_964),
        ("unet_sd1", 686, 859_520_964),
        ("ldm_unet_sd2", 686, 865_910_724),
        ("unet_sd2", 686, 865_910_724),
        ("ldm_vae", 248, 83_653_863),
        ("vae", 248, 83_653_863),
        ("clip_l", 197, 123_060_480),
        ("clip_h", 373, 340_387_840),
        # One layer more than clip_h (12 tensors), the projection and the scale, no position_ids.
        ("openclip_h", 294, 340_387_840 + 12_596_224 + 1024**2 + 1),
        ("unet_zeroscope", 1480, 1_411_233_860),
        ("lavie", 830, 909_124_100),
        ("motion_v2", 588, 453_209_280),
        ("motion_lcm", 546, 453_209_280),
        ("adapter_v2", 567, 453_209_280),
        ("motion_v3", 560, 417_137_600),
        ("adapter_v3", 540, 417_137_600),
    ],
)
def test_tensors_and_parameters(name, tensors, count):
    assert len(keys(name)) == tensors
    assert parameters(name) == count


@pytest.mark.parametrize(
    ("name", "part", "prefix", "length"),
    [
        ("ldm_unet_sd1", "", "", 36_314),
        ("ldm_unet_sd2", "", "", 36_218),
        ("ldm_vae", "", "", 10_149),
        ("ldm_ema_sd1", "", "diffusion_model", 32_390),
        ("clip_l", "", "text_model.", 8_744),
        ("openclip_h", "", "", 14_193),
        ("lora_kohya", "lora_te_", "", 15_179),
        ("lora_kohya", "lora_unet_", "", 48_869),
    ],
)
def test_names_and_shapes_are_as_long_as_the_lists_of_real_files(name, part, prefix, length):
    """Characters of the lists of the model toolkit (README.md), whose lines are `name [1280,320]`."""
    lines = [
        f"{key.removeprefix(prefix)} [{','.join(map(str, entry.shape))}]"
        for key, entry in keys(name).items()
        if key.startswith(part)
    ]
    assert len("\n".join(lines)) == length


def safetensors_size(held, kind, by_dtype):
    """Bytes of the file that the library makes; in 2022 it sorted by name alone and did not pad the header to 8."""
    order = ["I64", "F32", "I32", "F16"]
    kinds = {key: KINDS.get(entry.dtype, kind) for key, entry in held.items()}
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for key in sorted(held, key=lambda key: (order.index(kinds[key][1]) if by_dtype else 0, key)):
        start, end = end, end + kinds[key][0] * math.prod(held[key].shape)
        header[key] = {"dtype": kinds[key][1], "shape": held[key].shape, "data_offsets": [start, end]}
    length = len(json.dumps(header, separators=(",", ":")))
    return 8 + (-length % 8 if by_dtype else 0) + length + end


def without(held, *names):
    return {key: entry for key, entry in held.items() if key not in names}


@pytest.mark.parametrize(
    ("held", "size"),
    [
        (lambda: file_entries("sd1"), 4_265_146_304),  # v1-5-pruned-emaonly.safetensors
        (lambda: file_entries("sd2"), 5_214_604_494),  # v2-1_512-ema-pruned.safetensors
        # v2-1_512-nonema-pruned.safetensors
        (lambda: without(file_entries("sd2"), "model_ema.decay", "model_ema.num_updates"), 5_214_604_312),
        (lambda: keys("unet_sd2"), 3_463_726_498),  # stable-diffusion-2-1-base, unet
        (lambda: keys("clip_h"), 1_361_597_018),  # text_encoder
        (lambda: keys("vae"), 334_643_276),  # vae
    ],
    ids=["SD 1.5", "SD 2.1", "SD 2.1 without EMA", "UNet folder", "text encoder folder", "VAE folder"],
)
def test_a_file_of_2022_has_its_published_size_to_the_byte(held, size):
    """So names have the true lengths, and shapes, dtypes and order are the true ones."""
    assert safetensors_size(held(), F32, by_dtype=False) == size


@pytest.mark.parametrize(
    ("family", "kind", "size"),
    [
        ("adapter_v3", F32, 1_670_875_648),  # animatediff-motion-adapter-v1-5-3
        ("lora_lcm", F16, 134_621_556),  # AnimateLCM_sd15_t2v_lora.safetensors
    ],
)
def test_a_file_of_2023_has_its_published_size_to_the_byte(family, kind, size):
    assert safetensors_size(file_entries(family), kind, by_dtype=True) == size


def test_the_checkpoint_with_its_averaged_weights_has_its_published_size():
    """v1-5-pruned.safetensors, whose writer's order is not known: it moves a few digits in the header."""
    assert abs(safetensors_size(file_entries("sd1_ema"), F32, by_dtype=False) - 7_703_324_286) < 16


@pytest.mark.parametrize(
    ("family", "size"),
    [
        ("motion_v2", 1_817_888_431),  # mm_sd_v15_v2.ckpt
        ("motion_v3", 1_673_262_583),  # v3_sd15_mm.ckpt
        ("motion_lcm", 1_813_041_929),  # AnimateLCM_sd15_t2v.ckpt: 4.6 MB less than positions would make it
        ("lavie", 3_636_842_083),  # lavie_base.pt
    ],
)
def test_a_pickle_has_its_published_size_but_for_the_zip_archive(family, size):
    """torch.save spends a few hundred bytes on each tensor: its name twice, its strides, padding to 64 bytes."""
    held = file_entries(family)
    data = 4 * sum(math.prod(entry.shape) for entry in held.values())
    assert 300 < (size - data) / len(held) < 480


def test_the_domain_adapter_is_as_large_as_published():
    data = 4 * sum(math.prod(entry.shape) for entry in file_entries("lora_v3").values())
    assert round(data / 1e6) == 102


def layers(width):
    """Shapes of the layers that a LoRA can change, under every flat name that the formats give them."""
    found: dict[Any, Any] = {}
    for name, prefixes in (("unet_sd1", ("", "unet_")), ("clip_l", ("te_", "text_encoder_"))):
        for key, entry in entries(name, width).items():
            flat = key.removesuffix(".weight").replace(".", "_")
            found |= {prefix + flat: entry.shape for prefix in prefixes}
            found |= {prefix + flat.removesuffix("_0"): entry.shape for prefix in prefixes if flat.endswith("to_out_0")}
    return found


@pytest.mark.parametrize(
    ("family", "down", "up", "pairs"),
    [
        ("lora_kohya", ".lora_down.weight", ".lora_up.weight", 192 + 72),
        ("lora_lcm", ".lora_down.weight", ".lora_up.weight", 278),
        ("lora_peft", ".lora_A.weight", ".lora_B.weight", 128 + 48),
        ("lora_v3", "_lora.down.weight", "_lora.up.weight", 128),
    ],
)
@pytest.mark.parametrize("width", [1.0, "tiny"])
def test_every_lora_pair_fits_a_layer(family, down, up, pairs, width):
    known, held = layers(width), file_entries(family, width, rank=3)
    stems = [key.removesuffix(down) for key in held if key.endswith(down)]
    assert len(stems) == pairs
    for stem in stems:
        first, second = held[stem + down].shape, held[stem + up].shape
        flat = stem.replace(".processor", "").replace(".", "_").removeprefix("lora_")
        assert (second[0], *first[1:]) == known[flat]
        assert first[0] == second[1] == 3
    alphas = sum(key.endswith(".alpha") for key in held)
    assert len(held) == 2 * pairs + alphas
    assert alphas in (0, pairs)


@pytest.mark.parametrize("width", [1.0, "tiny"])
@pytest.mark.parametrize("name", sorted(CONFIGS.keys() - {"lavie", "vae"}))
def test_the_config_makes_the_class_of_the_list(name, width):
    """Every name and shape; transformers 5 dropped a prefix and a buffer that the files have."""
    family, part = next((family, part) for family in PARTS for part, listed in PARTS[family].items() if listed == name)
    settings = config(family, part, width)
    with torch.device("meta"):
        if part == "text_encoder":
            model = CLIPTextModel(CLIPTextConfig.from_dict(settings))
        else:
            model = CLASSES[settings["_class_name"]].from_config(settings)
    wanted = {key.removeprefix("text_model."): entry.shape for key, entry in entries(name, width).items()}
    wanted.pop("embeddings.position_ids", None)
    assert {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()} == wanted


@pytest.mark.parametrize("name", sorted(TINY))
def test_tiny_lists_keep_names_and_groups(name):
    true, tiny = keys(name), entries(name, "tiny", rank=4)
    assert list(true) == list(tiny)
    assert all(len(entry.shape) == len(tiny[key].shape) for key, entry in true.items())
    norms = [entry.shape[0] for key, entry in tiny.items() if key.endswith("weight") and len(entry.shape) == 1]
    assert all(width % 32 == 0 for width in norms)


@pytest.mark.parametrize(
    ("name", "modules", "tables"), [("motion_v2", 21, 2), ("motion_v3", 20, 2), ("motion_lcm", 21, 0)]
)
def test_each_attention_of_a_motion_module_has_32_positions(name, modules, tables):
    """Of its own, in the original layout; AnimateLCM's file leaves them out."""
    held = keys(name)
    widths = {key: entry.shape[0] for key, entry in held.items() if key.endswith("proj_in.weight")}
    assert len(widths) == modules
    positions = {key: entry.shape for key, entry in held.items() if key.endswith(".pe")}
    assert positions == {
        key.replace("proj_in.weight", f"transformer_blocks.0.attention_blocks.{n}.pos_encoder.pe"): (1, 32, width)
        for key, width in widths.items()
        for n in range(tables)
    }


def test_lavie_is_sds_unet_with_a_temporal_attention_in_each_block():
    lavie, unet = keys("lavie"), keys("unet_sd1")
    added = {key: entry for key, entry in lavie.items() if key not in unet}
    assert without(lavie, *added) == unet
    blocks = {key.split(".attn_temp")[0].split(".norm_temp")[0] for key in added}
    assert len(blocks) == 16
    for block in blocks:
        width = unet[f"{block}.norm1.weight"].shape
        assert added[f"{block}.norm_temp.weight"].shape == width
        assert added[f"{block}.attn_temp.time_rel_pos_bias.relative_attention_bias.weight"].shape == (32, 8)
        assert added[f"{block}.attn_temp.rotary_emb.freqs"].shape == (16,)
    assert len(added) == 16 * 9
