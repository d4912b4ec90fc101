"""The prompts of a clip: one, or several that it travels through."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .errors import RequestError


@dataclass(frozen=True)
class Prompts:
    """What a clip shows, at one or more frames, and what it is to keep away from."""

    negative: str
    texts: tuple[str, ...]
    keyframes: tuple[int, ...] = (0,)
    """Ascending, one a text."""

    @classmethod
    def of(cls, prompt: str, negative: str, prompts: Mapping[int, str] | None, frames: int) -> Prompts:
        """One prompt, or those of a mapping from frame to text. Raises RequestError for both, none, or empty ones."""
        if not isinstance(negative, str):
            raise RequestError(f"The negative prompt is {negative!r}; give a text, or an empty one.")
        if prompts is None:
            if not isinstance(prompt, str) or not prompt.strip():
                raise RequestError("The prompt is empty; describe what the clip shows.")
            return cls(negative, (prompt,))
        if prompt:
            raise RequestError("Both a prompt and prompts by frame are given; leave one of them out.")
        if not isinstance(prompts, Mapping) or not prompts:
            raise RequestError("The prompts by frame are empty; give {frame: text}.")
        for frame, text in prompts.items():
            if not isinstance(frame, int) or isinstance(frame, bool) or not 0 <= frame < frames:
                raise RequestError(f"A prompt is for frame {frame!r}; choose 0 to {frames - 1}.")
            if not isinstance(text, str) or not text.strip():
                raise RequestError(f"The prompt for frame {frame} is empty; describe what the clip shows there.")
        ordered = sorted(prompts.items())
        return cls(negative, tuple(text for _, text in ordered), tuple(frame for frame, _ in ordered))

    def mixing(self, frames: int) -> Tensor | None:
        """How much of each text each frame reads, (F, P): in straight lines between keyframes; None for one text."""
        if len(self.texts) == 1:
            return None
        parts = np.eye(len(self.texts))
        columns = [np.interp(np.arange(frames), self.keyframes, column) for column in parts.T]
        return torch.tensor(np.stack(columns, axis=1), dtype=torch.float32)
