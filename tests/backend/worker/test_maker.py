"""The real maker in this process, with the models of the recorded trajectories."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.failures import BackendError
from backend.orders import Sample
from backend.root import ROOT
from backend.styles.files import ScheduleName
from backend.worker.maker import Picture
from backend.worker.sampling import SamplingMaker
from elevator import Lora, Plan, Sources, elevate, load_models
from elevator.chain.schedule import KNOWN
from tests.true_shapes.random_weights import write_embedding

pytestmark = pytest.mark.slow

GOLDEN = ROOT / "tests" / "golden"
PLAN = Plan(steps=2, refine=(2,), refine_steps=1, guidance=2.0, video_guidance=2.0)
LAYERS = [
    f"down_blocks_0_attentions_0_transformer_blocks_0_{attention}_to_{side}"
    for attention in ("attn1", "attn2")
    for side in "qv"
]
Files = Mapping[str, str]
torch.set_num_threads(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    """Paths of what belongs to the tiny models and to no other."""
    folder = tmp_path_factory.mktemp("files")
    torch.manual_seed(0)
    for layer_set, name in ((LAYERS, "style"), (LAYERS[:2], "motion")):
        sides = {"down": (4, 32), "up": (32, 4)}
        tensors = {
            f"lora_unet_{layer}.lora_{side}.weight": torch.randn(shape)
            for layer in layer_set
            for side, shape in sides.items()
        }
        save_file(tensors, folder / f"{name}.safetensors")
    weights = shutil.copytree(GOLDEN / "t2i" / "vae", folder / "vae") / "diffusion_pytorch_model.safetensors"
    save_file({name: 0.9 * tensor for name, tensor in load_file(weights).items()}, weights, {"format": "pt"})
    for word, width in (("cat", 32), ("dog", 32), ("wide", 48)):
        write_embedding(folder / f"{word}.pt", "a1111_pt", word, width=width)
    return {path.stem: str(path) for path in folder.iterdir()}


@pytest.fixture(scope="module")
def maker() -> SamplingMaker:
    return SamplingMaker("cpu")


def sample(**fields: Any) -> Sample:
    sources = Sources(**{"t2i": str(GOLDEN / "t2i"), "t2v": str(GOLDEN / "animatediff"), **fields})
    fixed: dict[str, Any] = {"negative_prompt": "", "frames": 2, "width": 32, "height": 32, "fps": 8, "seed": 1}
    return Sample(prompt="a cat", plan=PLAN, sources=sources, **fixed)


def clip(maker: SamplingMaker, **fields: Any) -> np.ndarray:
    items = maker.make(sample(**fields))
    return np.stack([item.pixels for item in items if isinstance(item, Picture)])


def lora(path: str, weight: float) -> dict[str, Any]:
    return {"loras": (Lora(path=path, weight=weight),)}


def test_a_base_may_name_the_schedules_that_the_sampler_knows() -> None:
    assert set(get_args(ScheduleName)) == set(KNOWN)


def test_all_of_an_order_reaches_the_sampler(files: Files, maker: SamplingMaker) -> None:
    made = clip(
        maker,
        vae=files["vae"],
        prediction_type="v_prediction",
        t2v_loras=(Lora(path=files["motion"], weight=0.8),),
        t2v_text=str(GOLDEN / "zeroscope"),
        t2v_schedule="lightning",
        **lora(files["style"], 0.5),
        loras_on_t2v=True,
        embeddings=(files["cat"],),
    )
    models = load_models(
        Sources.of(
            GOLDEN / "t2i",
            GOLDEN / "animatediff",
            vae=Path(files["vae"]),
            prediction_type="v_prediction",
            t2v_loras=[(Path(files["motion"]), 0.8)],
            t2v_text=GOLDEN / "zeroscope",
            t2v_schedule="lightning",
        )
    )
    models = models.with_embeddings([Path(files["cat"])])
    models = models.with_loras([(Path(files["style"]), 0.5)], on_t2v=True)
    steps = elevate(models, prompt="a cat", plan=PLAN, frames=2, height=32, width=32, seed=1)
    assert np.array_equal(made, np.stack([step.frame[1] for step in steps if step.frame]))


def test_what_makes_another_pair_of_models_is_read_and_no_more(files: Files) -> None:
    maker = SamplingMaker("cpu")
    changes: list[tuple[dict[str, Any], int]] = [
        ({}, 4),
        ({"vae": files["vae"]}, 1),
        ({"prediction_type": "v_prediction"}, 0),
        ({"t2v_loras": (Lora(path=files["motion"], weight=1.0),)}, 0),
        ({"t2v_loras": (Lora(path=files["motion"], weight=0.5),)}, 0),
        ({"t2v_text": str(GOLDEN / "zeroscope")}, 1),
        ({"t2v_schedule": "lightning"}, 0),
        ({"t2v": str(GOLDEN / "zeroscope")}, 1),  # its text encoder is there
        ({"t2i": str(shutil.copytree(GOLDEN / "t2i", Path(files["vae"]).parent / "t2i"))}, 3),
    ]
    clips = []
    for change, networks in changes:
        before = maker.loads
        clips.append(clip(maker, **change))
        loads = maker.loads
        assert loads - before == networks, change
        assert np.array_equal(clip(maker, **change), clips[-1])
        assert maker.loads == loads, change
    assert len({made.tobytes() for made in clips[:-1]}) == len(clips) - 1, "each change shows"
    assert np.array_equal(clips[0], clips[-1]), "the same weights at another place"
    for (change, _), first in zip(changes, clips, strict=True):
        assert np.array_equal(clip(maker, **change), first), "no set has changed another"


def test_loras_and_embeddings_read_no_models(files: Files, maker: SamplingMaker) -> None:
    changes: list[dict[str, Any]] = [
        {},
        lora(files["style"], 1.0),
        lora(files["style"], 0.5),
        {**lora(files["style"], 0.5), "loras_on_t2v": True},
        {**lora(files["style"], 0.5), "embeddings": (files["cat"],)},
        {"embeddings": (files["cat"],)},
    ]
    clips = [clip(maker, **changes[0])]
    loads = maker.loads
    clips += [clip(maker, **change) for change in changes[1:]]
    assert len({made.tobytes() for made in clips}) == len(clips), "each change shows"
    assert np.array_equal(clip(maker, embeddings=(files["dog"],)), clips[0]), "the prompt names no dog"
    assert np.array_equal(clip(maker), clips[0])
    assert maker.loads == loads


def test_what_does_not_fit_is_said_and_the_next_job_goes_on(files: Files, maker: SamplingMaker) -> None:
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"embeddings": (files["wide"],)}, "wide"),
        ({"embeddings": (files["style"],)}, "not an embedding of one word"),
        (lora(files["cat"], 1.0), "no LoRA"),
        ({"t2v": str(GOLDEN / "zeroscope"), "loras_on_t2v": True, **lora(files["style"], 1.0)}, "LoRAs cannot go to"),
        ({"t2v_schedule": "ddim"}, "ddim"),
        ({"vae": files["style"]}, "style.safetensors"),
    ]
    for fields, says in wrong:
        with pytest.raises(BackendError, match=says) as error:
            clip(maker, **fields)
        assert error.value.code == "model_unfit"
        assert clip(maker).shape == (2, 32, 32, 3)
