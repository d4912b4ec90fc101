"""Which files of a folder are frames, and which are pictures to start from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from elevator.pictures.clip_folder import RECORD, SHEET, frame_name, frames_in, pictures_in


def touched(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).touch()
    return folder


def names(paths: tuple[Path, ...]) -> list[str]:
    return [path.name for path in paths]


def test_frames_are_named_and_found_in_their_order(tmp_path: Path) -> None:
    wanted = [frame_name(index) for index in (0, 1, 9998, 9999)]
    assert wanted == ["frame_0001.png", "frame_0002.png", "frame_9999.png", "frame_10000.png"]
    touched(tmp_path, *reversed(wanted), SHEET, RECORD, "frame_1.png", "frame_0001.png.part", "Frame_0003.png")
    assert names(frames_in(tmp_path)) == wanted
    assert frames_in(tmp_path / "nothing") == frames_in(tmp_path / RECORD) == ()


@pytest.mark.parametrize("beside", ["contact_sheet.png", "mask.png", "a.PNG"])
def test_the_pictures_of_a_clip_are_its_frames_alone(tmp_path: Path, beside: str) -> None:
    wanted = [frame_name(index) for index in range(3)]
    touched(tmp_path, *wanted, beside, SHEET, RECORD)
    assert names(pictures_in(tmp_path)) == wanted


def test_the_pictures_of_another_folder_are_all_its_pngs(tmp_path: Path) -> None:
    assert pictures_in(tmp_path / "nothing") == ()
    touched(tmp_path, "b.png", "a.PNG", "c.jpg")
    assert names(pictures_in(tmp_path)) == ["a.PNG", "b.png"]


def test_pictures_that_are_counted_without_zeros_are_all_found(tmp_path: Path) -> None:
    touched(tmp_path, *(f"frame_{number}.png" for number in (1, 2, 999, 1000, 1001)))
    assert len(pictures_in(tmp_path)) == 5


def test_only_the_standard_library_is_needed() -> None:
    heavy = "{'torch', 'numpy', 'cv2', 'PIL', 'msgspec'}"
    code = f"import sys, elevator.pictures.clip_folder; print({heavy} & sys.modules.keys())"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    "order",
    [
        ["f1.png", "f2.png", "f10.png", "f11.png"],  # ffmpeg -i film.mp4 f%d.png
        ["1.png", "9.png", "10.png", "100.png"],
        ["a (1).png", "a (2).png", "a (10).png"],
        ["s1_f9.png", "s1_f10.png", "s2_f1.png", "s10_f1.png"],
        ["0099.png", "0100.png", "00101.png"],
        ["a.png", "B.png", "c.PNG"],
        ["shot.1001.png", "shot.1002.png"],
        ["7.png", "07.png", "8.png"] if sys.platform == "win32" else ["07.png", "7.png", "8.png"],
    ],
    ids=lambda order: order[1],
)
def test_numbers_in_names_count_as_numbers(tmp_path: Path, order: list[str]) -> None:
    touched(tmp_path, *sorted(order, reverse=True))
    assert names(pictures_in(tmp_path)) == order


def test_what_systems_leave_in_folders_is_no_picture(tmp_path: Path) -> None:
    """AppleDouble's companions (RFC 1740) and other hidden files, folders, and lists of thumbnails."""
    touched(
        tmp_path, "2.png", "._2.png", ".hidden.png", ".DS_Store", "Thumbs.db", "desktop.ini", "2.png.part", "2.png~"
    )
    (tmp_path / "1.png").mkdir()
    assert names(pictures_in(tmp_path)) == ["2.png"]
