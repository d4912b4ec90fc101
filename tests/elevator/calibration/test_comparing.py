"""A calibrated plan against presets: which clips, and what is told of them."""

from __future__ import annotations

import json
from dataclasses import asdict

import pytest

from elevator import RequestError
from elevator.calibration import comparing
from elevator.study import running
from elevator.study.making import Recipes
from elevator.study.prompts import calibration_prompts
from elevator.study.records import Record

PROBED = [[prompt.text, prompt.seeds[0]] for prompt in calibration_prompts()[:3]]
PLAN = {
    "sources": {"t2i": "embedded", "t2v": "embedded"},
    "size": {"frames": 16, "height": 64, "width": 64},
    "prompts": PROBED,
    "preset": "balanced",
    "plan": {"refine": [13, 7], "refine_steps": 4},
    "reference": "balanced",
    "budget": 0.8,
}


@pytest.fixture
def uncounted(monkeypatch):
    """Arithmetic by steps alone."""
    monkeypatch.setattr(Recipes, "_cost", lambda self, arm, plan, frames: (frames, 10**10 * plan.steps))


@pytest.fixture
def made(monkeypatch, uncounted):
    """Clips that nobody had to make: those of the plan have more flow, by half a pixel."""
    jobs = []

    def work(job):
        jobs.append(job)
        if job.picture is not None:
            job.picture.parent.mkdir(parents=True, exist_ok=True)
            job.picture.touch()
        numbers = {"flow": job.seed % 7 + 0.5 * (job.recipe.arm.name == comparing.CALIBRATED)}
        recipe = job.recipe
        return Record(
            recipe.key, recipe.arm.name, recipe.t2v, job.prompt.text, job.seed, "", "cpu", 1.0, 1, recipe.tflop, numbers
        )

    monkeypatch.setattr(running, "work", work)
    for module in (running, comparing):
        monkeypatch.setattr(module, "commit", lambda: "0123456789ab")
    return jobs


def test_what_was_probed_is_not_judged_on(tmp_path):
    held_out = comparing.held_out(PLAN, None)
    assert [prompt.text for prompt in held_out] == [prompt.text for prompt in calibration_prompts()[3:]]
    probed = tmp_path / "probed.txt"
    probed.write_text(f"{PROBED[0][0]}\na fish\n", "utf-8")
    assert [prompt.text for prompt in comparing.held_out(PLAN, probed)] == ["a fish"]
    probed.write_text(PROBED[0][0], "utf-8")
    with pytest.raises(RequestError, match="were probed"):
        comparing.held_out(PLAN, probed)
    with pytest.raises(RequestError, match="give --prompts FILE"):
        comparing.held_out({**PLAN, "sources": {"t2i": "sd15.safetensors"}}, None)


def test_the_plan_is_compared_with_its_reference_and_with_presets_of_its_budget(tmp_path, uncounted):
    study, found = comparing.study_of(PLAN, tmp_path, calibration_prompts()[3:5], 1, 1)
    (table,) = study.tables
    assert table.against == "balanced"
    assert [arm.name for arm in table.arms] == ["calibrated", "balanced", "fast", "draft"]
    calibrated = found.recipes["embedded", "calibrated"].plan
    assert (calibrated.refine, calibrated.refine_steps) == ((13, 7), 4)
    assert asdict(calibrated) | {"refine": 0, "refine_steps": 0} == asdict(
        found.recipes["embedded", "balanced"].plan
    ) | {"refine": 0, "refine_steps": 0}


def test_differences_are_told_clip_by_clip_and_clips_are_made_once(capsys, tmp_path, made):
    (tmp_path / "plan.json").write_text(json.dumps(PLAN), "utf-8")
    words = [str(tmp_path / "plan.json"), "--out", str(tmp_path / "out"), "--quiet"]
    assert comparing.main(words) == 0
    assert len(made) == 4 * 21
    told = json.loads((tmp_path / "out" / comparing.FILE).read_text("utf-8"))
    assert told["clips"] == {"calibrated": 21, "balanced": 21, "fast": 21, "draft": 21}
    assert told["shares"]["fast"] == 0.5
    assert [told["differences"][than]["flow"] for than in ("balanced", "fast", "draft")] == [[0.5, 0.5, 0.5]] * 3
    assert "flow, px                     +0.50 (+0.50 … +0.50) *" in capsys.readouterr().out
    assert comparing.main(words) == 0
    assert len(made) == 4 * 21


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"sources": 1}', None])
def test_what_is_no_plan_is_told(capsys, tmp_path, text):
    if text is not None:
        (tmp_path / "plan.json").write_text(text, "utf-8")
    assert comparing.main([str(tmp_path / "plan.json"), "--out", str(tmp_path / "out")]) == 1
    assert "plan.json is no plan of elevator calibrate" in capsys.readouterr().err
