"""Measures of clips whose answers are known, and the models of the arms."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from elevator import Sources, load_models
from elevator.embedded.small_world.judge import sharpness
from elevator.embedded.small_world.pictures import DrawnShapes
from elevator.embedded.small_world.styles import STYLES, filter_clip, washed_out
from elevator.embedded.small_world.world import render_clip, scene_of
from elevator.study.arms import ALONE, PUBLISHED, STYLED, Arm
from elevator.study.making import RenoisedT2V, renoised
from elevator.study.measuring import hides_subject, knows_world, path_of, read_clip
from elevator.study.prompts import StudyPrompt, read_prompts
from elevator.study.renders import read_renders
from tests.elevator.study.conftest import there

SCENE = scene_of("pumpkin", "blue", "right")


def path(clip, scene=SCENE) -> tuple[float, float]:
    """Path error and jitter of a clip whose subject is seen."""
    error, jitter = path_of(clip, scene)
    return there(error), there(jitter)


def clip_of(scene=SCENE, frames=16):
    return render_clip(scene, DrawnShapes(), frames)


def test_true_renders_follow_the_known_path():
    for motion in ("right", "up", "grow", "still"):
        for frames in (16, 40):
            scene = scene_of("pumpkin", "blue", motion)
            error, jitter = path(clip_of(scene, frames), scene)
            assert error < 0.8
            assert jitter < 0.5


def test_a_subject_that_trembles_jitters_and_one_on_another_way_errs():
    shaken = np.stack([np.roll(frame, 3 * (k % 2), axis=1) for k, frame in enumerate(clip_of())])
    assert path(shaken)[1] == pytest.approx(6, abs=0.8), "two pixels each way, three apart"
    backwards = clip_of()[::-1]
    error, jitter = path(backwards)
    assert error > 10
    assert jitter < 0.5


def test_a_lost_subject_has_no_path():
    empty = np.repeat(clip_of()[:1] * 0 + np.array([70, 130, 226], np.uint8), 16, axis=0)
    assert path_of(empty, SCENE) == (None, None)


def test_where_the_background_has_other_colours_no_motion_is_read():
    prompt = StudyPrompt("a pumpkin moving right, blue background", (1,), "pumpkin", "blue", "right")
    other = clip_of(scene_of("pumpkin", "white", "right"))
    numbers = read_clip(other, prompt, PUBLISHED, world=True).numbers
    assert numbers["background"] < 0.5
    assert not {"motion", "path_error", "jitter"} & numbers.keys()


def test_styled_clips_are_tracked_before_styled_backgrounds():
    prompt = StudyPrompt("a pumpkin moving right, blue background", (1,), "pumpkin", "blue", "right")
    neon = next(arm for arm in STYLED if arm.style == "neon")
    glowing = filter_clip(clip_of(), STYLES["neon"])
    assert read_clip(glowing, prompt, neon, world=True).numbers["motion"] == 1
    assert "motion" not in read_clip(glowing, prompt, PUBLISHED, world=True).numbers


def test_a_subject_whose_middle_lies_elsewhere_is_on_its_way_all_the_same():
    assert path(np.roll(clip_of(), 6, axis=1))[0] == pytest.approx(path(clip_of())[0], abs=0.1)


def test_prompts_of_other_worlds_have_the_measures_of_motion_alone():
    reading = read_clip(clip_of(), StudyPrompt("a fox", (1,)), PUBLISHED, world=True)
    assert reading.features is None
    assert {"flow", "warp_error", "frame_difference"} <= reading.numbers.keys()
    assert not {"subject", "motion", "sharpness"} & reading.numbers.keys()
    known = next(prompt for prompt in read_prompts() if prompt.scene is not None and prompt.motion == "right")
    seen = clip_of(known.scene)
    assert read_clip(seen, known, PUBLISHED, world=False).features is None
    whole = read_clip(seen, known, PUBLISHED, world=True)
    of_world = {"subject", "background", "motion", "sharpness", "path_error", "jitter"}
    assert whole.numbers.keys() == {*reading.numbers, *of_world}
    assert whole.features is not None
    assert whole.features.shape == (4, 128)


def test_the_embedded_t2i_alone_knows_the_world():
    assert knows_world("embedded")
    assert not knows_world("dreamshaper.safetensors")
    assert not knows_world("embedded_animatediff")


def test_a_renoised_t2v_reads_latents_of_the_same_snr_alike():
    models = load_models(Sources("embedded", "embedded"))
    other = renoised(models, "lavie")
    own, new = models.t2v_schedule, other.t2v_schedule
    assert isinstance(other.t2v, RenoisedT2V)
    snrs = [torch.logit(schedule.alphas_cumprod.double(), eps=1e-9) for schedule in (own, new)]
    assert (snrs[0] - snrs[1]).abs().max() > 1, "the schedules differ"
    for t in (50, 400, 681, 900):
        there = other.t2v.levels[t]
        assert float(snrs[0][there]) == pytest.approx(float(snrs[1][t]), abs=0.1)
    asked = []

    def network(z, t, *_, **__):
        asked.append(t)
        return SimpleNamespace(sample=z)

    told = replace(other.t2v, unet=network)
    call: Any = SimpleNamespace(hidden=None)
    told(torch.zeros(1, 2, 4, 2, 2), 681, call)
    assert asked == [other.t2v.levels[681]]


def test_a_subject_may_be_lost_for_a_quarter_of_a_clip():
    """Where nothing, or nearly everything, is told from the background."""
    clip, blank = clip_of(), np.array([70, 130, 226], np.uint8)
    for lost, seen in ((4, True), (5, False)):
        for hidden in (blank, 255 - blank):
            some = clip.copy()
            some[:lost] = hidden
            assert (path_of(some, SCENE) != (None, None)) is seen
            assert hides_subject(some, SCENE) is (not seen and hidden is not blank)
    assert path_of(clip_of(frames=2), SCENE) == (None, None)
    error, jitter = path_of(clip_of(frames=3), SCENE)
    assert error is not None
    assert jitter is not None


def test_where_the_path_is_broken_no_jitter_is_told():
    clip = clip_of(frames=4)
    clip[1] = np.array([70, 130, 226], np.uint8)
    error, jitter = path_of(clip, SCENE)
    assert error is not None
    assert jitter is None, "no three frames in a row show the subject"


@pytest.mark.parametrize(("style", "look"), [(None, "crisp"), ("sketch", "sketch")])
def test_sharpness_is_told_of_the_true_renders_of_that_look(style, look):
    prompt = next(each for each in read_prompts() if each.scene is not None)
    clip = clip_of(prompt.scene)
    numbers = read_clip(clip, prompt, Arm("a", style=style), world=True).numbers
    assert numbers["sharpness"] == round(sharpness(clip) / read_renders().sharpness[look][prompt.text], 5)
    unknown = replace(prompt, text="unheard of")
    assert "sharpness" not in read_clip(clip, unknown, Arm("a"), world=True).numbers


def test_the_t2vs_own_clips_are_read_as_washed_out():
    prompt = StudyPrompt("a pumpkin moving right, blue background", (1,), "pumpkin", "blue", "right")
    pale = filter_clip(clip_of(), washed_out)
    alone, other = (read_clip(pale, prompt, arm, world=True).numbers for arm in (ALONE, PUBLISHED))
    assert alone["path_error"] <= other["path_error"] + 1e-9
    assert alone["motion"] == 1
