"""The published sampler's recordings: same models, noise and settings must give the same latents."""

from __future__ import annotations

import re
from itertools import groupby

import pytest
import torch
from safetensors.torch import load_file

from elevator import LowPass, chain, sampler
from elevator.frequency import lowpass, mask
from elevator.noise import mix
from tests.elevator.golden import FOLDER, TOLERANCE, case, denoisers, drain, models, relative_error

CASES = ("zeroscope", "animatediff", "one_step", "no_refining")
MASKS = load_file(FOLDER / "masks.safetensors")
SINGLE = load_file(FOLDER / "cases" / "single_forward.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_chain_equals_the_recording_at_every_stage(name, monkeypatch):
    recorded = case(name)
    tensors, plan = recorded.tensors, recorded.plan
    filtered = []

    def spy(x, gain):
        filtered.append((x, lowpass(x, gain)))
        return filtered[-1][1]

    monkeypatch.setattr(sampler, "lowpass", spy)
    z = mix(tensors["noise_base"], tensors["noise_residual"], plan.alpha)
    units, latents = drain(chain(*denoisers(recorded), plan, z, lambda n: tensors[f"noise_refine_{n}"]))

    stages = {phase: [] for phase in ("painting", "refining", "inverting")}
    for phase, group in groupby(units, key=lambda unit: unit.phase):
        stages[phase].append(list(group)[-1])
    found = {"latents": latents}
    found |= {f"refined_{n}": unit.clean for n, unit in enumerate(stages["refining"])}
    found |= {f"inverted_{n}": unit.latents for n, unit in enumerate(stages["inverting"])}
    found |= {f"lpff_in_{n}": x.transpose(0, 1)[None] for n, (x, _) in enumerate(filtered)}
    found |= {f"lpff_out_{n}": x.transpose(0, 1)[None] for n, (_, x) in enumerate(filtered)}

    wanted = {key for key in tensors if re.match(r"latents|refined|inverted|lpff_", key)}
    assert found.keys() == wanted
    errors = {key: relative_error(found[key], tensors[key]) for key in wanted}
    assert max(errors.values()) <= TOLERANCE, errors


@pytest.mark.parametrize("name", CASES)
def test_own_schedules_have_the_recorded_timesteps(name):
    recorded = case(name)
    pair = models(recorded.settings["t2v"])
    for schedule, key in ((pair.t2i_schedule, "t2i_timesteps"), (pair.t2v_schedule, "t2v_timesteps")):
        assert list(schedule.with_steps(recorded.plan.steps).timesteps) == recorded.tensors[key].tolist()


@pytest.mark.parametrize("name", CASES)
def test_text_encoders_give_the_recorded_embeddings(name):
    recorded = case(name)
    pair = models(recorded.settings["t2v"])
    for encoder, key in ((pair.t2i_text, "prompt_embeds"), (pair.t2v_text, "prompt_embeds_t2v")):
        embeds = torch.cat([encoder(recorded.settings["negative"]), encoder(recorded.settings["prompt"])])
        assert relative_error(embeds, recorded.tensors[key]) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_mask_of_each_case(name):
    recorded = case(name)
    gain = recorded.tensors["lpff"]
    ours = torch.fft.fftshift(mask(recorded.plan.lowpass, *gain.shape))
    assert torch.allclose(ours, gain, atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_published_masks(name):
    method, order, d_s, d_t = re.fullmatch(r"(\w+?)(?:_n(\d+))?_ds(.+)_dt(.+)", name).groups()
    settings = LowPass(method, float(d_s), float(d_t), int(order or 4))
    assert torch.allclose(torch.fft.fftshift(mask(settings, 8, 8, 8)), MASKS[name], atol=1e-6)


@torch.inference_mode()
def test_single_forward_of_each_network():
    zeroscope, animatediff = models("zeroscope"), models("animatediff")
    clips, text = SINGLE["sample"].transpose(1, 2), SINGLE["prompt_embeds"]
    frames = clips.flatten(0, 1)
    bare = zeroscope.t2i.unet(frames, 500, text.repeat_interleave(6, dim=0)).sample
    decoded = zeroscope.vae.decode(clips[0] / zeroscope.vae.config.scaling_factor).sample
    errors = {
        "t2i": relative_error(bare, SINGLE["t2i"]),
        "zeroscope": relative_error(zeroscope.t2v(clips, 500, text).transpose(1, 2), SINGLE["zeroscope"]),
        "animatediff": relative_error(animatediff.t2v(clips, 500, text).transpose(1, 2), SINGLE["animatediff"]),
        "decoded": relative_error(decoded, SINGLE["decoded"]),
    }
    assert max(errors.values()) <= TOLERANCE, errors


def test_decode_gives_the_recorded_pictures_as_pixels():
    pair = models("zeroscope")
    for latents, picture in zip(SINGLE["sample"][0].transpose(0, 1), SINGLE["decoded"], strict=True):
        pixels = torch.from_numpy(pair.decode(latents)).permute(2, 0, 1) / 127.5 - 1
        assert (pixels - picture.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-5
