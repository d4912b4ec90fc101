"""The fixed prompts and seeds of the study: `prompts.json`, committed before anything was measured.

`python -m elevator.study.prompts` writes the file anew; the list is a function of the world alone. For each subject two
prompts are for the study and one for the calibration, and a third of all are of subjects on backgrounds that training
never showed together. They are shuffled, and motions come in turn, so that the first few are as mixed as all.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..embedded.small_world.captions import full_caption, random_caption
from ..embedded.small_world.world import (
    MOTIONS,
    SUBJECTS,
    Scene,
    held_out_backgrounds,
    scene_of,
    trained_backgrounds,
)
from ..errors import RequestError

FILE = Path(__file__).with_name("prompts.json")
USES = ("study", "study", "calibration")
"""Of the prompts of each subject."""
SEEDS = 2
"""Clips of each prompt."""


@dataclass(frozen=True)
class StudyPrompt:
    """A prompt, its seeds, and what a clip of it must show, if that is known."""

    text: str
    seeds: tuple[int, ...]
    subject: str | None = None
    background: str | None = None
    motion: str | None = None
    held_out: bool = False
    """Whether training never showed this subject on this background."""
    use: str = "study"

    @property
    def scene(self) -> Scene | None:
        """The scene without accidents of place, size and light; None where nobody knows it."""
        if self.subject is None or self.background is None or self.motion is None:
            return None
        return scene_of(self.subject, self.background, self.motion)


def all_prompts() -> list[StudyPrompt]:
    """Every prompt; motions in turn, every other one in free words."""
    rng = np.random.default_rng(2403_05438)
    prompts: list[StudyPrompt] = []
    for i in range(len(SUBJECTS)):
        for k in range(len(USES)):
            prompts.append(_prompt(i, k, {prompt.background for prompt in prompts[len(prompts) - k :]}, rng))
    return _mixed([prompts[k] for k in rng.permutation(len(prompts))])


def _mixed(prompts: list[StudyPrompt]) -> list[StudyPrompt]:
    """The prompts of each use with every motion once before any comes again."""
    seen: Counter[tuple[str, str | None]] = Counter()
    rounds = []
    for prompt in prompts:
        seen[prompt.use, prompt.motion] += 1
        rounds.append(seen[prompt.use, prompt.motion])
    return [prompts[k] for k in sorted(range(len(prompts)), key=rounds.__getitem__)]


def _prompt(i: int, k: int, taken: set[str | None], rng: np.random.Generator) -> StudyPrompt:
    """The k-th prompt of the i-th subject, on a background that its other prompts do not have."""
    subject = SUBJECTS[i]
    held_out = k == i % len(USES)
    backgrounds = held_out_backgrounds(subject) if held_out else trained_backgrounds(subject)
    backgrounds = [each for each in backgrounds if each.name not in taken]
    background = backgrounds[rng.integers(len(backgrounds))]
    motion = MOTIONS[(i + (i + 2 * k) // 3 + 3 * k) % len(MOTIONS)]
    scene = Scene(subject, background, motion)
    text = full_caption(scene) if (i + k) % 2 == 0 else random_caption(scene, rng, whole=True)
    seeds = tuple(int(seed) for seed in rng.integers(2**31, size=SEEDS))
    return StudyPrompt(text, seeds, subject.name, background.name, motion.name, held_out, USES[k])


def read_prompts(path: Path | None = None) -> list[StudyPrompt]:
    """The prompts of a file, or the committed ones of the study.

    A file is a text with a prompt a line, or a JSON list of objects with the fields of `StudyPrompt`, of which only
    `text` is needed. Prompts without seeds have 1 and 2. Raises RequestError for what is neither.
    """
    file = path or FILE
    try:
        content = file.read_text("utf-8-sig")
        entries = json.loads(content) if file.suffix == ".json" else [{"text": each} for each in content.splitlines()]
        prompts = [_read(entry) for entry in entries if not isinstance(entry, dict) or entry.get("text", "").strip()]
    except OSError as error:
        raise RequestError(f"{file} cannot be read ({error.strerror}); choose a text with a prompt a line.") from error
    except (ValueError, TypeError, AttributeError, StopIteration) as error:
        raise RequestError(
            f"{file} is no list of prompts; write a prompt a line, or a JSON list of objects with a text each."
        ) from error
    if len({prompt.text for prompt in prompts}) < len(prompts):
        raise RequestError(f"{file} has a prompt twice; leave one of them out, and give it more seeds.")
    chosen = [prompt for prompt in prompts if prompt.use == "study"] if path is None else prompts
    if not chosen:
        raise RequestError(f"{file} holds no prompt; write one a line.")
    return chosen


def calibration_prompts() -> list[StudyPrompt]:
    """The committed prompts that the study does not use."""
    return [_read(entry) for entry in json.loads(FILE.read_text("utf-8")) if entry["use"] == "calibration"]


def _read(entry: dict[str, Any]) -> StudyPrompt:
    prompt = StudyPrompt(**{**entry, "text": entry["text"].strip(), "seeds": tuple(entry.get("seeds", (1, 2)))})
    _ = prompt.scene  # raises for names that are not of this world
    return prompt


def write_prompts() -> None:
    """Write `prompts.json`, one prompt a line."""
    lines = ",\n".join(json.dumps(vars(prompt), ensure_ascii=False) for prompt in all_prompts())
    FILE.write_text(f"[\n{lines}\n]\n", "utf-8")


if __name__ == "__main__":
    write_prompts()
