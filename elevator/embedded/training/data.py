"""Training data: rendered scenes, encoded once by the frozen VAE encoder and kept on disk."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from safetensors.torch import load_file, save_file
from torch import Tensor

from ..small_world.pictures import SubjectSource
from ..small_world.styles import filter_clip
from ..small_world.world import CLIP_FRAMES, MOTIONS, Frame, Motion, Scene, random_scene, render, render_clip
from .vae import encode_frames

_CHUNK = 512  # frames


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
    vae: AutoencoderKL,
    source: SubjectSource,
    count: int,
    seed: int,
    style: Callable[[Frame], Frame] | None = None,
    cache: Path | None = None,
) -> Encoded:
    """Single frames at random moments of random motions."""
    rng = np.random.default_rng(seed)
    moments = [(random_scene(rng), float(rng.uniform())) for _ in range(count)]

    def paint(start: int) -> NDArray[np.uint8]:
        frames = [render(scene, u, source) for scene, u in moments[start : start + _CHUNK]]
        return np.stack(frames if style is None else [style(frame) for frame in frames])

    name = f"frames-{style.__name__ if style else 'crisp'}-{count}-{seed}"
    name = f"{name}-{_digest(repr([(_key(scene), u) for scene, u in moments]))}"
    latents = _encoded(vae, paint, count, _CHUNK, name, cache)
    return Encoded([scene for scene, _ in moments], latents)


def encoded_clips(
    vae: AutoencoderKL,
    source: SubjectSource,
    count: int,
    seed: int,
    style: Callable[[Frame], Frame],
    motions: tuple[Motion, ...] = MOTIONS,
    cache: Path | None = None,
) -> Encoded:
    """Clips of 16 frames, painted through `style`."""
    rng = np.random.default_rng(seed)
    scenes = [random_scene(rng, motions) for _ in range(count)]
    clips = _CHUNK // CLIP_FRAMES

    def paint(start: int) -> NDArray[np.uint8]:
        chosen = scenes[start : start + clips]
        return np.concatenate([filter_clip(render_clip(scene, source), style) for scene in chosen])

    name = f"clips-{style.__name__}-{'-'.join(m.name for m in motions)}-{count}-{seed}"
    name = f"{name}-{_digest(repr([_key(scene) for scene in scenes]))}"
    latents = _encoded(vae, paint, count, clips, name, cache)
    return Encoded(scenes, latents.view(count, CLIP_FRAMES, *latents.shape[1:]))


def _encoded(
    vae: AutoencoderKL,
    paint: Callable[[int], NDArray[np.uint8]],
    count: int,
    stride: int,
    name: str,
    cache: Path | None,
) -> Tensor:
    """Scaled float16 latents of all chunks, from the cache if this very encoder made them."""
    path = None if cache is None else cache / f"{name}-{_fingerprint(vae)}.safetensors"
    if path is not None and path.exists():
        stored: Tensor = load_file(path)["latents"]
        return stored
    chunks = [
        (encode_frames(vae, paint(start)) * vae.config.scaling_factor).half() for start in range(0, count, stride)
    ]
    latents = torch.cat(chunks).contiguous()
    if path is not None:
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file({"latents": latents}, path.with_suffix(".part"))
        os.replace(path.with_suffix(".part"), path)
    return latents


def _key(scene: Scene) -> tuple[object, ...]:
    """What decides how a scene looks."""
    names = scene.subject.name, scene.background.name, scene.motion.name
    return (*names, scene.shift_x, scene.shift_y, scene.size_factor, scene.light)


def _fingerprint(vae: AutoencoderKL) -> str:
    """Eight letters that change with the encoder."""
    weight = vae.encoder.conv_out.weight.detach().float().numpy()
    return _digest(repr((vae.config.scaling_factor, weight.tobytes())))


def _digest(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()[:8]
