"""N and R from any curve, within any budget."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.calibration.choosing import OPEN, Point, choose, leftover, settled_steps
from elevator.calls import calls_of
from elevator.plan import Plan

FRAME = Plan(steps=20, refine=(18,), refine_steps=4, way_back="blend", blend=1.0)
INVERTED = Plan(steps=20, refine=(18,), refine_steps=4)


def point(countdown, news, unsettled):
    return Point(countdown, 50 * countdown - 1, 0.0, 0.0, news, 1.0, news, tuple(news * each for each in unsettled))


def curve_of(news, unsettled=(0.0,)):
    """`unsettled`: of the news, after each T2V step."""
    steps = len(news)
    return [point(steps - i, each, unsettled[: steps - i]) for i, each in enumerate(news)]


def calls(plan):
    """A price: network calls, of one prompt."""
    made = calls_of(plan)
    return 2 * made.painting + made.correction + made.inverting + 2 * made.refining


def bare(frame):
    return calls(replace(frame, refine=(), refine_steps=1))


def test_the_t2v_takes_as_many_steps_as_still_change_what_it_says():
    news = [1.0] * 20
    assert settled_steps(curve_of(news, (OPEN - 0.01, OPEN / 2, 0.0))) == 1
    assert settled_steps(curve_of(news, (OPEN + 0.01, OPEN - 0.01, 0.0))) == 2
    assert settled_steps(curve_of(news, (0.9, 0.8, 0.0))) == 3
    assert settled_steps(curve_of([0.0] * 3, (0.5, 0.0))) == 1


def test_steps_count_by_the_news_and_only_where_all_were_probed():
    loud, still = point(20, 1.0, (OPEN / 2, 0.0)), point(19, 0.01, (0.9, 0.0))
    assert settled_steps([loud, still]) == 1
    assert settled_steps([replace(loud, open=(0.9, 0.0)), still]) == 2
    assert settled_steps([loud, replace(still, news=1.0, open=(0.9,))]) == 1, "too few steps were left there"


def test_news_gather_until_the_next_refinement_and_count_by_their_square():
    curve = curve_of([1.0, 2.0, 3.0, 4.0])
    assert leftover(curve, ()) == 100
    assert leftover(curve, (3,)) == 1 + 49
    assert leftover(curve, (4, 2)) == 4 + 16
    assert leftover(curve, (4, 3, 2, 1)) == 0


@pytest.mark.parametrize(("count", "parts"), [(1, [9, 10]), (2, [6, 6, 6]), (3, [4, 4, 4, 5])])
def test_refinements_cut_the_curve_into_equal_parts(count, parts):
    plan = choose(curve_of([1.0] * 20), FRAME, calls, bare(FRAME) + 2 * count)
    assert plan is not None
    assert sorted(a - b - 1 for a, b in pairwise((21, *plan.refine, 0))) == parts


def test_refinements_stand_where_there_is_much_to_hear():
    early = choose(curve_of([9.0] * 5 + [1.0] * 15), FRAME, calls, bare(FRAME) + 2 * 4)
    late = choose(curve_of([1.0] * 15 + [9.0] * 5), FRAME, calls, bare(FRAME) + 2 * 4)
    assert early is not None
    assert late is not None
    assert sum(countdown > 15 for countdown in early.refine) >= 3
    assert sum(countdown <= 5 for countdown in late.refine) >= 3


def test_no_refinements_of_as_many_leave_less():
    news = [0.3, 0.2, 1.0, 0.7, 0.1, 0.4, 0.9, 0.2, 0.6, 0.5]
    frame = replace(FRAME, steps=10, refine=(9,))
    plan = choose(curve_of(news), frame, calls, bare(frame) + 2 * 3)
    assert plan is not None
    least = min(leftover(curve_of(news), refine) for refine in combinations(range(10, 0, -1), 3))
    assert leftover(curve_of(news), plan.refine) <= 1.1 * least


def test_of_two_equal_refinements_the_cheaper_one_is_made():
    """An inversion has fewer steps the smaller the countdown."""
    news = [0.0] * 20
    news[4] = news[12] = 1.0  # countdowns 16 and 8
    cheap = choose(curve_of(news), INVERTED, calls, calls(replace(INVERTED, refine=(16,), refine_steps=1)))
    assert cheap is not None
    assert cheap.refine == (8,)
    dear = choose(curve_of(news), INVERTED, calls, 10**6)
    assert dear is not None
    assert dear.refine == (16, 8)
    equal = choose(curve_of(news), FRAME, calls, bare(FRAME) + 2)
    assert equal is not None
    assert equal.refine in ((16,), (8,))


def test_what_is_not_worth_it_is_not_made():
    plan = choose(curve_of([1.0] + [0.001] * 19), FRAME, calls, 10**6)
    assert plan is not None
    assert plan.refine == (20,)


def test_where_many_steps_do_not_fit_there_are_fewer():
    curve = curve_of([1.0] * 20, (0.9, 0.8, 0.6, 0.0))
    for room in (4, 3, 1):
        plan = choose(curve, FRAME, calls, bare(FRAME) + 2 * room)
        assert plan is not None
        assert (len(plan.refine), plan.refine_steps) == (1, room)
    assert choose(curve, FRAME, calls, bare(FRAME) + 1) is None


@given(st.lists(st.just(0.0) | st.floats(0.001, 10), min_size=1, max_size=14), st.integers(0, 60))
def test_whatever_is_heard_one_call_is_enough_for_a_plan(news, room):
    frame = replace(FRAME, steps=len(news), refine=(), refine_steps=1)
    plan = choose(curve_of(news), frame, calls, bare(frame) + room)
    assert (plan is None) == (room < 2 or not any(news))


@given(
    news=st.lists(st.just(0.0) | st.floats(0.001, 10), min_size=1, max_size=12),
    unsettled=st.lists(st.floats(0, 1), max_size=3),
    room=st.integers(0, 150),
    way=st.sampled_from([FRAME, INVERTED, replace(INVERTED, inversion_steps=3), replace(FRAME, cache_interval=3)]),
)
def test_any_curve_gives_a_possible_plan_within_the_budget_or_none(news, unsettled, room, way):
    frame = replace(way, steps=len(news), refine=(), refine_steps=1)
    plan = choose(curve_of(news, (*unsettled, 0.0)), frame, calls, bare(frame) + room)
    if plan is not None:
        assert calls(plan) <= bare(frame) + room
        assert plan.refine
        assert plan.refine_steps <= settled_steps(curve_of(news, (*unsettled, 0.0)))
        assert replace(plan, refine=frame.refine, refine_steps=1) == frame, "all else is the frame's"
