"""The direction of the paper's main claims, on the fewest clips that show it: two prompts, the preset `fast`.

Nothing is chosen by what comes out: the prompts are the first of the study's whose subject moves across the frame. The
bounds lie half-way to what was measured. What the low-pass does is too little to be seen in so few clips; the study
itself looks at it.
"""

from __future__ import annotations

import numpy as np
import pytest

from elevator.sources import Sources
from elevator.study.arms import T2I_ALONE, T2V_ALONE, Arm
from elevator.study.making import Machine, Recipes, make
from elevator.study.measuring import Reading, read_clip
from elevator.study.prompts import read_prompts
from elevator.study.renders import read_renders

pytestmark = pytest.mark.slow

PROMPTS = [prompt for prompt in read_prompts() if prompt.motion in ("left", "right", "up", "down")][:2]
FAST = Arm("fast", preset="fast")
ALONE = Arm("T2V alone", T2V_ALONE, preset="fast")
PER_FRAME = Arm("T2I per frame", T2I_ALONE, preset="fast")
UNREFINED = Arm("R = []", preset="fast", first=0)
RANDOM = Arm("random noise", preset="fast", settings={"way_back": "random_noise", "blend": None})
MADE: dict[str, list[Reading]] = {}
SAME = Arm("same noise", preset="fast", settings={"way_back": "same_noise", "blend": None})


def readings(arm: Arm) -> list[Reading]:
    """Made once."""
    if arm.name not in MADE:
        MADE[arm.name] = made(arm)
    return MADE[arm.name]


def made(arm: Arm) -> list[Reading]:
    recipe = Recipes(Sources("embedded", "embedded"), None, 16, Machine()).recipe(arm)
    clips = [make(recipe, prompt.text, prompt.seeds[0], Machine()).clip for prompt in PROMPTS]
    return [read_clip(clip, prompt, arm, world=True) for clip, prompt in zip(clips, PROMPTS, strict=True)]


def mean(arm: Arm, measure: str) -> float:
    return float(np.mean([reading.numbers[measure] for reading in readings(arm)]))


def distance(arm: Arm) -> float:
    """Squared, from the mean features of a clip to those of its true render: two clips have no covariance."""
    true = read_renders().features["crisp"]
    away = [
        reading.features.mean(0) - true[prompt.text].mean(0)
        for reading, prompt in zip(readings(arm), PROMPTS, strict=True)
        if reading.features is not None
    ]
    return float(np.mean(np.square(away).sum(1)))


def test_frames_are_better_than_the_t2vs_alone():
    assert distance(FAST) < 0.75 * distance(ALONE)
    assert mean(FAST, "sharpness") > 1.1 * mean(ALONE, "sharpness")


def test_clips_are_steadier_than_the_t2is_frames_and_move_as_the_t2v_does():
    assert mean(FAST, "high_frequency_share") < 0.5 * mean(PER_FRAME, "high_frequency_share")
    assert mean(FAST, "jitter") < 0.5 * mean(PER_FRAME, "jitter")
    assert mean(FAST, "motion") == mean(ALONE, "motion") == 1
    assert mean(PER_FRAME, "motion") == 0


def test_without_refinements_nothing_moves_as_it_should():
    assert mean(UNREFINED, "motion") == 0
    assert mean(FAST, "high_frequency_share") < 0.5 * mean(UNREFINED, "high_frequency_share")


def test_random_noise_on_the_way_back_breaks_the_consistency_and_the_same_noise_takes_motion_away():
    assert mean(RANDOM, "warp_error") > 1.2 * mean(FAST, "warp_error")
    assert mean(SAME, "flow") < 0.92 * mean(FAST, "flow")
