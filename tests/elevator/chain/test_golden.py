"""The published sampler's recordings: same models, noise and settings must give the same latents."""

from __future__ import annotations

import re
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from elevator import LowPass
from elevator.chain.frequency import mask
from elevator.chain.schedule import Schedule
from tests.elevator.golden import FOLDER, Call, case, models, relative_error
from tests.parity import SCHEDULES, TOLERANCE, errors, main

CASES = tuple(sorted(file.stem for file in (FOLDER / "cases").glob("*.json")))
MASKS = load_file(FOLDER / "masks.safetensors")
SINGLE = load_file(FOLDER / "cases" / "single_forward.safetensors")


@pytest.mark.parametrize("name", CASES)
def test_chain_equals_the_recording_at_every_stage(name):
    recorded = case(name)
    found = errors(recorded, models(recorded.settings["t2v"]))
    assert found.keys() >= {key for key in recorded.tensors if re.match(r"latents|refined_|inverted_|lpff_", key)}
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.parametrize("name", CASES)
def test_own_schedules_have_the_recorded_timesteps(name):
    recorded = case(name)
    pair = models(recorded.settings["t2v"])
    t2v_schedule = Schedule.of(SCHEDULES[recorded.settings["t2v_schedule"]])
    for schedule, key in ((pair.t2i_schedule, "t2i_timesteps"), (t2v_schedule, "t2v_timesteps")):
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
    zeroscope, animatediff, lavie = models("zeroscope"), models("animatediff"), models("lavie")
    clips, text = SINGLE["sample"].transpose(1, 2), SINGLE["prompt_embeds"]
    frames = clips.flatten(0, 1)
    bare = zeroscope.t2i.unet(frames, 500, text.repeat_interleave(6, dim=0)).sample
    decoded = zeroscope.vae.decode(clips[0] / zeroscope.vae.config.scaling_factor).sample
    errors = {
        "t2i": relative_error(bare, SINGLE["t2i"]),
        "zeroscope": relative_error(zeroscope.t2v(clips, 500, Call.of(text)).transpose(1, 2), SINGLE["zeroscope"]),
        "animatediff": relative_error(
            animatediff.t2v(clips, 500, Call.of(text)).transpose(1, 2), SINGLE["animatediff"]
        ),
        "lavie": relative_error(lavie.t2v(clips, 500, Call.of(text)).transpose(1, 2), SINGLE["lavie"]),
        "decoded": relative_error(decoded, SINGLE["decoded"]),
    }
    assert max(errors.values()) <= TOLERANCE, errors


def test_decode_gives_the_recorded_pictures_as_pixels():
    pair = models("zeroscope")
    for latents, picture in zip(SINGLE["sample"][0].transpose(0, 1), SINGLE["decoded"], strict=True):
        pixels = torch.from_numpy(pair.decode(latents)).permute(2, 0, 1) / 127.5 - 1
        assert (pixels - picture.clamp(-1, 1)).abs().max() <= 1 / 255 + 1e-5


def test_the_parity_command_says_which_case_fails(tmp_path, capsys):
    for file in (*(FOLDER / "cases").glob("one_step.*"), *(FOLDER / "cases").glob("no_refining.*")):
        shutil.copy(file, tmp_path)
    options = ["--models", str(FOLDER), "--cases", str(tmp_path)]
    assert main(options) == 0
    assert re.findall(r"^(\w+) +\S+  (\w+)$", capsys.readouterr().out, re.MULTILINE) == [
        ("no_refining", "ok"),
        ("one_step", "ok"),
    ]
    tensors = load_file(tmp_path / "one_step.safetensors")
    tensors["refined_0"] = tensors["refined_0"] * 1.001
    save_file(tensors, tmp_path / "one_step.safetensors")
    (tmp_path / "no_refining.json").write_text('{"t2v": "mystery"}')
    assert main(options) == 1
    lines = capsys.readouterr().out.splitlines()
    assert re.fullmatch(r"no_refining +inf  FAIL  KeyError: .*", lines[0])
    assert re.fullmatch(r"one_step +1\.0e-03  FAIL", lines[1])
    assert main(["--models", str(FOLDER), "--cases", str(FOLDER)]) == 2
