"""Footage that moves, through the embedded models: what they paint over it moves as it does."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from elevator import Models, Plan, Sources, elevate, load_models
from elevator.embedded.small_world.pictures import DrawnShapes
from elevator.embedded.small_world.tracks import motion_of
from elevator.embedded.small_world.world import BACKGROUNDS, MOTIONS, SUBJECTS, Scene, render_clip
from elevator.embedded.training.store import EMBEDDED
from elevator.pictures.metrics import measure

pytestmark = pytest.mark.slow

BACKGROUND = next(background for background in BACKGROUNDS if background.name == "blue")
PLAN = Plan(steps=10, refine=(9, 5), refine_steps=2, guidance=2.2, video_guidance=3.0)
PROMPT = "a pumpkin standing still, blue background"


@cache
def models() -> Models:
    return load_models(Sources.of(EMBEDDED / "weights" / "t2i", EMBEDDED / "weights" / "zeroscope"))


def footage(motion: str) -> NDArray[np.uint8]:
    moving = next(each for each in MOTIONS if each.name == motion)
    return render_clip(Scene(SUBJECTS[0], BACKGROUND, moving), DrawnShapes())


def sampled(clip: NDArray[np.uint8], strength: float) -> NDArray[np.uint8]:
    steps = elevate(
        models(), prompt=PROMPT, plan=PLAN, frames=16, height=64, width=64, seed=4, init_frames=clip, strength=strength
    )
    return np.stack([step.frame[1] for step in steps if step.frame])


@cache
def unseen() -> NDArray[np.uint8]:
    """What is painted where nothing is seen of the footage, whichever it is."""
    return sampled(footage("right"), 1.0)


@pytest.mark.parametrize("motion", ["right", "up"])
def test_a_clip_moves_as_its_footage(motion: str) -> None:
    clip = footage(motion)
    assert motion_of(clip, BACKGROUND) == motion
    made = sampled(clip, 0.5)
    assert motion_of(made, BACKGROUND) == motion
    assert np.abs(made.astype(int) - clip).mean() > 3  # it is painted anew
    assert motion_of(unseen(), BACKGROUND) != motion
    flows = [measure(each).flow for each in (unseen(), made)]
    assert flows[0] is not None
    assert flows[1] is not None
    assert flows[0] < flows[1]
