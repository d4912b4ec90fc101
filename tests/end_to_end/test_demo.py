"""From a prompt to an image strip in a real Blender, with the embedded models: the main job."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image, ImageSequence

from blender_addon.clip.ticket import decode

from .conftest import PROMPT, ROOT, Made

FRAMES = 16
SIZE = 64
FPS = 8


def pictures(made: Made) -> list[NDArray[np.uint8]]:
    """The frames, as OpenCV reads them."""
    files = sorted(made.folder.glob("elevator/*/frame_*.png"))
    return [np.asarray(cv2.imread(str(file), cv2.IMREAD_COLOR), np.uint8) for file in files]


def enlarged(picture: NDArray[np.uint8], times: int) -> NDArray[np.uint8]:
    return picture.repeat(times, 0).repeat(times, 1)


def look_into(blend: Path, blender_python: Path) -> dict[str, Any]:
    script = Path(__file__).with_name("look_into.py")
    done = subprocess.run([blender_python, script, blend], capture_output=True, text=True, check=True)
    return json.loads(next(line for line in done.stdout.splitlines() if line.startswith("LOOK"))[5:])


def test_it_succeeds_and_says_in_five_lines_what_lies_where(made: Made) -> None:
    assert made.code == 0, made.output
    last = made.output.strip().splitlines()[-5:]
    assert [line.split(":")[0] for line in last] == ["Film", "Pictures", "Project", "Add-on", "Next"]
    assert str(made.folder / "demo.mp4") in last[0]
    assert PROMPT in last[0]


def test_progress_has_phases(made: Made) -> None:
    for phase in ("Painting", "Smoothing the motion", "Making the pictures"):
        assert re.search(rf"{phase}, \d+ of \d+", made.output), made.output
    assert "Rendering the film" in made.output


def test_frames_are_there(made: Made) -> None:
    frames = pictures(made)
    assert len(frames) == FRAMES
    assert all(frame.shape == (SIZE, SIZE, 3) for frame in frames)
    assert len({frame.tobytes() for frame in frames}) > FRAMES // 2, "it should move"


def test_contact_sheet_shows_all_frames(made: Made) -> None:
    sheet = np.asarray(cv2.imread(str(made.folder / "contact_sheet.png"), cv2.IMREAD_COLOR))
    cell = 3 * SIZE + 8
    assert sheet.shape == (4 * cell + 8, 4 * cell + 8, 3)
    for index, frame in enumerate(pictures(made)):
        top, left = 8 + index // 4 * cell, 8 + index % 4 * cell
        assert np.array_equal(sheet[top : top + 3 * SIZE, left : left + 3 * SIZE], enlarged(frame, 3)), index


def test_film_shows_the_frames(made: Made) -> None:
    film = cv2.VideoCapture(str(made.folder / "demo.mp4"))
    assert film.get(cv2.CAP_PROP_FPS) == FPS
    shown = []
    while True:
        more, picture = film.read()
        if not more:
            break
        shown.append(picture)
    film.release()
    frames = pictures(made)
    assert len(shown) == len(frames)
    for picture, frame in zip(shown, frames, strict=True):
        assert picture.shape == (512, 512, 3)
        assert np.abs(picture.astype(float) - enlarged(frame, 8)).mean() < 5, "compression changes colours a little"


def test_moving_picture_is_the_frames(made: Made) -> None:
    with Image.open(made.folder / "demo.webp") as moving:
        shown = [np.asarray(picture.convert("RGB")) for picture in ImageSequence.Iterator(moving)]
    for picture, frame in zip(shown, pictures(made), strict=True):
        assert np.array_equal(picture[..., ::-1], enlarged(frame, 3))


def test_project_holds_one_strip_and_can_be_moved(made: Made, blender_python: Path, tmp_path: Path) -> None:
    moved = tmp_path / "elsewhere ü"
    shutil.copytree(made.folder, moved)
    made.folder.rename(made.folder.with_name("hidden"))
    try:
        seen = look_into(moved / "demo.blend", blender_python)
    finally:
        made.folder.with_name("hidden").rename(made.folder)
    (strip,) = seen["strips"]
    assert strip["type"] == "IMAGE"
    assert strip["span"] == [1, 1 + FRAMES]
    assert strip["files"] == [f"frame_{number:04d}.png" for number in range(1, FRAMES + 1)]
    assert strip["found"]
    assert strip["colors"] == "sRGB"
    ticket = decode(strip["settings"]["elevator_clip"])
    assert ticket is not None
    assert ticket.request.prompt == PROMPT
    assert strip["directory"].startswith("//")
    assert all(path.startswith("//") for path in seen["paths"])
    assert (seen["film"], seen["fps"]) == ("//demo.mp4", FPS)


def test_nothing_else_lies_there(made: Made) -> None:
    assert sorted(path.name for path in made.folder.iterdir()) == [
        "contact_sheet.png",
        "demo.blend",
        "demo.mp4",
        "demo.webp",
        "elevator",
    ]
    assert sorted(path.name for path in made.folder.parent.iterdir()) == ["demo", "home"]


def test_addon_ran_on_the_wheels_of_its_zip(made: Made) -> None:
    log = (ROOT / "build" / "logs" / "demo-blender.log").read_text(encoding="utf-8")
    said = re.search(r"^pyzmq from (.*)$", log, re.MULTILINE)
    assert said is not None
    assert Path(said[1]).is_relative_to(ROOT / "build" / "demo-blender" / "extensions")


@pytest.mark.long
@pytest.mark.parametrize("style", sorted(file.stem for file in (ROOT / "backend" / "styles").glob("*.toml")))
def test_every_style_makes_its_example(style: str, folder: Path, made: Made) -> None:
    from .conftest import run_demo

    other = run_demo(folder / style, "--style", style)
    assert other.code == 0, other.output
    assert len(pictures(other)) == FRAMES
