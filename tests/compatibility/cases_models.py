"""Text-to-image and text-to-video models, VAEs and embeddings in the layouts that people have."""

from __future__ import annotations

import atexit
import json
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from tests.compatibility.cases import Build, Case
from tests.true_shapes.random_weights import file_entries, tensors, write, write_embedding

Tensors = dict[str, Tensor]
Change = Callable[[Tensors], Mapping[str, Any]]

FIRST = "model.diffusion_model.input_blocks.0.0.weight"
BIAS = "model.diffusion_model.output_blocks.11.1.transformer_blocks.0.norm1.bias"
CLIP, OPENCLIP = "cond_stage_model.transformer.", "cond_stage_model.model."
VAE = "first_stage_model."


@cache
def held(family: str) -> Tensors:
    """The tensors of a file of `tests.true_shapes`, one head wide."""
    return tensors(file_entries(family, "tiny"))


@cache
def part(family: str, name: str) -> Path:
    """A part's file in a folder of diffusers, written once."""
    folder = Path(tempfile.mkdtemp(prefix="compatibility-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    write(family, folder / family, "tiny")
    return next((folder / family / name).glob("*.safetensors"))


def same(found: Tensors) -> Tensors:
    """The file as it is."""
    return found


def renamed(old: str, new: str) -> Change:
    """With another beginning of some names."""
    return lambda found: {name.replace(old, new) if name.startswith(old) else name: t for name, t in found.items()}


def adding(**others: Any) -> Change:
    """With others beside."""
    return lambda found: found | others


def single(
    family: str,
    change: Change = same,
    *,
    place: str = "t2i",
    name: str = "model.safetensors",
    beside: str = "",
    **more: str,
) -> Build:
    """One file. `beside`: the text of the `.yaml` beside it."""

    def build(folder: Path) -> dict[str, Any]:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        content = change(held(family))
        if path.suffix == ".safetensors":
            save_file({key: tensor.contiguous() for key, tensor in content.items()}, path)
        else:
            torch.save(content, path)
        if beside:
            path.with_suffix(".yaml").write_text(beside)
        return {place: path, **_with(folder, more)}

    return build


def _with(folder: Path, more: Mapping[str, str]) -> dict[str, Any]:
    """Other models that are needed besides."""
    return {name: write(family, folder / f"beside_{name}", "tiny") for name, family in more.items()}


def folder(family: str, change: Callable[[Path], Any] = lambda path: None, place: str = "t2i", **more: str) -> Build:
    """A folder in diffusers layout, with something done to it."""

    def build(where: Path) -> dict[str, Any]:
        path = write(family, where / "model", "tiny")
        change(path)
        return {place: path, **_with(where, more)}

    return build


def suffixed(variant: str, path: Path) -> None:
    """All files of weights as a variant."""
    for file in [*path.rglob("*.safetensors"), *path.rglob("*.bin")]:
        file.rename(file.with_suffix(f".{variant}{file.suffix}"))


def marked_configs(path: Path) -> None:
    """Every JSON file as an editor on Windows saves it."""
    for file in path.rglob("*.json"):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes())


def sharded(pattern: str, path: Path) -> None:
    """The UNet's weights in two parts, with their index."""
    (file,) = (path / "unet").glob("*.safetensors")
    found = load_file(file)
    names = sorted(found)
    parts = {number: names[(number - 1) :: 2] for number in (1, 2)}
    for number, own in parts.items():
        save_file({name: found[name] for name in own}, path / "unet" / pattern.format(number))
    index = {name: pattern.format(number) for number, own in parts.items() for name in own}
    text = json.dumps({"metadata": {}, "weight_map": index})
    (path / "unet" / "diffusion_pytorch_model.safetensors.index.json").write_text(text)
    file.unlink()


def only(name: str, path: Path) -> None:
    """The UNet's weights replaced by those of another program."""
    next((path / "unet").glob("*.safetensors")).unlink()
    (path / "unet" / name).write_bytes(b"weights")


def as_class(place: str, parts: Mapping[str, Mapping[str, Any]], index: str = "") -> Build:
    """A folder of another class."""

    def build(where: Path) -> dict[str, Any]:
        path = where / "model"
        for name, config in parts.items():
            (path / name).mkdir(parents=True, exist_ok=True)
            (path / name / "config.json").write_text(json.dumps(config))
            save_file({"layers.0.weight": torch.zeros(2, 2)}, path / name / "diffusion_pytorch_model.safetensors")
        if index:
            (path / "model_index.json").write_text(json.dumps({"_class_name": index}))
        return {place: path}

    return build


def class_of(module: str, name: str) -> type:
    """A class of a module that is not here, as far as a pickle shows it."""
    return type(name, (), {"__module__": module})


@contextmanager
def importable(*classes: type) -> Iterator[None]:
    """Lets classes be pickled whose modules are not here."""
    made: dict[str, ModuleType] = {}
    for each in classes:
        parts = each.__module__.split(".")
        for count in range(1, len(parts) + 1):
            name = ".".join(parts[:count])
            made[name] = sys.modules[name] = made.get(name, ModuleType(name))
        setattr(made[each.__module__], each.__name__, each)
    try:
        yield
    finally:
        for name in made:
            del sys.modules[name]


def pickled(**more: Any) -> Build:
    """As PyTorch Lightning saves a run."""

    def build(where: Path) -> dict[str, Any]:
        with importable(CALLBACK, DICT_CONFIG):
            torch.save({"state_dict": held("sd1"), "global_step": 840000, **more}, where / "model.ckpt")
        return {"t2i": where / "model.ckpt"}

    return build


CALLBACK = class_of("pytorch_lightning.callbacks.model_checkpoint", "ModelCheckpoint")
DICT_CONFIG = class_of("omegaconf.dictconfig", "DictConfig")


def trained(found: Tensors) -> dict[str, Any]:
    """A motion module and the UNet around it, as AnimateDiff's train.py saves them from parallel training."""
    unet = load_file(part("sd1_folder", "unet"))
    return {"epoch": 1, "global_step": 1000, "state_dict": {f"module.{name}": t for name, t in (unet | found).items()}}


def motion_network(where: Path) -> dict[str, Any]:
    """A network of motion modules saved whole: diffusers' names for both."""
    unet, adapter = load_file(part("sd1_folder", "unet")), held("adapter_v2")
    save_file(unet | adapter, where / "diffusion_pytorch_model.safetensors")
    return {"t2v": where / "diffusion_pytorch_model.safetensors"}


def first_version(found: Tensors) -> Tensors:
    """AnimateDiff's first version: 24 positions, and nothing in the middle."""
    kept = {name: t for name, t in found.items() if not name.startswith("mid_block")}
    return {name: t[:, :24].clone() if name.endswith(".pe") else t for name, t in kept.items()}


def in_transformers_names(found: Tensors) -> Tensors:
    """SD 2.x whose text encoder has the names, and the width of the UNet's input, that tell its family."""
    others = {name: t for name, t in found.items() if not name.startswith(OPENCLIP)}
    text = load_file(part("sd2_folder", "text_encoder"))
    return others | {f"{CLIP}{name}": tensor for name, tensor in text.items()}


def of_width(channels: int) -> Change:
    """The UNet's input with so many channels."""
    return lambda found: found | {FIRST: torch.zeros(32, channels, 3, 3).half()}


def predicts_v(models: Any) -> bool:
    """Whether the T2I is taken to predict v."""
    return bool(models.t2i_schedule.prediction_type == "v_prediction")


def ends_in_noise(models: Any) -> bool:
    """Whether its last level is noise alone."""
    return predicts_v(models) and float(models.t2i_schedule.alphas_cumprod[-1]) == 0


def is_lcm(models: Any) -> bool:
    """Whether the T2V is taken as AnimateLCM."""
    return bool(models.t2v_schedule.lcm_steps == 50)


def is_animatediff(models: Any) -> bool:
    """Whether the T2V is taken as one that was not distilled."""
    return bool(models.t2v_schedule.lcm_steps == 0 and models.t2v_schedule.spacing == "leading")


def is_lightning(models: Any) -> bool:
    """Whether the T2V is taken as AnimateDiff-Lightning."""
    return bool(models.t2v_schedule.spacing == "trailing")


def full_precision(models: Any) -> bool:
    """Whether the numbers are those that only the file in full precision has."""
    return bool((models.t2i.unet.conv_in.weight == 0.25).all())


def both_precisions(path: Path) -> None:
    """A variant beside the whole, which alone has these numbers."""
    (file,) = (path / "unet").glob("*.safetensors")
    found = load_file(file)
    save_file(found, file.with_suffix(".fp16.safetensors"))
    save_file(found | {"conv_in.weight": torch.full_like(found["conv_in.weight"], 0.25)}, file)


def vae_as(prefix: str) -> Build:
    """A VAE in diffusers' names in one file, with something before them."""

    def build(where: Path) -> dict[str, Any]:
        found = load_file(part("sd1_folder", "vae"))
        save_file({f"{prefix}{name}": tensor for name, tensor in found.items()}, where / "vae.safetensors")
        return {"vae": where / "vae.safetensors"}

    return build


def sdxl_vae(metadata: dict[str, str]) -> Build:
    """A VAE of the layers that SD 1.x and SDXL have, under the name that SDXL's is known by."""

    def build(where: Path) -> dict[str, Any]:
        found = {name: tensor.contiguous() for name, tensor in held("vae").items()}
        save_file(found, where / "sdxl_vae.safetensors", metadata)
        return {"vae": where / "sdxl_vae.safetensors"}

    return build


def sdxl_vae_folder(where: Path) -> dict[str, Any]:
    """The same in diffusers' layout."""
    path = shutil.copytree(part("sd1_folder", "vae").parent, where / "model")
    config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    (path / "config.json").write_text(json.dumps(config | {"scaling_factor": 0.13025}), encoding="utf-8")
    return {"vae": path}


def embedding(style: Any, name: str, width: int = 64) -> Build:
    """A textual inversion of two vectors."""

    def build(where: Path) -> dict[str, Any]:
        write_embedding(where / name, style, "<toy>", width=width)
        return {"embeddings": [where / name]}

    return build


def deviating(found: Tensors) -> Tensors:
    """With the bias by which ComfyUI tells SD 2.1 of 768 pixels."""
    return found | {BIAS: torch.linspace(-0.3, 0.3, len(found[BIAS])).half()}


def hub(place: str) -> str:
    """Where Hugging Face's cache keeps a repository's file."""
    return f"models--{place.replace('/', '--')}/snapshots/3d4d00fc113225e1040f4d3bec504b6ec750c10c"


def snapshot(where: Path) -> dict[str, Any]:
    """AnimateLCM's folder in the cache of a hub."""
    path = where / hub("wangfuyun/AnimateLCM")
    path.parent.mkdir(parents=True)
    return {"t2v": write("adapter_v2_folder", path, "tiny")}


def scheduled(path: Path, **settings: object) -> None:
    """With other settings of its scheduler."""
    file = path / "scheduler" / "scheduler_config.json"
    file.parent.mkdir(exist_ok=True)
    before = json.loads(file.read_text("utf-8")) if file.exists() else {}
    file.write_text(json.dumps({**before, **settings}), "utf-8")


def embeds_guidance(path: Path) -> None:
    """As an LCM that was no LoRA: its UNet reads the guidance beside the timestep."""
    config = path / "unet" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text("utf-8")), "time_cond_proj_dim": 8}), "utf-8")
    (file,) = (path / "unet").glob("*.safetensors")
    found = load_file(file)
    width = found["time_embedding.linear_1.weight"].shape[1]
    save_file(found | {"time_embedding.cond_proj.weight": torch.ones(width, 8).half()}, file)


def distilled(kind: str, build: Build) -> Build:
    """With a base or style that says how it was distilled."""
    return lambda where: {**build(where), "distilled": kind}


def by_lcm_steps(models: Any) -> bool:
    """Whether the T2I takes LCM steps, and has the preset for that."""
    return bool(models.t2i_schedule.lcm_steps == 50 and list(models.presets) == ["turbo"])


def by_trailing_steps(models: Any) -> bool:
    """Whether the T2I's timesteps are trailing, and it has the preset for few."""
    return bool(models.t2i_schedule.spacing == "trailing" and list(models.presets) == ["turbo"])


T2I, T2V = "text-to-image model", "text-to-video model"
LIGHTNING = "PyTorch Lightning, as in v1-5-pruned.ckpt"
V_YAML = 'model:\n  target: ldm.models.diffusion.ddpm.LatentDiffusion\n  params:\n    parameterization: "v"\n'
WHOLE = "choose a checkpoint with its own text encoder and VAE, or a folder in diffusers layout."
PAINTS = "choose a checkpoint that paints from words."
FOLDERS = "choose a checkpoint of SD 1.x or SD 2.x, a file or a folder in diffusers layout."

CASES = [
    Case(T2I, "SD 1.x, one safetensors file", "web UI, ComfyUI, kohya's scripts", single("sd1")),
    Case(T2I, "SD 1.x, pickle, averaged weights beside", "CompVis, Runway", single("sd1_ema", name="model.ckpt")),
    Case(
        T2I,
        "SD 1.x, text encoder without `text_model`",
        "older merges",
        single("sd1", renamed(f"{CLIP}text_model.", CLIP)),
    ),
    Case(
        T2I,
        "SD 1.x, `text_projection` and `logit_scale` beside the text encoder",
        "ComfyUI",
        single(
            "sd1",
            adding(
                **{f"{CLIP}text_projection.weight": torch.eye(64), "cond_stage_model.logit_scale": torch.tensor(4.6)}
            ),
        ),
    ),
    Case(
        T2I,
        "SDXL",
        "sd_xl_base_1.0.safetensors",
        single("sd1", renamed("cond_stage_model.", "conditioner.embedders.0.")),
        refused="model.safetensors is of SDXL; choose a checkpoint of SD 1.x or SD 2.x.",
    ),
    Case(T2I, "pickle that names a class", LIGHTNING, pickled(callbacks={CALLBACK: {"best": 0.1}})),
    Case(T2I, "pickle with numbers of NumPy", "PyTorch Lightning", pickled(best=np.float64(0.1))),
    Case(
        T2I,
        "pickle that calls a class",
        "PyTorch Lightning with OmegaConf",
        pickled(hyper_parameters=DICT_CONFIG()),
        refused="model.ckpt holds code (omegaconf.dictconfig.DictConfig) besides weights and is refused, because "
        "reading it could run that code; choose the same model as a .safetensors file.",
    ),
    Case(T2I, "SD 2.x, one file", "Stability, web UI", single("sd2", t2v="zeroscope")),
    Case(
        T2I,
        "SD 2.x, text encoder under `conditioner.embedders.0.model`",
        "Stability's generative-models, as sd_turbo.safetensors",
        single("sd2", renamed(OPENCLIP, "conditioner.embedders.0.model."), t2v="zeroscope"),
    ),
    Case(
        T2I,
        "SD 2.x, text encoder in transformers' names",
        "older ComfyUI",
        single("sd2", in_transformers_names, t2v="zeroscope"),
        holds=lambda models: models.t2i_text.encoder.config.hidden_act == "gelu",
    ),
    Case(
        T2I,
        "SD 2.x of 768 pixels, told by its weights",
        "v2-1_768-ema-pruned.safetensors",
        single("sd2", deviating, t2v="zeroscope"),
        holds=predicts_v,
        told="predicts v; said to be a guess",
    ),
    Case(
        T2I,
        "SD 2.x of 768 pixels, with its `.yaml`",
        "web UI, Forge",
        single("sd2", beside=V_YAML, t2v="zeroscope"),
        holds=predicts_v,
        told="predicts v",
    ),
    Case(
        T2I,
        "SD 2.x of 768 pixels, told by `global_step`",
        "v2-1_768-ema-pruned.ckpt",
        single("sd2", lambda found: {"state_dict": found, "global_step": 110000}, name="model.ckpt", t2v="zeroscope"),
        holds=predicts_v,
        told="predicts v",
    ),
    Case(
        T2I,
        "the empty tensors `v_pred` and `ztsnr`",
        "ComfyUI, kohya's scripts",
        single("sd2", adding(v_pred=torch.zeros(0), ztsnr=torch.zeros(0)), t2v="zeroscope"),
        holds=ends_in_noise,
        told="predicts v, zero terminal SNR",
    ),
    Case(T2I, "folder", "diffusers", folder("sd1_folder")),
    Case(T2I, "folder, configs with a mark of byte order", "Notepad, PowerShell", folder("sd1_folder", marked_configs)),
    Case(
        T2I,
        "folder with LCM's scheduler",
        "a merge with LCM-LoRA",
        folder("sd1_folder", partial(scheduled, _class_name="LCMScheduler")),
        holds=by_lcm_steps,
        told="LCM steps, told by the scheduler",
    ),
    Case(
        T2I,
        "folder of an LCM that reads its guidance beside the timestep",
        "LCM_Dreamshaper_v7",
        folder("sd1_folder", embeds_guidance),
        holds=lambda models: by_lcm_steps(models) and models.presets["turbo"].plan.guidance == 8,
        told="LCM steps, told by the UNet's config; the guidance is given to it",
    ),
    Case(
        T2I,
        "the same in one file",
        "ComfyUI's nodes for LCM",
        single("sd1", adding(**{"model.diffusion_model.time_embed.cond_proj.weight": torch.ones(32, 8)})),
        refused="model.safetensors is an LCM that reads its guidance beside the timestep, in one file; "
        "choose the same model as a folder in diffusers layout, or a checkpoint with an LCM-LoRA.",
    ),
    Case(
        T2I,
        "folder with Euler's scheduler and trailing timesteps",
        "sd-turbo",
        folder("sd1_folder", partial(scheduled, _class_name="EulerDiscreteScheduler", timestep_spacing="trailing")),
        holds=by_trailing_steps,
        told="a few trailing steps, told by the scheduler; said",
    ),
    Case(
        T2I,
        "checkpoint of a few steps in one file",
        "merges with LCM-LoRA, Hyper-SD",
        distilled("lcm", single("sd1", name="dream_lcm.safetensors")),
        holds=by_lcm_steps,
        told="where its base has `distilled`; the name is a hint",
    ),
    Case(T2I, "folder, `….fp16.safetensors` alone", "diffusers", folder("sd1_folder", partial(suffixed, "fp16"))),
    Case(T2I, "folder, `….non_ema.safetensors` alone", "diffusers", folder("sd1_folder", partial(suffixed, "non_ema"))),
    Case(
        T2I,
        "folder, a variant beside full precision",
        "diffusers",
        folder("sd1_folder", both_precisions),
        holds=full_precision,
        told="full precision is taken",
    ),
    Case(
        T2I,
        "folder, weights in parts",
        "diffusers",
        folder("sd1_folder", partial(sharded, "diffusion_pytorch_model-0000{}-of-00002.safetensors")),
    ),
    Case(
        T2I,
        "folder, a variant in parts",
        "diffusers",
        folder("sd1_folder", partial(sharded, "diffusion_pytorch_model.fp16-0000{}-of-00002.safetensors")),
    ),
    Case(
        T2I,
        "folder, a variant in parts, named the older way",
        "diffusers before 0.28",
        folder("sd1_folder", partial(sharded, "diffusion_pytorch_model-0000{}-of-00002.fp16.safetensors")),
    ),
    Case(
        T2I,
        "folder with weights for another program",
        "diffusers for Flax",
        folder("sd1_folder", partial(only, "diffusion_flax_model.msgpack")),
        refused="model/unet holds weights for Flax alone (diffusion_flax_model.msgpack); choose a folder with "
        "safetensors.",
    ),
    Case(
        T2I,
        "UNet alone",
        "ComfyUI",
        single(
            "sd1", lambda found: {name: t for name, t in found.items() if name.startswith("model.diffusion_model.")}
        ),
        refused="model.safetensors is not a whole text-to-image model (UNet of a text-to-image model, single file); "
        f"{WHOLE}",
    ),
    Case(
        T2I,
        "9 channels",
        "inpainting models",
        single("sd1", of_width(9)),
        refused="model.safetensors takes 9 channels, as models that fill in parts of a picture do; choose the "
        "model that it was made from.",
    ),
    Case(
        T2I,
        "8 channels",
        "InstructPix2Pix",
        single("sd1", of_width(8)),
        refused="model.safetensors takes 8 channels, as models that change a picture as they are told "
        f"(InstructPix2Pix) do; {PAINTS}",
    ),
    Case(
        T2I,
        "7 channels",
        "x4-upscaler-ema.safetensors",
        single("sd1", of_width(7)),
        refused=f"model.safetensors takes 7 channels, as models that enlarge a picture do; {PAINTS}",
    ),
    Case(
        T2I,
        "5 channels",
        "512-depth-ema.safetensors",
        single("sd1", of_width(5)),
        refused=f"model.safetensors takes 5 channels, as models that paint after a map of depth do; {PAINTS}",
    ),
    Case(
        T2I,
        "folder of another pipeline",
        "Stable Diffusion 3",
        as_class("t2i", {"transformer": {"_class_name": "SD3Transformer2DModel"}}, "StableDiffusion3Pipeline"),
        refused=f"model holds a model of the class StableDiffusion3Pipeline; {FOLDERS}",
    ),
    Case(
        T2V,
        "AnimateDiff v2, pickle",
        "mm_sd_v15_v2.ckpt",
        single("motion_v2", place="t2v", name="mm.ckpt"),
        holds=is_animatediff,
    ),
    Case(
        T2V, "AnimateDiff v3", "v3_sd15_mm.ckpt", single("motion_v3", place="t2v", name="mm.ckpt"), holds=is_animatediff
    ),
    Case(
        T2V,
        "AnimateDiff v1, 24 positions",
        "mm_sd_v14.ckpt",
        single("motion_v2", first_version, place="t2v", name="mm.ckpt"),
        holds=lambda models: is_animatediff(models) and models.max_frames == 24,
    ),
    Case(
        T2V,
        "motion module beside a whole UNet, `module.` before every name",
        "AnimateDiff's train.py",
        single("motion_v2", trained, place="t2v", name="trained.ckpt"),
        holds=lambda models: any("holds a whole UNet beside" in note for note in models.notes("a cat")),
        told="the T2I's own layers are used; said",
    ),
    Case(
        T2V,
        "UNetMotionModel in one file",
        "diffusers",
        motion_network,
        holds=lambda models: any("holds a whole UNet beside" in note for note in models.notes("a cat")),
        told="its motion modules, on the T2I's own layers; said",
    ),
    Case(
        T2V,
        "AnimateLCM, whatever its name",
        "AnimateLCM_sd15_t2v.ckpt",
        single("motion_lcm", place="t2v", name="fast.ckpt"),
        holds=is_lcm,
        told="told by its lack of positions",
    ),
    Case(
        T2V,
        "a name with “lcm” in a word",
        "users",
        single("motion_v2", place="t2v", name="mm_calcmotion_v2.ckpt"),
        holds=is_animatediff,
        told="not taken as AnimateLCM",
    ),
    Case(
        T2V,
        "AnimateLCM in a hub's cache",
        "huggingface_hub",
        snapshot,
        holds=is_lcm,
        told="by the repository's name; said",
    ),
    Case(
        T2V,
        "AnimateDiff-Lightning, diffusers' names",
        "animatediff_lightning_4step_diffusers.safetensors",
        single("lightning", place="t2v", name="animatediff_lightning_4step_diffusers.safetensors"),
        holds=is_lightning,
        told="by its name; said",
    ),
    Case(T2V, "motion adapter, folder", "diffusers", folder("adapter_v2_folder", place="t2v"), holds=is_animatediff),
    Case(
        T2V,
        "motion adapter, `….fp16.safetensors` alone",
        "diffusers",
        folder("adapter_v2_folder", partial(suffixed, "fp16"), "t2v"),
        holds=is_animatediff,
    ),
    Case(
        T2V,
        "motion module that is given a picture, 9 channels",
        "PIA",
        single("motion_v2", adding(**{"conv_in.weight": torch.zeros(32, 9, 3, 3)}), place="t2v", name="pia.ckpt"),
        refused="pia.ckpt moves a picture that it is given (its input has 9 channels); choose a motion module that "
        "makes clips from words.",
    ),
    Case(
        T2V,
        "LaVie, tensors under `ema`",
        "lavie_base.pt",
        single("lavie", lambda found: {"ema": found}, place="t2v", name="lavie_base.pt"),
    ),
    Case(
        T2V,
        "folder with a UNet3DConditionModel, `.bin`",
        "ZeroScope",
        folder("zeroscope", place="t2v", t2i="sd2_folder"),
    ),
    Case("VAE", "Stable Diffusion's own names", "vae-ft-mse-840000-ema-pruned.safetensors", single("vae", place="vae")),
    Case(
        "VAE",
        "the same in a pickle, with what training needs beside",
        "anime.vae.pt",
        single(
            "vae",
            lambda found: {"state_dict": found | {"loss.logvar": torch.zeros(1)}},
            place="vae",
            name="anime.vae.pt",
        ),
    ),
    Case(
        "VAE",
        "the same, `first_stage_model.` before every name",
        "web UI",
        single("vae", lambda found: {f"{VAE}{name}": t for name, t in found.items()}, place="vae"),
    ),
    Case("VAE", "diffusers' names in one file", "sd-vae-ft-mse", vae_as("")),
    Case(
        "VAE",
        "SDXL's, told by its metadata",
        "Stability, model specification",
        sdxl_vae({"modelspec.architecture": "stable-diffusion-xl-v1-base/vae"}),
        refused="sdxl_vae.safetensors is a VAE of SDXL; choose one of SD 1.x or SD 2.x.",
    ),
    Case(
        "VAE",
        "SDXL's folder, told by the scale of its latents",
        "diffusers",
        sdxl_vae_folder,
        refused="model is a VAE of SDXL; choose one of SD 1.x or SD 2.x.",
    ),
    Case(
        "VAE",
        "SDXL's without either, told by its name",
        "sdxl_vae.safetensors",
        sdxl_vae({}),
        holds=lambda models: any("may be a VAE of SDXL" in note for note in models.guesses),
        told="its layers are those of SD 1.x; that it may be SDXL's is said",
    ),
    Case("VAE", "diffusers' names, `vae.` before each", "diffusers", vae_as("vae.")),
    Case(
        "VAE",
        "folder of another class",
        "TAESD",
        as_class("vae", {".": {"_class_name": "AutoencoderTiny", "latent_channels": 4}}),
        refused="model holds a model of the class AutoencoderTiny; choose one of the class AutoencoderKL.",
    ),
    Case("embedding", "`string_to_param`, pickle", "web UI", embedding("a1111_pt", "badhands.pt")),
    Case("embedding", "`emb_params`", "web UI", embedding("a1111", "badhands.safetensors")),
    Case("embedding", "the word as the only name", "diffusers", embedding("diffusers", "learned_embeds.safetensors")),
]
