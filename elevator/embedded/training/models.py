"""The shapes of the tiny models, in diffusers' and transformers' own classes.

`attention_head_dim` is, for both classes, the NUMBER of heads (an old misnomer).
"""

from __future__ import annotations

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    MotionAdapter,
    UNet2DConditionModel,
    UNet3DConditionModel,
    UNetMotionModel,
)
from diffusers.models.attention_processor import AttnProcessor
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

from .tokenizer import MAX_TOKENS

LATENT_PX = 16
TEXT_WIDTH = 128
_WIDTHS = (96, 96, 96)
_T2V_WIDTHS = (64, 80, 96)  # a smaller brush: it need not paint well
_HEADS = 4
_GROUPS = 8


def new_vae() -> AutoencoderKL:
    """64 px to 16 x 16 x 4 latents; 1.56 M parameters."""
    return AutoencoderKL(
        block_out_channels=(32, 48, 96),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        layers_per_block=1,
        latent_channels=4,
        norm_num_groups=_GROUPS,
        sample_size=64,
    )


def new_text_encoder(tokenizer: CLIPTokenizer) -> CLIPTextModel:
    """Two layers of width 128; about .5 M parameters."""
    return CLIPTextModel(
        CLIPTextConfig(
            vocab_size=len(tokenizer),
            hidden_size=TEXT_WIDTH,
            intermediate_size=4 * TEXT_WIDTH,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=MAX_TOKENS,
            projection_dim=TEXT_WIDTH,
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=tokenizer.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
        )
    )


def new_t2i_unet() -> UNet2DConditionModel:
    """4.8 M parameters."""
    return _unet(_WIDTHS)


def new_painter_unet() -> UNet2DConditionModel:
    """What the ZeroScope-like T2V starts from: 3.7 M parameters, each with a place in it by name."""
    return _unet(_T2V_WIDTHS)


def _unet(widths: tuple[int, ...]) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=LATENT_PX,
        block_out_channels=widths,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=_HEADS,
        norm_num_groups=_GROUPS,
        use_linear_projection=True,  # as UNet3DConditionModel has it
    )


def new_t2v_unet() -> UNet3DConditionModel:
    """5.9 M parameters, of which 3.7 M start from the painter."""
    return UNet3DConditionModel(
        sample_size=LATENT_PX,
        block_out_channels=_T2V_WIDTHS,
        down_block_types=("DownBlock3D", "CrossAttnDownBlock3D", "CrossAttnDownBlock3D"),
        up_block_types=("CrossAttnUpBlock3D", "CrossAttnUpBlock3D", "UpBlock3D"),
        layers_per_block=1,
        cross_attention_dim=TEXT_WIDTH,
        attention_head_dim=_HEADS,
        norm_num_groups=_GROUPS,
    )


def new_motion_adapter() -> MotionAdapter:
    """Temporal attention between the T2I's layers; 2.0 M parameters."""
    return MotionAdapter(
        block_out_channels=_WIDTHS,
        motion_layers_per_block=1,
        motion_num_attention_heads=_HEADS,
        motion_norm_num_groups=_GROUPS,
        motion_max_seq_length=32,
    )


def new_scheduler() -> DDIMScheduler:
    """The schedule that both models share: it ends in pure noise, and predicts v.

    Without zero terminal SNR the last timestep leaks the layout, and a model learns to
    read positions out of what is chance at sampling time.
    """
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=True,
        prediction_type="v_prediction",
        rescale_betas_zero_snr=True,
        timestep_spacing="trailing",
        steps_offset=1,  # means nothing with trailing; diffusers' pipelines warn of any other value
    )


def plain_attention(unet: UNet2DConditionModel | UNet3DConditionModel | UNetMotionModel, text: CLIPTextModel) -> None:
    """Written-out attention for training.

    On the CPU the backward pass of the fused kernel takes half of a step with heads as
    small as these: 1.7 times faster without. Weights and results stay the same.
    """
    unet.set_attn_processor(AttnProcessor())
    text.set_attn_implementation("eager")
