"""Latents to colours by a linear map: a preview that costs nothing beside a network call."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from ..errors import ModelError
from ..pixels import Pixels

FILE_NAME = "latent_rgb.json"


@dataclass(frozen=True)
class LatentRgb:
    """colour = latent · factors + bias, in −1…1 like a VAE's output."""

    factors: tuple[tuple[float, float, float], ...]
    """One row of R, G, B per latent channel."""
    bias: tuple[float, float, float] = (0.0, 0.0, 0.0)

    def draft(self, latents: Tensor) -> Pixels:
        """(F, C, h, w) scaled latents, as the chain holds them, to (F, h, w, 3) uint8."""
        z = latents.detach().float().cpu().numpy()
        colour = np.einsum("fchw,cr->fhwr", z, np.asarray(self.factors)) + np.asarray(self.bias)
        return to_pixels(colour)

    def save(self, vae: Path) -> None:
        """Write `latent_rgb.json` into a VAE's folder."""
        content = {"factors": self.factors, "bias": self.bias}
        (vae / FILE_NAME).write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


STABLE_DIFFUSION = LatentRgb(
    ((0.298, 0.207, 0.208), (0.187, 0.286, 0.173), (-0.158, 0.189, 0.264), (-0.184, -0.271, -0.473))
)
"""Fitted to the VAE of Stable Diffusion 1.x, for latents scaled by .18215; published by the user keturn in "Decoding
latents to RGB without upscaling" (discuss.huggingface.co, topic 23204)."""


def fit(latents: Tensor, pictures: Tensor) -> LatentRgb:
    """The map of a VAE, by least squares over frames that it encoded.

    latents: (N, C, h, w), scaled as the chain holds them; pictures: (N, 3, H, W) in −1…1, H and W multiples of
    h and w. `LatentRgb.save` stores it beside the VAE.
    """
    height, width = latents.shape[-2:]
    small = adaptive_avg_pool2d(pictures.detach().float().cpu(), (height, width))
    z = latents.detach().float().cpu().movedim(1, -1).flatten(0, 2).numpy()
    ones = np.ones((len(z), 1), dtype=z.dtype)
    solution = np.linalg.lstsq(np.hstack([z, ones]), small.movedim(1, -1).flatten(0, 2).numpy(), rcond=None)[0]
    *factors, bias = solution.tolist()
    return LatentRgb(tuple(map(tuple, factors)), tuple(bias))


def to_pixels(colour: NDArray[np.floating]) -> Pixels:
    """−1…1 to 0…255, rounded."""
    return (np.clip(colour / 2 + 0.5, 0, 1) * 255).round().astype(np.uint8)


def latent_rgb(vae: Path | None, channels: int) -> LatentRgb | None:
    """The map in a VAE's folder, `latent_rgb.json`: {"factors": [[r, g, b] per channel], "bias": [r, g, b]}.

    Without folder or file: Stable Diffusion's map for 4 channels, None for others. Raises ModelError if it is broken.
    """
    path = None if vae is None else vae / FILE_NAME
    if path is None or not path.is_file():
        return STABLE_DIFFUSION if channels == 4 else None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        factors = np.asarray(content["factors"], dtype=float).reshape(channels, 3)
        bias = np.asarray(content.get("bias", (0, 0, 0)), dtype=float).reshape(3)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path} is not a preview map of {channels} channels; delete it or fit it again.") from error
    return LatentRgb(tuple(map(tuple, factors.tolist())), tuple(bias.tolist()))
