"""What is compared: the paper's choices, told apart by all that decides a clip."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from elevator.calls import Calls, calls_of
from elevator.cost.estimating import Cost, Estimate, estimate
from elevator.cost.shapes import load_shapes
from elevator.embedded import WEIGHTS
from elevator.embedded.small_world.world import held_out_backgrounds
from elevator.errors import PlanError, RequestError
from elevator.presets import presets_for, presets_of
from elevator.sources import Sources
from elevator.study.arms import ALONE, MAIN, PER_FRAME, PRESETS, PUBLISHED, T2I_ALONE, TABLES, Arm
from elevator.study.making import Machine, Recipes
from elevator.study.measures import BY_NAME
from elevator.study.prompts import SEEDS, all_prompts, calibration_prompts, read_prompts
from elevator.study.renders import MOMENTS, moments, read_renders
from tests.elevator.study.conftest import COUNTED


def test_one_name_is_one_way_of_making_a_clip():
    arms: dict[str, Arm] = {}
    for table in TABLES:
        for arm in table.arms:
            assert arms.setdefault(arm.name, arm) == arm


def test_tables_compare_and_claim_of_arms_that_they_have():
    for table in TABLES:
        names = {arm.name for arm in table.arms}
        assert len(names) == len(table.arms)
        assert table.against in names
        for claim in table.claims:
            assert {claim.arm, claim.than} <= names
            assert BY_NAME[claim.measure].paired


def test_the_papers_own_plan_has_the_papers_refining_sets_and_steps():
    presets = presets_for("zeroscope")
    arms = {arm.name: arm.plan(presets) for table in TABLES for arm in table.arms if not arm.few_steps}
    assert arms["R = []"].refine == ()
    assert [len(arms[f"R = first {k}"].refine) for k in (1, 2, 3)] == [1, 2, 3]
    assert arms["R = first 3"].refine == (45, 35, 25)
    assert arms["R = all"] == arms["published"]
    assert [arms[f"N = {n}"].refine_steps for n in (1, 2, 4, 8, 10)] == [1, 2, 4, 8, 10]
    assert arms["50: R = all"] == arms["published"], "the paper's steps are ZeroScope's own"


def test_arms_are_what_they_are_called():
    presets = presets_for("zeroscope")
    plans = {arm.name: arm.plan(presets) for table in TABLES for arm in table.arms}
    published = plans["published"]
    for steps in (8, 4, 2):
        assert plans[f"inversion in {steps}"] == replace(published, inversion_steps=steps)
    for interval in (2, 3):
        assert plans[f"cache {interval}"] == replace(published, cache_interval=interval)
    assert plans["no correction"] == replace(published, correction=False)
    assert plans["blend, cache 2"] == replace(plans["blend"], cache_interval=2)
    for name in ("balanced", "fast", "draft"):
        assert plans[name] == presets[name].plan
    assert plans["by SNR"] == replace(plans["by index"], matching="snr") == replace(published, matching="snr")
    assert [len(plans[f"50: R = {each}"].refine) for each in ("[]", "first 1", "first 2", "first 3", "all")] == [
        *range(5)
    ]
    assert [plans[f"50: N = {n}"].refine_steps for n in (1, 2, 4, 8, 10)] == [1, 2, 4, 8, 10]
    lengths = {arm.frames: arm.plan(presets) for arm in next(t for t in TABLES if t.name == "length").arms}
    assert lengths[16] == published, "no longer than a window"
    assert {(lengths[count].window, lengths[count].overlap) for count in (24, 32, 64)} == {(16, 8)}


def test_tables_have_the_clips_that_they_are_worth():
    assert {table.name for table in TABLES if table.seeds != 1} == {"baselines"}
    assert [table.seeds for table in TABLES if table.name == "baselines"] == [2]
    with_one = {table.name for table in TABLES if table.t2vs == 1}
    assert with_one == {"refining_50", "refine_steps_50", "matching", "length"}
    assert all(table.t2vs is None for table in TABLES if table.name not in with_one)
    assert [arm.name for arm in MAIN] == ["T2V alone", "T2I per frame", "published", "sketch"]
    (arithmetic,) = (table for table in TABLES if table.name == "arithmetic")
    assert [arm.name for arm in arithmetic.arms if arm in PRESETS] == ["fast", "draft", "turbo"], (
        "balanced is its blend"
    )


def test_what_a_shorter_plan_cannot_do_says_why(all_recipes):
    assert "only 6 steps are left" in all_recipes.impossible["embedded", "N = 8"]
    assert ("embedded", "50: N = 8") in all_recipes.recipes


def test_arms_with_the_same_settings_are_made_once(all_recipes):
    recipes = all_recipes.recipes
    assert recipes["embedded", "R = all"].key == recipes["embedded", "published"].key
    keys = Counter(recipe.key for recipe in recipes.values())
    alike = {frozenset(name for (_, name), recipe in recipes.items() if recipe.key == key) for key in keys}
    assert {names for names in alike if len(names) > 1} == {
        frozenset({"published", "R = all", "N = 4", "16 frames"}),
        frozenset({"balanced", "blend"}),
        frozenset({"50: R = all", "50: N = 8"}),
    }


def test_what_the_t2v_has_no_part_in_does_not_depend_on_it(all_recipes):
    other = Recipes(Sources("embedded", "embedded_animatediff"), None, 16, Machine())
    for name in ("T2I per frame", "R = []"):
        recipe = all_recipes.recipes["embedded", name]
        assert other.recipe(recipe.arm).key == recipe.key
    published = all_recipes.recipes["embedded", "published"]
    again = other.recipe(published.arm)
    assert again.key != published.key
    assert again.settings["plan"] == published.settings["plan"]


def test_every_setting_makes_another_clip(all_recipes):
    pair = Recipes(Sources("embedded", "embedded"), None, 16, Machine())
    plain = pair.recipe(Arm("a"))
    assert pair.recipe(Arm("another name")).key == plain.key
    others = [Arm("a", style="sketch"), Arm("a", frames=24, settings={"window": 16}), Arm("a", schedule="lavie")]
    others += [Arm("a", T2I_ALONE), Arm("a", preset="fast"), Arm("a", settings={"eta": 0.5})]
    assert len({pair.recipe(arm).key for arm in others} | {plain.key}) == len(others) + 1
    pair.machine = Machine("cuda", "float16")
    assert pair.recipe(Arm("a")).key != plain.key
    pair.machine = Machine()
    pair.frames = 8
    assert pair.recipe(Arm("a")).key != plain.key


def test_a_t2i_of_few_steps_is_one_of_the_presets(all_recipes):
    turbo = all_recipes.recipes["embedded", "turbo"]
    assert turbo.sources.distilled == "lcm"
    assert [lora.path for lora in turbo.sources.loras] == [str(WEIGHTS / "lcm")]
    assert turbo.plan == presets_of(WEIGHTS / "zeroscope", "zeroscope", few_steps=True)["turbo"].plan
    sketch = all_recipes.recipes["embedded", "sketch"]
    assert sketch.sources.distilled is None
    assert "distilled" not in sketch.settings, "clips of before this arm keep their keys"


@pytest.mark.parametrize(("name", "frames"), [("published", 16), ("24 frames", 24)])
def test_arithmetic_is_that_of_the_products_own_estimate(all_recipes, monkeypatch, name, frames):
    monkeypatch.setattr(Recipes, "_cost", COUNTED)
    sources, arm = Sources("embedded", "embedded"), all_recipes.recipes["embedded", name].arm
    recipe = Recipes(sources, None, 16, Machine()).recipe(arm)
    whole = estimate(recipe.plan, load_shapes(sources), frames=frames, height=64, width=64)
    assert recipe.tflop == pytest.approx(whole.flops / 1e12, rel=1e-6)
    assert recipe.calls == whole.calls.total


def test_arithmetic_is_the_sum_of_the_calls(monkeypatch):
    """Of a guided output of each network and a decoded frame, which are planted here."""
    planted = Estimate(
        weights=0,
        loading=0,
        painting=Cost(1000, 0),
        refining=Cost(100, 0),
        decoding=Cost(10, 0),
        kept=0,
        calls=Calls(0, 0, 0, 0),
        flops=7,
    )
    monkeypatch.setattr(Recipes, "_cost", COUNTED)
    monkeypatch.setattr(Recipes, "_estimate", lambda self, plan, frames: planted)
    pair = Recipes(Sources("embedded", "embedded"), None, 16, Machine())
    recipes = {arm.name: pair.recipe(arm) for arm in (ALONE, PER_FRAME, PUBLISHED)}
    steps = {name: recipe.plan.steps for name, recipe in recipes.items()}
    assert recipes["T2V alone"].tflop * 1e12 == pytest.approx(steps["T2V alone"] * 100 + 16 * 10)
    assert recipes["T2V alone"].calls == steps["T2V alone"]
    assert recipes["T2I per frame"].tflop * 1e12 == pytest.approx(16 * steps["T2I per frame"] * 1000 + 16 * 10)
    assert recipes["T2I per frame"].calls == 16 * steps["T2I per frame"]
    calls = calls_of(recipes["published"].plan)
    chain = calls.painting * 1000 + (calls.correction + calls.inverting) * 500 + calls.refining * 100
    assert recipes["published"].tflop * 1e12 == pytest.approx(chain + 16 * 10)
    cached = pair.recipe(Arm("cached", settings={"cache_interval": 2}))
    assert cached.tflop * 1e12 == pytest.approx(7)
    assert cached.calls == calls_of(cached.plan, 16).total


def test_a_t2v_makes_so_many_frames_at_once_and_more_in_windows():
    pair = Recipes(Sources("embedded", "embedded_animatediff"), None, 16, Machine())
    most = pair.shapes.models.max_frames
    assert most is not None
    assert pair.recipe(Arm("a", frames=most)).frames == most
    with pytest.raises(PlanError, match=f"This T2V makes at most {most} frames at once"):
        pair.recipe(Arm("a", frames=most + 1))
    assert pair.recipe(Arm("a", frames=most + 1, settings={"window": most})).frames == most + 1
    with pytest.raises(PlanError):
        pair.recipe(Arm("a", frames=most + 2, settings={"window": most + 1}))


def test_sizes_are_the_t2is_own_or_those_asked_for():
    own = Recipes(Sources("embedded", "embedded"), None, 16, Machine())
    assert (own.width, own.height) == (64, 64)
    asked = Recipes(Sources("embedded", "embedded"), (48, 32), 16, Machine())
    recipe = asked.recipe(Arm("a"))
    assert (recipe.width, recipe.height, recipe.settings["size"]) == (48, 32, [48, 32])


def test_models_alone_take_their_own_arithmetic(monkeypatch):
    monkeypatch.setattr(Recipes, "_cost", COUNTED)
    pair = Recipes(Sources("embedded", "embedded"), None, 16, Machine())
    published, alone, frames = (pair.recipe(arm) for arm in (PUBLISHED, ALONE, PER_FRAME))
    assert alone.calls == alone.plan.steps
    assert frames.calls == 16 * frames.plan.steps
    assert alone.tflop < published.tflop


def test_an_impossible_preset_is_no_arm():
    with pytest.raises(PlanError):
        Arm("a", settings={"refine": [45], "refine_steps": 50}).plan(presets_for("zeroscope"))


def test_the_committed_prompts_are_those_of_the_world():
    prompts = read_prompts()
    assert len(prompts) == 48
    assert sorted((*prompts, *calibration_prompts()), key=str) == sorted(all_prompts(), key=str)
    assert prompts == [prompt for prompt in all_prompts() if prompt.use == "study"], "in the same order, too"
    assert {prompt.text for prompt in prompts}.isdisjoint(prompt.text for prompt in calibration_prompts())
    assert {len(prompt.seeds) for prompt in prompts} == {SEEDS}
    for prompt in prompts:
        assert prompt.scene is not None
        unseen = {background.name for background in held_out_backgrounds(prompt.scene.subject)}
        assert (prompt.background in unseen) == prompt.held_out
    assert 0.3 <= sum(prompt.held_out for prompt in prompts) / len(prompts) <= 0.4


def test_the_first_few_prompts_are_mixed():
    for count in (12, 24, 48):
        motions = Counter(prompt.motion for prompt in read_prompts()[:count])
        assert len(motions) == 7
        assert max(motions.values()) <= count // 7 + 1


def test_true_renders_are_known_of_every_prompt():
    renders = read_renders()
    for prompt in all_prompts():
        assert renders.features["crisp"][prompt.text].shape == (MOMENTS, 128)
        assert renders.sharpness["neon"][prompt.text] > 0


def test_moments_go_from_the_first_frame_to_the_last():
    assert moments(16) == [0, 5, 10, 15]
    assert moments(4) == [0, 1, 2, 3]
    assert moments(64)[-1] == 63


def test_prompts_of_ones_own_are_lines_or_objects(tmp_path):
    (tmp_path / "mine.txt").write_text("a red fox\n\n  a sea at night \n", encoding="utf-8")
    mine = read_prompts(tmp_path / "mine.txt")
    assert [prompt.text for prompt in mine] == ["a red fox", "a sea at night"]
    assert mine[0].scene is None
    assert len(mine[0].seeds) == 2
    (tmp_path / "mine.json").write_text('[{"text": "a fox", "seeds": [7]}]', encoding="utf-8")
    assert read_prompts(tmp_path / "mine.json") == [replace(mine[0], text="a fox", seeds=(7,))]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.json", "[1]", "no list of prompts"),
        ("a.json", '{"text": "a"}', "no list of prompts"),
        ("a.json", '[{"text": "a", "subject": "unicorn", "background": "red", "motion": "up"}]', "no list of prompts"),
        ("a.json", "[{", "no list of prompts"),
        ("a.txt", "\n\n", "holds no prompt"),
        ("a.txt", "a\na\n", "twice"),
    ],
)
def test_what_is_no_list_of_prompts_is_told(tmp_path, name, content, said):
    (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(RequestError, match=said):
        read_prompts(tmp_path / name)
    with pytest.raises(RequestError, match="cannot be read"):
        read_prompts(tmp_path / "nowhere.txt")
