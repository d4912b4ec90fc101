"""Sheets and strips show the frames of the clips that were fixed before, each at its place."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from elevator.study.arms import MAIN, MAIN_TITLES
from elevator.study.running import cast
from elevator.study.sheets import contact_sheet, main_picture, strip_of, strips, tables_pictures
from tests.elevator.study.conftest import study_in

ARMS = ["no low-pass", "temporal"]
GAP, HEADER = 6, 18
"""Between cells, and above them for the names."""


@pytest.fixture
def shown(tmp_path):
    """A study of which two prompts are shown."""
    study = study_in(tmp_path, prompts=13)
    found = cast(study)
    assert len(study.shown) == 2
    return study, found


def planted(shown, arm: str, row: int, size: tuple[int, int] = (64, 64), t2v: str = "embedded") -> np.ndarray:
    """Frames of noise (F, H, W, 3) where a shown clip's picture lies."""
    study, found = shown
    prompt, seed = study.shown[row]
    path = study.picture(found.recipes[t2v, arm].key, prompt, seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(row + len(arm))
    frames = rng.integers(0, 250, (found.recipes[t2v, arm].frames, size[1], size[0], 3), np.uint8)
    Image.fromarray(np.concatenate(list(frames), axis=1)).save(path)
    return frames


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB"))


def test_a_sheet_has_a_row_a_prompt_and_four_moments_an_arm(shown, tmp_path):
    study, found = shown
    clips = {(arm, row): planted(shown, arm, row) for arm in ARMS for row in (0, 1) if (arm, row) != ("temporal", 0)}
    assert contact_sheet(study, found, "embedded", ARMS, tmp_path / "sheet.png")
    sheet = pixels(tmp_path / "sheet.png")
    wide, high = 4 * 64, 64
    assert sheet.shape == (HEADER + 2 * (high + GAP) - GAP, 2 * (wide + GAP) - GAP, 3)
    for column, arm in enumerate(ARMS):
        left = column * (wide + GAP)
        assert (sheet[:HEADER, left : left + wide] < 128).any(), "its name"
        for row in (0, 1):
            top = HEADER + row * (high + GAP)
            cell = sheet[top : top + high, left : left + wide]
            if (arm, row) in clips:
                expected = np.concatenate([clips[arm, row][k] for k in (0, 5, 10, 15)], axis=1)
            else:
                expected = np.full((high, wide, 3), 211, np.uint8)  # light grey
            assert np.array_equal(cell, expected)
    assert (sheet[HEADER:, wide : wide + GAP] == 255).all()
    assert (sheet[HEADER + high : HEADER + high + GAP] == 255).all()
    assert not (tmp_path / "sheet.part.png").exists()


@pytest.mark.parametrize(
    ("size", "cell"),
    [
        ((64, 64), (64, 64)),
        ((63, 80), (126, 160)),
        ((16, 24), (64, 96)),
        ((128, 100), (128, 100)),
        ((256, 128), (128, 64)),
        ((200, 100), (128, 64)),
    ],
)
def test_frames_are_brought_to_a_size_for_looking_at(shown, tmp_path, size, cell):
    study, found = shown
    frames = planted(shown, "temporal", 0, size)
    assert contact_sheet(study, found, "embedded", ["temporal"], tmp_path / "sheet.png")
    sheet = pixels(tmp_path / "sheet.png")
    assert sheet.shape[1] == 4 * cell[0]
    assert sheet.shape[0] == HEADER + cell[1], "of the other shown prompt nothing is made yet"
    first = sheet[HEADER : HEADER + cell[1], : cell[0]]
    way = Image.Resampling.NEAREST if cell > size else Image.Resampling.BOX
    assert np.array_equal(first, np.asarray(Image.fromarray(frames[0]).resize(cell, way)))


def test_strips_show_every_frame_an_arm_below_the_other(shown, tmp_path):
    study, found = shown
    clips = [planted(shown, arm, 0) for arm in ARMS]
    planted(shown, "published", 1)
    assert strips(study, found, "embedded", [*ARMS, "published"], tmp_path / "strips.png")
    sheet = pixels(tmp_path / "strips.png")
    assert sheet.shape == (2 * (64 + HEADER), 16 * 64, 3)
    for k, clip in enumerate(clips):
        top = k * (64 + HEADER)
        assert np.array_equal(sheet[top + HEADER : top + HEADER + 64], np.concatenate(list(clip), axis=1))
        assert (sheet[top : top + HEADER] < 128).any()


def test_nothing_that_was_made_is_no_picture(shown, tmp_path):
    study, found = shown
    (table,) = study.tables
    assert tables_pictures(study, found, table, "embedded", "a") == []
    planted(shown, "temporal", 1)
    assert tables_pictures(study, found, table, "embedded", "a") == ["a_sheet.png"], "strips are of the first prompt"
    planted(shown, "temporal", 0)
    assert tables_pictures(study, found, table, "embedded", "a") == ["a_sheet.png", "a_strips.png"]
    prompt, seed = study.shown[0]
    assert strip_of(study, found, "embedded", "nobody's arm", prompt, seed) is None
    assert strip_of(study, found, "embedded", "published", prompt, seed) is None


def test_the_main_picture_says_elevated_as_people_do(shown, tmp_path):
    """Arms are named as in the tables, where "published" says which of the presets it is."""
    study, found = shown
    for arm in MAIN:
        key = replace(found.recipes["embedded", "published"], arm=arm, key=arm.name)
        found.recipes["embedded", arm.name] = key
        planted(shown, arm.name, 0)
    assert main_picture(study, found, "embedded", tmp_path / "main.png")
    assert contact_sheet(study, found, "embedded", [arm.name for arm in MAIN], tmp_path / "names.png")
    main, names = pixels(tmp_path / "main.png"), pixels(tmp_path / "names.png")
    assert np.array_equal(main[HEADER:], names[HEADER:])
    wide = 4 * 64 + GAP
    same = [np.array_equal(main[:HEADER, k * wide :][:, :wide], names[:HEADER, k * wide :][:, :wide]) for k in range(4)]
    assert (
        same == [arm.name == title for arm, title in zip(MAIN, MAIN_TITLES, strict=True)] == [True, True, False, False]
    )
