"""Where a clip comes to lie: looked at before the work, and all of it or nothing afterwards."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

from backend.client.saving import NewFilm, NewFrames, check_space, in_use, is_taken, new_clip, prepare
from backend.failures import BackendError
from shared_protocol.machine import files

PNG = cv2.imencode(".png", np.zeros((64, 64, 3), np.uint8))[1].tobytes()
RATE = Fraction(24)


def refused(act: Callable[[], object]) -> BackendError:
    with pytest.raises(BackendError) as caught:
        act()
    return caught.value


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def full(*_: object, **__: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


def locked(*_: object, **__: object) -> None:
    raise PermissionError(errno.EACCES, "Permission denied")


def test_what_is_in_the_way_is_said_by_its_kind(tmp_path: Path) -> None:
    film, folder = tmp_path / "a.mp4", tmp_path / "frames"
    assert (in_use(film).code, in_use(folder).code) == ("film_in_use", "folder_in_use")
    prepare(film, overwrite=False)
    prepare(folder, overwrite=False)
    assert names(tmp_path) == ["frames"], "the folder is made, and nothing in it"
    assert not is_taken(film)
    assert not is_taken(folder)
    film.touch()
    (folder / "frame_0001.png").touch()
    assert is_taken(film)
    assert is_taken(folder)
    for out, code in ((film, "film_in_use"), (folder, "folder_in_use")):
        assert refused(lambda out=out: prepare(out, overwrite=False)).code == code  # type: ignore[misc]
        prepare(out, overwrite=True)


def test_a_folder_that_is_called_like_a_film_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").mkdir()
    assert refused(lambda: prepare(tmp_path / "a.mp4", overwrite=True)).code == "film_in_use"


def test_other_frames_are_not_in_a_films_way(tmp_path: Path) -> None:
    (tmp_path / "frame_0001.png").touch()
    prepare(tmp_path / "a.mp4", overwrite=False)


def test_a_place_that_takes_no_file_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for fails, code in ((full, "disk_full"), (locked, "folder_unwritable")):
        monkeypatch.setattr(tempfile, "TemporaryFile", fails)
        for out in (tmp_path / "clip", tmp_path / "clip.mp4"):
            assert refused(lambda out=out: prepare(out, overwrite=False)).code == code  # type: ignore[misc]


def test_room_for_a_film_is_that_of_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    monkeypatch.setattr(shutil, "disk_usage", lambda path: looked.append(path) or SimpleNamespace(free=100))
    for out in (tmp_path / "a.mp4", tmp_path):
        check_space(out, 100)
        assert refused(lambda out=out: check_space(out, 101)).code == "disk_full"  # type: ignore[misc]
    assert set(looked) == {tmp_path}


@pytest.mark.parametrize(("fails", "code"), [(full, "disk_full"), (locked, "folder_unwritable")])
def test_frames_that_cannot_be_written_leave_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: Callable[..., None], code: str
) -> None:
    def write() -> None:
        with NewFrames(tmp_path, overwrite=False) as frames:
            frames.write(0, PNG)

    for owner, name in ((os, "fsync"), (tempfile, "mkdtemp"), (files, "move"), (files, "sync_folder")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, fails)
            assert refused(write).code == code
        assert not [path for path in names(tmp_path) if not path.startswith("frame_")]
    shutil.rmtree(tmp_path)
    write()
    assert names(tmp_path) == ["frame_0001.png"]


def test_a_frame_is_written_once(tmp_path: Path) -> None:
    with pytest.raises(BackendError), NewFrames(tmp_path, overwrite=False) as frames:  # noqa: PT012
        frames.write(0, PNG)
        assert frames.count == 1
        frames.write(0, PNG)
    assert names(tmp_path) == []


def test_a_film_takes_its_place_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    film = tmp_path / "a.gif"

    def make(stop: type[BaseException] | None = None) -> None:
        with new_clip(film, RATE, overwrite=True) as frames:
            assert isinstance(frames, NewFilm)
            for index in range(2):
                frames.write(index, PNG)
            assert (frames.count, frames.paths) == (2, (film,))
            if stop is not None:
                raise stop

    with pytest.raises(KeyboardInterrupt):
        make(KeyboardInterrupt)
    assert names(tmp_path) == []
    with monkeypatch.context() as patch:
        patch.setattr(files, "move", full)
        assert refused(make).code == "disk_full"
        patch.setattr(files, "move", locked)
        assert refused(make).code == "folder_unwritable"
    assert names(tmp_path) == []
    make()
    assert names(tmp_path) == ["a.gif"]
    assert isinstance(new_clip(tmp_path / "folder", RATE, overwrite=False), NewFrames)
