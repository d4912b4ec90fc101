"""Files that do not go together are found by their headers, as the loaders find them by their weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
import torch
from safetensors.torch import save_file

from elevator import Sources, load_models
from elevator.checkpoints import Algorithm, Family, Identity, Kind, Layout, fitting
from elevator.checkpoints.fitting import Known, misfits, unfit
from elevator.errors import ModelError
from tests.true_shapes.random_weights import write, write_embedding

ROOT = Path(__file__).resolve().parents[3]
SINGLE = {
    "sd1.safetensors": "sd1_bare",
    "sd1.ckpt": "sd1",
    "sd2.safetensors": "sd2",
    "mm_v2.ckpt": "motion_v2",
    "AnimateLCM_sd15_t2v.ckpt": "motion_lcm",
    "lavie_base.pt": "lavie",
    "vae.safetensors": "vae",
}
FOLDERS = {"sd1": "sd1_folder", "sd2": "sd2_folder", "zeroscope": "zeroscope", "adapter": "adapter_v2_folder"}


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name, family in SINGLE.items():
        write(family, folder / name, "tiny")
    for name, family in FOLDERS.items():
        write(family, folder / name, "tiny")
    write("lora_kohya", folder / "ink.safetensors", "tiny", rank=2)
    layer = "down_blocks.0.motion_modules.0.temporal_transformer.transformer_blocks.0.attention_blocks.0"
    width = torch.load(folder / "mm_v2.ckpt", weights_only=True)[f"{layer}.to_q.weight"].shape[0]
    sides = {"down": torch.ones(2, width), "up": torch.ones(width, 2)}
    pan = {f"{layer}.processor.to_q_lora.{side}.weight": tensor for side, tensor in sides.items()}
    torch.save({"state_dict": pan}, folder / "v2_lora_PanLeft.ckpt")
    save_file({"lora_unet_mid_block_attentions_0_proj_in.lora_E": torch.ones(2, 1)}, folder / "ada.safetensors")
    write_embedding(folder / "cat.pt", "a1111_pt", "<cat>", width=64)
    write_embedding(folder / "wide.safetensors", "a1111", "<wide>", width=128)
    return folder


def of(models: Path, t2i: str, t2v: str, **more: str | list[str]) -> Sources:
    """Sources of these names in the folder."""
    paths: dict[str, Any] = {key: models / value for key, value in more.items() if isinstance(value, str)}
    loras, t2v_loras = ([(models / name, 1.0) for name in more.get(key, ())] for key in ("loras", "t2v_loras"))
    embeddings = [models / name for name in more.get("embeddings", ())]
    return Sources.of(
        models / t2i,
        models / t2v,
        loras=loras,
        t2v_loras=t2v_loras,
        embeddings=embeddings,
        **paths,
    )


def on_t2v(sources: Sources) -> Sources:
    """The same with the LoRAs on the T2V too."""
    return msgspec.structs.replace(sources, loras_on_t2v=True)


RIGHT: list[tuple[str, str, dict[str, str | list[str]]]] = [
    ("sd1.safetensors", "mm_v2.ckpt", {}),
    ("sd1.ckpt", "adapter", {"vae": "vae.safetensors"}),
    ("sd1", "AnimateLCM_sd15_t2v.ckpt", {"loras": ["ink.safetensors"], "embeddings": ["cat.pt"]}),
    ("sd1", "mm_v2.ckpt", {"loras": ["v2_lora_PanLeft.ckpt", "ink.safetensors"]}),
    ("sd1", "zeroscope", {}),
    ("sd1", "lavie_base.pt", {}),
    ("sd2", "lavie_base.pt", {"t2v_text": "sd1"}),
    ("sd2.safetensors", "zeroscope", {"vae": "sd1/vae"}),
]
WRONG: list[tuple[str, str, dict[str, str | list[str]], str]] = [
    ("mm_v2.ckpt", "sd1.safetensors", {}, "t2i and t2v are swapped: "),
    ("vae.safetensors", "mm_v2.ckpt", {}, "vae.safetensors is a VAE, not a text-to-image model"),
    ("sd1.safetensors", "ink.safetensors", {}, "ink.safetensors is a LoRA, not a text-to-video model"),
    ("sd1.safetensors", "mm_v2.ckpt", {"loras": ["mm_v2.ckpt"]}, "mm_v2.ckpt is a motion module, not a LoRA"),
    ("sd1", "mm_v2.ckpt", {"embeddings": ["ink.safetensors"]}, "ink.safetensors is a LoRA, not an embedding"),
    ("sd1", "mm_v2.ckpt", {"loras": ["ada.safetensors"]}, "is a LoRA of a kind that is not read (AdaLoRA)"),
    ("sd1", "zeroscope", {"loras": ["v2_lora_PanLeft.ckpt"]}, "PanLeft.ckpt is a LoRA for motion modules, and "),
    ("sd1", "lavie_base.pt", {"loras": ["v2_lora_PanLeft.ckpt"]}, "lavie_base.pt has none"),
    ("sd1", "mm_v2.ckpt", {"vae": "sd1.safetensors"}, "sd1.safetensors is a text-to-image checkpoint, not a VAE"),
    ("sd1", "mm_v2.ckpt", {"embeddings": ["wide.safetensors"]}, "for text embeddings of width 128, but "),
]


@pytest.mark.parametrize(("t2i", "t2v", "more"), RIGHT)
def test_what_fits_is_found_no_fault_with_and_loads(
    models: Path, t2i: str, t2v: str, more: dict[str, str | list[str]]
) -> None:
    sources = of(models, t2i, t2v, **more)
    assert misfits(sources, Known()) == ()
    if (t2i, t2v) in (("sd1.safetensors", "mm_v2.ckpt"), ("sd1", "mm_v2.ckpt"), ("sd1", "zeroscope")):
        load_models(sources)


@pytest.mark.parametrize(("t2i", "t2v", "more", "says"), WRONG)
def test_what_does_not_fit_is_said_in_one_sentence(
    models: Path, t2i: str, t2v: str, more: dict[str, str | list[str]], says: str
) -> None:
    sources = of(models, t2i, t2v, **more)
    (misfit,) = misfits(sources, Known())
    assert says in misfit.what
    assert misfit.code == "unfit"
    assert not misfit.what.endswith(".")
    assert misfit.step.endswith(".")
    with pytest.raises(ModelError):
        load_models(sources)


def test_a_text_encoder_of_another_width_is_found(models: Path, tmp_path: Path) -> None:
    bare = tmp_path / "bare"  # ZeroScope without its own text encoder reads the T2I's
    shutil.copytree(models / "zeroscope" / "unet", bare / "unet")
    config = bare / "unet" / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace('"cross_attention_dim": 64', '"cross_attention_dim": 128'), encoding="utf-8")
    assert config.read_text(encoding="utf-8") != text
    (misfit,) = misfits(of(models, "sd1", str(bare)), Known())
    assert "reads text embeddings of width 128, but the text encoder of" in misfit.what
    assert "t2v_text" in misfit.step


def test_latents_of_another_scale_are_found(models: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    shutil.copytree(models / "zeroscope", other)
    config = other / "vae" / "config.json"
    text = config.read_text(encoding="utf-8")
    config.write_text(text.replace("0.18215", "0.13025"), encoding="utf-8")
    sources = of(models, "sd1", str(other))
    (misfit,) = misfits(sources, Known())
    assert "scaled by 0.13025" in misfit.what
    with pytest.raises(ModelError, match=r"scaled by 0\.13025"):
        load_models(sources)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size - 1000)


def _page(path: Path) -> None:
    path.write_text("<!DOCTYPE html><title>Sign in</title>", encoding="utf-8")


@pytest.mark.parametrize("harm", [_cut, _page])
@pytest.mark.parametrize(
    ("name", "part"), [("sd1.ckpt", ""), ("sd2.safetensors", ""), ("sd1", "unet/diffusion_pytorch_model.safetensors")]
)
def test_what_is_not_whole_is_said_with_a_way_out(
    models: Path, tmp_path: Path, name: str, part: str, harm: Callable[[Path], None]
) -> None:
    copy = shutil.copytree if (models / name).is_dir() else shutil.copy
    copy(models / name, tmp_path / name)
    harm(tmp_path / name / part if part else tmp_path / name)
    (misfit,) = misfits(of(models, str(tmp_path / name), "mm_v2.ckpt"), Known())
    assert misfit.code == "broken"
    assert misfit.step == ("Download the model file itself." if harm is _page else "Download or copy it again.")


def test_what_is_missing_is_named(models: Path, tmp_path: Path) -> None:
    shutil.copytree(models / "sd1", tmp_path / "sd1")
    shutil.rmtree(tmp_path / "sd1" / "text_encoder")
    (misfit,) = misfits(of(models, str(tmp_path / "sd1"), "mm_v2.ckpt"), Known())
    assert misfit.what == f"{tmp_path / 'sd1' / 'text_encoder'} holds no weights"
    (misfit,) = misfits(of(models, "sd1", "nowhere.ckpt"), Known())
    assert (misfit.code, misfit.what) == ("missing", f"{models / 'nowhere.ckpt'} is missing")


def test_nothing_is_read_twice_that_has_not_changed(models: Path, tmp_path: Path) -> None:
    shutil.copy(models / "mm_v2.ckpt", tmp_path / "mm.ckpt")
    known, sources = Known(), of(models, "sd1", str(tmp_path / "mm.ckpt"), loras=["ink.safetensors"])
    assert misfits(sources, known) == ()
    reads = known.reads
    assert misfits(sources, known) == ()
    assert known.reads == reads
    shutil.copy(models / "ink.safetensors", tmp_path / "mm.ckpt")
    (misfit,) = misfits(sources, known)
    assert "in spite of its name" in misfit.what or "is a LoRA" in misfit.what
    assert known.reads == reads + 1


def test_an_identity_is_kept_and_no_verdict(models: Path) -> None:
    """The same file is right in one place and wrong in another."""
    known = Known()
    right = of(models, "sd1.safetensors", "mm_v2.ckpt")
    assert misfits(right, known) == ()
    assert misfits(of(models, "sd1.safetensors", "mm_v2.ckpt", loras=["mm_v2.ckpt"]), known)
    assert misfits(of(models, "mm_v2.ckpt", "sd1.safetensors"), known)
    assert misfits(right, known) == ()


def test_torch_is_not_imported_for_any_of_it(models: Path) -> None:
    """The server judges, and never imports it."""
    code = (
        "import sys; from elevator import Sources; from elevator.checkpoints.fitting import misfits;"
        "folder = sys.argv[1];"
        "found = [misfits(Sources.of(f'{folder}/sd1.ckpt', f'{folder}/{name}', embeddings=[f'{folder}/cat.pt']))"
        " for name in ('mm_v2.ckpt', 'lavie_base.pt', 'zeroscope')];"
        "assert found == [(), (), ()], found;"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code, str(models)], cwd=ROOT, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


def test_what_torch_alone_can_read_is_no_fault(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    torch.save({"string_to_param": torch.nn.ParameterDict({"*": torch.zeros(2, 64)})}, tmp_path / "old.pt")
    assert misfits(of(models, "sd1", "mm_v2.ckpt", embeddings=[str(tmp_path / "old.pt")]), Known()) == ()


def test_an_inpainting_model_is_found(models: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(models / "sd1.safetensors")
    first = "model.diffusion_model.input_blocks.0.0.weight"
    tensors[first] = tensors[first].repeat(1, 3, 1, 1)[:, :9].contiguous()
    save_file(tensors, tmp_path / "inpainting.safetensors")
    sources = of(models, str(tmp_path / "inpainting.safetensors"), "mm_v2.ckpt")
    (misfit,) = misfits(sources, Known())
    assert "is made to fill in parts of a picture (9 channels)" in misfit.what
    with pytest.raises(ModelError):
        load_models(sources)


def test_families_by_their_true_widths(tmp_path: Path) -> None:
    """Headers alone, as those of the real files: no tiny model is of a family that is known."""
    import json

    def header(name: str, shapes: dict[str, list[int]]) -> Path:
        entries = {key: {"dtype": "F16", "shape": shape, "data_offsets": [0, 0]} for key, shape in shapes.items()}
        text = json.dumps(entries).encode()
        (tmp_path / name).write_bytes(len(text).to_bytes(8, "little") + text)
        return tmp_path / name

    unet = "model.diffusion_model."
    for family, width in (("sd1", 768), ("sd2", 1024)):
        header(
            f"{family}.safetensors",
            {
                f"{unet}input_blocks.0.0.weight": [320, 4, 3, 3],
                f"{unet}input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": [320, width],
                "cond_stage_model.x": [1],
            },
        )
    header("ink.safetensors", {"lora_unet_a_attn2_to_k.lora_down.weight": [4, 768], "x.lora_up.weight": [1, 4]})
    names = [f"up_blocks.{k}.motion_modules.0.temporal_transformer.norm.weight" for k in range(4)]
    header("mm.safetensors", {name: [320] for name in names})
    (misfit,) = misfits(Sources.of(tmp_path / "sd2.safetensors", tmp_path / "mm.safetensors"), Known())
    assert "mm.safetensors is a motion module for SD 1.x, but " in misfit.what
    assert misfit.step == "Choose a text-to-image model of SD 1.x."
    lora = [(tmp_path / "ink.safetensors", 1.0)]
    assert misfits(Sources.of(tmp_path / "sd1.safetensors", tmp_path / "mm.safetensors", loras=lora), Known()) == ()
    sources = Sources.of(tmp_path / "sd2.safetensors", tmp_path / "mm.safetensors", loras=lora)
    assert [misfit.field for misfit in misfits(sources, Known())] == ["t2v", "loras"]
    assert fitting.ROLES.keys() >= {"t2v", "loras"}


def told(kind: Kind, path: Path = Path("x"), **more: Any) -> Identity:
    """What a file may be said to be."""
    said: dict[str, Any] = {
        "path": path,
        "kind": kind,
        "family": Family.UNKNOWN,
        "layout": Layout.LDM,
        "size": 1,
        "title": "x",
    }
    return Identity(**said | more)


T2I, T2V, MOTION, VAE, LORA = Kind.T2I, Kind.T2V, Kind.MOTION_MODULE, Kind.VAE, Kind.LORA


@pytest.mark.parametrize(
    ("field", "identity", "says"),
    [
        ("t2i", told(T2I), ""),
        ("t2i", told(T2I, family=Family.SD2, channels=4), ""),
        ("t2i", told(T2I, family=Family.SDXL), "is of SDXL, and SD 1.x or SD 2.x is needed"),
        ("t2i", told(T2I, family=Family.OTHER, layout=Layout.OTHER), "is of another family, and SD 1.x or SD 2.x is"),
        ("t2i", told(T2I, channels=9), "is made to fill in parts of a picture (9 channels), and one that paints from"),
        ("t2i", told(T2I, channels=5), "is made to paint after a map of depth (5 channels)"),
        ("t2i", told(T2I, channels=7), "is made to enlarge a picture (7 channels)"),
        ("t2i", told(T2I, channels=8), "is made to change a picture as they are told (InstructPix2Pix) (8 channels)"),
        ("t2i", told(T2I, channels=6), "is made to do something else (6 channels)"),
        ("t2i", told(VAE, family=Family.SDXL, channels=9), "is a VAE, not a text-to-image model"),
        ("t2i", told(Kind.UNET), "is a UNet of a text-to-image model, not a text-to-image model"),
        ("t2i", told(Kind.OTHER), "is another kind of model, not a text-to-image model"),
        ("t2i", told(Kind.OTHER, class_name="FluxPipeline"), "is of the class FluxPipeline, not a text-to-image model"),
        ("t2i", told(VAE, class_name="AutoencoderKL"), "is a VAE, not a text-to-image model"),
        ("t2v", told(MOTION), ""),
        ("t2v", told(MOTION, channels=4), ""),
        ("t2v", told(MOTION, channels=9), "moves a picture that it is given, and one that makes clips from words"),
        ("t2v", told(T2V, layout=Layout.LAVIE, channels=9), ""),
        ("t2v", told(T2V), "is one file of a text-to-video model, and its whole folder is needed"),
        ("t2v", told(T2I), "is a text-to-image checkpoint, not a text-to-video model"),
        ("vae", told(VAE), ""),
        ("vae", told(VAE, family=Family.OTHER), "is a VAE of another latent space than that of SD 1.x and SD 2.x"),
        ("vae", told(VAE, family=Family.SDXL), "is a VAE of SDXL, and one of SD 1.x or SD 2.x is needed"),
        ("vae", told(T2I, family=Family.SDXL), "is a text-to-image checkpoint, not a VAE"),
        ("vae", told(T2I, family=Family.OTHER), "is a text-to-image checkpoint, not a VAE"),
        ("t2v_text", told(T2I), ""),
        ("t2v_text", told(MOTION), "is a motion module, not a text encoder"),
        ("loras", told(LORA), ""),
        ("t2v_loras", told(Kind.MOTION_LORA), ""),
        ("loras", told(LORA, algorithm=Algorithm.VERA), "is a LoRA of a kind that is not read (VeRA)"),
        ("t2v_loras", told(T2V), "is a text-to-video model, not a LoRA"),
        ("embeddings", told(Kind.EMBEDDING), ""),
        ("embeddings", told(LORA), "is a LoRA, not an embedding"),
    ],
)
def test_what_a_file_cannot_be_is_said_by_what_it_is(field: str, identity: Identity, says: str) -> None:
    assert unfit(field, identity).removeprefix("x ")[: len(says) or 1] == says


def test_a_folder_with_a_text_encoder_gives_one(models: Path, tmp_path: Path) -> None:
    assert unfit("t2v_text", told(T2I, models / "sd1", layout=Layout.FOLDER)) == ""
    assert "not a text encoder" in unfit("t2v_text", told(T2I, tmp_path, layout=Layout.FOLDER))


def test_swapped_models_are_one_fault_beside_those_of_others(models: Path) -> None:
    sources = of(models, "mm_v2.ckpt", "sd1.safetensors", vae="ink.safetensors", embeddings=["nowhere.pt"])
    assert [(misfit.field, misfit.code) for misfit in misfits(sources, Known())] == [
        ("t2i", "unfit"),
        ("vae", "unfit"),
        ("embeddings", "missing"),
    ]


def test_loras_go_to_a_t2v_that_has_layers_for_them(models: Path, tmp_path: Path) -> None:
    whole = tmp_path / "whole"  # AnimateDiff saved as one network, as its config says
    shutil.copytree(models / "zeroscope", whole)
    config = whole / "unet" / "config.json"
    config.write_text(config.read_text().replace("UNet3DConditionModel", "UNetMotionModel"))
    loras = ["ink.safetensors"]
    for t2v in ("mm_v2.ckpt", str(whole)):
        assert misfits(on_t2v(of(models, "sd1", t2v, loras=loras)), Known()) == ()
        assert misfits(of(models, "sd1", t2v, loras=["v2_lora_PanLeft.ckpt"]), Known()) == ()
    assert misfits(of(models, "sd1", "zeroscope", loras=loras), Known()) == ()
    assert misfits(on_t2v(of(models, "sd1", "zeroscope")), Known()) == ()
    (misfit,) = misfits(on_t2v(of(models, "sd1", "zeroscope", loras=loras)), Known())
    assert (misfit.field, misfit.step) == ("t2v", "Leave loras_on_t2v out of the style.")
    assert misfit.what.endswith("zeroscope has no layers of the text-to-image model, so that LoRAs cannot go to it")


def test_only_motion_modules_take_loras_of_their_own(models: Path) -> None:
    own: dict[str, list[str]] = {"t2v_loras": ["ink.safetensors"]}
    assert misfits(of(models, "sd1", "mm_v2.ckpt", **own), Known()) == ()
    (misfit,) = misfits(of(models, "sd1", "zeroscope", **own), Known())
    assert (misfit.field, misfit.step) == ("t2v_loras", "Leave t2v_loras out of the base.")
    assert misfit.what.endswith("zeroscope is no motion module, and only on those go LoRAs of their own")


def test_what_a_folder_lacks_is_no_fault_where_another_gives_it(models: Path, tmp_path: Path) -> None:
    t2v = shutil.copytree(models / "zeroscope", tmp_path / "t2v")
    (weights,) = (t2v / "text_encoder").glob("*.bin")
    weights.unlink()
    (misfit,) = misfits(of(models, "sd1", str(t2v)), Known())
    assert misfit.what == f"{t2v / 'text_encoder'} holds no weights"
    assert misfits(of(models, "sd1", str(t2v), t2v_text="sd1"), Known()) == ()
    (misfit,) = misfits(of(models, "sd1", "zeroscope", t2v_text=str(t2v)), Known())
    assert misfit.field == "t2v_text"
    shutil.rmtree(t2v / "text_encoder")
    assert misfits(of(models, "sd1", str(t2v)), Known()) == (), "then it reads the T2I's"
    t2i = shutil.copytree(models / "sd1", tmp_path / "t2i")
    shutil.rmtree(t2i / "vae")
    (misfit,) = misfits(of(models, str(t2i), "mm_v2.ckpt"), Known())
    assert misfit.what == f"{t2i / 'vae'} holds no weights"
    assert misfits(of(models, str(t2i), "mm_v2.ckpt", vae="vae.safetensors"), Known()) == ()
    (misfit,) = misfits(of(models, "sd1", "mm_v2.ckpt", vae=str(empty_vae(models, tmp_path))), Known())
    assert misfit.field == "vae"
    modules = tmp_path / "modules"
    shutil.copytree(models / "adapter", modules / "motion_adapter")
    (modules / "unet").mkdir()
    assert misfits(of(models, "sd1", str(modules)), Known()) == (), "of the two, its motion modules are read"


def empty_vae(models: Path, folder: Path) -> Path:
    """A VAE's folder without its weights."""
    (folder / "vae").mkdir()
    shutil.copy(models / "sd1" / "vae" / "config.json", folder / "vae")
    return folder / "vae"


def test_the_scale_of_the_latents_is_that_of_the_t2is_own_vae(models: Path, tmp_path: Path) -> None:
    t2i = shutil.copytree(models / "sd1", tmp_path / "t2i")
    config = t2i / "vae" / "config.json"
    config.write_text(config.read_text().replace("0.18215", "0.2"))
    (misfit,) = misfits(of(models, str(t2i), "zeroscope"), Known())
    assert misfit.what.endswith(f"zeroscope are scaled by 0.18215, and those of {t2i} by 0.2")
    assert misfits(of(models, str(t2i), "zeroscope", vae="sd1/vae"), Known()) == ()


def test_what_torch_alone_can_read_may_be_any_of_the_files(models: Path, tmp_path: Path) -> None:
    old = str(tmp_path / "old.pt")
    torch.save({"a": torch.nn.ParameterDict({"b": torch.zeros(2)})}, old)
    for t2i, t2v in ((old, "mm_v2.ckpt"), (old, "zeroscope"), ("sd1", old), (old, old)):
        sources = of(models, t2i, t2v, loras=["v2_lora_PanLeft.ckpt" if t2v == old else old])
        assert misfits(on_t2v(sources) if t2v == old else sources, Known()) == (), (t2i, t2v)
    assert misfits(of(models, "sd1", "zeroscope", t2v_text=old, vae=old), Known()) == ()


def test_a_name_that_no_disk_can_have_is_said(models: Path) -> None:
    (misfit,) = misfits(of(models, "sd1", "x" * 300), Known())
    assert (misfit.field, misfit.code) == ("t2v", "broken")
    assert misfit.what.endswith("cannot be read: File name too long")
    assert misfit.step == "Check that you may open it."


def test_what_may_not_be_opened_is_said(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *, torch: bool) -> Identity:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(fitting, "identify", refuse)
    found = misfits(of(models, "sd1.ckpt", "mm_v2.ckpt"), Known())
    assert [(misfit.code, misfit.step) for misfit in found] == [("broken", "Check that you may open it.")] * 2
    assert found[0].what == f"{models / 'sd1.ckpt'} cannot be read (Permission denied)"


def test_a_file_that_changes_in_a_folder_is_read_again(models: Path, tmp_path: Path) -> None:
    t2v, known = shutil.copytree(models / "zeroscope", tmp_path / "t2v"), Known()
    assert misfits(of(models, "sd1", str(t2v)), known) == ()
    _cut(next((t2v / "unet").glob("*.bin")))
    (misfit,) = misfits(of(models, "sd1", str(t2v)), known)
    assert misfit.code == "broken"
    (t2v / "unet" / "gone").symlink_to(tmp_path / "nowhere")
    (misfit,) = misfits(of(models, "sd1", str(t2v)), known)
    assert misfit.code == "broken"


def test_only_so_many_files_are_remembered(models: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fitting, "MOST_KEPT", 2)
    known, (one, other, third) = Known(), (models / name for name in ("cat.pt", "ink.safetensors", "vae.safetensors"))
    for path, reads in ((one, 1), (other, 2), (one, 2), (other, 2), (third, 3), (third, 3), (other, 4)):
        known.identity(path)
        assert known.reads == reads
