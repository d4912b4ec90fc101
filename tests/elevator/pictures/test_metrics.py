"""Measures of clips: synthetic clips of known motion, frozen clips, noise, flicker and occlusion."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from elevator.errors import RequestError
from elevator.pictures.metrics import ClipMetrics, main, measure, measure_folder, motion, table

MOTION = ("frame_difference", "flow", "warp_error", "second_difference", "high_frequency_share")
FEW = settings(max_examples=25)
cv2.setNumThreads(1)  # the suite shares its machine


def measured(clip) -> Any:
    """The measures of a clip; comparing one that is missing fails by itself."""
    return measure(clip)


def texture(height, width, dx=0.0, dy=0.0, seed=0):
    """Levels (height, width, 3) of a sum of waves of 6 to 60 pixels, moved exactly by (dx, dy)."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    angle, period, phase = rng.uniform(0, 2 * np.pi, (2, 40)), rng.uniform(6, 60, 40), rng.uniform(0, 6.3, (40, 3))
    along = np.cos(angle[0]) * (x - dx)[..., None] + np.sin(angle[0]) * (y - dy)[..., None]
    waves = np.cos(2 * np.pi * (along / period)[..., None] + phase)
    return 128 + 30 * waves.sum(-2) / 40**0.5


def levels(frames):
    return np.clip(np.round(frames), 0, 255).astype(np.uint8)


def moving(frames, height, width, dx, dy, seed=0):
    return levels(np.stack([texture(height, width, k * dx, k * dy, seed) for k in range(frames)]))


def noise(frames, height=64, width=64, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (frames, height, width, 3), dtype=np.uint8)


def brightness(values, base=100):
    """A still texture of low contrast whose brightness takes the given values, in levels about `base`."""
    still = 0.4 * (texture(32, 32) - 128)
    return levels(np.stack([still + base + value for value in values]))


def save(clip, folder, names):
    folder.mkdir(exist_ok=True)
    for frame, name in zip(clip, names, strict=True):
        (folder / name).write_bytes(cv2.imencode(".png", np.ascontiguousarray(frame[..., ::-1]))[1].tobytes())
    return folder


@pytest.mark.parametrize("size", [(64, 64), (61, 83)])
@pytest.mark.parametrize(("dx", "dy"), [(1, 0), (0, -2), (3, 2), (-5, 1), (6, 0)])
def test_whole_pixels_leave_almost_no_warp_error(dx, dy, size):
    metrics = measured(moving(3, size[0], size[1], dx, dy))
    assert metrics.flow == pytest.approx(np.hypot(dx, dy), abs=0.15)
    assert metrics.warp_error < 0.2
    assert metrics.warp_error < 0.02 * metrics.frame_difference
    assert metrics.confirmed > 0.85


@pytest.mark.slow
@FEW
@given(st.floats(-3, 3), st.floats(-3, 3), st.integers(0, 5))
def test_any_motion_is_found(dx, dy, seed):
    metrics = measured(moving(2, 64, 64, dx, dy, seed))
    assert metrics.flow == pytest.approx(np.hypot(dx, dy), abs=0.12)
    assert metrics.warp_error < 0.7  # two roundings to levels leave .33
    assert metrics.confirmed > 0.85


def test_half_pixels_are_taken_out_of_the_difference():
    metrics = measured(moving(4, 64, 64, 0.5, 0))
    assert metrics.flow == pytest.approx(0.5, abs=0.03)
    assert metrics.warp_error < 0.25 * metrics.frame_difference


def test_the_flow_has_the_sign_of_the_motion_in_x_and_y():
    first, second = moving(2, 48, 80, 2, -1)
    flow = motion(first, second).flow
    assert flow.shape == (48, 80, 2)
    assert np.median(flow, axis=(0, 1)) == pytest.approx([2, -1], abs=0.05)


@pytest.mark.slow
@pytest.mark.parametrize("side", [16, 24, 48, 96])
def test_a_tenth_of_the_side_is_found(side):
    for angle in np.linspace(0, 2 * np.pi, 5):
        step = side / 10
        metrics = measured(moving(2, side, side, step * np.cos(angle), step * np.sin(angle), seed=3))
        assert metrics.flow == pytest.approx(step, abs=0.2)


@FEW
@given(st.integers(2, 9), st.integers(16, 40), st.integers(16, 40), st.integers(0, 999), st.sampled_from([0, 1, 3]))
def test_in_a_frozen_clip_every_measure_of_motion_is_exactly_zero(frames, height, width, seed, blur):
    still = noise(1, height, width, seed)[0]
    still = cv2.GaussianBlur(still, (0, 0), blur) if blur else still
    metrics = measured([still] * frames)
    assert {getattr(metrics, name) for name in MOTION} <= {0.0, None}
    assert metrics.flow == metrics.frame_difference == metrics.warp_error == 0
    assert metrics.confirmed == 1


def test_no_warp_takes_noise_out():
    metrics = measured(noise(8))
    assert metrics.frame_difference == pytest.approx(255 / 3, rel=0.02)  # of two independent uniform levels
    assert metrics.warp_error > 0.85 * metrics.frame_difference
    assert metrics.confirmed < 0.5
    assert metrics.high_frequency_share == pytest.approx(0.5, abs=0.03)


def test_warp_error_is_undefined_where_no_flow_is_confirmed(monkeypatch):
    none = np.zeros((32, 32), bool)
    monkeypatch.setattr("elevator.pictures.metrics.motion", lambda *frames: motion(*frames)._replace(confirmed=none))
    metrics = measured(moving(3, 32, 32, 1, 0))
    assert metrics.warp_error is None
    assert metrics.confirmed == 0
    assert "– levels, on 0.0 %" in metrics.lines()[1]


@pytest.mark.parametrize("frames", [8, 9, 16])
def test_flicker_of_period_two_is_all_high(frames):
    metrics = measured(brightness([8 * (-1) ** k for k in range(frames)]))
    assert metrics.high_frequency_share == pytest.approx(1, abs=0.002)
    assert metrics.frame_difference == pytest.approx(16)
    assert metrics.second_difference == pytest.approx(32)
    assert metrics.flow < 0.05
    assert metrics.warp_error == pytest.approx(16, abs=0.2)  # flicker is no motion


@pytest.mark.parametrize("periods", [0.5, 1, 1.3, 2])
def test_slow_waves_are_low(periods):
    values = 30 * np.sin(2 * np.pi * periods * np.arange(16) / 16)
    assert measured(brightness(values)).high_frequency_share < 0.005


@pytest.mark.parametrize("frames", [8, 11, 16])
def test_a_linear_fade_is_low_and_has_no_second_difference(frames):
    metrics = measured(brightness([3 * k for k in range(frames)]))
    assert metrics.high_frequency_share < 0.006
    assert metrics.second_difference == 0
    assert metrics.frame_difference == pytest.approx(3)


def test_periods_of_four_frames_lie_on_the_edge_and_are_low():
    # The window spreads a wave over three bins as 1 : 4 : 1; only the upper one lies above the edge.
    metrics = measured(brightness(40 * np.cos(np.pi * np.arange(16) / 2 + 0.3)))
    assert metrics.high_frequency_share == pytest.approx(1 / 6, abs=0.01)


def test_covered_pixels_are_left_out():
    background, square = texture(96, 96, seed=1), texture(32, 32, seed=2)
    frames = []
    for left in (16, 24):
        frames.append(background.copy())
        frames[-1][32:64, left : left + 32] = square
    before, after = levels(np.stack(frames))
    flow, confirmed, residual = motion(before, after)
    covered, body, far = np.zeros((3, 96, 96), bool)
    covered[36:60, 51:56] = True  # the square arrives on 48…56
    body[36:60, 24:40] = True
    far[:20], far[76:] = True, True
    assert np.median(flow[body], axis=0) == pytest.approx([8, 0], abs=0.2)
    assert confirmed[body].mean() > 0.98
    assert confirmed[far].mean() > 0.99
    assert confirmed[covered].mean() < 0.15
    assert residual[covered].mean() > 10
    assert residual[confirmed].mean() < 0.5 * residual.mean()
    assert measured([before, after]).warp_error == pytest.approx(residual[confirmed].mean(), rel=1e-5)


def test_pixels_that_leave_the_frame_are_left_out():
    first, second = moving(2, 64, 64, 4, 0)
    confirmed = motion(first, second).confirmed
    assert not confirmed[:, -3:].any()
    assert confirmed[8:-8, 8:-8].mean() > 0.99


@pytest.mark.parametrize("clip", [noise(2, 24, 31), moving(2, 24, 31, -0.4, -0.3), moving(2, 24, 31, 2.4, 1.7)])
def test_confirmed_pixels_are_those_of_the_written_out_check(clip):
    forward, backward = motion(*clip).flow, motion(*clip[::-1]).flow
    end = np.moveaxis(np.mgrid[:24, :31][::-1], 0, -1) + forward
    inside = ((end >= -0.5) & (end <= (30.5, 23.5))).all(-1)
    x, y = np.moveaxis(np.clip(end, 0, (30, 23)), -1, 0)
    left, top = np.minimum(x.astype(int), 29), np.minimum(y.astype(int), 22)
    u, v = (x - left)[..., None], (y - top)[..., None]
    upper = (1 - u) * backward[top, left] + u * backward[top, left + 1]
    lower = (1 - u) * backward[top + 1, left] + u * backward[top + 1, left + 1]
    returned = (1 - v) * upper + v * lower
    gap, lengths = ((forward + returned) ** 2).sum(-1), (forward**2).sum(-1) + (returned**2).sum(-1)
    expected = inside & (gap < 0.01 * lengths + 0.5)
    assert (motion(*clip).confirmed != expected).sum() <= 4  # of 744: OpenCV rounds where it reads


def test_pairs_count_by_their_confirmed_pixels():
    frames = [*moving(2, 32, 32, 1, 0), noise(1, 32, 32)[0]]
    pairs = [motion(frames[0], frames[1]), motion(frames[1], frames[2])]
    residuals = np.concatenate([pair.residual[pair.confirmed] for pair in pairs])
    metrics = measured(frames)
    assert metrics.warp_error == pytest.approx(residuals.mean(), rel=1e-5)
    assert metrics.confirmed == pytest.approx(np.mean([pair.confirmed.mean() for pair in pairs]))


@FEW
@given(st.integers(3, 9), st.integers(16, 24), st.integers(16, 24), st.integers(0, 999))
def test_differences_are_those_of_the_definitions(frames, height, width, seed):
    clip = noise(frames, height, width, seed)
    f = clip.astype(np.float64)
    metrics = measured(clip)
    assert metrics.frame_difference == pytest.approx(np.abs(f[1:] - f[:-1]).mean())
    assert metrics.second_difference == pytest.approx(np.abs(f[:-2] - 2 * f[1:-1] + f[2:]).mean())


@FEW
@given(st.integers(8, 12), st.integers(0, 999))
def test_the_spectrum_is_that_of_a_written_out_transform(frames, seed):
    clip = noise(frames, 16, 17, seed).reshape(frames, -1).astype(np.float64)
    n = np.arange(frames)
    window = (0.5 - 0.5 * np.cos(2 * np.pi * (n + 0.5) / frames))[:, None]
    changes = window * (clip - (window * clip).sum(0) / window.sum())
    energy = np.array([np.sum(np.abs(np.exp(-2j * np.pi * k * n / frames) @ changes) ** 2) for k in n])
    high = sum(energy[k] for k in n if 4 * min(k, frames - k) > frames)
    assert measured(noise(frames, 16, 17, seed)).high_frequency_share == pytest.approx(high / energy.sum())


def test_sharpness_is_the_variance_of_the_laplacian():
    frames = levels(np.stack([texture(24, 31), texture(24, 31, seed=1)]))
    variances = []
    for frame in frames:
        gray = np.pad(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY).astype(np.float64), 1, "reflect")
        around = gray[:-2, 1:-1] + gray[2:, 1:-1] + gray[1:-1, :-2] + gray[1:-1, 2:]
        variances.append((around - 4 * gray[1:-1, 1:-1]).var())
    assert measured(frames).sharpness == pytest.approx(np.mean(variances))


def test_blur_lowers_sharpness():
    sharp = levels(texture(64, 64)[None])
    values = [measured([cv2.GaussianBlur(sharp[0], (0, 0), sigma)]).sharpness for sigma in (0.01, 0.7, 1.5, 3)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.2 * values[0]


SPECTRUM = {"high_frequency_share"}
SECOND = {"second_difference", *SPECTRUM}
PAIR = {*MOTION, "confirmed"}


@pytest.mark.parametrize(("frames", "undefined"), [(1, PAIR), (2, SECOND), (3, SPECTRUM), (7, SPECTRUM), (8, set())])
def test_short_clips_leave_measures_undefined(frames, undefined):
    metrics = measured(moving(frames, 16, 16, 1, 0))
    assert {name for name, value in metrics.as_dict().items() if value is None} == undefined
    assert ("– levels at a flow of – pixels" in metrics.lines()[0]) == (frames == 1)


@FEW
@given(st.integers(1, 9), st.integers(16, 30), st.integers(16, 30), st.integers(0, 999))
def test_measures_are_finite_in_range_and_fit_for_json(frames, height, width, seed):
    values = measured(noise(frames, height, width, seed)).as_dict()
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    assert all(value is None or (type(value) is float and value >= 0) for value in values.values())
    for name in ("confirmed", "high_frequency_share"):
        assert values[name] is None or values[name] <= 1


def test_arrays_sequences_and_views_are_the_same_clip():
    clip = moving(3, 32, 40, 1, 1)
    wide = np.zeros((3, 32, 80, 3), np.uint8)
    wide[:, :, ::2] = clip
    assert measured(clip) == measured(list(clip)) == measured(tuple(clip)) == measured(wide[:, :, ::2])


@pytest.mark.parametrize(
    ("clip", "message"),
    [
        ([], "no frames; give at least one"),
        (np.zeros((0, 32, 32, 3), np.uint8), "no frames"),
        (np.zeros((2, 32, 32, 3), np.float32), "Frame 1 is of float32; give levels"),
        (np.zeros((2, 32, 32, 4), np.uint8), r"shape \(32, 32, 4\); give frames \(height, width, 3\)"),
        (np.zeros((32, 32, 3), np.uint8), r"Frame 1 has the shape \(32, 3\)"),
        ([np.zeros((32, 40, 3), np.uint8), np.zeros((40, 32, 3), np.uint8)], "Frame 2 has 32×40 pixels and frame"),
        (np.zeros((2, 15, 32, 3), np.uint8), "32×15 pixels; choose at least 16×16"),
        (np.zeros((1, 32, 15, 3), np.uint8), "15×32 pixels; choose"),
    ],
)
def test_a_clip_that_cannot_be_measured_says_why(clip, message):
    with pytest.raises(RequestError, match=message):
        measured(clip)


def test_two_frames_are_checked_as_a_clip_is():
    with pytest.raises(RequestError, match="of one size"):
        motion(np.zeros((32, 32, 3), np.uint8), np.zeros((32, 33, 3), np.uint8))


@pytest.mark.parametrize("content", [b"", b"no picture", "half"])
def test_a_broken_file_is_named(tmp_path, content, capfd):
    save(noise(2, 16, 16), tmp_path, ["1.png", "2.png"])
    file = tmp_path / "2.png"
    file.write_bytes(file.read_bytes()[:300] if content == "half" else content)
    with pytest.raises(RequestError, match=r"2\.png is no whole PNG file; remove or replace it\."):
        measure_folder(tmp_path)


def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    (tmp_path / "0.png").mkdir()  # no picture, whatever it is called
    (tmp_path / "1.png").touch()

    def fails(path):
        raise OSError(5, "Input/output error", str(path))

    monkeypatch.setattr(Path, "read_bytes", fails)
    with pytest.raises(RequestError, match=r"1\.png could not be read \(Input/output error\)"):
        measure_folder(tmp_path)


def test_a_folder_without_frames_says_so(tmp_path):
    (tmp_path / "clip.json").write_text("{}")
    with pytest.raises(RequestError, match="holds no PNG file; choose a folder"):
        measure_folder(tmp_path)
    with pytest.raises(RequestError, match="There is no folder"):
        measure_folder(tmp_path / "clip.json")


def test_a_folder_is_measured_as_the_clip(tmp_path):
    clip = moving(4, 24, 32, 1, 0)
    save(clip, tmp_path, [f"frame_{k:04d}.PNG" for k in range(1, 5)])
    (tmp_path / "clip.json").write_text("{}")
    assert measure_folder(tmp_path) == measured(clip)


@settings(max_examples=10)
@given(st.lists(st.integers(0, 2000), min_size=3, max_size=6, unique=True))
def test_frames_come_in_the_order_of_their_numbers(tmp_path_factory, numbers):
    clip = brightness([2 * k**2 for k in range(len(numbers))], 50)
    folder = save(clip, tmp_path_factory.mktemp("clip"), [f"v2 f{n}.png" for n in sorted(numbers)])
    assert measure_folder(folder) == measured(clip)


def test_grey_and_transparent_files_are_read_as_colours(tmp_path):
    gray = levels(texture(24, 24)[..., :1])
    cv2.imwrite(str(tmp_path / "1.png"), gray)
    solid, clear = np.full_like(gray, 255), np.zeros_like(gray)
    cv2.imwrite(str(tmp_path / "2.png"), np.concatenate([*[gray] * 3, solid], -1))
    assert measure_folder(tmp_path).frame_difference == 0
    cv2.imwrite(str(tmp_path / "1.png"), np.zeros_like(gray))
    cv2.imwrite(str(tmp_path / "2.png"), np.concatenate([*[gray] * 3, clear], -1))
    assert measure_folder(tmp_path).frame_difference == 0, "what is transparent lies on black"


CLIPS = (("moving", moving(8, 32, 32, 1, 0)), ("a still", moving(1, 32, 32, 0, 0)))


def test_flicker_is_never_shown_without_flow():
    metrics = measured(CLIPS[0][1])
    difference, flow = f"{metrics.frame_difference:.2f}", f"{metrics.flow:.2f}"
    line = next(line for line in metrics.lines() if difference in line)
    assert f"{difference} levels at a flow of {flow} pixels a frame" in line
    assert table([("clip", metrics)]).splitlines()[1].split()[1:3] == [difference, flow]


def test_both_reports_show_every_measure():
    metrics = ClipMetrics(**{field.name: (k + 1) / 16 for k, field in enumerate(fields(ClipMetrics))})
    for shown in ("0.06", "0.12", "0.19", "25.0 %", "0.31", "37.5 %", "0.44"):
        assert shown in "\n".join(metrics.lines())
        assert shown in table([("clip", metrics)])


def test_a_table_has_aligned_rows():
    lines = table([(name, measured(clip)) for name, clip in CLIPS]).splitlines()
    assert len({len(line) for line in lines[:3]}) == 1
    assert lines[2].split()[:4] == ["a", "still", "–", "–"]
    assert "levels of 0…255" in lines[-1]


def test_the_command_prints_a_table_or_json(tmp_path, capsys):
    folders = [save(clip, tmp_path / name, [f"{k}.png" for k in range(len(clip))]) for name, clip in CLIPS]
    measured = [(str(folder), measure_folder(folder)) for folder in folders]
    main([str(folder) for folder in folders])
    assert capsys.readouterr().out == table(measured) + "\n"
    main(["--json", *(str(folder) for folder in folders)])
    assert json.loads(capsys.readouterr().out) == {name: metrics.as_dict() for name, metrics in measured}


def test_the_command_ends_with_what_is_wrong(tmp_path):
    result = subprocess.run(
        [sys.executable, "-m", "elevator.pictures.metrics", str(tmp_path)],
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.strip().endswith("holds no PNG file; choose a folder of PNG frames.")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("module", "heavy"), [("elevator", "('cv2', 'torch')"), ("elevator.pictures.metrics", "('torch',)")]
)
def test_importing_is_light(module, heavy):
    code = f"import {module}, sys; sys.exit(any(name in sys.modules for name in {heavy}))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
