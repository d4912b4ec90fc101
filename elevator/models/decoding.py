"""Latents to pixels. On CUDA frames are decoded in half precision, and the next is begun before one is read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from ..errors import NumericsError
from ..pixels import Pixels

HALF = torch.float16
"""In bfloat16, which has room for all numbers, a frame differs from float32's by up to 5 of 255; in float16 by 1."""


def decoded(vae: Any, z: Tensor, tile: int | None) -> Tensor:
    """What a VAE makes of latents (1, C, h, w), whole or in tiles: (1, 3, H, W)."""
    if tile is None or max(z.shape[-2:]) <= tile // factor(vae):
        whole: Tensor = vae.decode(z).sample
        return whole
    vae.tile_sample_min_size, vae.tile_latent_min_size = tile, tile // factor(vae)
    tiled: Tensor = vae.tiled_decode(z).sample
    return tiled


def factor(network: Any) -> int:
    """How much smaller the innermost level of a UNet or VAE is: every down block but the last halves."""
    return int(2 ** (len(network.config.down_block_types) - 1))


class Decoder:
    """A VAE's decoder, whose weights are float32: in half precision some VAEs' numbers grow too large.

    Such a one is found out by its first frame, which is decoded again in float32, as are all after it.
    """

    def __init__(self, vae: Any, half: bool) -> None:
        """half: whether to compute in half precision where the VAE allows it."""
        self._vae = vae
        self.half = half

    @torch.inference_mode()
    def begin(self, latents: Tensor, tile: int | None = None) -> Callable[[], Pixels]:
        """Begin with a frame, (C, h, w); what is returned waits for it and gives (H, W, 3).

        Raises NumericsError there. See `Models.decode`.
        """
        z = latents[None].float() / self._vae.config.scaling_factor
        half = self.half
        pixels, fit = self._picture(z, tile, half)

        def wait() -> Pixels:
            if fit:
                return pixels.cpu().numpy()
            if not half:
                raise NumericsError("The VAE gave numbers that are not finite while decoding; check its files.")
            self.half = False
            return self.begin(latents, tile)()

        return wait

    def _picture(self, z: Tensor, tile: int | None, half: bool) -> tuple[Tensor, Tensor]:
        """(H, W, 3) uint8 where the VAE lies, and whether all of it was finite."""
        with torch.autocast(z.device.type, HALF, enabled=half):
            picture = decoded(self._vae, z, tile)[0].float()
        colours = ((picture / 2 + 0.5).clamp(0, 1) * 255).round()
        return colours.to(torch.uint8).permute(1, 2, 0).contiguous(), torch.isfinite(picture).all()


def in_turn(begin: Callable[[Tensor], Callable[[], Pixels]], clip: Tensor, ahead: int) -> Iterator[Pixels]:
    """The frames of a clip, (F, C, h, w), each with so many after it begun."""
    waiting: deque[Callable[[], Pixels]] = deque()
    for latents in clip:
        waiting.append(begin(latents))
        if len(waiting) > ahead:
            yield waiting.popleft()()
    yield from (wait() for wait in waiting)
