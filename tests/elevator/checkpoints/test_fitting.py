"""Files that do not go together are found by their headers, as the loaders find them by their weights."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from elevator import Sources, load_models
from elevator.checkpoints import fitting
from elevator.checkpoints.fitting import Known, misfits
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
    loras = [(models / name, 1.0) for name in more.get("loras", ())]
    embeddings = [models / name for name in more.get("embeddings", ())]
    return Sources.of(models / t2i, models / t2v, loras=loras, embeddings=embeddings, **paths)


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
    assert "ownload" in misfit.step


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
