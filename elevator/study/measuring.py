"""Reads clips: what each measure of `measures` is, for one clip.

What needs truth is known of the small world alone: the judge reads subject and background, the tracker follows the
subject, and `renders` has what true frames are like. Other models' clips have the measures of motion.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from ..embedded import EMBEDDED, WEIGHTS
from ..embedded.small_world.judge import Judge, load_judge, read, sharpness
from ..embedded.small_world.styles import STYLES, washed_out
from ..embedded.small_world.tracks import bare, motion_of, track
from ..embedded.small_world.world import FRAME_PX, Frame, Scene, pose_at
from ..pictures.metrics import measure
from ..pixels import Pixels
from .arms import T2V_ALONE, Arm
from .prompts import StudyPrompt
from .renders import CRISP, moments, read_renders

LEAST_AREA, GREATEST_SHARE = 25, 0.6
"""Pixels, and share of the frame; where less or more is tracked, the subject is lost: the largest takes half."""
Look: TypeAlias = Callable[[Frame], Frame] | None
"""What frames are painted like; None: crisp."""
OF_MOTION = ("frame_difference", "flow", "warp_error", "second_difference", "high_frequency_share")


@dataclass(frozen=True, eq=False)
class Reading:
    """What was read in a clip."""

    numbers: dict[str, float]
    """By names of `measures.MEASURES`; what could not be measured is left out."""
    features: NDArray[np.float16] | None
    """(4, 128), of the moments; None for models of other worlds."""


def knows_world(t2i: str) -> bool:
    """Whether a T2I paints the small world."""
    return "t2i" in EMBEDDED.get(t2i, {})


def read_clip(clip: Pixels, prompt: StudyPrompt, arm: Arm, world: bool) -> Reading:
    """Measure a clip (F, H, W, 3) of a prompt. world: whether it was to show the small world."""
    measured = measure(clip).as_dict()
    numbers = {name: measured[name] for name in OF_MOTION}
    features = None
    scene = prompt.scene
    if world and scene is not None:
        verdict = read(_judge(), clip)
        features = verdict.features[moments(len(clip))].astype(np.float16)
        numbers["subject"] = _share(verdict.subjects, scene.subject.name)
        numbers["background"] = _share(verdict.backgrounds, scene.background.name)
        look = washed_out if arm.way == T2V_ALONE else STYLES.get(arm.style or "")
        if not hides_subject(clip, scene, look):
            numbers["motion"] = float(motion_of(clip, scene.background, look) == scene.motion.name)
        numbers["path_error"], numbers["jitter"] = path_of(clip, scene, look)
        true = read_renders().sharpness[arm.style or CRISP].get(prompt.text)
        numbers["sharpness"] = sharpness(clip) / true if true else None
    return Reading({name: round(value, 5) for name, value in numbers.items() if value is not None}, features)


def hides_subject(clip: Pixels, scene: Scene, look: Look = None) -> bool:
    """Whether a background of other colours than the prompt's keeps the tracker from seeing any subject."""
    areas = track(clip, _backdrop(scene, look))[1]
    return bool((areas > GREATEST_SHARE * FRAME_PX**2).mean() > 0.25)


def path_of(clip: Pixels, scene: Scene, look: Look = None) -> tuple[float | None, float | None]:
    """Path error and jitter of a clip (F, 64, 64, 3), pixels; None where the subject is lost in a quarter of it.

    The error is the RMS distance of the tracked subject from the known path, after their mean distance is taken out,
    for a subject's middle is not where its weight is. Jitter is the mean length of the second difference.
    """
    places, areas = track(clip, _backdrop(scene, look))
    found = (areas >= LEAST_AREA) & (areas <= GREATEST_SHARE * FRAME_PX**2)
    if len(clip) < 3 or found.mean() < 0.75:
        return None, None
    poses = [pose_at(scene, u) for u in np.linspace(0, 1, len(clip))]
    away = places - np.array([(pose.x * FRAME_PX, pose.y * FRAME_PX) for pose in poses])
    error = np.sqrt(((away[found] - away[found].mean(0)) ** 2).sum(1).mean())
    whole = found[:-2] & found[1:-1] & found[2:]
    jitter = np.linalg.norm(np.diff(places, 2, axis=0), axis=1)[whole]
    return float(error), float(jitter.mean()) if len(jitter) else None


def _backdrop(scene: Scene, look: Look) -> Frame:
    bare_one = bare(scene.background)
    return bare_one if look is None else look(bare_one)


@cache
def _judge() -> Judge:
    return load_judge(WEIGHTS / "judge")


def _share(read_as: list[str], right: str) -> float:
    return float(np.mean([name == right for name in read_as]))
