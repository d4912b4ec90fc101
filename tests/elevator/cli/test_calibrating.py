"""`python -m elevator calibrate`: what it understands, and that what it tells is a plan for the product."""

from __future__ import annotations

import json
import tomllib
from types import SimpleNamespace

import pytest

from elevator import Plan
from elevator.cli import command_line
from elevator.cli.calibrating import as_text, is_meant
from elevator.presets import presets_for
from tests.elevator.clips import MODELS, frames_of, run

SMALL = ("--frames", "4", "--size", "32x16")


def told(capsys, *words):
    """Exit code, what was told, and the last line that was said on standard error."""
    code = command_line.main(["calibrate", *map(str, words)])
    out, err = capsys.readouterr()
    return code, out, err.splitlines()[-1] if err else ""


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["calibrate"], True),
        (["calibrate", "--t2i", "a", "--t2v", "b"], True),
        (["--t2i", "a", "--t2v", "b", "calibrate"], False),
        (["calibrate a lens", "--t2i", "a"], False),
        ([], False),
    ],
)
def test_calibrate_is_the_command_where_it_is_the_first_word(words, meant):
    assert is_meant(words) == meant


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--t2v", "embedded"], "--t2i must be given"),
        ([], "--t2i and --t2v must be given"),
        (["--t2i", "a", "--t2v", "b", "--budget", "much"], "no number"),
        (["--t2i", "a", "--t2v", "b", "--prompts", "0"], "give 1 or more"),
        (["--t2i", "a", "--t2v", "b", "x"], "unrecognized arguments"),
    ],
)
def test_options_that_mean_nothing_are_refused(capsys, words, said):
    with pytest.raises(SystemExit) as refused:
        command_line.main(["calibrate", *words])
    assert refused.value.code == 2
    assert said in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--t2i", "sd15.safetensors", "--t2v", "mm.ckpt"], "give --prompts FILE"),
        (["--t2i", "sd15.safetensors", "--t2v", "mm.ckpt", "--prompts", "nowhere.txt"], "cannot be read"),
        (["--t2i", "nowhere", "--t2v", "nowhere", "--prompts", "mine.txt"], "nowhere"),
        ([*MODELS, "--prompts", "mine.txt", "--budget", "0.01", *SMALL], "A budget of 0.01 has no room"),
        ([*MODELS, "--prompts", "mine.txt", "--preset", "quick", *SMALL], "no preset 'quick'"),
        ([*MODELS, "--prompts", "mine.txt", "--out", "mine.txt"], "mine.txt is there already"),
    ],
)
def test_what_cannot_be_calibrated_is_told_in_a_sentence(capsys, tmp_path, monkeypatch, words, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.txt").write_text("a red fox\n", encoding="utf-8")
    code, out, err = told(capsys, *words)
    assert (code, out) == (1, "")
    assert said in err
    assert (tmp_path / "mine.txt").read_text("utf-8") == "a red fox\n"


@pytest.mark.slow
def test_what_is_told_makes_a_clip_as_a_styles_file_and_as_options(capsys, tmp_path):
    (tmp_path / "mine.txt").write_text("a red fox\na fish\n", encoding="utf-8")
    words = [*MODELS, *SMALL, "--prompts", tmp_path / "mine.txt", "--preset", "draft", "--budget", "0.2", "--quiet"]
    plan = tmp_path / "plans" / "plan.json"
    code, out, said = told(capsys, *words, "--json", "--out", plan)
    assert code == 0
    assert said.startswith("Probing 2 prompts in 92 network calls, as ")
    assert said.endswith(" clips of the preset balanced.")
    found = json.loads(out)
    assert json.loads(plan.read_text("utf-8")) == found
    assert [prompt for prompt, _ in found["prompts"]] == ["a red fox", "a fish"]
    assert [point["countdown"] for point in found["curve"]] == list(range(12, 0, -1))
    assert found["share"] <= 0.2
    news = [point["news"] for point in found["curve"]]
    assert [round(value, 4) for value in news] == news != [round(value, 3) for value in news]

    text = as_text(found)
    style = tomllib.loads(text.split("In a style's file:\n")[1].split("In a command line:")[0])
    preset = presets_for("zeroscope")[style["preset"]].plan
    assert preset.changed(style["plan"]) != preset
    assert text.count("refine\n") == len(style["plan"]["refine"]), "each is marked in the curve"

    options = text.split("In a command line: ")[1].split()
    assert run("a fox", *MODELS, *SMALL, *options, "--seed", "1", "--out", tmp_path / "clip") == 0
    assert len(frames_of(tmp_path / "clip")) == 4
    made = json.loads((tmp_path / "clip" / "clip.json").read_text("utf-8"))["settings"]["plan"]
    assert Plan.from_mapping(made) == preset.changed(style["plan"])


def test_a_place_that_cannot_be_written_is_told_after_the_plan(capsys, tmp_path, monkeypatch):
    from elevator.cli import calibrating

    ready = SimpleNamespace(clips=1.0, reference="balanced", prompts=(), calls=1)
    monkeypatch.setattr(calibrating, "_calibrator", lambda given: ready)
    monkeypatch.setattr(calibrating, "as_json", lambda *_: {"plan": {}})
    (tmp_path / "file").touch()
    out = tmp_path / "file" / "plan.json"
    code, text, err = told(capsys, *MODELS, "--json", "--out", out)
    assert (code, json.loads(text)) == (1, {"plan": {}})
    assert err.splitlines()[-1] == f"{out} cannot be written (File exists); choose another --out."


def test_an_interrupted_calibration_says_so(capsys, monkeypatch):
    from elevator.cli import calibrating

    def stopped(given):
        raise KeyboardInterrupt

    monkeypatch.setattr(calibrating, "_calibrator", stopped)
    assert told(capsys, *MODELS) == (130, "", "Interrupted.")
