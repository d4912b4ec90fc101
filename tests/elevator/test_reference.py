"""The chain against a plain version written from the paper with diffusers' own schedulers.

It runs what the recordings do not hold: v prediction with zero terminal SNR and trailing timesteps, odd clip
lengths, a refinement at the last step, guidance 1 for the T2V, an inverted path that is used up.
"""

from __future__ import annotations

import json
import shutil
import warnings

import pytest
import torch
from diffusers import DDIMInverseScheduler, DDIMScheduler, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor2_0

from elevator import LowPass, Plan, chain, load_models
from elevator.cross_frame import Text
from elevator.denoiser import Denoiser
from elevator.noise import chain_noise, starting_noise
from tests.elevator.golden import FOLDER, drain, relative_error

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


class FirstFrame(AttnProcessor2_0):
    """Self-attention to frame 0 of each half of the batch, the slow way."""

    def __init__(self, frames):
        super().__init__()
        self.frames = frames

    def __call__(self, attn, hidden_states, encoder_hidden_states=None, attention_mask=None):
        if encoder_hidden_states is None:
            starts = [k - k % self.frames for k in range(len(hidden_states))]
            encoder_hidden_states = hidden_states[starts]
        return super().__call__(attn, hidden_states, encoder_hidden_states, attention_mask)


def blur(x0, settings):
    """The paper's low-pass with an explicit loop over frequencies; x0 (F, C, h, w)."""
    frames, _, height, width = x0.shape
    spectrum = torch.fft.fftn(x0, dim=(0, 2, 3))

    def units(k, n):
        return 2 * (k if k < (n + 1) // 2 else k - n) / n

    for k in range(frames):
        for y in range(height):
            for x in range(width):
                d2 = (
                    (settings.d_s / settings.d_t * units(k, frames)) ** 2 + units(y, height) ** 2 + units(x, width) ** 2
                )
                if settings.method == "gaussian":
                    spectrum[k, :, y, x] *= torch.exp(torch.tensor(-d2 / (2 * settings.d_s**2)))
                else:
                    spectrum[k, :, y, x] *= 1 / (1 + (d2 / settings.d_s**2) ** settings.order)
    return torch.fft.ifftn(spectrum, dim=(0, 2, 3)).real


class Plain:
    """Algorithm 1 without any saving."""

    def __init__(self, t2i, t2v, config, text, video_text, plan, frames):
        self.t2i, self.t2v, self.plan, self.frames = t2i, t2v, plan, frames
        self.text, self.video_text = text, video_text  # (2, L, D): negative, positive
        self.scheduler = DDIMScheduler.from_config(config)
        self.video_scheduler = DDIMScheduler.from_config(config)
        with warnings.catch_warnings():
            self.inverse = DDIMInverseScheduler.from_config(config)
        for scheduler in (self.scheduler, self.video_scheduler, self.inverse):
            scheduler.set_timesteps(plan.steps)

    def image(self, z, t, which):
        text = self.text[which].expand(self.frames, -1, -1)
        return self.t2i(z, t, text).sample

    def image_guided(self, z, t):
        text = self.text.repeat_interleave(self.frames, dim=0)
        negative, positive = self.t2i(torch.cat([z, z]), t, text).sample.chunk(2)
        return negative + self.plan.guidance * (positive - negative)

    def video_guided(self, y, t):
        clip = y.transpose(0, 1)[None]
        negative, positive = self.t2v(torch.cat([clip, clip]), t, self.video_text).sample
        return (negative + self.plan.video_guidance * (positive - negative)).transpose(0, 1)

    def invert(self, x0, steps):
        path, z = [], x0
        for t in self.inverse.timesteps[:steps]:
            z = self.inverse.step(self.image(z, t, 0), int(t), z).prev_sample
            path.append(z)
        return path

    @torch.inference_mode()
    def __call__(self, z, noises):
        plan, path, refined = self.plan, [], 0
        for i, t in enumerate(self.scheduler.timesteps):
            step = self.scheduler.step(self.image_guided(z, t), int(t), z)
            z_next, x0 = step.prev_sample, step.pred_original_sample
            if len(path) > 1:
                y = path.pop()
                z_next = z_next + path[-1] - self.scheduler.step(self.image(y, t, 1), int(t), y).prev_sample
            if plan.steps - i in plan.refine:
                if plan.steps - i != plan.refine[-1]:
                    x0 = blur(x0, plan.lowpass)
                y = self.video_scheduler.add_noise(x0, noises[refined], t)
                refined += 1
                for t_k in self.video_scheduler.timesteps[i : i + plan.refine_steps]:
                    step = self.video_scheduler.step(self.video_guided(y, t_k), int(t_k), y)
                    y, x0 = step.prev_sample, step.pred_original_sample
                path = self.invert(x0, plan.steps - i - 1)
                z = path[-1] if path else x0
            else:
                z = z_next
        return z


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
    return load_models(folder, FOLDER / "zeroscope")


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
    plain = Plain(plain_unet, pair.t2v.unet, config, text, video_text, plan, frames)
    reference = plain(z, noises)
    assert torch.isfinite(latents).all()
    assert relative_error(latents, reference) <= 1e-4
    assert len(units) == plan.calls().total
