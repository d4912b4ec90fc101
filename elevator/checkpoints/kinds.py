"""The words for what a model can be, and the marks in tensor names that tell them apart.

The marks are the names that the published files have: Stable Diffusion's own and diffusers' layouts, AnimateDiff
(arXiv 2307.04725), LaVie (arXiv 2309.15103), ModelScope and ZeroScope (arXiv 2308.06571), kohya's training scripts,
peft, LyCORIS (arXiv 2309.14859) and textual inversion (arXiv 2208.01618).
"""

from __future__ import annotations

from enum import StrEnum


class Kind(StrEnum):
    """What a file or folder is, as a noun for people."""

    T2I = "text-to-image checkpoint"
    UNET = "UNet of a text-to-image model"
    LORA = "LoRA"
    MOTION_LORA = "LoRA for a motion module"
    MOTION_MODULE = "motion module"
    T2V = "text-to-video model"
    VAE = "VAE"
    TEXT_ENCODER = "text encoder"
    EMBEDDING = "embedding"
    OTHER = "another kind of model"


class Family(StrEnum):
    """The text encoders and layer widths that a model was made for."""

    SD1 = "SD 1.x"
    SD2 = "SD 2.x"
    SDXL = "SDXL"
    OTHER = "another family"
    UNKNOWN = "an unknown family"


class Layout(StrEnum):
    """How the weights are named and laid out."""

    LDM = "single file"
    FOLDER = "diffusers folder"
    COMPONENT = "part of a diffusers folder"
    DIFFUSERS = "diffusers file"
    KOHYA = "kohya LoRA"
    PEFT = "diffusers or peft LoRA"
    ATTENTION_PROCESSOR = "LoRA of diffusers before 0.22"
    ANIMATEDIFF = "AnimateDiff's own"
    LAVIE = "LaVie's own"
    TEXTUAL_INVERSION = "textual inversion"
    OTHER = "another layout"


class Algorithm(StrEnum):
    """How a LoRA's file makes a weight difference of small tensors."""

    LORA = "LoRA"
    LOHA = "LoHa"
    LOKR = "LoKr"
    DORA = "DoRA"
    GLORA = "GLoRA"
    FULL = "full difference"
    IA3 = "IA3"
    OFT = "OFT"
    BOFT = "BOFT"
    PEFT_OFT = "OFT as peft writes it"
    PEFT_BOFT = "BOFT as peft writes it"
    ADALORA = "AdaLoRA"
    VERA = "VeRA"
    OTHER = "another method of peft"


REFUSED_ALGORITHMS = (Algorithm.PEFT_OFT, Algorithm.PEFT_BOFT, Algorithm.ADALORA, Algorithm.VERA, Algorithm.OTHER)
"""That are known by their names alone."""

WIDTHS = {
    768: Family.SD1,
    1024: Family.SD2,
    2048: Family.SDXL,
    1280: Family.OTHER,  # SDXL's refiner
    4096: Family.OTHER,  # T5
}
"""Families by the width of the text embeddings that cross-attention reads."""

ALGORITHMS = (
    (".lora_E", Algorithm.ADALORA),
    (".vera_lambda_", Algorithm.VERA),
    (".oft_R", Algorithm.PEFT_OFT),
    (".oft_r\n", Algorithm.PEFT_OFT),
    (".boft_R", Algorithm.PEFT_BOFT),
    (".fourierft_", Algorithm.OTHER),
    (".hra_u", Algorithm.OTHER),
    (".randlora_", Algorithm.OTHER),
    (".poly_lora_", Algorithm.OTHER),
    (".bone_block", Algorithm.OTHER),
    (".miss_block", Algorithm.OTHER),
    (".vblora_", Algorithm.OTHER),
    (".shira_", Algorithm.OTHER),
    (".c3a_kernel", Algorithm.OTHER),
    (".road_theta", Algorithm.OTHER),
    (".ln_tuning_layers", Algorithm.OTHER),
    (".hada_w1_", Algorithm.LOHA),
    (".lokr_w1", Algorithm.LOKR),
    (".dora_scale", Algorithm.DORA),
    ("lora_magnitude_vector", Algorithm.DORA),
    (".lora_down.", Algorithm.LORA),
    (".lora_A.", Algorithm.LORA),
    (".lora_A\n", Algorithm.LORA),
    (".lora_down\n", Algorithm.LORA),
    ("lora.down.", Algorithm.LORA),
    (".lora_linear_layer.", Algorithm.LORA),
    (".oft_blocks\n", Algorithm.OFT),
    (".a2.weight\n", Algorithm.GLORA),
    (".on_input\n", Algorithm.IA3),
    (".ia3_l\n", Algorithm.IA3),
    (".diff\n", Algorithm.FULL),
    (".diff_b\n", Algorithm.FULL),
    (".w_norm\n", Algorithm.FULL),
)
"""Marks in names, of which each ends with a line; the first that is there counts. A file may hold several kinds."""

LORA_LAYOUTS = (
    ("\nlora_", Layout.KOHYA),
    ("\nlycoris_", Layout.KOHYA),
    ("_lora.down.", Layout.ATTENTION_PROCESSOR),
)

STRUCTURES: tuple[tuple[tuple[str, ...], Kind, Layout], ...] = (
    (("\ncontrol_model.",), Kind.OTHER, Layout.LDM),
    (("\nmodel.diffusion_model.", ".time_stack."), Kind.OTHER, Layout.LDM),
    (("\nmodel.diffusion_model.input_blocks.", "\ncond_stage_model."), Kind.T2I, Layout.LDM),
    (("\nmodel.diffusion_model.input_blocks.", "\nconditioner."), Kind.T2I, Layout.LDM),
    (("\nmodel.diffusion_model.input_blocks.",), Kind.UNET, Layout.LDM),
    (("controlnet_cond_embedding.",), Kind.OTHER, Layout.DIFFUSERS),
    ((".motion_modules.", ".temporal_transformer."), Kind.MOTION_MODULE, Layout.ANIMATEDIFF),
    ((".motion_modules.",), Kind.MOTION_MODULE, Layout.DIFFUSERS),
    ((".attn_temp.",), Kind.T2V, Layout.LAVIE),
    ((".temp_convs.",), Kind.T2V, Layout.DIFFUSERS),
    ((".temopral_conv.",), Kind.T2V, Layout.LDM),
    (("double_blocks.0.",), Kind.T2I, Layout.OTHER),
    (("joint_blocks.0.",), Kind.T2I, Layout.OTHER),
    (("\ndown_blocks.0.resnets.", "\nconv_in.weight\n", ".attn2.to_k."), Kind.UNET, Layout.DIFFUSERS),
    (("encoder.down.0.block.",), Kind.VAE, Layout.LDM),
    (("\nencoder.down_blocks.0.resnets.",), Kind.VAE, Layout.DIFFUSERS),
    (("\nvae.encoder.down_blocks.0.resnets.",), Kind.VAE, Layout.DIFFUSERS),
    (("\nfirst_stage_model.encoder.down_blocks.0.resnets.",), Kind.VAE, Layout.DIFFUSERS),
    (("encoder.layers.0.self_attn.q_proj.", "token_embedding."), Kind.TEXT_ENCODER, Layout.DIFFUSERS),
    (("transformer.resblocks.0.",), Kind.TEXT_ENCODER, Layout.LDM),
    (("encoder.block.0.layer.0.SelfAttention.",), Kind.TEXT_ENCODER, Layout.DIFFUSERS),
)
"""Marks that must all be among the names (each between two line ends), kind and layout; the first that fit count."""

OTHER_FAMILIES = (
    "double_blocks",  # Flux
    "single_transformer_blocks",
    "joint_blocks",  # SD 3
    "joint_transformer_blocks",
    "encoder.block.0.layer.0.SelfAttention.",  # T5
    "\nlora_transformer_",
    "\ntransformer.transformer_blocks.",
    "\ntransformer.blocks.",
)
SDXL_MARKS = (
    "\nconditioner.embedders.0.transformer.",
    "\nconditioner.embedders.1.",
    "lora_te2_",
    "\ntext_encoder_2.",
    "\nclip_g\n",
    "\nadd_embedding.",
)

CHANNELS = {
    5: "paint after a map of depth",
    7: "enlarge a picture",
    8: "change a picture as they are told (InstructPix2Pix)",
    9: "fill in parts of a picture",
}
"""What models do whose UNet takes so many channels, where a model that paints from words alone takes 4."""

CLASSES = {
    "UNet2DConditionModel": Kind.UNET,
    "UNet3DConditionModel": Kind.T2V,
    "UNetMotionModel": Kind.T2V,
    "MotionAdapter": Kind.MOTION_MODULE,
    "AutoencoderKL": Kind.VAE,
    "CLIPTextModel": Kind.TEXT_ENCODER,
    "CLIPTextModelWithProjection": Kind.TEXT_ENCODER,
}
"""Kinds by the class that a folder's config.json names."""

ARCHITECTURES = (
    ("stable-diffusion-v1", Family.SD1),
    ("stable-diffusion-v2", Family.SD2),
    ("stable-diffusion-xl-v1-base", Family.SDXL),
    ("sd_v1", Family.SD1),
    ("sd_v2", Family.SD2),
    ("sdxl_base", Family.SDXL),
)
"""Families by how `modelspec.architecture` or `ss_base_model_version` begins."""
