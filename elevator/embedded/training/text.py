"""Captions to embeddings, and the helper loss that teaches the encoder directions.

Single frames give "left" and "right" no meaning, so a text encoder trained with a T2I
alone reads them as the same. A linear head on the mean of the encoder's output has to
tell motion, subject and background of full captions; the head is thrown away.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional
from transformers import CLIPTextModel, CLIPTokenizer

from ..small_world.world import BACKGROUNDS, SUBJECTS, Scene
from .tokenizer import MAX_TOKENS


def tokens(tokenizer: CLIPTokenizer, captions: Sequence[str]) -> Tensor:
    """(b, 24) token ids, padded and cut to length."""
    batch = tokenizer(
        list(captions), padding="max_length", truncation=True, max_length=MAX_TOKENS,
        return_tensors="pt",
    )  # fmt: skip
    ids: Tensor = batch.input_ids
    return ids


def embed(model: CLIPTextModel, ids: Tensor) -> Tensor:
    """(b, 24, 128) hidden states of token ids (b, 24)."""
    states: Tensor = model(ids).last_hidden_state
    return states


class CaptionHead(nn.Module):
    """Reads (dx, dy, growth, spin), subject and background from a mean embedding (b, 128)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.read = nn.Linear(width, 4 + len(SUBJECTS) + len(BACKGROUNDS))

    def loss(self, states: Tensor, scenes: Sequence[Scene]) -> Tensor:
        """Squared error of the motion plus cross entropies; `states` (b, 24, 128)."""
        answers = self.read(states.mean(1)).float()
        effects = torch.tensor([scene.motion.effect for scene in scenes], dtype=torch.float32)
        subjects = torch.tensor([SUBJECTS.index(scene.subject) for scene in scenes])
        backgrounds = torch.tensor([BACKGROUNDS.index(scene.background) for scene in scenes])
        motion, subject, background = answers.split((4, len(SUBJECTS), len(BACKGROUNDS)), 1)
        return (
            4 * functional.mse_loss(motion, effects)
            + 0.5 * functional.cross_entropy(subject, subjects)
            + 0.5 * functional.cross_entropy(background, backgrounds)
        )


@torch.no_grad()
def direction_gate(model: CLIPTextModel, tokenizer: CLIPTokenizer) -> float:
    """Relative difference of the outputs for "left" and "right"; above .2 before any T2V."""
    captions = [
        f"a {name} moving {way}, blue background" for name in ("pumpkin", "cat", "car") for way in ("left", "right")
    ]
    states = embed(model, tokens(tokenizer, captions))
    left, right = states[0::2], states[1::2]
    return float((left - right).norm() / ((left.norm() + right.norm()) / 2))
