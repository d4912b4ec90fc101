"""The chain against the plain version of the published one.

It runs what the recordings do not hold: v prediction with zero terminal SNR and trailing timesteps, odd clip
lengths, a refinement at the last step, guidance 1 for the T2V, an inverted path that is used up.
"""

from __future__ import annotations

import json
import shutil

import pytest
import torch
from diffusers import UNet2DConditionModel

from elevator import LowPass, Plan, Sources, load_models
from elevator.calls import calls_of
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.noise import chain_noise, starting_noise
from tests.elevator.golden import FOLDER, drain, relative_error
from tests.published import FirstFrame, Published

pytestmark = pytest.mark.slow

EPSILON = {
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "clip_sample": False,
    "set_alpha_to_one": False,
    "steps_offset": 1,
}
V_ZERO_SNR = EPSILON | {
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "timestep_spacing": "trailing",
    "set_alpha_to_one": True,
}
PLANS = {
    "three refinements": Plan(10, (9, 6, 3), 2, lowpass=LowPass("gaussian", 1.0, 0.5)),
    "at once and at the end": Plan(5, (5, 4, 1), 1, lowpass=LowPass("butterworth", 0.5, 0.25)),
    "every step": Plan(5, (5, 4, 3, 2, 1), 1),
    "T2V without guidance": Plan(5, (4,), 3, video_guidance=1),
    "path used up": Plan(10, (4,), 4, guidance=3.0),
    "one step": Plan(1, (1,), 1),
}


@pytest.fixture(scope="module", params=["epsilon", "v and zero SNR"])
def config(request):
    return EPSILON if request.param == "epsilon" else V_ZERO_SNR


@pytest.fixture(scope="module")
def pair(config, tmp_path_factory):
    """The recorded networks under the config's schedule, which the T2V takes from the T2I."""
    folder = tmp_path_factory.mktemp("models") / "t2i"
    shutil.copytree(FOLDER / "t2i", folder)
    scheduler = folder / "scheduler" / "scheduler_config.json"
    scheduler.write_text(json.dumps({"_class_name": "DDIMScheduler"} | config))
    return load_models(Sources.of(folder, FOLDER / "zeroscope"))


@pytest.mark.parametrize("frames", [1, 3, 4])
@pytest.mark.parametrize("name", PLANS)
def test_chain_equals_the_plain_version(pair, config, name, frames):
    plan = PLANS[name]
    text = torch.cat([pair.t2i_text("blurry"), pair.t2i_text("a dog")])
    video_text = torch.cat([pair.t2v_text("blurry"), pair.t2v_text("a dog")])
    z = starting_noise(0, plan.alpha, frames, (4, 8, 8))
    noises = [chain_noise(0, frames, (4, 8, 8), "refine", n) for n in range(len(plan.refine))]

    t2i = Denoiser("T2I", pair.t2i, pair.t2i_schedule.with_steps(plan.steps), Text(text[:, None]), plan.guidance)
    video_schedule = pair.t2v_schedule.with_steps(plan.steps)
    t2v = Denoiser("T2V", pair.t2v, video_schedule, Text(video_text[:, None]), plan.video_guidance)
    units, latents = drain(chain(t2i, t2v, plan, z, lambda _, n, k=0: noises[n]))

    plain_unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    plain_unet.set_attn_processor(FirstFrame(frames))
    published = Published(
        lambda z, t, text: plain_unet(z, t, text).sample,
        lambda clips, t, text: pair.t2v.unet(clips, t, text).sample,
        *(config, text, video_text, plan, frames),
    )
    reference = published(z, noises)
    assert torch.isfinite(latents).all()
    assert relative_error(latents, reference) <= 1e-4
    assert len(units) == calls_of(plan).total
