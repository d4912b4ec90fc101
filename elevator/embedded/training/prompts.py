"""The fixed prompts and seeds of the evaluation: `prompts.json`, committed before anything was measured.

A third of the prompts are of subjects on backgrounds that training never showed together, whatever the motion.
`python -m elevator.embedded.training.prompts` writes the file anew; the list is a function of the world alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..small_world.captions import full_caption, random_caption
from ..small_world.world import MOTIONS, SUBJECTS, Scene, held_out_backgrounds, scene_of, trained_backgrounds

FILE = Path(__file__).with_name("prompts.json")
_PER_SUBJECT = 4


@dataclass(frozen=True)
class EvaluationPrompt:
    """A prompt, its seed, and what a clip of it must show."""

    text: str
    seed: int
    subject: str
    background: str
    motion: str
    held_out: bool
    """Whether training never showed this subject on this background."""

    @property
    def scene(self) -> Scene:
        """The scene without accidents of place, size and light."""
        return scene_of(self.subject, self.background, self.motion)


def all_prompts() -> list[EvaluationPrompt]:
    """Four prompts for each subject: one or two held out, motions in turn, every other one in free words."""
    rng = np.random.default_rng(2024)
    prompts = []
    for i, subject in enumerate(SUBJECTS):
        unseen, seen = held_out_backgrounds(subject), trained_backgrounds(subject)
        order = rng.permutation(len(seen))
        for k in range(_PER_SUBJECT):
            held_out = k == 0 or (k == 1 and i % 3 == 0)
            background = unseen[k] if held_out else seen[order[k]]
            scene = Scene(subject, background, MOTIONS[(_PER_SUBJECT * i + k + i // 7) % len(MOTIONS)])
            text = full_caption(scene) if k % 2 == 0 else random_caption(scene, rng, whole=True)
            seed = int(rng.integers(2**31))
            prompts.append(EvaluationPrompt(text, seed, subject.name, background.name, scene.motion.name, held_out))
    return prompts


def read_prompts() -> list[EvaluationPrompt]:
    """The committed prompts."""
    return [EvaluationPrompt(**entry) for entry in json.loads(FILE.read_text("utf-8"))]


def write_prompts() -> None:
    """Write `prompts.json`, one prompt a line."""
    lines = ",\n".join(json.dumps(vars(prompt), ensure_ascii=False) for prompt in all_prompts())
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    write_prompts()
