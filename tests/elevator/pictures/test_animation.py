"""Clips as a moving picture."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageSequence

from elevator import RequestError
from elevator.pictures.animation import GAP_PX, animation, main


def clip(seed: int, frames: int = 3, side: int = 4) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (frames, side, side, 3), np.uint8)


def test_clips_play_side_by_side_in_whole_squares(tmp_path):
    clips = [clip(1), clip(2)]
    for name, frames in zip("ab", clips, strict=True):
        (tmp_path / name).mkdir()
        for k, frame in enumerate(frames, 1):
            Image.fromarray(frame).save(tmp_path / name / f"frame_{k:04d}.png")
        Image.new("RGB", (9, 9)).save(tmp_path / name / "contact_sheet.png")
    out = tmp_path / "both.webp"
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(out), "--size", "9", "--fps", "4"]) == 0
    with Image.open(out) as moving:
        assert moving.info["loop"] == 0
        shown = [(picture.convert("RGB"), picture.info["duration"]) for picture in ImageSequence.Iterator(moving)]
    assert len(shown) == 3
    assert [duration for _, duration in shown] == [250] * 3
    for k, (picture, _) in enumerate(shown):
        pixels = np.asarray(picture)
        assert pixels.shape == (8, 16 + GAP_PX, 3)
        assert (pixels[:, :8] == clips[0][k].repeat(2, 0).repeat(2, 1)).all()
        assert (pixels[:, 8 + GAP_PX :] == clips[1][k].repeat(2, 0).repeat(2, 1)).all()


def test_what_is_not_said_is_the_default(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for k in (1, 2):
            Image.fromarray(clip(k, 1, 64)[0]).save(tmp_path / name / f"frame_{k:04d}.png")
    assert main([str(tmp_path / "a"), str(tmp_path / "b"), "--out", str(tmp_path / "x.webp")]) == 0
    with Image.open(tmp_path / "x.webp") as moving:
        assert moving.size == (3 * 64 + 8 + 3 * 64, 3 * 64), "in whole squares, 192 pixels high"
        moving.seek(1)
        moving.load()
        assert moving.info["duration"] == 125


def test_clips_larger_than_asked_for_are_shown_as_they_are():
    (picture,) = animation([clip(1, frames=1, side=16)], 8)
    assert picture.size == (16, 16)


def test_clips_of_other_shapes_are_refused():
    with pytest.raises(RequestError, match="differ in size or length"):
        animation([clip(1), clip(2, frames=2)], 8)


def test_a_folder_without_frames_is_said(tmp_path, capsys):
    assert main([str(tmp_path), "--out", str(tmp_path / "x.webp")]) == 1
    assert "holds no frames" in capsys.readouterr().err
