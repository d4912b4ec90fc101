"""Orders to resample a finished clip become items of the maker."""

from __future__ import annotations

import hashlib
import json
from contextlib import closing
from fractions import Fraction
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from backend.failures import BackendError
from backend.orders import Resample
from backend.worker.conforming import SHEET_FRAMES, resample
from backend.worker.maker import Advance, Extra, Picture
from elevator.pictures.clip_folder import frame_name
from elevator.pictures.conform import conform
from elevator.pictures.encoding import encoded
from elevator.pictures.rates import length

SOURCE_JOB = "c" * 32
SIZE = (24, 32)


def clip(frames: int) -> list[np.ndarray]:
    """A red square that goes right over a green fall."""
    pictures = []
    for index in range(frames):
        pixels = np.zeros((*SIZE, 3), np.uint8)
        pixels[..., 1] = np.linspace(40, 200, SIZE[1], dtype=np.uint8)
        pixels[6:16, 2 * index : 2 * index + 10] = (220, 30, 10)
        pictures.append(pixels)
    return pictures


def order(folder: Path, count: int, **changes) -> Resample:
    """An order of 24000/1001 frames a second from a source of `count` at 8 that is written into `folder`."""
    source = folder / SOURCE_JOB
    source.mkdir()
    for index, pixels in enumerate(clip(count)):
        (source / frame_name(index)).write_bytes(encoded(pixels))
    fields: dict[str, Any] = {
        "source": str(source),
        "source_frames": count,
        "source_fps": (8, 1),
        "fps": (24000, 1001),
        "method": "hold",
        "height": SIZE[0],
        "width": SIZE[1],
        "seed": 7,
    } | changes
    rates = (Fraction(*fields["source_fps"]), Fraction(*fields["fps"]))
    return Resample(**({"frames": length(fields["source_frames"], *rates)} | fields))


def pictures(items) -> list[np.ndarray]:
    found = [item for item in items if isinstance(item, Picture)]
    assert [item.index for item in found] == list(range(len(found)))
    return [item.pixels for item in found]


@pytest.mark.parametrize("method", ["hold", "flow"])
def test_items(tmp_path, method):
    wish = order(tmp_path, 5, method=method)
    items = list(resample(wish))
    expected = list(conform(clip(5), Fraction(8), Fraction(24000, 1001), method))
    assert len(expected) == wish.frames == 15
    assert all(np.array_equal(*pair) for pair in zip(pictures(items), expected, strict=True))
    kinds = "".join(type(item).__name__[0] for item in items)
    assert kinds == "A" + "PA" * 15 + "EE"
    advances = [(item.phase, item.step, item.steps) for item in items if isinstance(item, Advance)]
    assert advances == [("conforming", step, 15) for step in range(16)]


def test_an_order_knows_its_result(tmp_path):
    asked = order(tmp_path, 5)
    assert (asked.result_frames, asked.result_fps) == (15, Fraction(24000, 1001))


def test_record_names_what_it_was_made_of(tmp_path):
    wish = order(tmp_path, 4, fps=(30000, 1001))
    extras = {item.name: item.data for item in resample(wish) if isinstance(item, Extra)}
    assert list(extras) == ["clip.json", "contact_sheet.jpg"]
    record = json.loads(extras["clip.json"])
    hashes = [hashlib.sha256((Path(wish.source) / frame_name(k)).read_bytes()).hexdigest() for k in range(4)]
    assert record == {
        "kind": "conform",
        "source": SOURCE_JOB,
        "source_fps": "8",
        "fps": "30000/1001",
        "method": "hold",
        "frames": 15,
        "width": 32,
        "height": 24,
        "seed": 7,
        "source_frames": [{"file": frame_name(k), "sha256": hashes[k]} for k in range(4)],
    }
    assert str(tmp_path) not in extras["clip.json"].decode()


def alike(shown, pixels):
    """But for what JPEG loses."""
    return np.abs(shown.astype(int) - pixels).mean() < 4


def test_contact_sheet(tmp_path):
    extras = [item for item in resample(order(tmp_path, 3, fps=(24, 1))) if isinstance(item, Extra)]
    sheet = np.asarray(cv2.imdecode(np.frombuffer(extras[1].data, np.uint8), cv2.IMREAD_COLOR_RGB))
    assert sheet.shape == (3 * 24, 3 * 32, 3)
    assert alike(sheet[:24, :32], clip(3)[0])
    assert alike(sheet[-24:, -32:], clip(3)[2])


def test_contact_sheet_of_a_long_clip_shows_some_frames(tmp_path):
    wish = order(tmp_path, 3, source_fps=(1, 1), fps=(100, 1))
    last = list(resample(wish))[-1]
    assert isinstance(last, Extra)
    sheet = np.asarray(cv2.imdecode(np.frombuffer(last.data, np.uint8), cv2.IMREAD_COLOR_RGB))
    side = round(SHEET_FRAMES**0.5)
    assert sheet.shape == (side * 24, side * 32, 3)
    assert alike(sheet[:24, :32], clip(3)[0])
    assert alike(sheet[-24:, -32:], clip(3)[2])


def test_fewer_frames(tmp_path):
    wish = order(tmp_path, 6, fps=(4, 1))
    items = list(resample(wish))
    assert all(np.array_equal(*pair) for pair in zip(pictures(items), clip(6)[::2], strict=True))
    said = items[-2]
    assert isinstance(said, Extra)
    record = json.loads(said.data)
    assert len(record["source_frames"]) == 6  # those that were passed over too


def damaged(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:60])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def of_another_size(path: Path) -> None:
    path.write_bytes(encoded(np.zeros((24, 40, 3), np.uint8)))


def a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize("harm", [Path.unlink, damaged, empty, of_another_size, a_folder])
def test_source_missing(tmp_path, harm):
    wish = order(tmp_path, 4)
    harm(Path(wish.source) / frame_name(2))
    with pytest.raises(BackendError) as failure:
        list(resample(wish))
    assert failure.value.code == "source_missing"
    assert "frame_0003.png" in failure.value.sentence


def test_missing_source_is_said_before_any_picture(tmp_path):
    wish = order(tmp_path, 4)
    (Path(wish.source) / frame_name(3)).unlink()
    with pytest.raises(BackendError), closing(resample(wish)) as items:
        next(items)


def test_source_that_goes_while_it_is_read(tmp_path):
    wish = order(tmp_path, 4)
    with closing(resample(wish)) as items:
        next(items)
        (Path(wish.source) / frame_name(1)).unlink()
        with pytest.raises(BackendError) as failure:
            list(items)
    assert failure.value.code == "source_missing"


def test_order_that_is_wrong_about_its_length(tmp_path):
    with pytest.raises(BackendError) as failure:
        list(resample(order(tmp_path, 4, frames=13)))
    assert failure.value.code == "bad_request"
    assert "12 frames, not 13" in failure.value.sentence
