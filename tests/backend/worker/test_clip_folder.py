"""Folders of results, of this version and of earlier ones, read by everything that takes a folder of pictures."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.client.uploading import footage_files
from backend.orders import Resample
from backend.worker.conforming import resample
from backend.worker.fake import FakeMaker
from backend.worker.sampling import SamplingMaker
from elevator.cli.clip_options import new_clip
from elevator.pictures.clip_folder import frame_name
from elevator.pictures.metrics import measure, measure_folder
from elevator.provenance import source_files
from tests.backend.clip_orders import Made, made, order, written

FRAMES = 4


def conformed(folder: Path) -> Resample:
    return Resample(
        source=str(folder),
        source_frames=FRAMES,
        source_fps=(8, 1),
        frames=2 * FRAMES,
        fps=(16, 1),
        method="hold",
        width=64,
        height=64,
        seed=1,
    )


def fake(tmp_path: Path) -> Made:
    return made(FakeMaker().make(order(frames=FRAMES)))


def sampled(tmp_path: Path) -> Made:
    return made(SamplingMaker("cpu").make(order(frames=FRAMES)))


def resampled(tmp_path: Path) -> Made:
    source = written(fake(tmp_path), tmp_path / "source")
    (source / "contact_sheet.png").touch()
    return made(resample(conformed(source)))


@pytest.mark.parametrize("earlier", [False, True], ids=["this version's", "an earlier version's"])
@pytest.mark.parametrize("make", [fake, sampled, resampled])
def test_only_frames_are_read(
    make: Callable[[Path], Made], earlier: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ELEVATOR_FAKE_STEP_SECONDS", "0")
    result = make(tmp_path)
    folder = written(result, tmp_path / "clip")
    if earlier:
        cv2.imwrite(str(folder / "contact_sheet.png"), np.zeros((128, 128, 3), np.uint8))
    frames = [folder / frame_name(index) for index in range(len(result.clip))]
    assert measure_folder(folder) == measure(result.clip)
    assert footage_files(folder) == frames
    init = new_clip({"t2i": "a", "t2v": "b", "prompt": "a cat", "init": str(folder)})
    assert init.frames == len(frames)
    assert [
        file.path for file in source_files(init.sources, init.pictures, init.frames) if file.source == "init"
    ] == frames
