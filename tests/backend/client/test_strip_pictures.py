"""Pictures of an edit are read, cut to the clip's shape, and brought to a backend."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

import cv2
import msgspec
import numpy as np
import pytest

from backend.client.api import connect
from backend.client.strip_pictures import Asked, Picture, Told, fitted, read
from elevator.errors import RequestError
from elevator.pictures.encoding import encoded
from elevator.pictures.footage import decoded
from tests.backend.harness import ROOT, Running

FRAMES = 12


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each frame a little brighter than the last."""
    path = tmp_path_factory.mktemp("Größe 影") / "m.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (64, 48))
    for index in range(FRAMES):
        writer.write(np.full((48, 64, 3), 20 * index, np.uint8))
    writer.release()
    return path


def test_frames_of_a_movie_are_the_ones_that_are_asked_for(movie: Path) -> None:
    asked = [Picture(str(movie), index) for index in (7, 2, 7, 11)]
    found = {picture.frame: float(pixels.mean()) for picture, pixels in read(asked)}
    assert sorted(found) == [2, 7, 11], "each once"
    for index, mean in found.items():
        assert abs(mean - 20 * index) < 4


def test_colors_stay_what_they_are(tmp_path: Path) -> None:
    red = np.zeros((8, 8, 3), np.uint8)
    red[..., 0] = 255
    (tmp_path / "red.png").write_bytes(encoded(red))
    ((_, pixels),) = read([Picture(str(tmp_path / "red.png"))])
    assert (pixels == red).all()
    path = tmp_path / "red.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 12, (64, 48))
    writer.write(cv2.cvtColor(np.full((48, 64, 3), (200, 30, 30), np.uint8), cv2.COLOR_RGB2BGR))
    writer.release()
    ((_, pixels),) = read([Picture(str(path), 0)])
    assert pixels[..., 0].mean() > 150
    assert pixels[..., 2].mean() < 80


@pytest.mark.parametrize(("size", "kept"), [((4, 4), slice(2, 6)), ((8, 4), slice(0, 8))])
def test_the_middle_is_kept(size: tuple[int, int], kept: slice) -> None:
    pixels = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None] * 30, (4, 8, 3)).copy()
    assert (fitted(pixels, *size) == pixels[:, kept]).all()
    assert fitted(pixels, 32, 16).shape == (16, 32, 3)


def test_what_is_no_picture_or_no_frame_is_said(movie: Path, tmp_path: Path) -> None:
    for name in ("no.png", "no.avi"):
        (tmp_path / name).write_bytes(b"no picture")
    for picture, words in (
        (Picture(str(tmp_path / "no.png")), "is not a readable picture"),
        (Picture(str(tmp_path / "missing.png")), "cannot be read"),
        (Picture(str(tmp_path / "no.avi"), 3), "is not a readable movie"),
        (Picture(str(movie), FRAMES), f"has no frame {FRAMES + 1}"),
    ):
        with pytest.raises(RequestError, match=words):
            list(read([picture]))


def run(folder: Path, asked: Asked) -> subprocess.CompletedProcess[str]:
    (folder / "asked.json").write_bytes(msgspec.json.encode(asked))
    command = [sys.executable, "-m", "backend.client.strip_pictures", str(folder)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=120, check=False)


@pytest.mark.process
def test_a_backend_has_them_under_their_hashes(backend: Running, home: Path, movie: Path, tmp_path: Path) -> None:
    footage = tuple(Picture(str(movie), index) for index in (0, 0, 5))
    done = run(tmp_path, Asked(width=32, height=32, footage=footage, anchor=footage[2]))
    assert (done.returncode, done.stderr) == (0, "")
    told = msgspec.json.decode((tmp_path / "told.json").read_bytes(), type=Told)
    assert len(told.footage) == 3
    assert told.footage[0] == told.footage[1] != told.footage[2] == told.anchor
    (file,) = home.rglob(f"{told.anchor}.png")
    data = file.read_bytes()
    assert hashlib.sha256(data).hexdigest() == told.anchor
    pixels = decoded(data)
    assert pixels is not None
    assert pixels.shape == (32, 32, 3)
    with connect(name="test") as connected:
        connected.upload(data)  # the same again changes nothing


@pytest.mark.process
def test_one_sentence_says_what_is_wrong(backend: Running, tmp_path: Path) -> None:
    done = run(tmp_path, Asked(width=32, height=32, anchor=Picture(str(tmp_path / "x.png"))))
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert "cannot be read" in done.stderr
    assert not (tmp_path / "told.json").exists()
