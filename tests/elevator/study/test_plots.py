"""Plots show the values of the tables, in the tables' order."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from elevator.study.arms import ALONE, PUBLISHED, Arm, Table
from elevator.study.figures import Figures
from elevator.study.measures import BY_NAME
from elevator.study.plots import bars, pareto
from elevator.study.renders import read_renders
from elevator.study.running import cast
from tests.elevator.study.conftest import record_of, study_in

Figure = pytest.importorskip("matplotlib.figure").Figure

TABLE = Table("few", "Few", "Two arms.", (ALONE, PUBLISHED, Arm("fast", preset="fast")), "published")
WARP = {ALONE.name: 5.0, "published": 4.0, "fast": 3.0}


@pytest.fixture
def figures(tmp_path):
    """Of two T2Vs; one arm was not made with the second."""
    study = replace(
        study_in(tmp_path, tables=(), prompts=3, t2vs=("embedded", "embedded_animatediff")), tables=(TABLE,)
    )
    found, known = cast(study), {}
    for prompt, seed in study.clips(1):
        for (t2v, arm), recipe in found.recipes.items():
            if (t2v, arm) != ("embedded_animatediff", "fast"):
                features = read_renders().features["crisp"][prompt.text]
                record = record_of(recipe, prompt, seed, {"warp_error": WARP[arm] + len(t2v) + seed % 7}, features)
                known[record.clip] = record
    return Figures(study, found, known)


@pytest.fixture
def drawn(monkeypatch):
    """The figures that are saved."""
    saved = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **more: saved.append(self) or save(self, *args, **more))
    return saved


def test_bars_stand_at_the_means_an_arm_a_line(figures, drawn, tmp_path):
    assert bars(figures, TABLE, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()
    (figure,) = drawn
    assert [axes.get_title() for axes in figure.axes] == [BY_NAME[n].title for n in ("feature_distance", "warp_error")]
    first, warp = figure.axes
    assert [label.get_text() for label in first.get_yticklabels()] == list(WARP)
    assert warp.get_ylim() == (2.5, -0.5), "the first arm is on top"
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["embedded", "embedded_animatediff"]
    for (t2v, shift), container in zip(
        (("embedded", -0.08), ("embedded_animatediff", 0.08)), warp.containers, strict=True
    ):
        line, _, (whiskers,) = container
        values = {arm: figures.row(TABLE, t2v, arm)["warp_error"] for arm in WARP}
        there = [(k, value) for k, value in enumerate(values.values()) if value is not None]
        assert len(there) == (3 if t2v == "embedded" else 2)
        assert line.get_xdata() == pytest.approx([value.value for _, value in there])
        assert line.get_ydata() == pytest.approx([k + shift for k, _ in there])
        ends = np.array([[segment[0][0], segment[1][0]] for segment in whiskers.get_segments()])
        assert ends == pytest.approx(np.array([(value.low, value.high) for _, value in there]))


def test_quality_stands_against_arithmetic_and_the_best_are_joined(figures, drawn, tmp_path):
    assert pareto(figures, TABLE, tmp_path / "a.png")
    (figure,) = drawn
    assert [axes.get_title() for axes in figure.axes] == ["embedded"] * 2 + ["embedded_animatediff"] * 2
    warp = figure.axes[1]
    assert (warp.get_xlabel(), warp.get_ylabel()) == ("TFLOP a clip", "warp error")
    points = {
        arm: (row["tflop"].value, row["warp_error"].value)
        for arm, row in ((arm, figures.row(TABLE, "embedded", arm)) for arm in WARP)
    }
    assert {text.get_text(): text.xy for text in warp.texts} == points
    (best,) = [line for line in warp.lines if line.get_color() == "C1"]
    joined = list(zip(best.get_xdata(), best.get_ydata(), strict=True))
    assert joined[0] == min(points.values())
    assert joined == sorted(joined)
    assert len(figure.axes[3].texts) == 2


def test_nothing_that_was_made_is_no_plot(figures, tmp_path):
    empty = Figures(figures.study, figures.found, {})
    other = replace(TABLE, arms=(Arm("draft", preset="draft"),))
    for draw in (bars, pareto):
        assert not draw(empty, TABLE, tmp_path / "a.png")
        assert not draw(figures, other, tmp_path / "a.png")
    assert not (tmp_path / "a.png").exists()
