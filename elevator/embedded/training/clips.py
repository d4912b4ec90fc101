"""Making the clips that the evaluation looks at, with the product's own sampler."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from elevator import Models, Plan, Sources, elevate, load_models
from elevator.presets import FILE_NAME, read_presets
from elevator.study.making import t2v_alone

from ..small_world.world import CLIP_FRAMES, FRAME_PX
from .prompts import EvaluationPrompt
from .store import Folders

PUBLISHED = read_presets(Folders().weights / "zeroscope" / FILE_NAME)["published"].plan
"""The paper's chain, shortened to the models' needs."""


@dataclass(frozen=True)
class ClipKind:
    """One way of making a clip."""

    name: str
    t2v: str = "zeroscope"
    """Folder of the T2V."""
    frames: int = CLIP_FRAMES
    refine: bool = True
    preset: str = "published"
    alone: bool = False
    """The T2V without the T2I."""
    lora: str | None = None
    lora_weight: float = 1.0
    distilled: bool = False
    """With the LCM-LoRA, by LCM steps."""


def sample(models: Models, kind: ClipKind, prompt: EvaluationPrompt) -> NDArray[np.uint8]:
    """The clip (f, 64, 64, 3) of a prompt."""
    if kind.alone:
        return np.stack([*t2v_alone(models, PUBLISHED, prompt.text, prompt.seed, CLIP_FRAMES, FRAME_PX, FRAME_PX)])
    chosen = PUBLISHED if kind.preset == "published" else models.presets[kind.preset].plan
    plan = chosen if kind.refine else Plan(chosen.steps, (), 1, chosen.alpha, chosen.guidance)
    steps = elevate(
        models, prompt=prompt.text, plan=plan, seed=prompt.seed, frames=kind.frames, height=FRAME_PX, width=FRAME_PX
    )
    return np.stack([step.frame[1] for step in steps if step.frame is not None])


def clip_file(out: Path, kind: ClipKind, index: int) -> Path:
    """Where a clip lies: a strip of its frames, side by side."""
    return out / "clips" / kind.name / f"{index:03d}.png"


def read_clip(path: Path) -> NDArray[np.uint8]:
    """The frames (f, 64, 64, 3) of a strip."""
    strip = np.asarray(Image.open(path).convert("RGB"))
    return np.stack(np.split(strip, strip.shape[1] // FRAME_PX, axis=1))


@lru_cache(maxsize=1)
def _models(weights: Path, t2v: str, distilled: bool) -> Models:
    if not distilled:
        return load_models(Sources.of(weights / "t2i", weights / t2v))
    return load_models(Sources.of(weights / "t2i", weights / t2v, distilled="lcm", loras=[(weights / "lcm", 1.0)]))


def _make(job: tuple[Path, Path, ClipKind, int, EvaluationPrompt]) -> Path:
    weights, out, kind, index, prompt = job
    torch.set_num_threads(1)
    models = _models(weights, kind.t2v, kind.distilled)
    if kind.lora is not None:
        models = models.with_loras(((weights / "loras" / kind.lora, kind.lora_weight),))
    path = clip_file(out, kind, index)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part.png")
    Image.fromarray(np.concatenate(list(sample(models, kind, prompt)), axis=1)).save(temporary)
    temporary.replace(path)
    return path


def make_clips(
    weights: Path,
    out: Path,
    kinds: Iterable[tuple[ClipKind, list[int]]],
    prompts: list[EvaluationPrompt],
    processes: int,
) -> None:
    """Sample every clip that is not there yet, one process a core with one thread each."""
    jobs = [
        (weights, out, kind, index, prompts[index])
        for kind, indexes in kinds
        for index in indexes
        if not clip_file(out, kind, index).exists()
    ]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        for done, path in enumerate(pool.map(_make, jobs), 1):
            print(f"{done}/{len(jobs)} {path.parent.name}/{path.name}", flush=True)
