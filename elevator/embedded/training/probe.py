"""The go/no-go of T2V training, in seconds and without sampling a clip.

One step from pure noise at t = 999. There the best prediction is the mean of all clips of
the caption; with fixed phases that is a moving blob. Compared with the mean latents of
rendered clips: how much of the change between frames is explained (R squared), with the
right motion word and with a wrong one.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor

from ..small_world.captions import full_caption
from ..small_world.pictures import SubjectSource
from ..small_world.styles import filter_clip, washed_out
from ..small_world.world import BACKGROUNDS, MOTIONS, SUBJECTS, Motion, Scene, render_clip
from .precision import half_precision
from .preview import to_pixels
from .vae import encode_frames

_OPPOSITE = {
    "left": "right", "right": "left", "up": "down", "down": "up", "grow": "shrink",
    "shrink": "grow", "still": "left",
}  # fmt: skip
_PAIRS = ((0, "blue"), (3, "green"), (10, "purple"), (15, "red"))

_TARGETS: dict[str, Tensor] = {}


def prepare_probe(vae: AutoencoderKL, source: SubjectSource) -> None:
    """Render and encode what the probe compares with: clips without jitter."""
    for scene in _scenes():
        frames = filter_clip(render_clip(scene, source), washed_out)
        latents = encode_frames(vae, frames) * vae.config.scaling_factor
        _TARGETS[full_caption(scene)] = latents


def _scenes(motions: tuple[Motion, ...] = MOTIONS) -> list[Scene]:
    backgrounds = {background.name: background for background in BACKGROUNDS}
    return [
        Scene(SUBJECTS[subject], backgrounds[background], motion)
        for subject, background in _PAIRS
        for motion in motions
        if motion.name != "still"
    ]


def _opposite(scene: Scene) -> Scene:
    motions = {motion.name: motion for motion in MOTIONS}
    return Scene(scene.subject, scene.background, motions[_OPPOSITE[scene.motion.name]])


def motion_probe(
    predict_clean: Callable[[list[str], Tensor], Tensor], vae: AutoencoderKL
) -> tuple[str, list[NDArray[np.uint8]]]:
    """A line of figures, and rows of every second frame of four predicted means."""
    scenes = _scenes()
    noise = torch.randn((1, 16, 4, 16, 16), generator=torch.Generator().manual_seed(7))
    predictions = {}
    for scene in scenes:
        caption = full_caption(scene)
        with half_precision():
            predictions[caption] = predict_clean([caption], noise)[0].float()
    right: dict[str, float] = {}
    wrong: dict[str, float] = {}
    for scene in scenes:
        caption, other = full_caption(scene), full_caption(_opposite(scene))
        name = scene.motion.name
        right[name] = right.get(name, 0) + _r2(predictions[caption], _TARGETS[caption]) / len(_PAIRS)
        wrong[name] = wrong.get(name, 0) + _r2(predictions[other], _TARGETS[caption]) / len(_PAIRS)
    line = "R2 right/wrong word: " + "  ".join(f"{name} {right[name]:.2f}/{wrong[name]:.2f}" for name in right)
    shown = [full_caption(scene) for scene in scenes[:4]]
    scale = vae.config.scaling_factor
    rows = [to_pixels(vae.decode(predictions[caption] / scale).sample)[::2] for caption in shown]
    return line, rows


def _r2(prediction: Tensor, target: Tensor) -> float:
    """Explained share of the change between frames, latents (f, 4, h, w)."""
    change = target - target.mean(0)
    error = change - (prediction - prediction.mean(0))
    return 1 - float(error.square().sum() / change.square().sum())
