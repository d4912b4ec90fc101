"""Plans: what is refused, with which sentence, and how many calls a plan makes."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.errors import ElevatorError, PlanError
from elevator.plan import Calls, LowPass, Plan


def test_defaults_are_the_published_settings_for_zeroscope():
    published = Plan()
    assert published == Plan(50, (45, 35, 25, 15), 8, 1.5, 7.5, 7.5, LowPass("gaussian", 1.0, 0.4))


def test_published_call_counts():
    calls = Plan().calls()
    assert calls == Calls(painting=50, correction=36, inverting=116, refining=32)
    assert calls.painting + (calls.correction + calls.inverting) / 2 == 126  # in guided pairs
    assert calls.total == 50 + 36 + 116 + 32


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"steps": 0}, "steps is 0; choose 1 or more"),
        ({"steps": 50.0}, "steps is 50.0; give a whole number"),
        ({"steps": True}, "steps is True; give a whole number"),
        ({"refine_steps": 0}, "refine_steps is 0; choose 1 or more"),
        ({"refine": (15, 25)}, "the largest first"),
        ({"refine": (25, 25)}, "each countdown once"),
        ({"refine": (51,)}, "only 50 steps; choose 50 or less"),
        ({"refine": (0,)}, "choose 1 or more"),
        ({"refine": (25.0,)}, "give a whole number"),
        ({"refine": 45}, "give a tuple"),
        ({"refine": "45"}, "give a tuple"),
        ({"refine": (5,)}, "only 5 steps are left; lower refine_steps or raise the countdown"),
        ({"alpha": -0.1}, "choose 0"),
        ({"alpha": float("nan")}, "give a finite number"),
        ({"guidance": 0.5}, "guidance is 0.5; choose 1 or more"),
        ({"guidance": 1}, "choose a guidance above 1, an empty refine, or correction false"),
        ({"video_guidance": 0}, "video_guidance is 0; choose 1 or more"),
        ({"guidance": "7"}, "give a finite number"),
        ({"lowpass": "gaussian"}, "choose one of none, published"),
        ({"lowpass": 1}, "lowpass must be a LowPass"),
        ({"lowpas": {}}, "the plan has no setting 'lowpas'; use steps, refine"),
        ({"lowpass": {"method": "median"}}, "choose one of gaussian"),
        ({"lowpass": {"d_s": 0}}, "choose a number above 0"),
        ({"lowpass": {"d_t": -1}}, "choose a number above 0"),
        ({"lowpass": {"cutoff": 1}}, "lowpass has no setting 'cutoff'; use method, d_s, d_t, order"),
        ({"lowpass": {"order": 1.5}}, "give a whole number"),
    ],
)
def test_impossible_settings_say_what_to_change(settings, sentence):
    with pytest.raises(PlanError, match=sentence) as raised:
        Plan.from_mapping(settings)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def test_guidance_of_one_is_fine_where_nothing_is_corrected():
    assert Plan(guidance=1, refine=()).calls().total == 50
    assert Plan(video_guidance=1).video_guidance == 1


def test_from_mapping_reads_plain_data():
    plan = Plan.from_mapping({"steps": 10, "refine": [9, 5], "refine_steps": 2, "lowpass": {"method": "none"}})
    assert plan == Plan(steps=10, refine=(9, 5), refine_steps=2, lowpass=LowPass("none"))
    assert Plan.from_mapping(dataclasses.asdict(plan)) == plan
    assert Plan.from_mapping({}) == Plan()


def test_a_plan_is_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan().steps = 3
    assert hash(Plan()) == hash(Plan())


JUNK = st.one_of(st.none(), st.booleans(), st.integers(-5, 60), st.floats(), st.text(max_size=3))


@given(
    st.dictionaries(
        st.sampled_from([f.name for f in dataclasses.fields(Plan)] + ["other"]),
        st.one_of(JUNK, st.lists(JUNK, max_size=3), st.dictionaries(st.sampled_from(["method", "d_s", "x"]), JUNK)),
    )
)
def test_junk_is_refused_with_a_sentence_or_makes_a_plan(settings):
    try:
        plan = Plan.from_mapping(settings)
    except ElevatorError as error:
        sentence = str(error)
        plan = Plan()
    else:
        sentence = "."
    assert sentence.endswith(".")
    assert plan.calls().total >= plan.steps


@given(st.integers(1, 12).flatmap(lambda s: st.tuples(st.just(s), st.sets(st.integers(1, s)), st.integers(1, s))))
def test_every_refinement_fits_or_is_refused(drawn):
    steps, countdowns, refine_steps = drawn
    refine = tuple(sorted(countdowns, reverse=True))
    if refine and refine[-1] < refine_steps:
        with pytest.raises(PlanError, match="lower refine_steps"):
            Plan(steps=steps, refine=refine, refine_steps=refine_steps)
        return
    plan = Plan(steps=steps, refine=refine, refine_steps=refine_steps)
    assert [steps - i for i in range(steps) if plan.refines_at(i)] == list(refine)
    assert [plan.filters_at(steps - s) for s in refine] == [True] * (len(refine) - 1) + [False] * bool(refine)
