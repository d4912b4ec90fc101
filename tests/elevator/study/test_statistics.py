"""Intervals: against formulas and against themselves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator.embedded.small_world.judge import frechet_distance
from elevator.study import statistics
from elevator.study.records import Record
from elevator.study.statistics import (
    Interval,
    Moments,
    Truth,
    difference,
    distance,
    distance_difference,
    draws,
    mean,
    numbers_of,
)
from tests.elevator.study.conftest import there


def clips_of(values):
    """Two clips of each prompt."""
    return {(f"p{k // 2}", k % 2): float(value) for k, value in enumerate(values)}


def test_the_interval_of_a_mean_is_as_wide_as_the_error_of_means_of_prompts():
    rng = np.random.default_rng(0)
    by_prompt = np.repeat(rng.normal(5, 2, 100), 2)  # both seeds of a prompt alike: 100 values, not 200
    found = there(mean(clips_of(by_prompt)))
    error = by_prompt[::2].std() / np.sqrt(100)
    assert found.value == pytest.approx(by_prompt.mean())
    assert (found.high - found.low) / 2 == pytest.approx(1.96 * error, rel=0.1)


def test_pairing_takes_out_what_prompts_have_in_common():
    rng = np.random.default_rng(1)
    hard = rng.normal(0, 10, 80)
    ours, theirs = clips_of(hard + 1 + rng.normal(0, 0.1, 80)), clips_of(hard)
    found = there(difference(ours, theirs))
    assert found.value == pytest.approx(1, abs=0.05)
    assert found.excludes_zero
    assert found.high - found.low < 0.1
    assert not there(difference(ours, ours)).excludes_zero


def test_differences_are_of_the_clips_that_both_have():
    ours, theirs = clips_of([1, 2, 3, 4]), clips_of([0, 0])
    assert there(difference(ours, theirs)).value == pytest.approx(1.5)
    assert difference(ours, {}) is None
    assert mean({}) is None


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=30))
def test_a_mean_lies_in_its_interval_and_comes_out_the_same_again(values):
    found = there(mean(clips_of(values)))
    assert found.low - 1e-6 <= found.value <= found.high + 1e-6
    assert found == mean(clips_of(values))


def features_of(rng, prompts, shift=0.0):
    return {(f"p{k}", 0): rng.normal(size=(4, 6)) + shift for k in range(prompts)}


def test_moments_by_prompt_are_the_distance_of_all_features():
    rng = np.random.default_rng(2)
    made, true = features_of(rng, 30, 0.5), {name: each for (name, _), each in features_of(rng, 30).items()}
    found = there(distance(made, Truth(true)))
    whole = frechet_distance(np.concatenate(list(made.values())), np.concatenate(list(true.values())))
    assert found.value == pytest.approx(whole)
    assert found.low < found.value < found.high


def test_a_draw_of_moments_is_that_of_the_features_drawn():
    rng = np.random.default_rng(3)
    features = features_of(rng, 5)
    weights = np.array([2, 0, 1, 1, 1])
    every = Moments.of(features, [f"p{k}" for k in range(5)])
    middle, covariance = (each[1] for each in every.gaussians(np.stack([np.ones(5, np.int64), weights])))
    drawn = np.concatenate([each for k, each in enumerate(features.values()) for _ in range(weights[k])])
    assert middle == pytest.approx(drawn.mean(0))
    assert covariance == pytest.approx(np.cov(drawn, rowvar=False))


def test_a_set_that_is_farther_away_is_told_from_a_nearer_one():
    rng = np.random.default_rng(4)
    true = {f"p{k}": rng.normal(size=(4, 6)) for k in range(20)}
    near = {(name, 0): each + 0.1 for name, each in true.items()}
    far = {(name, 0): each + 1.0 for name, each in true.items()}
    found = there(distance_difference(far, near, Truth(true)))
    assert found.value == pytest.approx(6 * (1.0 - 0.01))
    assert found.excludes_zero
    assert not there(distance_difference(near, near, Truth(true))).excludes_zero


def test_prompts_without_true_renders_are_left_out_of_distances():
    rng = np.random.default_rng(5)
    made = features_of(rng, 6)
    true = {f"p{k}": rng.normal(size=(4, 6)) for k in range(4)}
    known = {clip: each for clip, each in made.items() if clip[0] in true}
    assert distance(made, Truth(true)) == distance(known, Truth(true))
    assert distance(made, Truth({})) is None


def test_every_draw_has_as_many_prompts_as_there_are():
    assert (draws(7, 50).sum(1) == 7).all()
    assert draws(7, 50).std() > 0


@pytest.mark.parametrize(
    ("low", "high", "prompts", "excludes"),
    [
        (0.1, 2, 8, True),
        (-2, -0.1, 8, True),
        (0.1, 2, 7, False),
        (0, 2, 8, False),
        (-2, 0, 8, False),
        (-1, 1, 99, False),
    ],
)
def test_an_interval_excludes_zero_where_all_of_it_lies_on_one_side(low, high, prompts, excludes):
    assert Interval(1, low, high, prompts).excludes_zero is excludes


def test_only_how_draws_differ_counts_in_a_distance():
    """Their mean is too large, for a draw holds some prompts twice; two prompts are the fewest."""

    class Planted(Truth):
        def distances(self, clips, prompts):
            return np.array([10.0, 1.0, 2.0, 9.0])

    truth = Planted({"p0": np.zeros((4, 6)), "p1": np.zeros((4, 6))})
    made = {("p0", 0): np.zeros((4, 6)), ("p1", 0): np.zeros((4, 6))}
    found = there(distance(made, truth))
    assert (found.value, found.prompts) == (10, 2)
    assert (found.low, found.high) == pytest.approx((7.05, 14.65)), "of 7, 8 and 15"
    same = there(distance_difference(made, made, truth))
    assert (same.value, same.low, same.high) == (0, 0, 0)
    one = {("p0", 0): np.zeros((4, 6))}
    assert distance(one, truth) is None
    assert distance_difference(made, one, truth) is None


def test_draws_of_few_features_leave_finite_distances_alone():
    """A draw of one clip alone has no covariance, as where each prompt has one frame."""
    rng = np.random.default_rng(6)
    true = {name: rng.normal(size=(1, 3)) for name in ("p0", "p1")}
    made = {(name, 0): rng.normal(size=(1, 3)) for name in true}
    found = there(distance(made, Truth(true)))
    assert np.isfinite([found.value, found.low, found.high]).all()


def test_numbers_of_clips_are_found_by_their_measure():
    record = Record("k", "a", "t", "p", 3, "c", "cpu", 1.5, 10, 0.25, {"flow": 2.0}, None)
    other = replace(record, seed=4, numbers={})
    assert numbers_of([record, other], "flow") == {("p", 3): 2.0}
    for name, value in (("seconds", 1.5), ("calls", 10.0), ("tflop", 0.25)):
        assert numbers_of([record, other], name) == {("p", 3): value, ("p", 4): value}
    assert statistics.features_of([record]) == {}
