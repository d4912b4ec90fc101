"""The page says what was measured, and of claims what the intervals say."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from elevator.study import page
from elevator.study.arms import Claim
from elevator.study.figures import Figures, Verdict
from elevator.study.measures import MEASURES
from elevator.study.plots import front
from elevator.study.renders import read_renders
from elevator.study.running import cast
from elevator.study.statistics import Interval
from tests.elevator.study.conftest import record_of, study_in, there

WARP = {"no low-pass": 5.0, "temporal": 4.0, "spatial-temporal": 4.5, "published": 5.0}
FLICKER = {"no low-pass": 4.0, "temporal": 6.0, "spatial-temporal": 4.5, "published": 5.0}


@pytest.fixture
def planted(tmp_path):
    """A study of the low-pass in which it lowers the warp error and raises the flicker."""
    study = study_in(tmp_path, prompts=12)
    found = cast(study)
    rng = np.random.default_rng(0)
    known = {}
    for prompt, seed in study.clips(1):
        hard = rng.normal(0, 3)
        for (_, arm), recipe in found.recipes.items():
            numbers = {"warp_error": WARP[arm] + hard + rng.normal(0, 0.1), "frame_difference": FLICKER[arm] + hard}
            features = read_renders().features["crisp"][prompt.text] + rng.normal(0, 0.3, (4, 128))
            record = record_of(recipe, prompt, seed, numbers | {"motion": 1.0, "flow": 1.0}, features)
            known[record.clip] = record
            picture = study.picture(recipe.key, prompt, seed)
            if (prompt, seed) in study.shown:
                picture.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16 * 64, 64), (255, 0, 0)).save(picture)
    return study, found, known


def test_claims_are_judged_by_paired_intervals(planted):
    study, found, known = planted
    verdicts = Figures(study, found, known).verdicts(study.tables[0], "embedded")
    said = {verdict.claim.text: verdict.text for verdict in verdicts}
    assert said["a temporal low-pass lowers the warp error"] == "holds"
    assert said["a temporal low-pass lowers the flicker"].startswith("does not hold")
    assert said["the published one lowers the warp error"] == "is not decided"
    assert said["filtering space too costs sharpness"] == "not measured"


def test_distances_to_different_renders_are_not_subtracted(tmp_path):
    """A sketch is compared with true renders as sketches."""
    study = study_in(tmp_path, tables=("baselines",), prompts=9)
    found, known = cast(study), {}
    (table,) = study.tables
    rng = np.random.default_rng(0)
    for prompt, seed in study.clips(1):
        for arm in ("T2V alone", "published", "sketch"):
            features = read_renders().features["crisp"][prompt.text] + rng.normal(0, 0.3, (4, 128))
            record = record_of(found.recipes["embedded", arm], prompt, seed, {"subject": 1.0}, features)
            known[record.clip] = record
    figures = Figures(study, found, known)
    assert figures.differences(table, "embedded", "sketch", "T2V alone")["feature_distance"] is None
    assert figures.differences(table, "embedded", "sketch", "T2V alone")["subject"] is not None
    assert there(figures.differences(table, "embedded", "published", "T2V alone")["feature_distance"]).prompts == 9
    assert there(figures.row(table, "embedded", "sketch")["feature_distance"]).prompts == 9


def test_rows_are_of_the_clips_that_all_arms_have(planted):
    """Of a study that is not made to its end; a distance of many clips is not beside one of few."""
    study, found, known = planted
    (table,), texts = study.tables, [prompt.text for prompt in study.prompts]
    temporal = found.recipes["embedded", "temporal"].key
    some = {clip: record for clip, record in known.items() if clip[0] != temporal or clip[1] in texts[:9]}
    figures = Figures(study, found, some)
    for arm in WARP:
        assert {record.prompt for record in figures.records(table, "embedded", arm)} == set(texts[:9])
        assert {value.prompts for value in figures.row(table, "embedded", arm).values() if value} == {9}
        row = figures.differences(table, "embedded", arm, table.against)
        assert {value.prompts for value in row.values() if value} == {9}
    none = {clip: record for clip, record in known.items() if clip[0] != temporal}
    figures = Figures(study, found, none)
    assert figures.records(table, "embedded", "temporal") == []
    assert {len(figures.records(table, "embedded", arm)) for arm in WARP if arm != "temporal"} == {12}
    assert figures.clips(table, "embedded_animatediff") == set()
    text = page.write(study, found, some, with_plots=False).read_text("utf-8")
    assert "Every row: 9 clips of 9 prompts." in text


def test_a_handful_of_prompts_decides_nothing(planted):
    study, found, known = planted
    few = {clip: record for clip, record in known.items() if record.prompt in {p.text for p in study.prompts[:4]}}
    verdicts = Figures(study, found, few).verdicts(study.tables[0], "embedded")
    assert {verdict.text for verdict in verdicts} == {"is not decided", "not measured"}


def test_the_page_holds_every_table_and_picture(planted):
    pytest.importorskip("matplotlib")
    study, found, known = planted
    written = page.write(study, found, known, with_plots=True)
    text = written.read_text("utf-8")
    for arm in WARP:
        assert f"| {arm} |" in text
    assert "0123456789ab" in text, "the commit"
    assert f"\n## {study.tables[0].title}\n" in text
    assert "16 frames of 64 × 64, networks in float32 on cpu." in text
    assert re.search(r"\*True renders\* with other accidents: feature distance \d+\.\d \[", text)
    for name in re.findall(r"!\[.*?\]\((.*?)\)", text):
        with Image.open(study.out / name) as picture:
            assert np.asarray(picture.convert("RGB")).std() > 0
    assert {"lowpass_1_sheet.png", "lowpass_1_strips.png", "lowpass.png"} <= set(re.findall(r"\((.*?\.png)\)", text))
    shown = {path.relative_to(study.out).parts[0] for path in study.out.rglob("*-*.png")}
    assert shown == {"pictures"}, "strips of clips lie there, as docs/SAMPLER.md says"
    content = json.loads((study.out / page.JSON).read_text("utf-8"))
    row = content["tables"]["lowpass, embedded"]["differences"]["temporal"]["warp_error"]
    assert row["low"] < row["value"] < row["high"] < 0
    assert content["settings"].keys() == {record.key for record in known.values()}


def test_nothing_measured_is_a_page_too(tmp_path):
    study = study_in(tmp_path, prompts=2)
    text = page.write(study, cast(study), {}, with_plots=True).read_text("utf-8")
    assert "Hours are known once" in text
    assert ".png" not in text


def test_sheets_are_gray_where_a_clip_is_not_made(planted):
    study, found, known = planted
    prompt, seed = study.shown[0]
    study.picture(found.recipes["embedded", "temporal"].key, prompt, seed).unlink()
    page.write(study, found, known, with_plots=False)
    with Image.open(study.out / "lowpass_1_sheet.png") as sheet:
        pixels = np.asarray(sheet.convert("RGB"))
    colours = [tuple(pixels[40, int((k + 0.5) * pixels.shape[1] / 4)]) for k in range(4)]
    assert colours.count((255, 0, 0)) == 3
    assert colours[1] == (211, 211, 211)


@pytest.mark.parametrize(
    ("value", "signed", "text"),
    [
        (Interval(1, 1, 1, 9), False, "1.0"),
        (Interval(-1, -1.5, 0.5, 9), True, "−1.0 [−1.5, +0.5]"),
        (Interval(-1, -1.5, -0.5, 9), True, "**−1.0 [−1.5, −0.5]**"),
        (Interval(-1, -1.5, -0.5, 3), True, "−1.0 [−1.5, −0.5]"),
        (None, True, "–"),
    ],
)
def test_cells_are_bold_where_chance_is_excluded(value, signed, text):
    assert page.cell(value, 1, signed) == text


def test_the_front_has_those_that_none_beats():
    assert front([(1, 5), (2, 3), (3, 4), (2, 6), (4, 1), (5, 1)]) == [(1, 5), (2, 3), (4, 1)]


def test_every_t2v_has_its_own_tables_and_pictures(tmp_path):
    study = study_in(tmp_path, prompts=2, t2vs=("embedded", "embedded_animatediff"))
    found, known = cast(study), {}
    for prompt, seed in study.clips(1):
        for (t2v, arm), recipe in found.recipes.items():
            if (t2v, arm) != ("embedded_animatediff", "temporal"):
                record = record_of(recipe, prompt, seed, {"warp_error": WARP[arm] + len(t2v), "flow": 1.0})
                known[record.clip] = record
                picture = study.picture(recipe.key, prompt, seed)
                picture.parent.mkdir(parents=True, exist_ok=True)
                Image.new("RGB", (16 * 64, 64), (255, 0, 0)).save(picture)
    text = page.write(study, found, known, with_plots=False).read_text("utf-8")
    title = study.tables[0].title
    assert re.findall(r"^### (.*)$", text, re.MULTILINE) == [f"{title}, embedded", f"{title}, embedded_animatediff"]
    names = ["main.png", "main_2.png"] + [f"lowpass_{k}_{kind}.png" for k in (1, 2) for kind in ("sheet", "strips")]
    assert re.findall(r"\]\((.*?)\)", text) == names
    assert "2 prompts with one or two seeds each, 14 clips; made by" in text
    assert "Draws: 2000, and 200 of distances." in text
    assert "*True renders*" not in text.replace("*true renders*", ""), "without features there is no floor"
    assert text.count("| temporal |") == 2, "a row of means and one of differences, of the T2V that has it"
    assert text.count("Differences from *no low-pass*, clip by clip:") == 2
    rows = [line for line in text.splitlines() if line.startswith("|")]
    for header, line in pairwise(rows):
        assert header.startswith("| |") == line.startswith("|---")
        assert line.startswith("| |") or line.count("|") == header.count("|")
    content = json.loads((tmp_path / page.JSON).read_text("utf-8"))
    figures = Figures(study, found, known)
    expected = there(figures.row(study.tables[0], "embedded", "temporal")["warp_error"])
    assert content["tables"]["lowpass, embedded"]["arms"]["temporal"]["warp_error"]["value"] == round(expected.value, 5)
    assert content["arms"]["embedded: temporal"] == found.recipes["embedded", "temporal"].key
    assert [each["here"] for each in content["tables"]["lowpass, embedded"]["claims"]] == [
        verdict.text for verdict in figures.verdicts(study.tables[0], "embedded")
    ]


def test_what_a_t2v_cannot_do_is_said_below_its_table(planted):
    study, found, known = planted
    known = {clip: replace(record, features=None) for clip, record in known.items()}  # distances take seconds
    recipes = {key: recipe for key, recipe in found.recipes.items() if key[1] != "temporal"}
    fewer = replace(found, recipes=recipes, impossible={("embedded", "temporal"): "It is too long."})
    text = page.write(study, fewer, known, with_plots=False).read_text("utf-8")
    assert "*temporal* is not possible here: It is too long." in text
    assert "embedded: temporal is left out: It is too long." in text
    assert "| temporal |" not in text


def test_measures_are_told_as_exactly_as_they_are_known():
    """Shares in thousandths, most others in hundredths, distances and seconds in tenths, calls whole."""
    digits = {measure.name: measure.digits for measure in MEASURES}
    shares = {"subject", "background", "motion", "high_frequency_share"}
    tenths = {"feature_distance", "seconds"}
    assert digits == {
        name: 3 if name in shares else 1 if name in tenths else 0 if name == "calls" else 2 for name in digits
    }


def test_a_claims_sentence_names_measure_arms_and_interval():
    claim = Claim("it is steadier", "one", "other", "feature_distance", more=False)
    said = "The paper: it is steadier. Here that"
    assert page.sentence(Verdict(claim, Interval(-1.25, -2.0, -0.5, 9))) == (
        f"{said} **holds** (feature distance of *one* less *other*: **−1.2 [−2.0, −0.5]**)."
    )
    assert page.sentence(Verdict(claim, None)) == f"{said} **not measured**."
