"""The judge: a small classifier that says what a frame shows, trained on true renders only.

It reads subject, background and look (crisp, washed out, or a style). Its features measure how far generated
frames are from true ones, as the features of Inception do for photographs (Heusel et al., arXiv 1706.08500).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional

from .pictures import SubjectSource
from .preview import save_sheet, to_tensor
from .styles import STYLES, washed_out
from .world import BACKGROUNDS, SUBJECTS, Frame, Scene, allowed_backgrounds, random_scene, render

LOOKS: dict[str, Callable[[Frame], Frame] | None] = {"crisp": None, "washed_out": washed_out, **STYLES}
FEATURES = 128
_FILE = "model.safetensors"


class Judge(nn.Module):
    """Frames (b, 3, 64, 64) in -1..1 to features (b, 128), and those to three answers."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 32, 64, 96, FEATURES)
        layers: list[nn.Module] = []
        for i, (before, after) in enumerate(pairwise(widths)):
            layers += [nn.Conv2d(before, after, 3, stride=1 if i == 0 else 2, padding=1)]
            layers += [nn.GroupNorm(8, after), nn.SiLU()]
            if i == 0:
                layers += [nn.AvgPool2d(2)]
        self.body = nn.Sequential(*layers)
        self.heads = nn.ModuleDict(
            {
                "subject": nn.Linear(FEATURES, len(SUBJECTS)),
                "background": nn.Linear(FEATURES, len(BACKGROUNDS)),
                "look": nn.Linear(FEATURES, len(LOOKS)),
            }
        )

    def features(self, images: Tensor) -> Tensor:
        """(b, 128): the strongest answer of each filter and its mean, half and half."""
        maps = self.body(images)
        half = FEATURES // 2
        return torch.cat([maps[:, :half].amax((2, 3)), maps[:, half:].mean((2, 3))], 1)

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.features(images)
        return {name: head(features) for name, head in self.heads.items()}


@dataclass(frozen=True, eq=False)
class Verdict:
    """What the judge reads in frames; everything has one row a frame."""

    subjects: list[str]
    backgrounds: list[str]
    looks: list[str]
    features: NDArray[np.float64]
    """(n, 128)"""


@torch.no_grad()
def read(judge: Judge, frames: NDArray[np.uint8]) -> Verdict:
    """The judge's answers for frames (n, 64, 64, 3)."""
    judge.eval()
    features = torch.cat([judge.features(to_tensor(frames[i : i + 64])) for i in range(0, len(frames), 64)])
    best = {name: head(features).argmax(1).tolist() for name, head in judge.heads.items()}
    looks = list(LOOKS)
    return Verdict(
        [SUBJECTS[i].name for i in best["subject"]],
        [BACKGROUNDS[i].name for i in best["background"]],
        [looks[i] for i in best["look"]],
        features.double().numpy(),
    )


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
    save_file({k: v.detach().half().contiguous() for k, v in judge.state_dict().items()}, folder / _FILE)


def load_judge(folder: Path) -> Judge:
    """The committed judge, in float32."""
    judge = Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(folder / _FILE).items()})
    return judge.eval()


def frechet_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Distance of two sets of features (n, 128) and (m, 128), taken as Gaussians; 0 for equal ones.

    |mean_a - mean_b|² + tr(A + B - 2 (A B)^½) (Heusel et al., equation 6). The trace of the root is the sum of the
    roots of the eigenvalues of A B, which are real and not negative for covariances.
    """
    difference = a.mean(0) - b.mean(0)
    cov_a, cov_b = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    roots = np.sqrt(np.clip(np.linalg.eigvals(cov_a @ cov_b).real, 0, None)).sum()
    return float(difference @ difference + np.trace(cov_a) + np.trace(cov_b) - 2 * roots)


def sharpness(frames: NDArray[np.uint8]) -> float:
    """Mean absolute Laplacian of the grey values of frames (n, h, w, 3), in grey levels."""
    gray = frames.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    around = gray[:, :-2, 1:-1] + gray[:, 2:, 1:-1] + gray[:, 1:-1, :-2] + gray[:, 1:-1, 2:]
    return float(np.abs(4 * gray[:, 1:-1, 1:-1] - around).mean())
