"""T2Is that were distilled to a few steps: how they are known, which presets they have, and what they are asked."""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import LatentConsistencyModelPipeline
from safetensors.torch import load_file, save_file

from elevator import ModelError, PlanError, Sources, elevate, load_models
from elevator.checkpoints import identify
from elevator.defaults import preset_plan
from elevator.models.pair import guidance_embedding
from elevator.plan import Plan
from elevator.presets import EMBEDDED_GUIDANCE, T2VS, presets_for
from tests.elevator.golden import FOLDER, models

pytestmark = pytest.mark.slow
WIDTH = 32


@pytest.fixture
def t2i(tmp_path):
    return shutil.copytree(FOLDER / "t2i", tmp_path / "t2i")


def change(path, **values):
    path.write_text(json.dumps(json.loads(path.read_text()) | values))


def loaded(t2i=FOLDER / "t2i", **options):
    return load_models(Sources.of(t2i, FOLDER / "animatediff", **options))


def asked(pair, plan):
    """The prompts and frames of each call of the T2I's UNet, and what it read beside the timestep."""
    seen = []

    def hook(module, args, kwargs):
        seen.append((len(args[0]), kwargs["timestep_cond"]))

    handle = pair.t2i.unet.register_forward_pre_hook(hook, with_kwargs=True)
    try:
        list(elevate(pair, prompt="a", plan=plan, frames=2, height=16, width=16, seed=0))
    finally:
        handle.remove()
    return seen


@pytest.mark.parametrize(("kind", "first"), [("lcm", 999), ("hyper", 999), ("lightning", 999), ("turbo", 999)])
def test_the_caller_says_how_a_t2i_was_distilled(kind, first):
    pair = loaded(distilled=kind)
    assert list(pair.presets) == ["turbo"]
    assert pair.t2i_schedule.with_steps(4).timesteps[0] == first
    assert (pair.t2i_schedule.lcm_steps > 0) == (kind == "lcm")
    assert pair.t2v_schedule.lcm_steps == 0
    assert [batch for batch, _ in asked(pair, pair.presets["turbo"].plan)] == [2] * 6, "both frames, one prompt"


def test_the_t2v_has_its_own_steps_where_it_reads_the_t2is_levels(tmp_path):
    shutil.copytree(FOLDER / "zeroscope", tmp_path / "t2v")
    shutil.rmtree(tmp_path / "t2v" / "scheduler", ignore_errors=True)
    pair = load_models(Sources.of(FOLDER / "t2i", tmp_path / "t2v", distilled="lcm"))
    assert (pair.t2i_schedule.lcm_steps, pair.t2v_schedule.lcm_steps) == (50, 0)


def test_turbo_is_refused_where_the_t2i_is_not_known_to_be_distilled():
    sentence = (
        "The preset turbo is for text-to-image models that were distilled to a few steps .* choose one of published"
    )
    with pytest.raises(PlanError, match=sentence):
        preset_plan(models("animatediff"), "turbo")
    with pytest.raises(ModelError, match="distilled is 'magic'"):
        loaded(distilled="magic")


def test_a_folder_says_it_by_its_scheduler(t2i):
    assert identify(t2i).distilled is None
    scheduler = t2i / "scheduler" / "scheduler_config.json"
    change(scheduler, _class_name="LCMScheduler", original_inference_steps=20)
    assert (identify(t2i).distilled, identify(t2i).notes) == ("lcm", ())
    assert loaded(t2i).t2i_schedule.lcm_steps == 20
    plain = loaded(t2i, distilled="none")
    assert (plain.t2i_schedule.lcm_steps, "published" in plain.presets) == (0, True)
    change(scheduler, _class_name="EulerDiscreteScheduler", timestep_spacing="trailing")
    assert identify(t2i).distilled == "turbo"
    (note,) = loaded(t2i).guesses
    assert note.endswith('if it was not, set distilled to "none".')
    assert loaded(t2i, distilled="none").guesses == ()
    change(scheduler, rescale_betas_zero_snr=True, prediction_type="v_prediction")
    assert identify(t2i).distilled is None


@pytest.fixture
def lcm(t2i):
    """A T2I that reads its guidance beside the timestep."""
    change(t2i / "unet" / "config.json", time_cond_proj_dim=WIDTH)
    (file,) = (t2i / "unet").glob("*.safetensors")
    tensors = load_file(file)
    width = tensors["time_embedding.linear_1.weight"].shape[1]
    tensors["time_embedding.cond_proj.weight"] = torch.randn(
        width, WIDTH, generator=torch.Generator().manual_seed(0)
    ).to(tensors["conv_in.weight"])
    save_file(tensors, file)
    return t2i


def test_guidance_that_is_read_beside_the_timestep(lcm):
    assert identify(lcm).distilled == "lcm"
    pair = loaded(lcm)
    plan = pair.presets["turbo"].plan
    assert plan.guidance == EMBEDDED_GUIDANCE
    theirs = LatentConsistencyModelPipeline.get_guidance_scale_embedding(
        None, torch.tensor([EMBEDDED_GUIDANCE - 1]), embedding_dim=WIDTH
    )
    calls = asked(pair, plan)
    assert [batch for batch, _ in calls] == [2] * 6, "both frames, one prompt, whatever the guidance"
    assert all(torch.allclose(beside, theirs, atol=1e-4) for _, beside in calls)


def test_deep_features_are_reused_with_that_guidance(lcm):
    """DeepCache at interval 2 on a chain of one step is the chain itself; on two, the second differs and is finite."""
    pair = loaded(lcm)
    plan = Plan(steps=2, refine=(), guidance=4.0, cache_interval=2)
    assert [float(beside.sum()) for _, beside in asked(pair, plan)] == [float(guidance_embedding(4.0, WIDTH).sum())]
    assert guidance_embedding(4.0, 5).shape == (1, 5)


@pytest.mark.parametrize("kind", T2VS)
def test_turbo_is_short_and_without_guidance_or_correction(kind):
    preset = presets_for(kind)["turbo"]
    assert preset.few_steps
    assert preset.plan.steps <= 8
    assert preset.plan.guidance == 1
    assert not preset.plan.corrects
    assert not any(each.few_steps for name, each in presets_for(kind).items() if name != "turbo")
