"""Which of the files in a folder of diffusers' layout are a network's weights."""

from __future__ import annotations

import random

import pytest

from elevator import ModelError
from elevator.checkpoints.folders import chosen_files, weight_files

MODEL, SAFE, BIN = "diffusion_pytorch_model", ".safetensors", ".bin"


def files(folder, *names):
    for name in random.sample(names, len(names)):
        (folder / name).write_bytes(b"weights")
    return folder


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        (f"{MODEL}{SAFE}", f"{MODEL}{BIN}"),
        (f"{MODEL}{SAFE}", f"{MODEL}.fp16{SAFE}"),
        (f"{MODEL}{BIN}", f"{MODEL}.fp16{SAFE}"),
        (f"{MODEL}.fp16{SAFE}", f"{MODEL}.fp16{BIN}"),
        (f"{MODEL}.fp16{SAFE}", f"{MODEL}.non_ema{SAFE}"),
        (f"{MODEL}.bf16{SAFE}", f"{MODEL}.fp16{SAFE}"),
        ("model.safetensors", "pytorch_model.bin"),
        ("model.fp16.safetensors", "pytorch_model.fp16.bin"),
        (f"{MODEL}.ema{SAFE}", f"{MODEL}.non_ema{SAFE}"),
        (f"{MODEL}.fp16{SAFE}", f"{MODEL}-00001-of-00002{SAFE}"),
    ],
)
def test_the_best_that_is_whole_is_taken(tmp_path, better, worse):
    assert [file.name for file in weight_files(files(tmp_path, better, worse))] == [better]
    (tmp_path / better).unlink()
    assert [file.name for file in chosen_files(tmp_path)] == [worse]


@pytest.mark.parametrize(
    "pattern",
    [
        "diffusion_pytorch_model-{}-of-00002.safetensors",
        "diffusion_pytorch_model.fp16-{}-of-00002.safetensors",
        "diffusion_pytorch_model-{}-of-00002.fp16.safetensors",
        "model.fp16-{}-of-00002.safetensors",
        "pytorch_model-{}-of-00002.bin",
    ],
)
def test_parts_belong_together(tmp_path, pattern):
    names = [pattern.format(f"0000{number}") for number in (1, 2)]
    index = "diffusion_pytorch_model.safetensors.index.fp16.json"
    assert [file.name for file in weight_files(files(tmp_path, *names, index))] == names
    (tmp_path / names[1]).unlink()
    with pytest.raises(ModelError, match=rf"lacks 1 of the parts of {names[0]}; download or copy it again\.$"):
        weight_files(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "diffusion_flax_model.msgpack",
            r"weights for Flax alone \(diffusion_flax_model.msgpack\); choose a folder with",
        ),
        ("tf_model.h5", "weights for TensorFlow alone"),
        ("model.onnx", "weights for ONNX alone"),
        ("openvino_model.xml", "weights for OpenVINO alone"),
        (
            "mine.safetensors",
            r"have a name that is not known here \(mine\.safetensors\); call the file as diffusers does",
        ),
        ("config.json", "holds no weights; put the file there, such as diffusion_pytorch_model.safetensors"),
    ],
)
def test_why_there_are_none(tmp_path, name, said):
    with pytest.raises(ModelError, match=said):
        weight_files(files(tmp_path, name))
    assert chosen_files(tmp_path) == []


def test_no_folder_has_no_weights(tmp_path):
    with pytest.raises(ModelError, match="nowhere holds no weights"):
        weight_files(tmp_path / "nowhere")
    assert chosen_files(tmp_path / "nowhere") == []


def test_of_several_that_lack_parts_the_best_is_named(tmp_path):
    files(tmp_path, f"{MODEL}-00001-of-00003{SAFE}", f"{MODEL}.fp16-00001-of-00002{SAFE}")
    assert [file.name for file in chosen_files(tmp_path)] == [f"{MODEL}-00001-of-00003{SAFE}"]
    with pytest.raises(ModelError, match=rf"lacks 2 of the parts of {MODEL}-00001-of-00003{SAFE}; "):
        weight_files(tmp_path)
