"""The published sampler's recordings: same models, noise and settings must give the same latents."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import msgspec
import pytest
import torch
from diffusers import UNet2DConditionModel
from safetensors.torch import load_file, save_file

from elevator import LowPass, Plan
from elevator.chain.frequency import mask
from elevator.chain.noise import mix
from elevator.chain.schedule import Schedule
from tests.elevator.golden import FOLDER, Call, case, models, relative_error
from tests.parity import SCHEDULES, TOLERANCE, LowPassSettings, Settings, errors, main
from tests.published import FirstFrame, Published

CASES = tuple(sorted(file.stem for file in (FOLDER / "cases").glob("*.json")))
MASKS = load_file(FOLDER / "masks.safetensors")
SINGLE = load_file(FOLDER / "cases" / "single_forward.safetensors")


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_chain_equals_the_recording_at_every_stage(name):
    recorded = case(name)
    found = errors(recorded, models(recorded.settings.t2v))
    assert found.keys() >= {key for key in recorded.tensors if re.match(r"latents|refined_|inverted_|lpff_", key)}
    assert max(found.values()) <= TOLERANCE, found


@pytest.mark.parametrize("name", CASES)
def test_own_schedules_have_the_recorded_timesteps(name):
    recorded = case(name)
    pair = models(recorded.settings.t2v)
    t2v_schedule = Schedule.of(SCHEDULES[recorded.settings.t2v_schedule])
    for schedule, key in ((pair.t2i_schedule, "t2i_timesteps"), (t2v_schedule, "t2v_timesteps")):
        assert list(schedule.with_steps(recorded.plan.steps).timesteps) == recorded.tensors[key].tolist()


@pytest.mark.parametrize("name", CASES)
def test_text_encoders_give_the_recorded_embeddings(name):
    recorded = case(name)
    pair = models(recorded.settings.t2v)
    for encoder, key in ((pair.t2i_text, "prompt_embeds"), (pair.t2v_text, "prompt_embeds_t2v")):
        embeds = torch.cat([encoder(recorded.settings.negative), encoder(recorded.settings.prompt)])
        assert relative_error(embeds, recorded.tensors[key]) <= 1e-5


@pytest.mark.parametrize("name", CASES)
def test_mask_of_each_case(name):
    recorded = case(name)
    gain = recorded.tensors["lpff"]
    ours = torch.fft.fftshift(mask(recorded.plan.lowpass, *gain.shape))
    assert torch.allclose(ours, gain, atol=1e-6)


@pytest.mark.parametrize("name", MASKS)
def test_published_masks(name):
    named = re.fullmatch(r"(\w+?)(?:_n(\d+))?_ds(.+)_dt(.+)", name)
    assert named
    method, order, d_s, d_t = named.groups()
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


@pytest.mark.slow
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
    assert re.fullmatch(r"no_refining +inf  FAIL  no_refining\.json: .*mystery.* `\$\.t2v`\.", lines[0])
    assert re.fullmatch(r"one_step +1\.0e-03  FAIL", lines[1])
    assert main(["--models", str(FOLDER), "--cases", str(FOLDER)]) == 2


PARITY = ["--models", str(FOLDER), "--cases"]


def record(folder: Path, plan: Plan, lpff: dict[str, object]) -> None:
    """A case of this plan, made by the plain version of the published sampler, on the numbers of another case."""
    like, pair = case("one_step"), models("zeroscope")
    frames = like.settings.frames
    noise = torch.Generator().manual_seed(0)
    noises = [torch.randn(frames, 4, 8, 8, generator=noise) for _ in plan.refine]
    unet = UNet2DConditionModel.from_pretrained(FOLDER / "t2i" / "unet", local_files_only=True)
    unet.set_attn_processor(FirstFrame(frames))
    config = json.loads((FOLDER / "t2i" / "scheduler" / "scheduler_config.json").read_text())
    published = Published(
        lambda z, t, text: unet(z, t, text).sample,
        lambda clips, t, text: pair.t2v.unet(clips, t, text).sample,
        *(config, like.tensors["prompt_embeds"], like.tensors["prompt_embeds_t2v"], plan, frames),
    )
    latents = published(mix(like.tensors["noise_base"], like.tensors["noise_residual"], plan.alpha), noises)
    kept = ("prompt_embeds", "prompt_embeds_t2v", "noise_base", "noise_residual")
    tensors = {key: like.tensors[key] for key in kept} | {"latents": latents} | published.stages
    tensors |= {f"noise_refine_{n}": one for n, one in enumerate(noises)}
    tensors |= {f"{name}_timesteps": published.scheduler.timesteps for name in ("t2i", "t2v")}
    save_file({key: tensor.contiguous().clone() for key, tensor in tensors.items()}, folder / "new.safetensors")
    settings = json.loads((FOLDER / "cases" / "one_step.json").read_text())
    settings |= {"steps": plan.steps, "stable_steps": plan.refine, "stable_num": plan.refine_steps, "lpff": lpff}
    (folder / "new.json").write_text(json.dumps(settings))


def change(folder: Path, change: object) -> None:
    """Other settings in the case of this folder: an object of keys, or one to be left out."""
    settings = json.loads((folder / "new.json").read_text())
    settings = (
        settings | change if isinstance(change, dict) else {key: settings[key] for key in settings if key != change}
    )
    (folder / "new.json").write_text(json.dumps(settings))


@pytest.mark.slow
def test_a_butterworth_case_is_read_and_compared(tmp_path, capsys):
    lowpass = LowPass("butterworth", 0.6, 0.3, order=2)
    lpff = {"method": "butterworth", "d_s": 0.6, "d_t": 0.3, "n": 2}
    record(tmp_path, Plan(6, (5, 3), 2, alpha=1.0, guidance=7.5, video_guidance=7.5, lowpass=lowpass), lpff)
    assert main([*PARITY, str(tmp_path)]) == 0
    for other in ({"n": 4}, {"method": "gaussian"}):
        change(tmp_path, {"lpff": lpff | other})
        assert main([*PARITY, str(tmp_path)]) == 1
        assert re.search(r"new +\d\S+  FAIL\n", capsys.readouterr().out)


@pytest.fixture
def one_step(tmp_path):
    for suffix in (".json", ".safetensors"):
        shutil.copy(FOLDER / "cases" / f"one_step{suffix}", tmp_path / f"new{suffix}")
    return tmp_path


LPFF = {"method": "butterworth", "d_s": 1.0, "d_t": 0.4}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        *(
            (key, rf"`{key}`")
            for key in Settings.__struct_fields__
            if key not in ("prompt", "negative", "seed", "lpff")
        ),
        ("lpff", "`lpff`"),
        ({"stable_nums": 1}, "`stable_nums`"),
        ({"lpff": LPFF}, "`n`"),
        ({"lpff": LPFF | {"n": 4, "order": 4}}, "`order`"),
        ({"lpff": LPFF | {"n": "4"}}, r"`\$\.lpff\.n`"),
        ({"lpff": LPFF | {"method": "median"}}, "'median'"),
        ({"t2v_schedule": "cosine"}, "'cosine'"),
        ({"anchor_fix": False}, "`anchor_fix` is false"),
        ({"frames": 5}, "`frames` and `size`"),
        ({"size": [64, 128]}, "`frames` and `size`"),
        ({"steps": 3}, "countdown"),
    ],
)
def test_settings_that_are_none_are_one_sentence(one_step, capsys, changed, sentence):
    change(one_step, changed)
    assert main([*PARITY, str(one_step)]) == 1
    assert re.fullmatch(rf"new +inf  FAIL  .*{sentence}.*\.\n", capsys.readouterr().out)


@pytest.mark.parametrize("key", ["prompt", "negative", "seed"])
def test_what_is_for_the_record_alone_may_be_missing(one_step, key):
    change(one_step, key)
    assert main([*PARITY, str(one_step)]) == 0


@pytest.mark.slow
def test_a_tensor_that_is_missing_is_named(one_step, capsys):
    file = one_step / "new.safetensors"
    tensors = load_file(file)
    for key in (
        "prompt_embeds",
        "prompt_embeds_t2v",
        "noise_base",
        "noise_residual",
        "noise_refine_0",
        "t2v_timesteps",
    ):
        save_file({name: tensor for name, tensor in tensors.items() if name != key}, file)
        assert main([*PARITY, str(one_step)]) == 1
        assert f"new.safetensors holds no {key}.\n" in capsys.readouterr().out
    for key in ("latents", "refined_0"):
        save_file({name: tensor for name, tensor in tensors.items() if name != key}, file)
        assert main([*PARITY, str(one_step)]) == 1
        assert "inf  FAIL\n" in capsys.readouterr().out
    file.write_bytes(b"no tensors")
    assert main([*PARITY, str(one_step)]) == 1
    assert "FAIL  new.safetensors: " in capsys.readouterr().out


def test_all_that_a_case_may_hold_is_documented():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    documented = {
        key for row in re.findall(r"^\| (`.*?) \|", text, re.MULTILINE) for key in re.findall(r"`(\w+)`", row)
    }
    held = {re.sub(r"_\d+$", "_i", key) for name in CASES for key in case(name).tensors}
    assert held | {*Settings.__struct_fields__} == documented
    (lpff,) = re.findall(r"^\| `lpff` \|.*`method`.*", text, re.MULTILINE)
    assert all(f"`{name}`" in lpff for name in LowPassSettings.__struct_fields__)
    assert all(f"`{name}`" in text for kind in (Settings, LowPassSettings) for name in choices(kind))


def choices(kind: type[msgspec.Struct]) -> list[str]:
    """All words that fields of this kind may hold."""
    told = msgspec.inspect.type_info(kind)
    assert isinstance(told, msgspec.inspect.StructType)
    return [
        str(name)
        for one in told.fields
        if isinstance(one.type, msgspec.inspect.LiteralType)
        for name in one.type.values
    ]
