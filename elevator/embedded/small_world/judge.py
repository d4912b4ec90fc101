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
from safetensors.torch import load_file
from torch import Tensor, nn

from .styles import STYLES, washed_out
from .world import BACKGROUNDS, SUBJECTS, Frame

LOOKS: dict[str, Callable[[Frame], Frame] | None] = {"crisp": None, "washed_out": washed_out, **STYLES}
FEATURES = 128
FILE = "model.safetensors"
"""In the judge's folder."""


def to_tensor(frames: NDArray[np.uint8]) -> Tensor:
    """uint8 (n, h, w, 3) to float32 (n, 3, h, w) in -1..1."""
    return torch.from_numpy(np.ascontiguousarray(frames)).permute(0, 3, 1, 2).float() / 127.5 - 1


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


def load_judge(folder: Path) -> Judge:
    """The committed judge, in float32."""
    judge = Judge()
    judge.load_state_dict({key: value.float() for key, value in load_file(folder / FILE).items()})
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
