"""Clips at other frame rates: exact to the frame when held, near the truth when pictures are made."""

from __future__ import annotations

import math
import subprocess
import sys
from fractions import Fraction
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from elevator import RequestError
from elevator.pictures import conform as conforming
from elevator.pictures.conform import _Between, conform
from elevator.pictures.rates import length, times

RATES = [Fraction(24000, 1001), Fraction(30000, 1001), Fraction(25), Fraction(24), Fraction(60), Fraction(60000, 1001)]
EIGHT = Fraction(8)
rates = st.sampled_from([*RATES, EIGHT, Fraction(1), Fraction(12), Fraction(1000)]) | st.builds(
    Fraction, st.integers(1, 200_000), st.integers(1, 2000)
)


class Numbered:
    """Frames that hold their number in their first pixel, made when asked for."""

    def __init__(self, count: int, size: tuple[int, int] = (16, 16)) -> None:
        self.count, self.size = count, size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int, /) -> np.ndarray:
        assert 0 <= index < self.count
        self.asked.append(index)
        pixels = np.zeros((*self.size, 3), np.uint8)
        pixels[0, 0] = index // 65536, index // 256 % 256, index % 256
        return pixels


def number_of(pixels: np.ndarray) -> int:
    high, middle, low = pixels[0, 0].tolist()
    return high * 65536 + middle * 256 + low


def held(frames: int, source: Fraction, target: Fraction) -> list[int]:
    return [number_of(pixels) for pixels in conform(Numbered(frames, (1, 1)), source, target, "hold")]


def naive(frames: int, source: Fraction, target: Fraction) -> list[int]:
    """For each new frame the last old one that has begun, searched for; a frame for each begun half of a duration."""
    count = 1
    while Fraction(2 * count + 1, 2) / target <= frames / source:
        count += 1
    shown, index = [], 0
    for n in range(count):
        while index + 1 < frames and Fraction(index + 1) / source <= Fraction(n) / target:
            index += 1
        shown.append(index)
    return shown


# Which frame, when ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "source", "target", "expected"),
    [
        (16, EIGHT, Fraction(24), 48),
        (16, EIGHT, Fraction(24000, 1001), 48),  # 47.95
        (16, EIGHT, Fraction(30000, 1001), 60),  # 59.94
        (16, EIGHT, Fraction(25), 50),
        (1000, EIGHT, Fraction(24000, 1001), 2997),  # 2997.003
        (1, EIGHT, Fraction(4), 1),  # a half is rounded up
        (3, EIGHT, Fraction(4), 2),
        (1, EIGHT, Fraction(1), 1),  # and one frame is the least
        (7, EIGHT, EIGHT, 7),
    ],
)
def test_length(frames, source, target, expected):
    assert length(frames, source, target) == expected


def test_first_frames_of_8_as_24_and_25():
    assert held(3, EIGHT, Fraction(24)) == [0, 0, 0, 1, 1, 1, 2, 2, 2]
    # Frame 25 of 25 a second begins with frame 8 of 8 a second, and none before.
    assert held(9, EIGHT, Fraction(25)).index(8) == 25
    assert held(9, EIGHT, Fraction(24000, 1001)).index(8) == 24  # 8 · 1001/1000 = 8.008: one later than at 24


@pytest.mark.parametrize("target", RATES, ids=str)
@pytest.mark.parametrize("frames", [1, 2, 16, 24, 333])
def test_held_frames_of_8_a_second(frames, target):
    assert held(frames, EIGHT, target) == naive(frames, EIGHT, target)


@given(frames=st.integers(1, 40), source=rates, target=rates)
def test_held_frames(frames, source, target):
    if frames * target / source > 3000:
        frames, target = 1, min(target, source * 3000)
    shown = held(frames, source, target)
    assert shown == naive(frames, source, target)
    assert shown == sorted(shown)
    assert shown[0] == 0
    assert max(shown) < frames
    assert len(shown) == length(frames, source, target)
    drift = abs(len(shown) / target - frames / source)
    assert drift * target <= Fraction(1, 2) or len(shown) == 1
    if target >= source:
        assert sorted(set(shown)) in (list(range(frames)), list(range(frames - 1)))  # rounding may cost the last one
    else:
        assert len(set(shown)) == len(shown)  # none is repeated


def test_an_hour_does_not_drift():
    frames = 3600 * 8
    when = list(times(frames, EIGHT, Fraction(24000, 1001)))
    assert len(when) == 86314  # 86313.69
    assert when[-1] == Fraction(86313 * 8 * 1001, 24000)
    assert when[24000] == 8008


@given(frames=st.integers(1, 1000), source=rates, target=rates)
def test_there_and_back(frames, source, target):
    if target >= source:
        assert length(length(frames, source, target), target, source) == frames


# Pictures between -------------------------------------------------------------------------------------------


@cache
def texture(seed: int) -> np.ndarray:
    """Coarse and fine noise, (512, 512, 3) float32."""
    number = np.random.default_rng(seed)
    total = np.full((512, 512, 3), 128, np.float32)
    for scale, strength in ((4, 20), (8, 25), (24, 35), (64, 30)):
        noise = number.normal(0, strength, (512 // scale, 512 // scale, 3)).astype(np.float32)
        total += cv2.resize(noise, (512, 512), interpolation=cv2.INTER_CUBIC)
    return total.clip(0, 255)


def view(time: float, ground: tuple[float, float], disc: tuple[float, float], size=(96, 120)) -> np.ndarray:
    """The true picture at any time: a textured disc before a textured ground, each moving (x, y) pixels a frame."""
    height, width = size
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    back, front = (
        cv2.remap(texture(seed), x + 150 - way[0] * time, y + 150 - way[1] * time, cv2.INTER_CUBIC)
        for seed, way in ((1, ground), (2, disc))
    )
    centre = width * 0.6 + disc[0] * time, height * 0.4 + disc[1] * time
    inside = (22.5 - np.hypot(x - centre[0], y - centre[1])).clip(0, 1)[..., None]
    return np.rint((back * (1 - inside) + front * inside).clip(0, 255)).astype(np.uint8)


def cross_fade(frames, time: Fraction) -> np.ndarray:
    part = float(time % 1)
    return frames[int(time)] * (1 - part) + frames[min(int(time) + 1, len(frames) - 1)] * part


@pytest.mark.parametrize(
    ("ground", "disc", "times_better"),
    [
        ((0, 0), (-3.1, 1.4), 3),
        ((2.3, 0.7), (2.3, 0.7), 3),
        ((2.3, 0.7), (-3.1, 1.4), 2.5),
        ((5, 2), (-5, 3), 5),
        ((8, 3), (8, 3), 15),
    ],
)
@pytest.mark.parametrize("target", [Fraction(24), Fraction(30000, 1001)], ids=str)
def test_flow_is_nearer_to_the_truth_than_a_cross_fade(ground, disc, times_better, target):
    frames = [view(k, ground, disc) for k in range(4)]
    when = list(times(4, EIGHT, target))
    made = list(conform(frames, EIGHT, target, "flow"))
    assert len(made) == len(when)
    error, error_of_fade = [], []
    for time, pixels in zip(when, made, strict=True):
        if time < 3 and time.denominator != 1:
            true = view(float(time), ground, disc).astype(float)
            error.append(np.abs(pixels - true).mean())
            error_of_fade.append(np.abs(cross_fade(frames, time) - true).mean())
    assert len(error) >= 6
    assert np.mean(error) < np.mean(error_of_fade) / times_better
    assert np.max(error) < 1.6  # levels


def test_slow_motion_is_no_worse_than_a_cross_fade_by_a_tenth_of_a_level():
    way = ((0.4, 0.1), (-0.5, 0.2))
    frames = [view(k, *way) for k in range(3)]
    made = list(conform(frames, EIGHT, Fraction(24), "flow"))
    for n in (1, 2, 4, 5):
        true = view(n / 3, *way).astype(float)
        fade = np.abs(cross_fade(frames, Fraction(n, 3)) - true).mean()
        assert np.abs(made[n] - true).mean() < fade + 0.1


def test_flow_keeps_the_frames_of_the_clip():
    frames = [view(k, (3, 1), (-2, 0)) for k in range(4)]
    made = list(conform(np.stack(frames), EIGHT, Fraction(24), "flow"))
    assert [bool(np.array_equal(made[3 * k], frames[k])) for k in range(4)] == [True] * 4
    assert all(np.array_equal(pixels, frames[3]) for pixels in made[9:])  # the last one lasts as long as the others
    assert len(made) == 12
    assert not any(np.array_equal(made[1], frame) for frame in frames)


def test_hidden_ground_comes_from_the_frame_that_shows_it():
    """A disc before a still ground: a cross-fade shows two half-transparent discs, here there is one."""
    frames = [view(k, (0, 0), (9, 0)) for k in range(2)]
    made = next(pixels for n, pixels in enumerate(conform(frames, EIGHT, Fraction(16), "flow")) if n == 1)
    true = view(0.5, (0, 0), (9, 0)).astype(float)
    edges = np.abs(frames[0].astype(float) - frames[1]).max(-1) > 0
    error, fade = (np.abs(each - true)[edges] for each in (made, cross_fade(frames, Fraction(1, 2))))
    assert error.mean() < fade.mean() / 4
    assert (error > 30).mean() < 0.05 < (fade > 30).mean() / 3


def test_edges_are_not_half_transparent(monkeypatch):
    """A white square moves 8 pixels right before a black ground, and its flow is known: it stays as sharp as it is."""
    frames = [np.zeros((64, 64, 3), np.uint8) for _ in range(2)]
    flows = [np.zeros((64, 64, 2), np.float32) for _ in range(2)]
    for k, way in ((0, 8), (1, -8)):
        frames[k][20:40, 20 + 8 * k : 40 + 8 * k] = 255
        flows[k][20:40, 20 + 8 * k : 40 + 8 * k, 0] = way
    monkeypatch.setattr("elevator.pictures.conform.flow_of", lambda start, end: flows[0 if start is frames[0] else 1])
    made = list(conform(frames, EIGHT, Fraction(16), "flow"))[1]
    true = np.zeros((64, 64, 3), np.uint8)
    true[20:40, 24:44] = 255
    assert (np.abs(made.astype(int) - true) > 25).mean() < 0.002  # of the picture; 40 rows of edges are 0.01


def test_borders_come_from_the_frame_that_shows_them():
    """Of a view that pans 12 pixels a frame, each frame lacks a border that the other has."""
    frames = [view(k, (12, 0), (12, 0)) for k in range(2)]
    made = list(conform(frames, EIGHT, Fraction(16), "flow"))[1]
    error = np.abs(made - view(0.5, (12, 0), (12, 0)).astype(float))
    assert error[:, :10].mean() < 0.5
    assert error[:, -10:].mean() < 0.5


def test_what_does_not_move_does_not_change():
    frame = view(0, (0, 0), (0, 0))
    assert all(np.array_equal(made, frame) for made in conform([frame, frame.copy()], EIGHT, Fraction(60), "flow"))


def test_cut_stays_a_cut():
    frames = [view(0, (0, 0), (0, 0)), texture(5)[:96, :120].astype(np.uint8)]
    made = list(conform(frames, EIGHT, Fraction(40), "flow"))
    assert [0 if np.array_equal(pixels, frames[0]) else 1 for pixels in made] == [0] * 3 + [1] * 7
    assert all(np.array_equal(pixels, frames[1]) for pixels in made[3:])


@pytest.mark.parametrize("size", [(8, 8), (8, 300), (300, 8), (9, 33), (1, 1)])
def test_small_frames(size):
    frames = [view(k, (1, 0), (1, 0), size) for k in range(2)]
    assert [pixels.shape for pixels in conform(frames, EIGHT, Fraction(24), "flow")] == [(*size, 3)] * 6


@pytest.mark.parametrize("method", ["hold", "flow"])
@pytest.mark.parametrize("target", [Fraction(3), Fraction(5), Fraction(25)], ids=str)
def test_frames_are_read_once_in_order_as_late_as_can_be(method, target):
    frames = Numbered(30)
    when = times(30, EIGHT, target)
    made = conform(frames, EIGHT, target, method)
    assert frames.asked == []
    for time, _ in zip(when, made, strict=True):
        assert frames.asked[-1] <= int(time) + 1
    assert frames.asked == sorted(set(frames.asked))


@pytest.mark.parametrize("method", ["hold", "flow"])
def test_a_long_clip_takes_no_more_memory_than_a_short_one(method):
    """Of 400 frames never more than a few are alive."""
    import weakref

    alive: list[weakref.ref[Any]] = []

    class Counted(Numbered):
        def __getitem__(self, index: int, /) -> np.ndarray:
            pixels = super().__getitem__(index)
            alive.append(weakref.ref(pixels))
            return pixels

    most = 0
    for _ in conform(Counted(200), EIGHT, Fraction(12), method):
        most = max(most, sum(each() is not None for each in alive))
    assert len(alive) == 200
    assert most <= 5


# What cannot be done ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frames", "source", "target", "method", "why"),
    [
        ([], 8, 24, "hold", "has 0 frames"),
        ([np.zeros((8, 8, 3), np.uint8)], 0, 24, "hold", "rates above 0"),
        ([np.zeros((8, 8, 3), np.uint8)], 8, -1, "hold", "rates above 0"),
        ([np.zeros((8, 8, 3), np.uint8)], 8, 24, "blend", "no method"),
        ([np.zeros((8, 8), np.uint8)], 8, 24, "hold", "Frame 1 is no"),
        ([np.zeros((8, 8, 3))], 8, 24, "hold", "Frame 1 is no"),
        ([np.zeros((8, 8, 3), np.uint8), np.zeros((8, 9, 3), np.uint8)], 8, 24, "flow", "Frame 2 has another size"),
    ],
)
def test_refused(frames, source, target, method, why):
    with pytest.raises(RequestError, match=why):
        list(conform(frames, Fraction(source), Fraction(target), method))


def test_rates_import_nothing_heavy_and_conform_no_torch():
    code = (
        "import elevator.pictures.rates, sys; heavy = ('torch', 'numpy', 'cv2'); "
        "assert not any(name in sys.modules for name in heavy); "
        "import elevator.pictures.conform; assert 'torch' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def splatted(flow: np.ndarray, weight: np.ndarray, time: float, vectors: np.ndarray) -> np.ndarray:
    """Forward splatting (arXiv 2003.05534), pixel by pixel: each is shared among the four that it ends between."""
    height, width = weight.shape
    total = np.zeros((height, width, 3))
    for row in range(height):
        for column in range(width):
            x, y = column + time * flow[row, column, 0], row + time * flow[row, column, 1]
            for there_x in (math.floor(x), math.floor(x) + 1):
                for there_y in (math.floor(y), math.floor(y) + 1):
                    share = weight[row, column] * (1 - abs(x - there_x)) * (1 - abs(y - there_y))
                    if share > 0 and 0 <= there_x < width and 0 <= there_y < height:
                        total[there_y, there_x] += share * np.array([*vectors[row, column], 1.0])
    return total


@pytest.mark.parametrize("time", [0.25, 0.5, 1.0])
def test_what_is_carried_along_the_flow_is_shared_among_its_neighbours(time: float) -> None:
    rng = np.random.default_rng(0)
    flow, vectors = rng.normal(0, 3, (7, 9, 2)).astype(np.float32), rng.normal(0, 1, (7, 9, 2)).astype(np.float32)
    flow[:2] = flow[:2].round()  # to whole pixels at the end
    weight = rng.integers(0, 2, (7, 9)).astype(np.float32)
    carried = conforming._carried(flow, weight, time, vectors)
    assert carried == pytest.approx(splatted(flow, weight, time, vectors), abs=1e-4)


def test_the_flow_between_leans_to_the_nearer_frames() -> None:
    still = np.zeros((32, 32, 3), np.uint8)
    between = _Between(0, still, still)
    between._forward, between._backward = (np.full((32, 32, 2), flow, np.float32) for flow in (2.0, -4.0))
    between._seen_after = between._seen_before = np.ones((32, 32), np.float32)
    for time in (0.25, 0.5, 0.75):
        flow, known = between._flow_at(time)
        assert flow[16, 16] == pytest.approx(2.0 * (1 - time) + 4.0 * time)
        assert known[16, 16] == 1


def test_what_nothing_is_known_of_is_filled_from_around_it() -> None:
    rng = np.random.default_rng(1)
    weights = (rng.random((7, 10)) < 0.3).astype(np.float32)
    weights[0, 0] = 2.0
    field = np.full((7, 10, 2), (3.0, -5.0), np.float32)
    assert conforming._filled(field * weights[..., None], weights) == pytest.approx(field, abs=1e-4), "all is alike"
    sides = np.where(np.arange(10)[None, :, None] < 5, -1.0, 1.0).astype(np.float32) * np.ones((7, 10, 2), np.float32)
    found = conforming._filled(sides * weights[..., None], weights)
    assert np.abs(found).max() <= 1 + 1e-5
    known = weights > 0
    assert found[known] == pytest.approx(sides[known])
    assert found[:, 0].mean() < -0.5 < 0.5 < found[:, -1].mean(), "nearer ones count more"
    alone = np.zeros((5, 5), np.float32)
    alone[2, 3] = 0.1  # less than a quarter: its surroundings, here nothing, take part
    assert np.isfinite(conforming._filled(np.ones((5, 5, 2), np.float32) * alone[..., None], alone)).all()
    assert conforming._known(np.array([0, 0.125, 0.25, 1], np.float32)).tolist() == [0, 0.5, 1, 1]
