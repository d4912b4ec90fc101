"""Plans: what is refused, with which sentence, and how many calls a plan makes."""

from __future__ import annotations

import dataclasses
import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator.calls import Calls, calls_of
from elevator.errors import ElevatorError, PlanError
from elevator.plan import LOWPASSES, LowPass, Plan
from elevator.presets import T2VS, default_of, presets_for, presets_of, read_presets


def test_defaults_are_the_published_settings_for_zeroscope():
    published = Plan()
    assert published == Plan(50, (45, 35, 25, 15), 8, 1.5, 7.5, 7.5, LowPass("gaussian", 1.0, 0.4))


def test_published_call_counts():
    calls = calls_of(Plan())
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
        ({"refine": 45}, "give a list"),
        ({"refine": "45"}, "give a list"),
        ({"refine": (5,)}, "only 5 steps are left; lower refine_steps or raise the countdown"),
        ({"alpha": -0.1}, "choose 0"),
        ({"alpha": float("nan")}, "give a finite number"),
        ({"guidance": 0.5}, "guidance is 0.5; choose 1 or more"),
        ({"guidance": 1}, "choose a guidance above 1, an empty refine, or correction false"),
        ({"video_guidance": 0}, "video_guidance is 0; choose 1 or more"),
        ({"guidance": "7"}, "give a finite number"),
        ({"lowpass": "gaussian"}, "choose one of none, published"),
        ({"lowpass": 1}, "lowpass is 1; choose one of none, published"),
        ({"lowpas": {}}, "the plan has no setting 'lowpas'; use steps, refine"),
        ({"lowpass": {"method": "median"}}, "choose one of gaussian"),
        ({"lowpass": {"d_s": 0}}, "choose a number above 0"),
        ({"lowpass": {"d_t": -1}}, "choose a number above 0"),
        ({"lowpass": {"cutoff": 1}}, "lowpass has no setting 'cutoff'; use method, d_s, d_t, order"),
        ({"lowpass": {"order": 1.5}}, "give a whole number"),
        ({"way_back": "forward"}, "way_back is 'forward'; choose one of inversion, random_noise, same_noise, blend"),
        ({"way_back": ["blend"]}, "choose one of inversion"),
        ({"blend": 0.5}, "nothing is blended; leave it out or set way_back to blend"),
        ({"way_back": "blend", "blend": 0}, "choose a number above 0, at most 1"),
        ({"way_back": "blend", "blend": 1.1}, "choose a number above 0, at most 1"),
        ({"way_back": "blend", "blend": "half"}, "give a finite number"),
        ({"way_back": "blend", "correction": True}, "correction follows the path of a whole inversion"),
        ({"inversion_steps": 5, "correction": True}, "set it to false, or way_back to inversion without"),
        ({"eta": 0.5, "correction": True}, "in a chain without noise"),
        ({"correction": 1}, "correction is 1; choose true or false"),
        ({"lowpass": {"order": 0}}, "lowpass order is 0; choose 1 or more"),
        ({"inversion_steps": 0}, "choose 1 or more"),
        ({"inversion_steps": 45}, "no inversion has more than 44 steps; choose fewer"),
        ({"way_back": "random_noise", "inversion_steps": 5}, "nothing is inverted; leave it out"),
        ({"matching": "snrs"}, "choose one of index, snr"),
        ({"cache_interval": 0}, "choose 1 or more"),
        ({"eta": 1.5}, "eta is 1.5; choose 0"),
        ({"eta": -0.5}, "eta is -0.5; choose 0"),
        ({"chunk": 0}, "chunk is 0; choose 1 or more"),
        ({"window": 0}, "window is 0; choose 1 or more"),
        ({"tile": 63}, "tile is 63; choose 64 or more"),
        ({"overlap": 4}, "there are no windows; give a window too or leave overlap out"),
        ({"window": 8, "overlap": 8}, "a window has 8 frames; choose fewer"),
        ({"window": 8, "overlap": -1}, "choose 0 or more"),
    ],
)
def test_impossible_settings_say_what_to_change(settings, sentence):
    with pytest.raises(PlanError, match=sentence) as raised:
        Plan.from_mapping(settings)
    assert str(raised.value).endswith(".")
    assert "\n" not in str(raised.value)


def above(number):
    """The next number that a float can be."""
    return math.nextafter(number, math.inf)


def below(number):
    return math.nextafter(number, -math.inf)


BLEND = {"way_back": "blend"}
ENDS: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"steps": 1, "refine": []}, {"steps": 0, "refine": []}),
    ({"steps": 1, "refine": [1], "refine_steps": 1}, {"steps": 1, "refine": [1], "refine_steps": 0}),
    ({"refine": [1], "refine_steps": 1}, {"refine": [0], "refine_steps": 1}),
    ({"refine": [50]}, {"refine": [51]}),
    ({"refine": [8]}, {"refine": [7]}),
    ({"refine": [9, 8]}, {"refine": [8, 8]}),
    ({"alpha": 0}, {"alpha": below(0.0)}),
    ({"guidance": 1, "refine": []}, {"guidance": below(1.0), "refine": []}),
    ({"guidance": above(1.0)}, {"guidance": 1}),
    ({"video_guidance": 1}, {"video_guidance": below(1.0)}),
    ({"lowpass": {"d_s": above(0.0)}}, {"lowpass": {"d_s": 0}}),
    ({"lowpass": {"d_t": above(0.0)}}, {"lowpass": {"d_t": 0}}),
    ({"lowpass": {"order": 1}}, {"lowpass": {"order": 0}}),
    ({**BLEND, "blend": above(0.0)}, {**BLEND, "blend": 0}),
    ({**BLEND, "blend": 1}, {**BLEND, "blend": above(1.0)}),
    ({"inversion_steps": 1}, {"inversion_steps": 0}),
    ({"inversion_steps": 44}, {"inversion_steps": 45}),
    (
        {"refine": [1], "refine_steps": 1, "inversion_steps": 1},
        {"refine": [2], "refine_steps": 1, "inversion_steps": 2},
    ),
    ({"cache_interval": 1}, {"cache_interval": 0}),
    ({"eta": 0}, {"eta": below(0.0)}),
    ({"eta": 1}, {"eta": above(1.0)}),
    ({"chunk": 1}, {"chunk": 0}),
    ({"window": 1, "overlap": 0}, {"window": 0}),
    ({"window": 8, "overlap": 0}, {"window": 8, "overlap": -1}),
    ({"window": 8, "overlap": 7}, {"window": 8, "overlap": 8}),
    ({"tile": 64}, {"tile": 63}),
]


@pytest.mark.parametrize(("end", "beyond"), ENDS)
def test_the_ends_of_every_range_belong_to_it_and_no_more(end, beyond):
    plan = Plan.from_mapping(end)
    assert calls_of(plan, frames=4).total > 0
    for name, value in end.items():
        if not isinstance(value, (list, dict)):
            assert getattr(plan, name) == value
    with pytest.raises(PlanError) as refused:
        Plan.from_mapping(beyond)
    assert re.search(r" is | names ", str(refused.value))
    assert re.search(r"; .*\.$", str(refused.value)), "it says what to change"


def test_the_ends_of_every_number_are_tried():
    numbers = {field.name for field in dataclasses.fields(Plan) if re.search("int|float", str(field.type))}
    assert numbers <= {name for end, _ in ENDS for name in end}


def test_guidance_of_one_is_fine_where_nothing_is_corrected():
    assert calls_of(Plan(guidance=1, refine=())).total == 50
    assert Plan(video_guidance=1).video_guidance == 1


def test_the_papers_low_passes_have_names():
    for name, lowpass in LOWPASSES.items():
        assert Plan.from_mapping({"lowpass": name}).lowpass == lowpass
    assert LOWPASSES["published"] == Plan().lowpass
    assert LOWPASSES["none"].method == "none"
    assert LOWPASSES["temporal"].method == "temporal"
    assert LOWPASSES["spatial_temporal"].d_s < LOWPASSES["published"].d_s


def test_correction_follows_whole_inversions_if_it_is_not_chosen():
    assert Plan().corrects
    assert not Plan(correction=False).corrects
    for settings in ({"inversion_steps": 5}, {"way_back": "random_noise"}, {"eta": 0.1}):
        assert not Plan(**settings).corrects
        assert calls_of(Plan(**settings)).correction == 0
    assert Plan(guidance=1, correction=False).guidance == 1


def test_a_coarse_inversion_ends_at_the_level_that_follows():
    for count in (1, 2, 7, 43):
        plan = Plan(refine=(45, 15), inversion_steps=count)
        for i in (5, 35):
            visited = plan.inverts_to(i)
            assert len(visited) == min(count, 49 - i)
            assert visited[-1] == i + 1
            assert list(visited) == sorted(set(visited), reverse=True)
    assert Plan().inverts_to(35) == tuple(range(49, 35, -1))
    assert Plan().inverts_to(49) == ()


@pytest.mark.parametrize("kind", T2VS)
def test_presets(kind):
    presets = presets_for(kind)
    assert list(presets) == ["published", "balanced", "fast", "draft", "turbo"]
    for preset in presets.values():
        assert preset.about.endswith(".")
        assert "\n" not in preset.about


def test_the_papers_settings():
    published = {kind: presets_for(kind)["published"].plan for kind in ("zeroscope", "lavie", "animatelcm")}
    assert published["zeroscope"] == Plan()
    assert published["lavie"] == Plan(50, (45, 35, 30, 25, 20, 15), 8, 1.0, 7.5, 7.5, LowPass(d_t=0.5))
    assert published["animatelcm"] == Plan(30, (26, 21, 15, 9), 6, 0.5, 7.5, 2.0, LowPass(d_t=0.6))


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[a]\nsteps = 0", "The preset a in .* is impossible: steps is 0; choose 1 or more"),
        ("a = 1", "a in .* is no table of settings; write \\[a\\]"),
        ("[a]\nabout = 1", "The about of a in .* is no text"),
        ("[a", "are not TOML .* correct the file or delete it"),
    ],
)
def test_broken_presets_name_their_file(tmp_path, text, sentence):
    file = tmp_path / "presets.toml"
    file.write_text(text)
    with pytest.raises(PlanError, match=sentence) as raised:
        read_presets(file)
    assert str(file) in str(raised.value)
    with pytest.raises(PlanError, match="cannot be read"):
        read_presets(tmp_path / "missing.toml")
    with pytest.raises(PlanError, match="choose one of zeroscope, lavie"):
        presets_for("sora")


def test_from_mapping_reads_plain_data():
    plan = Plan.from_mapping({"steps": 10, "refine": [9, 5], "refine_steps": 2, "lowpass": {"method": "none"}})
    assert plan == Plan(steps=10, refine=(9, 5), refine_steps=2, lowpass=LowPass("none"))
    assert Plan.from_mapping(dataclasses.asdict(plan)) == plan
    assert Plan.from_mapping({}) == Plan()


def test_a_plan_is_frozen_and_hashable():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Plan().steps = 3  # type: ignore[misc]  # the mistake that is refused
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
    assert calls_of(plan).total >= plan.steps


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


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xff", "are not stored as UTF-8 text; save them so in the editor"),
        (b"[a]\nfew_steps = 1\n", "The few_steps of a in .* is neither true nor false; write one of them"),
        (b"[a]\nabout = 1\n", "The about of a in .* is no text; write one line in quotes"),
        (b"a = 1\n", "is no table of settings"),
    ],
)
def test_presets_that_cannot_be_read_say_why(tmp_path, content, says):
    (tmp_path / "presets.toml").write_bytes(content)
    with pytest.raises(PlanError, match=says):
        read_presets(tmp_path / "presets.toml")


def test_presets_are_those_for_the_kind_of_t2i(tmp_path):
    text = "[slow]\nabout = 'All of it.'\n[quick]\nfew_steps = true\nsteps = 4\nrefine = []\nguidance = 1\n"
    (tmp_path / "presets.toml").write_text(text)
    (tmp_path / "mm.ckpt").touch()
    for model in (tmp_path, tmp_path / "mm.ckpt"):
        assert [each.about for each in presets_of(model, "animatediff").values()] == ["All of it."]
        (quick,) = presets_of(model, "animatediff", few_steps=True).values()
        assert (quick.about, quick.few_steps, quick.plan.guidance) == ("", True, 1)
        (told,) = presets_of(model, "animatediff", few_steps=True, embeds_guidance=True).values()
        assert told.plan == quick.plan.changed({"guidance": 8.0})
    assert default_of(["draft", "published"]) == "published"
    assert default_of(["turbo", "draft"]) == "turbo"
    assert default_of([]) == "published"
