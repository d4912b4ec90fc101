"""Loading as an iterator: how far it is, stopping it, and parts that are there already."""

from __future__ import annotations

import shutil
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from safetensors.torch import load_file, save_file

from elevator import OutOfMemory, Sources, elevate, load_models
from elevator.checkpoints.weights import load_tensors
from elevator.memory import is_shortage
from elevator.models import reading
from elevator.models.loading import Loading, loading
from elevator.steps import relay, result
from tests.elevator.golden import FOLDER
from tests.true_shapes.random_weights import write

pytestmark = pytest.mark.slow

T2I, ZEROSCOPE, ANIMATEDIFF = FOLDER / "t2i", FOLDER / "zeroscope", FOLDER / "animatediff"


def pieces(sources, **options):
    """All that is told, and the models."""
    told: list[Loading] = []
    models = result(relay(loading(sources, **options), told.append))
    return told, models


def weights_in(*folders):
    return sum(file.stat().st_size for folder in folders for file in folder.rglob("*.safetensors"))


def test_bytes_rise_from_none_to_those_of_all_files(monkeypatch):
    monkeypatch.setattr(reading, "SPAN", 10_000)
    told, models = pieces(Sources.of(T2I, ZEROSCOPE))
    done = [step.done for step in told]
    assert {step.total for step in told} == {weights_in(T2I, ZEROSCOPE)}
    assert (done[0], done[-1]) == (0, told[-1].total)
    assert done == sorted(done)
    assert max(b - a for a, b in pairwise(done)) < told[-1].total / 10
    assert [step.networks for step in told][-1] == models.loads == 5


def test_nothing_is_read_after_it_is_closed(monkeypatch):
    monkeypatch.setattr(reading, "SPAN", 10_000)
    read = []
    load = load_tensors
    monkeypatch.setattr(reading, "load_tensors", lambda path: read.append(path) or load(path))
    steps = loading(Sources.of(T2I, ZEROSCOPE))
    assert next(steps).done == 0
    assert read == []
    while next(steps).done == 0:
        pass
    steps.close()
    assert [path.parent.name for path in read] == ["unet"]


def test_parts_of_other_models_are_taken_and_not_changed():
    pair = load_models(Sources.of(T2I, ZEROSCOPE))
    before = frames(pair)
    told, other = pieces(Sources.of(T2I, ANIMATEDIFF), held=pair.components)
    assert other.loads == 1, "the motion modules alone"
    assert told[0].total == weights_in(ANIMATEDIFF)
    assert other.t2i.unet is pair.t2i.unet
    assert other.vae is pair.vae
    assert (frames(other) == frames(load_models(Sources.of(T2I, ANIMATEDIFF)))).all()
    assert (frames(pair) == before).all()
    none, same = pieces(Sources.of(T2I, ZEROSCOPE), held={**pair.components, **other.components})
    assert (same.loads, none[-1].total) == (0, 0)
    assert (frames(same) == before).all()


def frames(models):
    plan = replace(models.presets["published"].plan, steps=2, refine=(2,), refine_steps=1)
    steps = elevate(models, prompt="a dog", plan=plan, frames=2, height=16, width=16, seed=1)
    return torch.stack([torch.from_numpy(step.frame[1]) for step in steps if step.frame])


@pytest.mark.parametrize("change", ["content", "dtype", "vae"])
def test_what_is_another_part_is_read(change, tmp_path):
    t2i = shutil.copytree(T2I, tmp_path / "t2i")
    held = load_models(Sources.of(t2i, ZEROSCOPE)).components
    options, vae = {}, None
    if change == "content":
        path = t2i / "vae" / "diffusion_pytorch_model.safetensors"
        save_file({name: 0.5 * tensor for name, tensor in load_file(path).items()}, path)
    elif change == "vae":
        vae = shutil.copytree(T2I / "vae", tmp_path / "vae")
    else:
        options["dtype"] = torch.float16
    _, models = pieces(Sources.of(t2i, ZEROSCOPE, vae=vae), held=held, **options)
    assert models.loads == (5 if change == "dtype" else 1)


@pytest.mark.parametrize("suffix", ["safetensors", "ckpt"])
def test_parts_of_files_are_taken_without_reading_them(suffix, tmp_path, monkeypatch):
    t2i = write("sd1", tmp_path / f"model.{suffix}", "tiny")
    motion = write("motion_v2", tmp_path / f"motion.{suffix}", "tiny")
    sources = Sources.of(t2i, motion, t2v_text=t2i)
    pair = load_models(sources)
    assert pair.loads == 4, "its text encoder is read once for both"
    for module in ("image", "video"):
        monkeypatch.setattr(f"elevator.models.{module}.load_tensors", lambda path: pytest.fail(f"{path} was read"))
    _, again = pieces(sources, held=pair.components)
    assert again.loads == 0
    assert again.t2v_text.encoder is again.t2i_text.encoder is pair.t2i_text.encoder


@pytest.mark.parametrize("error", [MemoryError(), torch.OutOfMemoryError("CUDA out of memory")], ids=["host", "device"])
def test_running_out_of_memory_is_said(error, monkeypatch):
    def fails(*_, **__):
        raise error

    monkeypatch.setattr(torch.nn.Module, "load_state_dict", fails)
    with pytest.raises(OutOfMemory, match="while loading"):
        result(loading(Sources.of(T2I, ZEROSCOPE)))


def test_a_lack_on_the_processor_is_known_by_what_torch_says():
    with pytest.raises(RuntimeError) as error:
        torch.empty(2**60, dtype=torch.uint8)
    assert is_shortage(error.value)
    assert not is_shortage(RuntimeError("The size of tensor a must match"))


@pytest.mark.parametrize(
    "said",
    [
        "could not create a primitive",
        "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "MPS backend out of memory (MPS allocated: 8.9 GB)",
        "HIP error: hipErrorOutOfMemory",
        "Native API returns: 39 (UR_RESULT_ERROR_OUT_OF_DEVICE_MEMORY)",
        "std::bad_alloc",
    ],
)
def test_a_shortage_is_known_by_the_words_of_the_libraries_under_torch(said: str) -> None:
    assert is_shortage(RuntimeError(said))
    assert not is_shortage(ValueError(said))
