"""Prompts of any length as chunks that CLIP can read, and the weights of their tokens.

Source: AUTOMATIC1111's web UI, for which shared prompts are written: chunks end at a comma where one is near, hidden
states are multiplied by their token's weight, and then scaled so that their mean is what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

LOOK_BACK = 20
"""The last tokens of a full chunk, among which a comma ends it."""


@dataclass(frozen=True)
class TokenRun:
    """Tokens that stay together, and their weight."""

    ids: tuple[int, ...]
    weight: float


def cut(runs: Iterable[TokenRun], room: int, comma: tuple[int, ...]) -> list[list[TokenRun]]:
    """The runs in chunks of at most `room` tokens, which none of them may exceed; at least one chunk.

    A chunk that is full ends after the last comma among its last `LOOK_BACK` tokens, if there is one and the next
    run is none itself. Chunks too short for that look back over half of themselves.
    """
    chunks: list[list[TokenRun]] = []
    chunk: list[TokenRun] = []
    for run in runs:
        while chunk and _tokens(chunk) + len(run.ids) > room:
            end = len(chunk) if run.ids == comma else _phrase_end(chunk, min(LOOK_BACK, room // 2), comma)
            chunks.append(chunk[:end])
            chunk = chunk[end:]
        chunk.append(run)
    return [*chunks, chunk]


def _phrase_end(chunk: Sequence[TokenRun], look_back: int, comma: tuple[int, ...]) -> int:
    """How many runs of a chunk to keep so that it ends at a comma near its end, or all of them."""
    for count in range(len(chunk), 0, -1):
        if _tokens(chunk[count:]) >= look_back:
            break
        if chunk[count - 1].ids == comma:
            return count
    return len(chunk)


def _tokens(runs: Iterable[TokenRun]) -> int:
    return sum(len(run.ids) for run in runs)


def padded(rows: Sequence[Sequence[float]], length: int, value: float) -> Tensor:
    """Rows of at most `length` numbers, filled up with `value`: (rows, length)."""
    return torch.tensor([[*row, *[value] * (length - len(row))] for row in rows])


def weighted(hidden: Tensor, weights: Tensor) -> Tensor:
    """Hidden states (k, L, D) of k chunks times weights (k, L), each chunk's mean restored; weights of 1 are exact.

    A mean is restored only if most tokens' means have its sign. A text encoder whose means cancel out has none that
    would tell a scale, and the quotient of two numbers near zero would blow the states up or turn their signs.
    """
    states = hidden.float()
    scaled = states * weights[..., None]
    means = states.mean(dim=2)
    before, after = states.mean(dim=(1, 2)), scaled.mean(dim=(1, 2))
    agree = before.abs() > means.abs().mean(dim=1) / 2
    scale = torch.where(agree, before / after, 1)
    return (scaled * scale[:, None, None]).to(hidden.dtype)
