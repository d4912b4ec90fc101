"""The committed weights: plain layout, small, and they do what a person expects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import StableDiffusionPipeline
from numpy.typing import NDArray
from safetensors import safe_open
from transformers import CLIPTextModel, CLIPTokenizer

from elevator.embedded.small_world.captions import full_caption, known_words
from elevator.embedded.small_world.styles import STYLES, washed_out
from elevator.embedded.small_world.tracks import bare, motion_of
from elevator.embedded.small_world.world import BACKGROUNDS, MOTIONS, SUBJECTS, Background, Scene
from elevator.embedded.training import export
from elevator.embedded.training.data import Encoded
from elevator.embedded.training.motion import TrainableMotion
from elevator.embedded.training.preview import to_pixels
from elevator.embedded.training.store import EMBEDDED, Folders, Store
from elevator.embedded.training.t2v import TrainableT2V
from elevator.embedded.training.text import direction_gate

pytestmark = pytest.mark.slow

WEIGHTS = EMBEDDED / "weights"
T2I, T2V = WEIGHTS / "t2i", WEIGHTS / "zeroscope"
COLOURS = {b.name: b for b in BACKGROUNDS}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pipeline() -> StableDiffusionPipeline:
    loaded = StableDiffusionPipeline.from_pretrained(T2I, dtype=torch.float32)
    loaded.set_progress_bar_config(disable=True)
    return loaded


def test_no_pickles_and_at_most_37_megabytes() -> None:
    files = [path for path in WEIGHTS.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} <= {".safetensors", ".json", ".txt", ".toml"}
    assert export.safetensors_bytes(WEIGHTS) <= 37_000_000
    for path in WEIGHTS.rglob("*.safetensors"):
        with safe_open(path, "pt") as file:
            for key in file.keys():  # noqa: SIM118
                assert file.get_tensor(key).dtype == torch.float16, f"{path.name}: {key}"


def test_known_words_are_listed() -> None:
    listed = (T2I / "known_words.txt").read_text("utf-8").split("\n")
    assert listed == [*known_words(), ""]


def test_both_models_share_schedule_and_tokenizer() -> None:
    for name in ("scheduler/scheduler_config.json", "tokenizer/vocab.json", "tokenizer/merges.txt"):
        assert (T2I / name).read_bytes() == (T2V / name).read_bytes(), name


def _backdrop(images: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Mean colour (n, 3) of the frames' left and right edges, where no subject is."""
    return np.concatenate([images[:, :, :4], images[:, :, -4:]], 2).mean((1, 2))


def test_backgrounds_are_as_prompted(pipeline: StableDiffusionPipeline) -> None:
    wanted = ["blue", "green", "red", "white", "purple", "night"]
    prompts = [f"a {s.name}, {COLOURS[w].phrases[0]}" for s, w in zip(SUBJECTS, wanted, strict=False)]
    images = pipeline(
        prompts,
        height=64,
        width=64,
        num_inference_steps=12,
        guidance_scale=2.2,
        output_type="np",
        generator=torch.Generator().manual_seed(0),
    ).images
    colours = _backdrop((images * 255).astype(np.uint8))
    references = np.stack([_backdrop(bare(b)[None])[0] for b in BACKGROUNDS])
    nearest = np.linalg.norm(colours[:, None] - references[None], axis=-1).argmin(1)
    assert [BACKGROUNDS[i].name for i in nearest] == wanted


def test_text_encoders_tell_directions_apart() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(T2I / "tokenizer")
    for folder in (T2I, T2V):
        text = CLIPTextModel.from_pretrained(folder / "text_encoder", dtype=torch.float32)
        assert direction_gate(text, tokenizer) > 0.2, folder.name


def _clips(t2v: str, scenes: list[Scene], seed: int, folder: Path) -> NDArray[np.uint8]:
    """T2V clips (n, 16, 64, 64, 3)."""
    store = Store(Folders(checkpoints=folder))
    make, models = {"zeroscope": (TrainableT2V, store.t2v), "animatediff": (TrainableMotion, store.motion)}[t2v]
    unet, text = models()
    part = make(unet, text, store.tokenizer(), store.vae(), Encoded([], torch.empty(0)))
    unet.eval()
    with torch.no_grad():
        clips = part.sample([full_caption(scene) for scene in scenes], seed, steps=8)
    return np.stack([to_pixels(clip) for clip in clips])


@pytest.mark.parametrize("t2v", ["zeroscope", pytest.param("animatediff", marks=pytest.mark.long)])
def test_t2v_clips_move_the_prompted_way(t2v: str, tmp_path: Path) -> None:
    """Four fixed prompts, one for each direction."""
    directed: list[tuple[str, Background]] = [("left", COLOURS["blue"]), ("right", COLOURS["green"])]
    directed += [("up", COLOURS["purple"]), ("down", COLOURS["blue"])]
    motions = {m.name: m for m in MOTIONS}
    subjects = {s.name: s for s in SUBJECTS}
    names = ("pumpkin", "apple", "star", "fish")
    scenes = [
        Scene(subjects[name], background, motions[motion])
        for name, (motion, background) in zip(names, directed, strict=True)
    ]
    clips = _clips(t2v, scenes, 3, tmp_path)
    seen = [motion_of(clip, s.background, washed_out) for clip, s in zip(clips, scenes, strict=True)]
    assert seen == [scene.motion.name for scene in scenes]


@pytest.mark.parametrize("style", sorted(STYLES))
def test_loras_load_and_change_the_picture(style: str, pipeline: StableDiffusionPipeline) -> None:
    def paint() -> NDArray[np.float32]:
        images = pipeline(
            "a pumpkin, blue background",
            height=64,
            width=64,
            num_inference_steps=8,
            guidance_scale=2.2,
            output_type="np",
            generator=torch.Generator().manual_seed(0),
        ).images
        return np.asarray(images, np.float32)

    folder: Path = WEIGHTS / "loras" / style
    plain = paint()
    pipeline.load_lora_weights(str(folder), weight_name="pytorch_lora_weights.safetensors")
    try:
        styled = paint()
    finally:
        pipeline.unload_lora_weights()
    assert np.abs(styled - plain).mean() > 0.03
