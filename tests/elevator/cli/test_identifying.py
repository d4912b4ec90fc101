"""`python -m elevator identify`: what files are, in a table and as JSON."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from elevator.checkpoints.uses import precision_of
from elevator.cli import command_line, identifying
from elevator.cli.identifying import is_meant
from elevator.embedded import WEIGHTS
from tests.true_shapes.random_weights import write, write_embedding


def told(capsys, *words):
    """Exit code, what was told, and what was said on standard error."""
    code = command_line.main(["identify", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["identify", "a.safetensors"], True),
        (["identify", "a.safetensors", "b.ckpt", "--json"], True),
        (["identify", "--json", "a.safetensors"], True),
        (["identify", "--help"], True),
        (["identify", "--", "-a.safetensors"], True),
        (["identify"], False),
        (["identify", "--t2i", "embedded", "--t2v", "embedded"], False),
        (["identify a.safetensors", "--t2i", "embedded"], False),
        (["a", "identify"], False),
        ([], False),
    ],
)
def test_a_clip_of_identify_is_a_clip(words, meant):
    assert is_meant(words) == meant


def test_every_kind_is_told(tmp_path, capsys):
    save_file(
        {"lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k.lora_down.weight": torch.zeros(4, 768)},
        tmp_path / "ink.safetensors",
        {"modelspec.trigger_phrase": "ink wash, brush"},
    )
    write_embedding(tmp_path / "badhands.pt", "a1111_pt", "training-run-7")
    write("vae", tmp_path / "vae.safetensors", "tiny", dtype=torch.float32)
    write("motion_lcm", tmp_path / "fast.ckpt", "tiny")
    names = ["ink.safetensors", "badhands.pt", "vae.safetensors", "fast.ckpt"]
    code, out, err = told(
        capsys, "--json", *(tmp_path / name for name in names), WEIGHTS / "t2i", WEIGHTS / "zeroscope"
    )
    assert (code, err) == (0, "")
    found = json.loads(out)
    assert [each["kind"] for each in found] == [
        "LoRA",
        "embedding",
        "VAE",
        "motion module",
        "text-to-image checkpoint",
        "text-to-video model",
    ]
    assert [each["used_as"] for each in found] == [
        "loras of a style, --lora",
        "embeddings of a style, --embedding",
        "vae of a base, --vae",
        "t2v of a base, --t2v",
        "t2i of a base, --t2i",
        "t2v of a base, --t2v",
    ]
    lora, embedding, vae, motion, t2i, _ = found
    assert (lora["family"], lora["trigger_words"]) == ("SD 1.x", ["ink wash", "brush"])
    assert lora["needs"] == ["a text-to-image model of SD 1.x"]
    assert embedding["trigger_words"] == ["training-run-7", "badhands"]
    assert (vae["precision"], vae["size"]) == ("float32", (tmp_path / "vae.safetensors").stat().st_size)
    assert (motion["distilled"], motion["schedule"], motion["precision"]) == ("animatelcm", "lcm", "float16")
    assert "its LoRA, AnimateLCM_sd15_t2v_lora.safetensors" in motion["needs"][1]
    assert (t2i["prediction"], t2i["problem"], t2i["needs"]) == ("v_prediction", None, ["a text-to-video model"])


def test_the_table(tmp_path, capsys):
    path = tmp_path / "v2.safetensors"
    marks = {"v_pred": torch.zeros(0), "ztsnr": torch.zeros(0)}
    first = {"model.diffusion_model.input_blocks.0.0.weight": torch.zeros(8, 4, 3, 3).half()}
    reads = {
        "model.diffusion_model.input_blocks.1.1.transformer_blocks.0.attn2.to_k.weight": torch.zeros(8, 1024).half()
    }
    save_file(first | reads | marks | {"cond_stage_model.model.ln_final.weight": torch.zeros(8)}, path)
    code, out, err = told(capsys, path)
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        str(path),
        "  kind        text-to-image checkpoint, single file",
        "  family      SD 2.x",
        "  prediction  v_prediction, zero terminal SNR",
        f"  size        {path.stat().st_size} bytes",
        "  precision   float16",
        "  used as     t2i of a base, --t2i",
        "  needs       a text-to-video model; a VAE, such as that of SD 2.x",
        "  schedule    stable_diffusion, zero terminal SNR",
    ]


def test_the_table_of_a_lora(tmp_path, capsys):
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    path = tmp_path / "lcm-lora.safetensors"
    metadata = {"ss_sd_model_name": "anime.ckpt", "modelspec.trigger_phrase": "ink, brush"}
    save_file({f"{key}.lora_down.weight": torch.zeros(4, 768)}, path, metadata)
    code, out, _ = told(capsys, path)
    assert code == 0
    assert out.splitlines()[1:] == [
        "  kind        LoRA, kohya LoRA",
        "  family      SD 1.x",
        f"  size        {path.stat().st_size} bytes",
        "  precision   float32",
        "  base model  anime.ckpt",
        "  words       ink, brush",
        "  used as     loras of a style, --lora",
        "  needs       a text-to-image model of SD 1.x",
        f'  note        {path.name} may be LCM\'s, by the name "lcm-lora"; if it is, set distilled to "lcm".',
    ]


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (999_999, "999999 bytes"),
        (10**6, "1 MB"),
        (2_136_000_000, "2.136 GB"),
        (10**9, "1 GB"),
        (999_999_999, "1000 MB"),
    ],
)
def test_sizes_are_in_the_greatest_unit(size, shown):
    assert identifying.size_of(size) == shown


def test_a_plain_lora_is_called_so_once(tmp_path, capsys):
    key = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn2_to_k"
    weights = {f"{key}.lora_down.weight": torch.zeros(4, 768), f"{key}.lora_up.weight": torch.zeros(320, 4)}
    save_file(weights, tmp_path / "ink.safetensors")
    _, out, _ = told(capsys, tmp_path / "ink.safetensors")
    (kind,) = [line.split(None, 1)[1] for line in out.splitlines() if line.startswith("  kind")]
    assert kind.split(", ").count("LoRA") == 1


def test_wrong_and_damaged_files_have_a_sentence_each_and_others_are_told(tmp_path, capsys):
    whole = write("vae", tmp_path / "whole.safetensors", "tiny")
    cut = tmp_path / "cut.safetensors"
    cut.write_bytes(whole.read_bytes()[:-9])
    page = tmp_path / "page.ckpt"
    page.write_text("<!DOCTYPE html>")
    code, out, err = told(capsys, cut, whole, page, tmp_path / "nowhere.pt")
    assert code == 1
    assert out.splitlines()[0] == str(whole)
    assert err.splitlines() == [
        f"{cut} is not a readable safetensors file: its end is missing; download or copy it again.",
        f"{page} is a web page instead of the model; download the model file itself.",
        f"There is no file at {tmp_path / 'nowhere.pt'}; choose a model file.",
    ]
    code, out, err = told(capsys, page)
    assert (code, out) == (1, "")
    code, out, err = told(capsys, "--json", cut, whole)
    assert (code, err) == (1, "")
    assert [("error" in each, each["path"]) for each in json.loads(out)] == [(True, str(cut)), (False, str(whole))]


@pytest.mark.parametrize(
    ("shapes", "problem"),
    [
        ({"model.diffusion_model.input_blocks.0.0.weight": (8, 4, 3, 3)}, "is a UNet of a text-to-image model, not a"),
        (
            {
                "model.diffusion_model.input_blocks.0.0.weight": (8, 9, 3, 3),
                "cond_stage_model.transformer.a.weight": (8, 8),
            },
            "is made to fill in parts of a picture (9 channels), and one that paints from words is needed",
        ),
        (
            {f"up_blocks.{n}.motion_modules.0.temporal_transformer.norm.weight": (8,) for n in range(3)},
            "motion modules for SDXL are not used here",
        ),
        ({"a.weight": (8, 8)}, "another kind of model has no place here"),
    ],
)
def test_what_has_no_place_here_says_why(tmp_path, capsys, shapes, problem):
    save_file({name: torch.zeros(shape) for name, shape in shapes.items()}, tmp_path / "x.safetensors")
    code, out, _ = told(capsys, "--json", tmp_path / "x.safetensors")
    (found,) = json.loads(out)
    assert (code, found["used_as"]) == (0, None)
    assert found["problem"].startswith(problem)


def test_precision_is_that_of_most_numbers(tmp_path):
    path = tmp_path / "x.safetensors"
    few = {"scale": torch.zeros(3), "ids": torch.zeros(900, dtype=torch.int64)}
    save_file({"a": torch.zeros(900).bfloat16(), **few}, path)
    assert precision_of(path) == "bfloat16"
    save_file({"a": torch.zeros(900).bfloat16(), "b": torch.zeros(600), **few}, path)
    assert precision_of(path) == "bfloat16, float32"
    assert precision_of(write("sd1_folder", tmp_path / "sd1", "tiny")) == "float16"


def test_it_needs_no_torch_and_any_terminal_shows_it(tmp_path):
    path = tmp_path / "猫.safetensors"
    save_file({"emb_params": torch.zeros(2, 768)}, path)
    code = "import sys; from elevator.cli import command_line; code = command_line.main(sys.argv[1:]); "
    done = subprocess.run(
        [sys.executable, "-c", f"{code}sys.exit(code or 'torch' in sys.modules)", "identify", "--json", path],
        env={**os.environ, "PYTHONIOENCODING": "cp1252"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)[0]["trigger_words"] == ["猫"]


@pytest.mark.slow
def test_as_a_process(tmp_path):
    def run(*words):
        return subprocess.run([sys.executable, "-m", "elevator", *words], capture_output=True, text=True, check=False)

    done = run("identify", WEIGHTS / "t2i", tmp_path / "nowhere")
    assert done.returncode == 1
    assert "text-to-image checkpoint" in done.stdout
    assert done.stderr == f"There is no file at {tmp_path / 'nowhere'}; choose a model file.\n"
    assert "usage: elevator identify" in run("identify", "--help").stdout
    assert "elevator identify FILE" in run("--help").stdout
    usage = run("identify")
    assert usage.returncode == 2
    assert "--t2i and --t2v must be given" in usage.stderr
