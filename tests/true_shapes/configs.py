"""Configs of the real models in diffusers' and transformers' terms, and the same models one head wide."""

from __future__ import annotations

from typing import Any, Literal

Config = dict[str, Any]
Width = float | Literal["tiny"]
"""1.0 is the true width."""

_CHANNELS = {"block_out_channels": [320, 640, 1280, 1280], "norm_num_groups": 32}
_UNET: Config = _CHANNELS | {
    "_class_name": "UNet2DConditionModel",
    "act_fn": "silu",
    "attention_head_dim": 8,
    "center_input_sample": False,
    "cross_attention_dim": 768,
    "down_block_types": [*["CrossAttnDownBlock2D"] * 3, "DownBlock2D"],
    "downsample_padding": 1,
    "flip_sin_to_cos": True,
    "freq_shift": 0,
    "in_channels": 4,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-5,
    "out_channels": 4,
    "sample_size": 64,
    "up_block_types": ["UpBlock2D", *["CrossAttnUpBlock2D"] * 3],
}
_TEXT: Config = {
    "architectures": ["CLIPTextModel"],
    "attention_dropout": 0.0,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "hidden_act": "quick_gelu",
    "hidden_size": 768,
    "intermediate_size": 3072,
    "layer_norm_eps": 1e-5,
    "max_position_embeddings": 77,
    "model_type": "clip_text_model",
    "num_attention_heads": 12,
    "num_hidden_layers": 12,
    "pad_token_id": 1,
    "projection_dim": 768,
    "vocab_size": 49408,
}
_ADAPTER: Config = {
    "_class_name": "MotionAdapter",
    "block_out_channels": [320, 640, 1280, 1280],
    "motion_layers_per_block": 2,
    "motion_max_seq_length": 32,
    "motion_mid_block_layers_per_block": 1,
    "motion_norm_num_groups": 32,
    "motion_num_attention_heads": 8,
    "use_motion_mid_block": True,
}
CONFIGS: dict[str, Config] = {
    "unet_sd1": _UNET,
    "unet_sd2": _UNET
    | {"attention_head_dim": [5, 10, 20, 20], "cross_attention_dim": 1024, "use_linear_projection": True},
    "unet_zeroscope": _CHANNELS
    | {
        "_class_name": "UNet3DConditionModel",
        "act_fn": "silu",
        "attention_head_dim": 64,
        "cross_attention_dim": 1024,
        "down_block_types": [*["CrossAttnDownBlock3D"] * 3, "DownBlock3D"],
        "downsample_padding": 1,
        "in_channels": 4,
        "layers_per_block": 2,
        "mid_block_scale_factor": 1,
        "norm_eps": 1e-5,
        "out_channels": 4,
        "sample_size": 32,
        "up_block_types": ["UpBlock3D", *["CrossAttnUpBlock3D"] * 3],
    },
    "vae": {
        "_class_name": "AutoencoderKL",
        "act_fn": "silu",
        "block_out_channels": [128, 256, 512, 512],
        "down_block_types": ["DownEncoderBlock2D"] * 4,
        "in_channels": 3,
        "latent_channels": 4,
        "layers_per_block": 2,
        "norm_num_groups": 32,
        "out_channels": 3,
        "sample_size": 512,
        "scaling_factor": 0.18215,
        "up_block_types": ["UpDecoderBlock2D"] * 4,
    },
    "clip_l": _TEXT,
    "clip_h": _TEXT
    | {
        "hidden_act": "gelu",
        "hidden_size": 1024,
        "intermediate_size": 4096,
        "num_attention_heads": 16,
        "num_hidden_layers": 23,
        "projection_dim": 512,
    },
    "adapter_v2": _ADAPTER,
    "adapter_v3": _ADAPTER | {"use_motion_mid_block": False},
    "lavie": _UNET,  # its sizes; the temporal layers have no settings of their own
}
"""Of the lists in keys/ that a class of diffusers or transformers holds."""

_UNET_WIDTHS = {320 * k: 32 * k for k in (1, 2, 3, 4, 6, 8, 16, 32)}
_SD1 = _UNET_WIDTHS | {768: 64, 3072: 256}
_SD2 = _UNET_WIDTHS | {1024: 64}
_VAE = {128: 32, 256: 64, 512: 128}
TINY: dict[str, dict[int, int]] = {
    **dict.fromkeys(("ldm_unet_sd1", "ldm_ema_sd1", "unet_sd1", "clip_l"), _SD1),
    **dict.fromkeys(("lora_kohya", "lora_peft", "lora_lcm", "lora_v3"), _SD1),
    **dict.fromkeys(("ldm_unet_sd2", "unet_sd2"), _SD2),
    **dict.fromkeys(("ldm_vae", "vae"), _VAE),
    **dict.fromkeys(("motion_v2", "motion_v3", "motion_lcm", "adapter_v2", "adapter_v3"), _UNET_WIDTHS),
    "unet_zeroscope": _SD2 | {512: 64, 2048: 256, 4096: 512},
    "clip_h": {1024: 64, 4096: 256},
    "openclip_h": {1024: 64, 3072: 192, 4096: 256},
    "lavie": _SD1 | {8: 1},  # heads, so that each keeps the 32 dimensions that the rotary embedding turns
    "ldm_schedule": {},
}
"""What each width of a list in keys/ becomes in a tiny file; a width that is not named stays."""
# Heads keep the 64 dimensions of the real SD 2.x and CLIP where the width still holds one.
_TINY_HEADS: dict[str, Config] = {
    "unet_sd2": {"attention_head_dim": [1, 1, 2, 2]},
    "unet_zeroscope": {"attention_head_dim": 8},
    "clip_l": {"num_attention_heads": 1, "projection_dim": 64},
    "clip_h": {"num_attention_heads": 1, "projection_dim": 64},
    "lavie": {"attention_head_dim": 1},
}
_WIDTHS = ("block_out_channels", "cross_attention_dim", "hidden_size", "intermediate_size")

PARTS: dict[str, dict[str, str]] = {
    "sd1": {"unet": "unet_sd1", "vae": "vae", "text_encoder": "clip_l"},
    "sd2": {"unet": "unet_sd2", "vae": "vae", "text_encoder": "clip_h"},
    "zeroscope": {"unet": "unet_zeroscope", "vae": "vae", "text_encoder": "clip_h"},
    "lavie": {"unet": "lavie", "vae": "vae", "text_encoder": "clip_l"},
    "adapter_v2": {"motion_adapter": "adapter_v2"},
    "adapter_v3": {"motion_adapter": "adapter_v3"},
}
"""Family → part → the list whose config describes it."""

SCHEDULER: Config = {
    "_class_name": "DDIMScheduler",
    "beta_end": 0.012,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "clip_sample": False,
    "num_train_timesteps": 1000,
    "prediction_type": "epsilon",
    "set_alpha_to_one": False,
    "steps_offset": 1,
    "trained_betas": None,
}


def is_tiny(width: Width) -> bool:
    """Raises ValueError for any width but 1 and "tiny"."""
    if width not in (1, "tiny"):
        raise ValueError(f"There is no width {width}; choose 1.0 or 'tiny'.")
    return width == "tiny"


def config(family: str, part: str, width: Width = 1.0) -> Config:
    """The config of a part (unet, vae, text_encoder, motion_adapter) of a family in `PARTS`.

    LaVie's unet is described as a UNet2DConditionModel is; its `attention_head_dim` counts heads, as SD 1.x's does.
    """
    name = PARTS[family][part]
    true = CONFIGS[name]
    if not is_tiny(width):
        return dict(true)
    widths = TINY[name]

    def shrunk(value: Any) -> Any:
        return [shrunk(each) for each in value] if isinstance(value, list) else widths.get(value, value)

    return true | {key: shrunk(true[key]) for key in _WIDTHS if key in true} | _TINY_HEADS.get(name, {})
