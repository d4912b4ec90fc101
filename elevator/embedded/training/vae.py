"""Training the VAE: both halves together, later the decoder alone.

After the joint stage the encoder is frozen for ever, so that latents stay valid.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import torch
from diffusers import AutoencoderKL
from numpy.typing import NDArray
from torch import Tensor, nn

from ..small_world.judge import to_tensor
from ..small_world.pictures import SubjectSource
from ..small_world.styles import STYLES, washed_out
from ..small_world.world import Frame, random_scene, render
from .precision import half_precision
from .preview import save_sheet, to_pixels

_KL_WEIGHT = 1e-4


def vae_frames(source: SubjectSource, count: int, seed: int) -> NDArray[np.uint8]:
    """Frames (count, 64, 64, 3): half crisp, the other half washed out, recoloured, or in one of the styles.

    Styles have colours that the crisp world lacks. With few of them among the frames they come back in
    other colours, and no LoRA can mend that.
    """
    rng = np.random.default_rng(seed)
    others: list[Callable[[Frame], Frame]] = [washed_out, lambda frame: recoloured(frame, rng), *STYLES.values()]
    frames = []
    for _ in range(count):
        frame = render(random_scene(rng), float(rng.uniform()), source)
        kind = int(rng.integers(2 * len(others)))
        frames.append(others[kind](frame) if kind < len(others) else frame)
    return np.stack(frames)


def recoloured(frame: Frame, rng: np.random.Generator) -> Frame:
    """The frame (64, 64, 3) with other hues, another saturation and another brightness."""
    colours = cv2.cvtColor(frame, cv2.COLOR_RGB2HSV).astype(np.float32)
    colours[..., 0] = (colours[..., 0] + rng.uniform(0, 180)) % 180
    colours[..., 1] *= rng.uniform(0.1, 1.2)
    colours[..., 2] *= rng.uniform(0.4, 1.1)
    return np.asarray(cv2.cvtColor(np.clip(colours, 0, 255).astype(np.uint8), cv2.COLOR_HSV2RGB))


def subject_weight(images: Tensor) -> Tensor:
    """(b, 1, h, w): 1 on the background, 4 on what differs from its row's median.

    A subject covers a seventh of a frame. Without this, colours of subjects come late:
    frogs stay orange for a thousand steps.
    """
    difference = (images - images.median(-1, keepdim=True).values).abs().mean(1, keepdim=True)
    return 1 + 3 * (difference > 0.1).float()


def reconstruction_loss(output: Tensor, target: Tensor) -> Tensor:
    """L1 + half MSE + half L1 of the gradients; all (b, 3, 64, 64)."""
    difference = (output - target) * subject_weight(target)
    across = (difference[..., 1:] - difference[..., :-1]).abs().mean()
    down = (difference[..., 1:, :] - difference[..., :-1, :]).abs().mean()
    return difference.abs().mean() + 0.5 * difference.square().mean() + 0.5 * (across + down)


class TrainableVae:
    """A part for the training loop; `decoder_only` keeps the encoder as it is."""

    def __init__(self, vae: AutoencoderKL, frames: NDArray[np.uint8], batch: int, decoder_only: bool = False) -> None:
        self.vae, self.frames, self.batch, self.decoder_only = vae, frames, batch, decoder_only
        vae.train()

    def trained(self) -> dict[str, nn.Parameter]:
        frozen = ("encoder.", "quant_conv.") if self.decoder_only else ()
        return {n: p for n, p in self.vae.named_parameters() if not n.startswith(frozen)}

    def rate_factor(self, name: str) -> float:
        return 1.0

    def loss(self, generator: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        index = torch.randint(len(self.frames), (self.batch,), generator=generator)
        images = to_tensor(self.frames[index.numpy()])
        with torch.set_grad_enabled(not self.decoder_only):
            posterior = self.vae.encode(images).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=generator)
        latents = posterior.mean.float() + posterior.std.float() * noise
        output = self.vae.decode(latents).sample.float()
        loss = reconstruction_loss(output, images)
        mse = float((output.detach().clamp(-1, 1) - images).square().mean()) / 4
        if not self.decoder_only:
            loss = loss + _KL_WEIGHT * posterior.kl().float().mean() / latents[0].numel()
        return loss, {"psnr": -10 * float(np.log10(mse))}

    def preview(self, picture: Path) -> str:
        frames = self.frames[:16]
        images = to_tensor(frames)
        decoded = self.vae.decode(self.vae.encode(images).latent_dist.mean).sample
        error = float((decoded.clamp(-1, 1) - images).square().mean()) / 4
        save_sheet([frames[:8], to_pixels(decoded[:8]), frames[8:], to_pixels(decoded[8:])], picture)
        return f"psnr of means {-10 * np.log10(error):.2f} dB"


@torch.no_grad()
def encode_frames(vae: AutoencoderKL, frames: NDArray[np.uint8], batch: int = 64) -> Tensor:
    """Unscaled latent means (n, 4, 16, 16) of frames (n, 64, 64, 3)."""
    vae.eval()
    with half_precision():
        chunks = [
            vae.encode(to_tensor(frames[i : i + batch])).latent_dist.mean.float() for i in range(0, len(frames), batch)
        ]
    return torch.cat(chunks)


def scaling_factor(latents: Tensor) -> float:
    """What brings latents to unit standard deviation."""
    return round(float(1 / latents.std()), 5)
