"""Starting noise whose frames resemble each other, drawn so that a clip's length changes no frame."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence

import torch
from torch import Tensor


def draw(seed: int, stream: str, shape: Sequence[int], index: int = 0) -> Tensor:
    """Standard normal numbers (float32, CPU) that depend on seed, stream name and index alone.

    Each (stream, index) has its own generator, so draws neither shift nor correlate when others are added;
    drawing on the CPU gives every device the same noise.
    """
    digest = hashlib.blake2b(f"{seed}/{stream}/{index}".encode(), digest_size=8).digest()
    generator = torch.Generator().manual_seed(int.from_bytes(digest, "big") >> 1)
    return torch.randn(tuple(shape), generator=generator)


def frame_noise(seed: int, stream: str, frames: int, shape: Sequence[int]) -> Tensor:
    """Independent noise per frame, (F, *shape); frame k is the same in a clip of any length."""
    return torch.stack([draw(seed, stream, shape, k) for k in range(frames)])


def mix(shared: Tensor, residual: Tensor, alpha: float) -> Tensor:
    """(a·ε_shared + ε_frame) / √(1+a²): unit variance, correlation a²/(1+a²) between frames.

    shared: (1, C, h, w); residual: (F, C, h, w). Source: VideoElevator, implementation details.
    """
    return (alpha * shared + residual) / math.sqrt(1 + alpha**2)


def starting_noise(seed: int, alpha: float, frames: int, shape: Sequence[int]) -> Tensor:
    """The chain's first latents, (F, C, h, w)."""
    return mix(draw(seed, "shared", shape)[None], frame_noise(seed, "frame", frames, shape), alpha)


def chain_noise(seed: int, frames: int, shape: Sequence[int], purpose: str, n: int, k: int = 0) -> Tensor:
    """What a chain draws on its way, (F, C, h, w): see `Noise`."""
    stream = f"{purpose} {n}" + (f" step {k}" if k else "")
    return frame_noise(seed, stream, frames, shape)


def lcm_noise(seed: int, alpha: float, frames: int, shape: Sequence[int], n: int) -> Tensor:
    """What the T2I's n-th step adds where it is an LCM, (F, C, h, w): frames resemble each other as at the start."""
    stream = f"lcm step {n}"
    return mix(draw(seed, f"{stream} shared", shape)[None], frame_noise(seed, stream, frames, shape), alpha)
