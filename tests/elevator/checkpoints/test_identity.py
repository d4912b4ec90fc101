"""What model files and folders are said to be."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import UNet3DConditionModel
from safetensors.torch import load_file

from elevator import ModelError
from elevator.checkpoints import Algorithm, Family, Kind, Layout, identify
from tests.elevator.checkpoints.written import ldm_checkpoint, write
from tests.elevator.golden import FOLDER, models

SDXL_TEXT = "conditioner.embedders.0.transformer.text_model."
BLOCK = "down_blocks.0.attentions.0.transformer_blocks.0"
FLAT = BLOCK.replace(".", "_")
MOTION = "down_blocks.0.motion_modules.0"
TEMPORAL = f"{MOTION}.temporal_transformer.transformer_blocks.0.attention_blocks.0"
SD1, SD2, SDXL, OTHER, UNKNOWN = Family.SD1, Family.SD2, Family.SDXL, Family.OTHER, Family.UNKNOWN


def lora(down, up, width=768):
    """A pair of matrices on what reads the text."""
    return {down: (8, width), up: (320, 8)}


def levels(names, count):
    """A motion module's names on every level of a UNet."""
    return {f"up_blocks.{n}.{name.removeprefix('down_blocks.0.')}": (320, 320) for name in names for n in range(count)}


FILES = {
    "SD 1.5": (ldm_checkpoint(), Kind.T2I, SD1, Layout.LDM),
    "SD 2.1": (ldm_checkpoint(1024, "cond_stage_model.model.transformer.resblocks."), Kind.T2I, SD2, Layout.LDM),
    "SDXL": (ldm_checkpoint(2048, SDXL_TEXT), Kind.T2I, SDXL, Layout.LDM),
    "UNet alone": (ldm_checkpoint(text="none."), Kind.UNET, SD1, Layout.LDM),
    "Flux": ({"double_blocks.0.img_attn.norm.key_norm.scale": (128,)}, Kind.T2I, OTHER, Layout.OTHER),
    "SD 3": ({"model.diffusion_model.joint_blocks.0.x_block.mlp.fc1.weight": (9, 9)}, Kind.T2I, OTHER, Layout.OTHER),
    "ControlNet": ({"control_model.input_blocks.0.0.weight": (320, 4, 3, 3)}, Kind.OTHER, UNKNOWN, Layout.LDM),
    "SparseCtrl": (
        {"controlnet_cond_embedding.conv_in.weight": (9, 9, 3, 3), f"{TEMPORAL}.to_q.weight": (320, 320)},
        Kind.OTHER,
        UNKNOWN,
        Layout.DIFFUSERS,
    ),
    "AnimateDiff": (levels([f"{TEMPORAL}.to_q.weight"], 4), Kind.MOTION_MODULE, SD1, Layout.ANIMATEDIFF),
    "AnimateDiff in parallel": (
        {f"module.{name}": shape for name, shape in levels([f"{TEMPORAL}.to_q.weight"], 4).items()},
        Kind.MOTION_MODULE,
        SD1,
        Layout.ANIMATEDIFF,
    ),
    "AnimateDiff SDXL": (levels([f"{TEMPORAL}.to_q.weight"], 3), Kind.MOTION_MODULE, SDXL, Layout.ANIMATEDIFF),
    "AnimateDiff-Lightning": (
        levels([f"{MOTION}.transformer_blocks.0.attn2.to_k.weight"], 4),
        Kind.MOTION_MODULE,
        SD1,
        Layout.DIFFUSERS,
    ),
    "LaVie": (
        {f"{BLOCK}.attn_temp.to_q.weight": (320, 320), f"{BLOCK}.attn2.to_k.weight": (320, 768)},
        Kind.T2V,
        SD1,
        Layout.LAVIE,
    ),
    "ModelScope": ({"input_blocks.1.0.temopral_conv.conv1.0.weight": (320,)}, Kind.T2V, UNKNOWN, Layout.LDM),
    "VAE": ({"encoder.down.0.block.0.conv1.weight": (128, 128, 3, 3)}, Kind.VAE, UNKNOWN, Layout.LDM),
    "VAE in a model": ({"first_stage_model.encoder.down.0.block.0.norm1.bias": (1,)}, Kind.VAE, UNKNOWN, Layout.LDM),
    "VAE of Flux": (
        {"encoder.down.0.block.0.norm1.bias": (128,), "decoder.conv_in.weight": (512, 16, 3, 3)},
        Kind.VAE,
        OTHER,
        Layout.LDM,
    ),
    "CLIP": (
        {
            "text_model.encoder.layers.0.self_attn.q_proj.weight": (768, 768),
            "text_model.embeddings.token_embedding.weight": (49408, 768),
        },
        Kind.TEXT_ENCODER,
        SD1,
        Layout.DIFFUSERS,
    ),
    "T5": ({"encoder.block.0.layer.0.SelfAttention.q.weight": (9, 9)}, Kind.TEXT_ENCODER, OTHER, Layout.DIFFUSERS),
    "embedding": ({"emb_params": (4, 768)}, Kind.EMBEDDING, SD1, Layout.TEXTUAL_INVERSION),
    "embedding of SD 2": ({"emb_params": (4, 1024)}, Kind.EMBEDDING, SD2, Layout.TEXTUAL_INVERSION),
    "embedding by word": ({"<cat-toy>": (768,)}, Kind.EMBEDDING, SD1, Layout.TEXTUAL_INVERSION),
    "embedding by word, of two": ({"<cat-toy>": (2, 1024)}, Kind.EMBEDDING, SD2, Layout.TEXTUAL_INVERSION),
    "two words": ({"<cat-toy>": (768,), "<dog>": (768,)}, Kind.OTHER, UNKNOWN, Layout.OTHER),
    "a kernel as wide as a word": ({"a.weight": (1, 2, 768)}, Kind.OTHER, UNKNOWN, Layout.OTHER),
    "embedding of SDXL": ({"clip_l": (2, 768), "clip_g": (2, 1280)}, Kind.EMBEDDING, SDXL, Layout.TEXTUAL_INVERSION),
    "anything": ({"a.weight": (3, 4)}, Kind.OTHER, UNKNOWN, Layout.OTHER),
}


@pytest.mark.parametrize("name", FILES)
def test_files_by_their_names_and_shapes(tmp_path, name):
    shapes, kind, family, layout = FILES[name]
    path = write(tmp_path / "some model.safetensors", shapes)
    identity = identify(path)
    assert (identity.kind, identity.family, identity.layout) == (kind, family, layout)
    assert (identity.size, identity.title, identity.algorithm) == (path.stat().st_size, "some model", None)
    assert identity.prediction is None


KOHYA = f"lora_unet_{FLAT}_attn2_to_k"
DIFFUSERS = f"unet.{BLOCK}.attn2"
LORAS = {
    "kohya": (lora(f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight"), SD1, Layout.KOHYA, "LoRA"),
    "kohya SD 2": (lora(f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight", 1024), SD2, Layout.KOHYA, "LoRA"),
    "kohya SDXL": (lora(f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight", 2048), SDXL, Layout.KOHYA, "LoRA"),
    "kohya SDXL text": (
        {f"lora_te{n}_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768) for n in (1, 2)},
        SDXL,
        Layout.KOHYA,
        "LoRA",
    ),
    # The first of several, or a trainer's only one: that of SDXL, SD 3 and Flux is as wide as that of SD 1.x.
    "the first text encoder alone": (
        {"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)},
        UNKNOWN,
        Layout.KOHYA,
        "LoRA",
    ),
    "the first text encoder beside SD 1.x": (
        {"lora_te1_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)}
        | lora(f"{KOHYA}.lora_down.weight", f"{KOHYA}.lora_up.weight"),
        SD1,
        Layout.KOHYA,
        "LoRA",
    ),
    "without `.weight`": (lora(f"{DIFFUSERS}.to_k.lora_A", f"{DIFFUSERS}.to_k.lora_B"), UNKNOWN, Layout.PEFT, "LoRA"),
    "peft's other methods": (
        {f"base_model.model.{BLOCK}.attn2.to_k.hra_u": (320, 8)},
        UNKNOWN,
        Layout.PEFT,
        "another method of peft",
    ),
    "kohya text": (
        {"lora_te_text_model_encoder_layers_0_self_attn_q_proj.lora_down.weight": (8, 768)},
        SD1,
        Layout.KOHYA,
        "LoRA",
    ),
    "kohya Flux": ({"lora_unet_double_blocks_0_img_attn_proj.lora_down.weight": (8, 9)}, OTHER, Layout.KOHYA, "LoRA"),
    "peft": (lora(f"{DIFFUSERS}.to_k.lora_A.weight", f"{DIFFUSERS}.to_k.lora_B.weight"), SD1, Layout.PEFT, "LoRA"),
    "older": (lora(f"{DIFFUSERS}.to_k.lora.down.weight", f"{DIFFUSERS}.b", 1024), SD2, Layout.PEFT, "LoRA"),
    "peft text": (
        {"text_encoder.text_model.encoder.layers.0.self_attn.q_proj.lora_linear_layer.down.weight": (8, 1024)},
        SD2,
        Layout.PEFT,
        "LoRA",
    ),
    "processors": (
        lora(f"{DIFFUSERS}.processor.to_k_lora.down.weight", f"{DIFFUSERS}.processor.to_k_lora.up.weight"),
        SD1,
        Layout.ATTENTION_PROCESSOR,
        "LoRA",
    ),
    "LoHa": (lora(f"{KOHYA}.hada_w1_b", f"{KOHYA}.hada_w1_a"), SD1, Layout.KOHYA, "LoHa"),
    "LoKr": ({f"{KOHYA}.lokr_w1": (8, 8)}, UNKNOWN, Layout.KOHYA, "LoKr"),
    "GLoRA": ({f"{KOHYA}.a1.weight": (768, 8), f"{KOHYA}.a2.weight": (8, 768)}, SD1, Layout.KOHYA, "GLoRA"),
    "full difference": ({f"{KOHYA}.diff": (320, 768)}, SD1, Layout.KOHYA, "full difference"),
    "norms alone": ({f"lora_unet_{FLAT}_norm1.w_norm": (320,)}, UNKNOWN, Layout.KOHYA, "full difference"),
    "IA3": ({f"{KOHYA}.weight": (320,), f"{KOHYA}.on_input": ()}, UNKNOWN, Layout.KOHYA, "IA3"),
    "peft IA3": ({f"base_model.model.{BLOCK}.attn2.to_k.ia3_l": (320, 1)}, UNKNOWN, Layout.PEFT, "IA3"),
    "OFT": ({f"{KOHYA}.oft_blocks": (80, 4, 4)}, UNKNOWN, Layout.KOHYA, "OFT"),
    "BOFT": ({f"{KOHYA}.oft_blocks": (3, 80, 4, 4)}, UNKNOWN, Layout.KOHYA, "BOFT"),
    "peft OFT": (
        {f"base_model.model.{BLOCK}.attn2.to_k.oft_R.weight": (80, 6)},
        UNKNOWN,
        Layout.PEFT,
        "OFT as peft writes it",
    ),
    "LyCORIS alone": (
        lora(f"lycoris_{FLAT}_attn2_to_k.lora_down.weight", "lycoris_b.lora_up.weight"),
        SD1,
        Layout.KOHYA,
        "LoRA",
    ),
    "peft itself": (
        lora(f"base_model.model.{BLOCK}.attn2.to_k.lora_A.weight", "base_model.model.b.lora_B.weight", 1024),
        SD2,
        Layout.PEFT,
        "LoRA",
    ),
    "DoRA": (lora(f"{KOHYA}.lora_down.weight", f"{KOHYA}.dora_scale"), SD1, Layout.KOHYA, "DoRA"),
    "peft DoRA": (
        lora(f"{DIFFUSERS}.to_k.lora_A.weight", f"{DIFFUSERS}.to_k.lora_magnitude_vector.weight"),
        SD1,
        Layout.PEFT,
        "DoRA",
    ),
}


@pytest.mark.parametrize("name", LORAS)
def test_loras_by_their_names_and_shapes(tmp_path, name):
    shapes, family, layout, algorithm = LORAS[name]
    identity = identify(write(tmp_path / "lora.safetensors", shapes))
    assert identity.kind is Kind.LORA
    assert (identity.family, identity.layout, identity.algorithm) == (family, layout, Algorithm(algorithm))


def test_a_lora_for_a_motion_module_is_no_lora_for_pictures(tmp_path):
    shapes = lora(f"{TEMPORAL}.processor.to_q_lora.down.weight", f"{TEMPORAL}.processor.to_q_lora.up.weight", 320)
    assert identify(write(tmp_path / "zoom.safetensors", shapes)).kind is Kind.MOTION_LORA
    for count, family in ((4, SD1), (3, SDXL), (1, UNKNOWN)):
        identity = identify(write(tmp_path / "zoom.safetensors", levels(shapes, count)))
        assert (identity.kind, identity.family, identity.width) == (Kind.MOTION_LORA, family, None)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ("t2i", Kind.T2I),
        ("zeroscope", Kind.T2V),
        ("animatediff", Kind.MOTION_MODULE),
        ("t2i/unet", Kind.UNET),
        ("t2i/vae", Kind.VAE),
        ("t2i/text_encoder", Kind.TEXT_ENCODER),
        ("zeroscope/unet", Kind.T2V),
        ("animatediff/motion_adapter", Kind.MOTION_MODULE),
    ],
)
def test_what_diffusers_and_transformers_write(part, kind):
    """The folder, and the file alone."""
    folder = FOLDER / part
    identity = identify(folder)
    assert (identity.kind, identity.title) == (kind, folder.name)
    assert identity.layout is (Layout.FOLDER if "/" not in part else Layout.COMPONENT)
    assert identity.size == sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    assert identity.channels == (4 if kind in (Kind.T2I, Kind.UNET, Kind.T2V) else None)
    for file in folder.glob("*.safetensors"):
        assert (identify(file).kind, identify(file).layout, identify(file).title) == (
            kind,
            Layout.DIFFUSERS,
            folder.name,
        )


@pytest.mark.slow
def test_a_motion_network_saved_whole(tmp_path):
    models("animatediff").t2v.unet.save_pretrained(tmp_path / "unet")
    assert identify(tmp_path).kind is identify(tmp_path / "unet").kind is Kind.T2V
    (file,) = (tmp_path / "unet").glob("*.safetensors")
    assert identify(file).kind is Kind.MOTION_MODULE, "on another image model, its motion modules alone are of use"
    assert "holds a whole UNet beside its motion modules" in identify(file).notes[0]


def test_a_lora_folder_is_its_file(tmp_path):
    file = write(tmp_path / "pytorch_lora_weights.safetensors", LORAS["peft"][0])
    assert identify(tmp_path) == identify(file)
    assert identify(tmp_path).title == tmp_path.name


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "pytorch_lora_weights.bin", "adapter_model.bin"])
def test_other_files_of_a_lora_folder(tmp_path, name):
    file = write(tmp_path / name, LORAS["peft"][0])
    assert identify(tmp_path) == identify(file)
    assert identify(tmp_path).title == tmp_path.name


def test_a_lora_of_two_networks_is_one_folder(tmp_path):
    for part in ("unet", "text_encoder"):
        (tmp_path / part).mkdir()
        write(tmp_path / part / "adapter_model.safetensors", LORAS["peft itself"][0])
    identity = identify(tmp_path)
    assert (identity.path, identity.title, identity.kind, identity.family) == (tmp_path, tmp_path.name, Kind.LORA, SD2)
    assert identity.size == sum(file.stat().st_size for file in tmp_path.rglob("*.safetensors"))


@pytest.mark.parametrize(
    ("width", "family"),
    [(768, SD1), (1024, SD2), (2048, SDXL), (1280, OTHER), (4096, OTHER), (32, UNKNOWN), ([768], UNKNOWN)],
)
def test_the_family_of_folders(tmp_path, width, family):
    (tmp_path / "unet").mkdir()
    (tmp_path / "scheduler").mkdir()
    config = {"_class_name": "UNet2DConditionModel", "cross_attention_dim": width, "in_channels": 9}
    (tmp_path / "unet" / "config.json").write_text(json.dumps(config))
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"prediction_type": "v_prediction"}')
    identity = identify(tmp_path)
    assert (identity.kind, identity.family, identity.channels) == (Kind.T2I, family, 9)
    assert (identity.prediction, identity.zero_snr) == ("v_prediction", False)
    assert identify(tmp_path / "unet").family is family
    (tmp_path / "scheduler" / "scheduler_config.json").write_text('{"rescale_betas_zero_snr": true}')
    assert (identify(tmp_path).prediction, identify(tmp_path).zero_snr) == ("epsilon", True)


@pytest.mark.parametrize(
    ("config", "named"),
    [
        ({"_class_name": "AutoencoderKL", "architectures": ["X"]}, "AutoencoderKL"),
        ({"architectures": ["CLIPTextModel", "X"]}, "CLIPTextModel"),
        ({"architectures": []}, None),
        ({"architectures": "CLIPTextModel"}, None),
        ({}, None),
    ],
)
def test_the_class_is_that_which_a_config_names(tmp_path, config, named):
    (tmp_path / "config.json").write_text(json.dumps(config))
    identity = identify(tmp_path)
    assert identity.class_name == named
    assert identity.kind is {"AutoencoderKL": Kind.VAE, "CLIPTextModel": Kind.TEXT_ENCODER, None: Kind.OTHER}[named]


@pytest.mark.parametrize(("channels", "family"), [(4, UNKNOWN), (16, OTHER), (None, OTHER)])
def test_the_family_of_vaes_by_their_config(tmp_path, channels, family):
    (tmp_path / "config.json").write_text(json.dumps({"_class_name": "AutoencoderKL", "latent_channels": channels}))
    assert identify(tmp_path).family is family


def test_a_folder_of_files_is_no_model_and_one_of_them_is_named(tmp_path):
    for name in ("b.safetensors", "a.ckpt", "notes.txt"):
        (tmp_path / name).touch()
    with pytest.raises(ModelError, match=r"is a folder with files of weights, such as a\.ckpt; choose one of them"):
        identify(tmp_path)


@pytest.mark.parametrize(
    ("channels", "family"), [([320, 640, 1280, 1280], SD1), ([320, 640, 1280], SDXL), ([32, 64], UNKNOWN), (3, UNKNOWN)]
)
def test_the_family_of_motion_adapters(tmp_path, channels, family):
    config = {"_class_name": "MotionAdapter", "block_out_channels": channels}
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert identify(tmp_path).family is family


def test_a_folder_of_another_pipeline_and_of_none(tmp_path):
    (tmp_path / "model_index.json").write_text('{"_class_name": "FluxPipeline"}')
    assert (identify(tmp_path).kind, identify(tmp_path).family) == (Kind.OTHER, OTHER)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="empty holds no model; choose a model file or a folder in diffusers layout"):
        identify(tmp_path / "empty")
    for config in ("{", "[]", "[" * 10**5, "\xff"):
        (tmp_path / "empty" / "config.json").write_text(config, encoding="latin-1")
        with pytest.raises(ModelError, match=r"config\.json is not a readable config; download or copy it again"):
            identify(tmp_path / "empty")


def pickled(tmp_path, content, **settings):
    torch.save(content, tmp_path / "model.ckpt", **settings)
    return identify(tmp_path / "model.ckpt")


@pytest.mark.parametrize("zipped", [True, False], ids=["today's format", "the format before 1.6"])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "ema"])
def test_pytorch_files(tmp_path, wrapper, zipped):
    tensors = {
        f"module.{key}": value for key, value in load_file(next((FOLDER / "t2i/unet").glob("*.safetensors"))).items()
    }
    content = {wrapper: tensors, "epoch": 3} if wrapper else tensors
    identity = pickled(tmp_path, content, _use_new_zipfile_serialization=zipped)
    assert (identity.kind, identity.layout, identity.channels) == (Kind.UNET, Layout.DIFFUSERS, 4)
    assert identity.size == (tmp_path / "model.ckpt").stat().st_size


def test_lavie_as_published(tmp_path):
    tensors = {f"{BLOCK}.attn_temp.to_q.weight": torch.ones(2, 2), f"{BLOCK}.attn2.to_k.weight": torch.ones(2, 768)}
    identity = pickled(tmp_path, {"ema": tensors})
    assert (identity.kind, identity.family, identity.layout) == (Kind.T2V, SD1, Layout.LAVIE)


def test_a_pickled_embedding(tmp_path):
    content = {
        "string_to_token": {"*": 265},
        "string_to_param": {"*": torch.ones(3, 768)},
        "name": "bad hands",
        "step": 100,
        "sd_checkpoint": "a1b2",
        "sd_checkpoint_name": "anime",
    }
    identity = pickled(tmp_path, content)
    assert (identity.kind, identity.family) == (Kind.EMBEDDING, SD1)
    assert (identity.title, identity.base_model) == ("bad hands", "anime")


def test_zeroscope_as_a_pickle(tmp_path):
    folder = shutil.copytree(FOLDER / "zeroscope" / "unet", tmp_path / "unet")
    unet = UNet3DConditionModel.from_pretrained(folder, local_files_only=True)
    assert pickled(tmp_path, unet.state_dict()).kind is Kind.T2V
