"""Training of the judge, on true renders only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from ..small_world.judge import FILE, LOOKS, Judge, read, to_tensor
from ..small_world.pictures import SubjectSource
from ..small_world.world import BACKGROUNDS, SUBJECTS, Scene, allowed_backgrounds, random_scene, render
from .preview import save_sheet


@dataclass(frozen=True, eq=False)
class Renders:
    """True frames (n, 64, 64, 3) and what they show."""

    frames: NDArray[np.uint8]
    scenes: list[Scene]
    looks: list[int]


def true_renders(source: SubjectSource, count: int, seed: int, crisp: float = 0.5) -> Renders:
    """Frames of scenes over all allowed backgrounds, the held-out ones too: a judge must know what it judges."""
    rng = np.random.default_rng(seed)
    filters = list(LOOKS.values())
    scenes, looks, frames = [], [], []
    for _ in range(count):
        scene = random_scene(rng, backgrounds=allowed_backgrounds)
        look = 0 if rng.random() < crisp else int(rng.integers(1, len(filters)))
        frame = render(scene, float(rng.uniform()), source)
        style = filters[look]
        scenes.append(scene)
        looks.append(look)
        frames.append(frame if style is None else style(frame))
    return Renders(np.stack(frames), scenes, looks)


class TrainableJudge:
    """The judge for the training loop."""

    def __init__(self, judge: Judge, renders: Renders, batch: int = 64) -> None:
        self.judge, self.renders, self.batch = judge, renders, batch
        scenes = renders.scenes
        self.answers = {
            "subject": torch.tensor([SUBJECTS.index(scene.subject) for scene in scenes]),
            "background": torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes]),
            "look": torch.tensor(renders.looks),
        }
        judge.train()

    def trained(self) -> dict[str, nn.Parameter]:
        return dict(self.judge.named_parameters())

    def rate_factor(self, name: str) -> float:
        return 1.0

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.renders.frames), (self.batch,), generator=generator)
        images = to_tensor(self.renders.frames[index.numpy()])
        # A little noise and light, so that the judge does not live on single grey levels.
        noise = torch.randn(images.shape, generator=generator)
        strength = 0.06 * torch.rand((self.batch, 1, 1, 1), generator=generator)
        light = 1 + 0.1 * (torch.rand((self.batch, 1, 1, 1), generator=generator) - 0.5)
        answers = self.judge(images * light + noise * strength)
        losses = {name: functional.cross_entropy(answers[name], right[index]) for name, right in self.answers.items()}
        return torch.stack(list(losses.values())).sum(), {name: float(loss.detach()) for name, loss in losses.items()}

    def preview(self, picture: Path) -> str:
        """The frames of a held-out set that are misread, up to 16; the shares that are read rightly."""
        count = min(512, len(self.renders.frames))
        verdict = read(self.judge, self.renders.frames[:count])
        self.judge.train()
        wrong = [i for i in range(count) if verdict.subjects[i] != self.renders.scenes[i].subject.name]
        shown = (wrong + list(range(16)))[:16]
        save_sheet([self.renders.frames[shown[:8]], self.renders.frames[shown[8:]]], picture)
        return f"subjects {1 - len(wrong) / count:.3f} of training frames"


def save_judge(judge: Judge, folder: Path) -> None:
    """Write `model.safetensors` in float16."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.detach().half().contiguous() for k, v in judge.state_dict().items()}, folder / FILE)
