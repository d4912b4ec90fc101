"""Frames to files: whole or not at all."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.machine.frame_folder import PNG_SIGNATURE, FrameFileError, FrameFolder
from shared_protocol.machine import files
from tests.addon.blenders import ROOT

PNG = PNG_SIGNATURE + b"picture"


def test_frames_are_written_in_blenders_counting(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "Größe 影 mit Leerzeichen" / "ein-kürbis-01234567")
    folder.write(1, memoryview(PNG))
    assert not folder.begins()
    folder.write(0, bytearray(PNG))
    assert folder.names() == ["frame_0001.png", "frame_0002.png"]
    assert (folder.path / "frame_0001.png").read_bytes() == PNG
    assert len(list(folder.path.iterdir())) == 2, "no temporary file stays"
    assert folder.begins()
    assert folder.holds(2)
    assert not folder.holds(3)


def test_what_is_no_picture_is_not_written(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "clip")
    with pytest.raises(FrameFileError, match="Frame 1 that the backend sent is not a PNG picture"):
        folder.write(0, b"<html>")
    assert not folder.path.exists()


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "elevator").write_text("in the way")
    with pytest.raises(FrameFileError, match="a folder on its path does not exist"):
        FrameFolder(tmp_path / "elevator" / "clip").write(0, PNG)
    assert (tmp_path / "elevator").read_text() == "in the way"


def test_where_folders_can_be_made_but_no_files_no_empty_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write", full)
    with pytest.raises(FrameFileError, match=r"cannot be written to .*: the disk is full"):
        FrameFolder(tmp_path / "clip").write(0, PNG)
    assert not (tmp_path / "clip").exists()


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="its path is too long"):
        FrameFolder(tmp_path / ("x" * 300)).write(0, PNG)


def test_a_folder_that_has_vanished_is_made_again(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "clip")
    folder.write(0, PNG)
    shutil.rmtree(folder.path)
    folder.write(1, PNG)
    assert folder.names() == ["frame_0002.png"]
    assert not folder.holds(2), "what has gone is missed"


def test_a_folder_moves_with_all_that_is_in_it(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "old" / "clip")
    folder.write(0, PNG)
    (folder.path / "clip.json").write_text("{}")
    moved = folder.move_to(tmp_path / "new" / "deep")
    moved.write(1, PNG)
    assert moved.path == tmp_path / "new" / "deep" / "clip"
    assert moved.names() == ["frame_0001.png", "frame_0002.png"]
    assert (moved.path / "clip.json").read_text() == "{}"
    assert not folder.path.exists()


def test_a_move_overwrites_nothing(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "old" / "clip")
    folder.write(0, PNG)
    (tmp_path / "new" / "clip").mkdir(parents=True)
    (tmp_path / "new" / "clip" / "frame_0001.png").write_bytes(b"retouched")
    assert (folder.move_to(tmp_path / "new").path / "frame_0001.png").read_bytes() == b"retouched"


@pytest.mark.parametrize("in_the_way", ["new", "new/clip"])
def test_a_failed_move_leaves_all_where_it_was(tmp_path: Path, in_the_way: str) -> None:
    folder = FrameFolder(tmp_path / "old" / "clip")
    folder.write(0, PNG)
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("in the way")
    with pytest.raises(FrameFileError, match="The frames cannot be copied to"):
        folder.move_to(tmp_path / "new")
    assert folder.names() == ["frame_0001.png"]
    assert (tmp_path / in_the_way).read_text() == "in the way"


def test_a_move_that_breaks_off_leaves_nothing_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = FrameFolder(tmp_path / "old" / "clip")
    for index in range(3):
        folder.write(index, PNG)
    real = shutil.copyfile

    def soon_full(source: Path, target: Path) -> None:
        if target.name == "frame_0002.png":
            raise OSError(errno.ENOSPC, "No space left on device")
        real(source, target)

    monkeypatch.setattr(shutil, "copyfile", soon_full)
    with pytest.raises(FrameFileError, match="the disk is full"):
        folder.move_to(tmp_path / "new")
    assert len(folder.names()) == 3
    assert not (tmp_path / "new" / "clip").exists()


def test_what_cannot_be_taken_along_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that can be read only: the frames are at the new place all the same."""
    folder = FrameFolder(tmp_path / "old" / "clip")
    folder.write(0, PNG)

    def refused(_: Path) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "unlink", refused)
    assert folder.move_to(tmp_path / "new").names() == folder.names() == ["frame_0001.png"]


def test_empty_folders_go_and_others_stay(tmp_path: Path) -> None:
    folder = FrameFolder(tmp_path / "clip")
    folder.path.mkdir()
    folder.drop_if_empty()
    assert not folder.path.exists()
    folder.drop_if_empty()
    folder.write(0, PNG)
    folder.drop_if_empty()
    assert folder.names() == ["frame_0001.png"]


ATTEMPT = """
import os, sys
from pathlib import Path
from blender_addon.machine.frame_folder import PNG_SIGNATURE, FrameFileError, FrameFolder
folder, size, user = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
if user:
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
try:
    FrameFolder(folder / "clip").write(0, PNG_SIGNATURE + b"x" * size)
except FrameFileError as error:
    print(error)
    print(sorted(path.name for path in folder.rglob("*")))
"""
NOBODY = 65534


def _attempt(folder: Path, *, size: int = 8, user: int = 0, before: Callable[[], None] | None = None) -> list[str]:
    done = subprocess.run(
        [sys.executable, "-c", ATTEMPT, str(folder), str(size), str(user)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=before,
    )
    return done.stdout.splitlines()


@pytest.mark.skipif(sys.platform == "win32", reason="modes of folders are POSIX")
def test_a_protected_folder_is_said() -> None:
    with tempfile.TemporaryDirectory() as name:
        protected = Path(name)
        protected.chmod(0o555)
        # Root ignores modes: then another user tries.
        said, left = _attempt(protected, user=NOBODY if os.geteuid() == 0 else 0)
        assert said == f"Frame 1 cannot be written to {protected / 'clip'}: it is write-protected."
        assert left == "[]"
        protected.chmod(0o755)


def test_a_full_disk_is_said_and_leaves_no_half_frame(tmp_path: Path) -> None:
    """The limit on file sizes refuses as a full disk does, whoever runs this."""
    resource = pytest.importorskip("resource")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    said, left = _attempt(tmp_path, size=100_000, before=limit)
    assert said == f"Frame 1 cannot be written to {tmp_path / 'clip'}: the disk is full."
    assert left == "[]"
