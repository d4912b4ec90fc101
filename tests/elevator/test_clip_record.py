"""The record of a finished clip: what was measured of it, and in how much time."""

from __future__ import annotations

import time
from hashlib import sha256

import numpy as np
import pytest

from elevator import devices
from elevator.clip_record import Clock, record_of
from elevator.pictures.metrics import measure
from elevator.sidecar import Device, Pictures
from tests.elevator.test_sidecar import SAMPLE


def recorded(side: int, device: str = "cpu"):
    clip = np.random.default_rng(0).integers(0, 256, (3, side, side + 4, 3), np.uint8)
    clock = Clock({"painting": 1.23456}, time.perf_counter() - 2)
    made = record_of(
        clip, SAMPLE.sources, Pictures(), Device(device, "float32"), SAMPLE.settings, SAMPLE.files, ["a note"], clock
    )
    return clip, made


def test_frames_large_enough_for_a_flow_are_measured():
    clip, made = recorded(16)
    assert made.metrics == measure(clip).as_dict()
    assert recorded(15)[1].metrics == {}


def test_every_frame_is_named_and_hashed_and_time_is_counted():
    clip, made = recorded(16)
    assert [(frame.file, frame.sha256) for frame in made.frames] == [
        (f"frame_000{k + 1}.png", sha256(frame.tobytes()).hexdigest()) for k, frame in enumerate(clip)
    ]
    assert (made.files, made.notes, made.settings) == (SAMPLE.files, ("a note",), SAMPLE.settings)
    assert made.seconds["painting"] == 1.235
    assert made.seconds["measuring"] >= 2
    assert "gpu" not in made.made_with


def test_a_gpu_is_named(monkeypatch):
    monkeypatch.setattr(devices, "name_of", lambda device: f"the one called {device}")
    assert recorded(8, "cuda:1")[1].made_with["gpu"] == "the one called cuda:1"


def test_time_counts_for_the_phase_that_it_was_spent_on(monkeypatch):
    now = iter([11.5, 14.0, 14.25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(now))
    clock = Clock(since=10.0)
    for phase in ("painting", "refining", "painting"):
        clock.spent_on(phase)
    assert clock.seconds == pytest.approx({"painting": 1.75, "refining": 2.5})
    assert list(clock.seconds) == ["painting", "refining"]
