"""What true renders of the study's prompts are like: features and sharpness, committed as `renders.safetensors`.

So nobody who runs the study needs the emoji font. `python -m elevator.study.renders` writes the file anew, with it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save_file

from ..arguments import ArgumentParser
from ..embedded import WEIGHTS
from ..embedded.small_world.judge import load_judge, read, sharpness
from ..embedded.small_world.pictures import EmojiFont, SubjectSource, fetch_font
from ..embedded.small_world.styles import STYLES, filter_clip
from ..embedded.small_world.world import Scene, render_clip
from .prompts import FILE as PROMPTS
from .prompts import StudyPrompt, all_prompts

FILE = Path(__file__).with_name("renders.safetensors")
MOMENTS = 4
"""Frames of a clip whose features are kept, and that sheets show."""
CRISP, TWINS = "crisp", "twins"
"""Looks of renders beside the styles: as they are, and of the same scenes with other accidents."""


def moments(frames: int) -> list[int]:
    """The frames of a clip that count, from the first to the last at equal distances."""
    return [round(k * (frames - 1) / (MOMENTS - 1)) for k in range(MOMENTS)]


@dataclass(frozen=True, eq=False)
class Renders:
    """True renders of every committed prompt."""

    features: dict[str, dict[str, NDArray[np.float64]]]
    """Look → prompt → (4, 128)."""
    sharpness: dict[str, dict[str, float]]
    """Look → prompt → grey levels."""


@cache
def read_renders() -> Renders:
    """The committed file."""
    tensors = load_file(FILE)
    texts = [entry["text"] for entry in json.loads(PROMPTS.read_text("utf-8"))]
    looks = [name.partition("/")[2] for name in tensors if name.startswith("features/")]
    return Renders(
        {look: dict(zip(texts, tensors[f"features/{look}"].astype(np.float64), strict=True)) for look in looks},
        {look: dict(zip(texts, tensors[f"sharpness/{look}"].tolist(), strict=True)) for look in looks},
    )


def write_renders(source: SubjectSource, path: Path = FILE) -> None:
    """Render every prompt in every look, and keep what the judge makes of it."""
    judge, prompts = load_judge(WEIGHTS / "judge"), all_prompts()
    tensors = {}
    rng = np.random.default_rng(2403_05438)
    accidents = [rng.uniform(-1, 1, 4) for _ in prompts]
    for look in (CRISP, TWINS, *STYLES):
        clips = []
        for prompt, shift in zip(prompts, accidents, strict=True):
            scene = _scene(prompt)
            clip = render_clip(_moved(scene, shift) if look == TWINS else scene, source)
            clips.append(filter_clip(clip, STYLES[look]) if look in STYLES else clip)
        features = [read(judge, clip[moments(len(clip))]).features for clip in clips]
        tensors[f"features/{look}"] = np.stack(features).astype(np.float16)
        tensors[f"sharpness/{look}"] = np.array([sharpness(clip) for clip in clips], np.float32)
    save_file(tensors, path)


def _scene(prompt: StudyPrompt) -> Scene:
    assert prompt.scene is not None
    return prompt.scene


def _moved(scene: Scene, shift: NDArray[np.float64]) -> Scene:
    """The scene with accidents as large as training's: 2.5 pixels, 8 % of size, 4 % of light."""
    x, y, size, light = shift.tolist()
    return replace(
        scene, shift_x=x * 2.5 / 64, shift_y=y * 2.5 / 64, size_factor=1 + 0.08 * size, light=1 + 0.04 * light
    )


def main() -> None:
    parser = ArgumentParser(prog="python -m elevator.study.renders", description=__doc__)
    parser.add_argument("--font", type=Path, help="colour emoji font file")
    write_renders(EmojiFont(parser.parse_args().font or fetch_font()))


if __name__ == "__main__":
    main()
