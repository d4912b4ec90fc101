"""Clips made from footage, anchored to a picture, travelling through prompts, or longer than the T2V makes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from elevator import Plan, PlanError, RequestError, elevate
from elevator.calls import calls_of
from elevator.models.offload import Offloader
from elevator.prompt_schedule import Prompts
from tests.elevator.golden import models

pytestmark = pytest.mark.slow

PLAN = Plan(steps=5, refine=(4, 2), refine_steps=1)
REQUEST: dict[str, Any] = {"prompt": "a dog", "frames": 4, "height": 32, "width": 48, "seed": 1, "plan": PLAN}


def moving(frames: int = 4) -> np.ndarray:
    """A bright square that goes right over a gradient, (F, 32, 48, 3)."""
    clip = np.zeros((frames, 32, 48, 3), np.uint8)
    clip[:] = np.linspace(40, 160, 48, dtype=np.uint8)[None, None, :, None]
    for k in range(frames):
        clip[k, 10:20, 6 * k : 6 * k + 10] = (250, 200, 30)
    return clip


def sampled(pair=None, **changes):
    steps = list(elevate(pair or models("zeroscope"), **(REQUEST | changes)))
    assert [step.index for step in steps] == list(range(1, steps[-1].total + 1))
    return np.stack([step.frame[1] for step in steps if step.frame])


def round_trip(clip):
    pair = models("zeroscope")
    return np.stack([pair.decode(pair.encode(frame)) for frame in clip])


def apart(a, b):
    return float(np.abs(a.astype(int) - b).mean())


def test_encoding_is_the_vaes_own():
    pair, picture = models("zeroscope"), moving()[1]
    x = torch.from_numpy(picture).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.no_grad():
        expected = pair.vae.encode(x).latent_dist.mean[0] * pair.vae.config.scaling_factor
    assert torch.allclose(pair.encode(picture), expected, atol=1e-6)


def test_strength_0_gives_the_footage_through_the_vae():
    assert np.array_equal(sampled(init_frames=moving(), strength=0), round_trip(moving()))
    phases = [step.phase for step in elevate(models("zeroscope"), **REQUEST, init_frames=moving(), strength=0)]
    assert phases == ["text", *["encoding"] * 4, *["decoding"] * 4]


def test_strength_1_gives_what_no_footage_gives():
    assert np.array_equal(sampled(init_frames=moving(), strength=1), sampled())
    assert np.array_equal(sampled(init_frames=moving()), sampled())


def test_more_strength_leaves_less_of_the_footage():
    plain = Plan(steps=10, refine=(), guidance=2)
    distances = [
        apart(sampled(init_frames=moving(), strength=strength, plan=plain), round_trip(moving()))
        for strength in (0, 0.2, 0.6, 1)
    ]
    assert distances[0] == 0
    assert distances == sorted(distances)
    assert len(set(distances)) == 4


@pytest.mark.parametrize(("strength", "painted"), [(0.01, 1), (0.2, 1), (0.21, 2), (0.5, 3), (0.99, 5)])
def test_strength_runs_the_last_steps(strength, painted):
    steps = list(elevate(models("zeroscope"), **(REQUEST | {"init_frames": moving(), "strength": strength})))
    first = next(step.timestep for step in steps if step.phase == "painting")
    assert first == models("zeroscope").t2i_schedule.with_steps(5).timesteps[5 - painted]
    assert steps[-1].total == len(steps) == 1 + 4 + calls_of(PLAN, 4, 5 - painted).total + 4


def test_refinements_before_the_start_are_left_out():
    steps = elevate(models("zeroscope"), **(REQUEST | {"init_frames": moving(), "strength": 0.6}))
    assert [step.phase for step in steps].count("refining") == 1


@pytest.mark.parametrize("changes", [{}, {"chunk": 1}, {"window": 2, "overlap": 1}, {"way_back": "random_noise"}])
def test_the_anchor_is_frame_0(changes):
    picture = moving()[2]
    clip = sampled(anchor_frame=picture, plan=dataclasses.replace(PLAN, **changes))
    assert apart(clip[0], round_trip([picture])[0]) < 1
    assert apart(clip[1:], sampled(plan=dataclasses.replace(PLAN, **changes))[1:]) > 1


def test_frames_take_the_anchors_look():
    bright, dark = (np.full((32, 48, 3), level, np.uint8) for level in (250, 5))
    plan = Plan(steps=5, refine=())
    means = [sampled(anchor_frame=picture, plan=plan)[1:].mean() for picture in (bright, dark)]
    assert means[0] != means[1]


def test_footage_and_anchor_go_together():
    picture = moving()[3]
    clip = sampled(init_frames=moving(), strength=0, anchor_frame=picture)
    assert np.array_equal(clip, round_trip([picture, *moving()[1:]]))


def test_the_same_prompt_at_every_keyframe_is_that_prompt():
    plain, travelled = sampled(), sampled(prompt="", prompts={0: "a dog", 3: "a dog"})
    assert np.abs(plain.astype(int) - travelled).max() <= 1


@pytest.mark.parametrize("t2v", ["zeroscope", "animatediff", "lavie"])
@pytest.mark.parametrize("chunk", [None, 3])
def test_each_frame_reads_its_own_prompt(t2v, chunk):
    # Without refining frames meet in frame 0 alone, so that the last frame shows which text it was read with.
    plan = Plan(steps=3, refine=(), chunk=chunk)
    first, last = (sampled(models(t2v), prompt=text, plan=plan) for text in ("a dog", "a red cat"))
    travelled = sampled(models(t2v), prompt="", prompts={0: "a dog", 3: "a red cat"}, plan=plan)
    assert np.abs(travelled[0].astype(int) - first[0]).max() <= 1
    assert apart(travelled[3], last[3]) < apart(travelled[3], first[3])
    refined = dataclasses.replace(PLAN, chunk=chunk)
    assert sampled(models(t2v), prompt="", prompts={0: "a dog", 2: "a red cat"}, plan=refined).shape == (4, 32, 48, 3)


def test_prompts_of_different_lengths_travel():
    clip = sampled(prompt="", prompts={0: "a dog", 3: "a dog, " * 60}, plan=Plan(steps=2, refine=(2,), refine_steps=1))
    assert clip.shape == (4, 32, 48, 3)


def test_embeddings_are_mixed_in_straight_lines():
    mixing = Prompts.of("", "", {6: "c", 2: "a", 4: "b"}, 9).mixing(9)
    expected = [[1, 0, 0]] * 3 + [[0.5, 0.5, 0], [0, 1, 0], [0, 0.5, 0.5]] + [[0, 0, 1]] * 3
    assert mixing is not None
    assert torch.equal(mixing, torch.tensor(expected))
    assert Prompts.of("a", "", None, 9).mixing(9) is None


def test_64_frames_of_a_t2v_that_makes_16():
    pair = dataclasses.replace(models("animatediff"), max_frames=16)
    plan = dataclasses.replace(PLAN, window=16, overlap=4, chunk=8)
    seen: dict[str, list[Any]] = {"T2I": [], "T2V": []}

    class Noted:
        def __init__(self, name, network):
            self.name, self.network = name, network

        def __call__(self, z, t, call):
            seen[self.name].append(z.shape[1])
            return self.network(z, t, call)

    noted: dict[str, Any] = {"t2i": Noted("T2I", pair.t2i), "t2v": Noted("T2V", pair.t2v)}
    pair = dataclasses.replace(pair, **noted)
    clip = sampled(pair, frames=64, height=16, width=16, plan=plan)
    assert clip.shape == (64, 16, 16, 3)
    assert set(seen["T2V"]) == {16}
    assert set(seen["T2I"]) == {8}
    long, short = calls_of(plan, 64), calls_of(plan, 16)
    assert long.refining == 5 * short.refining  # 80 frames for 64
    assert long.painting == 4 * short.painting
    with pytest.raises(RequestError, match=r"frames is 64; this T2V makes at most 16 at once, .* plan with a window"):
        sampled(pair, frames=64)
    with pytest.raises(RequestError, match="window is 17; this T2V makes at most 16 at once"):
        sampled(pair, frames=64, plan=dataclasses.replace(plan, window=17))


@pytest.mark.parametrize("overlap", [2, 4])
def test_windows_leave_no_seam(overlap):
    # Where one window ends and the next goes on, frames differ no more than elsewhere.
    plan = Plan(steps=6, refine=(5, 3), refine_steps=2, alpha=4, window=8, overlap=overlap)
    clip = sampled(models("zeroscope"), frames=20, plan=plan).astype(int)
    steps = np.abs(np.diff(clip, axis=0)).mean(axis=(1, 2, 3))
    edges = [k - 1 for span in plan.video_spans(20) for k in (span.start, span.stop) if 0 < k < 20]
    assert steps[edges].mean() < 1.5 * np.delete(steps, edges).mean()


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"strength": -0.1}, "strength is -0.1; choose 0"),
        ({"strength": 1.1, "init_frames": moving()}, "strength is 1.1; choose 0"),
        ({"strength": "1"}, "strength is '1'; choose 0"),
        ({"strength": float("nan")}, "strength is nan; choose 0"),
        ({"strength": 0.5}, "there are no init_frames; give both or none"),
        ({"init_frames": moving(3)}, r"init_frames is \(3, 32, 48, 3\) uint8; give a uint8 array of shape \(4, 32"),
        ({"init_frames": moving() / 255}, r"float64; give a uint8 array"),
        ({"init_frames": [1]}, "init_frames is list; give a uint8 array"),
        ({"anchor_frame": moving()}, r"anchor_frame is \(4, 32, 48, 3\) uint8; give a uint8 array of shape \(32, 48"),
        ({"prompts": {0: "a"}}, "Both a prompt and prompts by frame"),
        ({"prompt": "", "prompts": {}}, "prompts by frame are empty"),
        ({"prompt": "", "prompts": {4: "a"}}, "A prompt is for frame 4; choose 0 to 3"),
        ({"prompt": "", "prompts": {-1: "a"}}, "frame -1; choose 0 to 3"),
        ({"prompt": "", "prompts": {"0": "a"}}, "frame '0'; choose 0 to 3"),
        ({"prompt": "", "prompts": {0: " "}}, "prompt for frame 0 is empty"),
        ({"prompt": "", "prompts": ["a"]}, "give {frame: text}"),
    ],
)
def test_wrong_footage_is_refused_before_any_work(changes, sentence):
    with pytest.raises(RequestError, match=sentence) as raised:
        elevate(models("zeroscope"), **(REQUEST | changes))
    assert str(raised.value).endswith(".")


def test_more_levels_than_a_schedule_matches():
    schedule = models("lavie").t2v_schedule
    few = dataclasses.replace(schedule, alphas_cumprod=schedule.alphas_cumprod[:10])
    pair = dataclasses.replace(models("zeroscope"), t2v_schedule=few)
    with pytest.raises(PlanError, match="steps is 11; choose 10 or less"):
        sampled(pair, plan=Plan(steps=11, refine=(), matching="snr"))


class Moved(nn.Module):
    """A network that notes where it is put."""

    def __init__(self, name, log):
        super().__init__()
        self.name, self.log = name, log
        self.weight = nn.Parameter(torch.zeros(1))

    def _apply(self, fn, recurse=True):
        self.log.append((self.name, fn(torch.zeros(1)).device.type))
        return super()._apply(fn, recurse)


def test_one_network_at_a_time_is_on_the_device():
    log: list[Any] = []
    offloader = Offloader(torch.device("cpu"))
    first, second = Moved("first", log), Moved("second", log)
    assert [offloader.to_device(each) for each in (first, first, second, first)] == [first, first, second, first]
    assert [name for name, _ in log] == ["first", "first", "second", "second", "first"]
    log.clear()
    assert Offloader().to_device(first) is first
    assert log == []


def test_networks_come_to_the_device_when_they_run(monkeypatch):
    brought = []
    monkeypatch.setattr(Offloader, "to_device", lambda self, network: brought.append(type(network).__name__) or network)
    sampled(plan=Plan(steps=2, refine=(2,), refine_steps=1, guidance=2), anchor_frame=moving()[0])
    short = [name for k, name in enumerate(brought) if k == 0 or name != brought[k - 1]]
    assert short == [
        "CLIPTextModel",
        "AutoencoderKL",
        "UNet2DConditionModel",
        "UNet3DConditionModel",
        "UNet2DConditionModel",
        "AutoencoderKL",
    ]
