"""Training data: rendered scenes, encoded once by the frozen VAE encoder."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from .pictures import SubjectSource
from .vae import encode_frames
from .world import CLIP_FRAMES, MOTIONS, Frame, Motion, Scene, random_scene, render, render_clip


@dataclass(frozen=True)
class Encoded:
    """Scenes and their scaled latents: (n, 4, 16, 16) frames or (n, f, 4, 16, 16) clips."""

    scenes: list[Scene]
    latents: Tensor

    def pick(self, count: int, generator: torch.Generator) -> tuple[list[Scene], Tensor]:
        """A random batch."""
        index = torch.randint(len(self.scenes), (count,), generator=generator)
        return [self.scenes[i] for i in index.tolist()], self.latents[index].float()


def encoded_frames(
    vae: AutoencoderKL, source: SubjectSource, count: int, seed: int,
    style: Callable[[Frame], Frame] | None = None, chunk: int = 1024,
) -> Encoded:  # fmt: skip
    """Single frames at random moments of random motions."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    latents: list[Tensor] = []
    while len(scenes) < count:
        batch = [random_scene(rng) for _ in range(min(chunk, count - len(scenes)))]
        frames = [render(scene, float(rng.uniform()), source) for scene in batch]
        if style is not None:
            frames = [style(frame) for frame in frames]
        latents.append((encode_frames(vae, np.stack(frames)) * vae.config.scaling_factor).half())
        scenes += batch
    return Encoded(scenes, torch.cat(latents))


def encoded_clips(
    vae: AutoencoderKL, source: SubjectSource, count: int, seed: int,
    style: Callable[[Frame], Frame], motions: tuple[Motion, ...] = MOTIONS,
) -> Encoded:  # fmt: skip
    """Clips of 16 frames, painted through ``style``."""
    rng = np.random.default_rng(seed)
    scenes: list[Scene] = []
    latents: list[Tensor] = []
    for _ in range(count):
        scene = random_scene(rng, motions)
        frames = np.stack([style(frame) for frame in render_clip(scene, source)])
        latents.append((encode_frames(vae, frames) * vae.config.scaling_factor).half())
        scenes.append(scene)
    return Encoded(scenes, torch.stack(latents).view(count, CLIP_FRAMES, *latents[0].shape[1:]))
