"""Pictures that stand in for frames: real ones, of the clip's size, in two colours."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from PIL import Image

from blender_addon.machine import stripes
from blender_addon.machine.stripes import FAILED, PERIOD_PX, WAITING


def pixels(kind: str, width: int, height: int) -> Image.Image:
    with Image.open(io.BytesIO(stripes.stripes(kind, width, height))) as picture:
        picture.load()
        assert (picture.format, picture.size) == ("PNG", (width, height))
        assert stripes.stripes(kind, width, height)[24:29] == bytes((8, 3, 0, 0, 0)), "as the standard has it"
        return picture.convert("RGB")


@pytest.mark.parametrize("kind", [WAITING, FAILED])
@pytest.mark.parametrize("size", [(64, 64), (8, 8), (1, 1), (65, 127), (100, 70), (1024, 576)])
def test_it_is_a_picture_of_that_size(kind: str, size: tuple[int, int]) -> None:
    picture = pixels(kind, *size)
    colors = picture.getcolors()
    assert colors is not None
    assert len(colors) == (2 if max(size) > PERIOD_PX // 2 else len(colors))


def test_the_stripes_are_diagonal_and_of_equal_width() -> None:
    picture = pixels(WAITING, 128, 96)
    for x, y in ((0, 0), (40, 17), (31, 63), (90, 95)):
        assert picture.getpixel((x, y)) == picture.getpixel(((x + y) % PERIOD_PX, 0)), "a row is the one above, moved"
    row = [picture.getpixel((x, 0)) for x in range(PERIOD_PX)]
    assert row == [row[0]] * 32 + [row[-1]] * 32
    assert row[0] != row[-1]


def test_a_failure_is_red_and_waiting_is_grey() -> None:
    for _, (red, green, blue) in pixels(FAILED, 64, 64).getcolors() or []:  # type: ignore[misc]
        assert red > green + 20
        assert red > blue + 20
    for _, color in pixels(WAITING, 64, 64).getcolors() or []:
        assert max(color) - min(color) < 10  # type: ignore[arg-type]


def test_one_picture_serves_all_clips_of_its_size(tmp_path: Path) -> None:
    folder = tmp_path / "Größe 影" / "elevator"
    name = stripes.put(folder, WAITING, 64, 48)
    assert name == "waiting-64x48.png"
    assert (folder / name).read_bytes() == stripes.stripes(WAITING, 64, 48)
    (folder / name).write_bytes(b"the artist's own")
    assert stripes.put(folder, WAITING, 64, 48) == name
    assert (folder / name).read_bytes() == b"the artist's own", "what is there is left alone"
    assert stripes.put(folder, FAILED, 64, 48) == "failed-64x48.png"
    assert len(list(folder.iterdir())) == 2


def test_a_folder_that_cannot_be_made_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "elevator").touch()
    with pytest.raises(OSError, match="elevator"):
        stripes.put(tmp_path / "elevator", WAITING, 64, 64)
