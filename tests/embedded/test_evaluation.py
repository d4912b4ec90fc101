"""The evaluation itself: its measures on frames whose answers are known, its table, its sampling."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from elevator import Models, Plan, Sources, load_models
from elevator.embedded.small_world.judge import Judge, Verdict, frechet_distance, sharpness
from elevator.embedded.small_world.pictures import DrawnShapes
from elevator.embedded.small_world.styles import STYLES, WEIGHTS, filter_clip, washed_out
from elevator.embedded.small_world.world import render_clip
from elevator.embedded.training import clips as clips_module
from elevator.embedded.training.clips import PUBLISHED, ClipKind, clip_file, make_clips, read_clip, sample
from elevator.embedded.training.evaluate import ALONE, ELEVATED, STYLED, Evaluation, _row
from elevator.embedded.training.prompts import read_prompts
from elevator.embedded.training.scores import BARS, Figures, table
from elevator.embedded.training.store import EMBEDDED
from elevator.presets import read_presets

pytestmark = pytest.mark.slow

SHAPES = DrawnShapes()
PROMPTS = read_prompts()[:28]
SHORT = Plan(steps=3, refine=(2,), refine_steps=1, guidance=2.2, video_guidance=3.0)


def planted(out: Path, kind: ClipKind, change: Callable[[NDArray[np.uint8]], NDArray[np.uint8]]) -> Evaluation:
    """An evaluation whose clips are true renders, changed."""
    for index in range(len(PROMPTS)):
        clip = change(render_clip(PROMPTS[index].scene, SHAPES))
        path = clip_file(out, kind, index)
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.concatenate(list(clip), axis=1)).save(path)
    torch.manual_seed(0)
    return Evaluation(out, PROMPTS, Judge(), SHAPES)


def test_true_renders_show_their_motions_and_are_no_distance_away(tmp_path: Path) -> None:
    kind = ELEVATED["zeroscope"]
    figures = planted(tmp_path, kind, lambda clip: clip).measure(kind)
    assert figures["clips"] == len(PROMPTS)
    assert figures["motion"] >= 0.9, "some drawn shapes have the colours of their backgrounds"
    assert figures["held_out_motion"] >= 0.9
    assert figures["fid"] == pytest.approx(0, abs=1e-6)
    assert figures["sharpness"] == figures["sharpness_of_renders"]


def test_clips_played_backwards_show_another_motion(tmp_path: Path) -> None:
    kind = ELEVATED["zeroscope"]
    figures = planted(tmp_path, kind, lambda clip: clip[::-1]).measure(kind)
    still = np.mean([prompt.motion == "still" for prompt in PROMPTS])
    assert figures["motion"] == pytest.approx(still, abs=0.1), "only what stands still looks the same"
    assert "right" in {row["moved"] for row in figures["rows"] if PROMPTS[row["prompt"]].motion == "left"}


def test_the_t2v_alone_is_measured_against_crisp_renders(tmp_path: Path) -> None:
    kind = ALONE["zeroscope"]
    figures = planted(tmp_path, kind, lambda clip: filter_clip(clip, washed_out)).measure(kind)
    assert figures["motion"] >= 0.9, "the tracker knows that the T2V's backgrounds are pale"
    assert figures["fid"] > 1e-6, "and its frames count as what they are: not crisp"
    assert figures["sharpness"] < figures["sharpness_of_renders"]


def test_a_row_counts_frames_and_one_motion() -> None:
    prompt = PROMPTS[1]
    subjects = [prompt.subject] * 3 + ["car"]
    backgrounds = [prompt.background, "sea", "sea", "sea"]
    row = _row(1, prompt, Verdict(subjects, backgrounds, ["crisp"] * 4, np.zeros((4, 128))), prompt.motion)
    assert (row["subject"], row["background"], row["motion"], row["read"]) == (0.75, 0.25, 1.0, prompt.subject)
    assert _row(1, prompt, Verdict(subjects, backgrounds, [], np.zeros((4, 128))), "lost")["motion"] == 0


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**16), st.floats(-3, 3))
def test_the_distance_of_a_shifted_set_is_the_squared_shift(seed: int, shift: float) -> None:
    features = np.random.default_rng(seed).normal(size=(64, 8))
    assert frechet_distance(features, features + shift) == pytest.approx(8 * shift**2, abs=1e-6)


def test_the_distance_of_a_stretched_set() -> None:
    """For one feature, Fréchet's formula is (difference of means)² + (difference of deviations)²."""
    values = np.random.default_rng(0).normal(size=(500, 2))
    values -= values.mean(0)
    stretched = values * [3.0, 1.0]
    expected = (2 * values[:, 0].std(ddof=1)) ** 2
    correlation = np.asarray(np.corrcoef(values.T))[0, 1]
    assert frechet_distance(values, stretched) == pytest.approx(expected, rel=abs(correlation) + 0.01)


def test_sharpness_is_the_mean_laplacian() -> None:
    board = np.indices((8, 8)).sum(0) % 2 * 10
    frames = np.repeat(board[None, ..., None], 3, -1).astype(np.uint8)
    assert sharpness(frames) == pytest.approx(40), "four neighbours, each 10 grey levels away"
    assert sharpness(np.full((2, 8, 8, 3), 9, np.uint8)) == pytest.approx(0)


def figures_with(value: float) -> Figures:
    names = ("subject", "background", "motion", "fid", "sharpness", "relative_fid")
    kinds = ("t2i", "unrefined", "zeroscope_alone", "zeroscope_elevated", "animatediff_alone", "animatediff_elevated")
    every = {name: value for name in names} | {"sharpness_of_renders": 2 * value, "held_out_subject": value}
    styles = ("style_sketch", "style_pixel_art", "style_neon")
    judges = {"judge_subject": value, "judge_background": value, "tracker": value}
    return Figures(judges, {name: dict(every) for name in (*kinds, *styles)})


def test_the_table_says_which_bars_are_reached() -> None:
    high = table(figures_with(0.99))
    assert "| T2I: subject | ≥ 90.0 % | 99.0 % | yes |" in high
    assert "| sketch: feature distance, relative to plain | ≤ 0.70 | 0.99 | no |" in high
    assert "| elevated with ZeroScope: points of motion above no refining | ≥ 30.0 % | 0.0 % | no |" in high
    low = table(figures_with(0.5))
    assert "| T2I: subject | ≥ 90.0 % | 50.0 % | no |" in low
    assert "| sketch: feature distance, relative to plain | ≤ 0.70 | 0.50 | yes |" in low
    partial = Figures({}, {})
    assert table(partial).count("not measured") == len(BARS)


@pytest.mark.parametrize("base", ["embedded", "embedded_animatediff"])
def test_the_evaluations_plan_is_the_embedded_bases_published_preset(root: Path, base: str) -> None:
    content = tomllib.loads((root / "backend" / "styles" / "bases" / f"{base}.toml").read_text("utf-8"))
    assert "presets" not in content
    assert read_presets(root / content["t2v"] / "presets.toml")["published"].plan == PUBLISHED


@cache
def models() -> Models:
    return load_models(Sources.of(EMBEDDED / "weights" / "t2i", EMBEDDED / "weights" / "zeroscope"))


@pytest.mark.parametrize(
    ("kind", "frames"),
    [(ClipKind("t2i", frames=1, refine=False), 1), (ClipKind("a", alone=True), 16), (ClipKind("e"), 16)],
    ids=["t2i", "alone", "elevated"],
)
def test_clips_repeat_with_their_seeds(kind: ClipKind, frames: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clips_module, "PUBLISHED", SHORT)
    one, again, other = (sample(models(), kind, PROMPTS[index]) for index in (0, 0, 1))
    assert one.shape == (frames, 64, 64, 3)
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_clips_that_are_there_are_not_made_again(tmp_path: Path) -> None:
    kind = ClipKind("t2i", frames=1, refine=False)
    make_clips(EMBEDDED / "weights", tmp_path, [(kind, [0])], PROMPTS, processes=1)
    path = clip_file(tmp_path, kind, 0)
    assert read_clip(path).shape == (1, 64, 64, 3)
    before = path.stat().st_mtime_ns
    make_clips(EMBEDDED / "weights", tmp_path, [(kind, [0])], PROMPTS, processes=1)
    assert path.stat().st_mtime_ns == before


@pytest.mark.parametrize("style", WEIGHTS)
def test_styles_are_evaluated_at_the_weight_that_they_ship_with(root, style):
    shipped = tomllib.loads((root / "backend" / "styles" / f"{style}.toml").read_text("utf-8"))
    assert shipped["loras"] == [{"name": style, "weight": WEIGHTS[style]}]
    assert STYLED[style].lora_weight == WEIGHTS[style]


def test_the_figures_shown_are_of_the_evaluation_that_is_committed(root):
    content = json.loads((root / "docs" / "evaluation.json").read_text("utf-8"))
    assert table(Figures(content["judges"], content["kinds"])).strip() in (root / "docs" / "MEASURED.md").read_text(
        "utf-8"
    )
    assert content["kinds"].keys() >= {f"style_{name}" for name in STYLES} | {"t2i", "unrefined"}
    assert {content["kinds"][kind]["clips"] for kind in ("t2i", "zeroscope_elevated", "animatediff_elevated")} == {96}
