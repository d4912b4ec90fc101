"""Frames to files: whole or not at all."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.machine.frame_folder import PNG_SIGNATURE, FrameFileError, FrameFolder
from tests.addon.blenders import ROOT

PNG = PNG_SIGNATURE + b"picture"


def test_frames_are_written_in_blenders_counting(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path / "Größe 影 mit Leerzeichen", "ein-kürbis-01234567")
    folder.write(1, memoryview(PNG))
    folder.write(0, bytearray(PNG))
    assert folder.names() == ["frame_0001.png", "frame_0002.png"]
    assert (folder.path / "frame_0001.png").read_bytes() == PNG
    assert len(list(folder.path.iterdir())) == 2, "no temporary file stays"


def test_what_is_no_picture_is_not_written(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path, "clip")
    with pytest.raises(FrameFileError, match="Frame 1 that the backend sent is not a PNG picture"):
        folder.write(0, b"<html>")
    assert folder.names() == []


def test_a_file_in_the_way_is_said(tmp_path: Path) -> None:
    (tmp_path / "elevator").write_text("in the way")
    with pytest.raises(FrameFileError, match="cannot be written"):
        FrameFolder.make(tmp_path / "elevator", "clip")
    assert (tmp_path / "elevator").read_text() == "in the way"


@pytest.mark.parametrize("refused", ["touch", "unlink"])
def test_where_folders_can_be_made_but_no_files_no_empty_folder_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    def full(path: Path, **options: bool) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    if refused == "unlink":  # a name was made, and then the disk went away
        monkeypatch.setattr(Path, "touch", lambda path, exist_ok: None)
    monkeypatch.setattr(Path, refused, full)
    with pytest.raises(FrameFileError, match="cannot be written: the disk is full"):
        FrameFolder.make(tmp_path / "elevator", "clip")
    assert not (tmp_path / "elevator").exists()


def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    with pytest.raises(FrameFileError, match="its path is too long"):
        FrameFolder.make(tmp_path, "x" * 300)


def test_a_vanished_folder_is_said(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path, "clip")
    folder.path.rmdir()
    with pytest.raises(FrameFileError, match="a folder on its path does not exist"):
        folder.write(0, PNG)


def test_frames_move_together(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path / "old", "clip")
    folder.write(0, PNG)
    folder = folder.move_to(tmp_path / "new")
    folder.write(1, PNG)
    assert folder.path == tmp_path / "new" / "clip"
    assert folder.names() == ["frame_0001.png", "frame_0002.png"]
    assert not (tmp_path / "old").exists()


def test_a_failed_move_leaves_all_where_it_was(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path / "old", "clip")
    folder.write(0, PNG)
    (tmp_path / "new").write_text("in the way")
    with pytest.raises(FrameFileError):
        folder.move_to(tmp_path / "new")
    assert folder.path == tmp_path / "old" / "clip"
    assert folder.names() == ["frame_0001.png"]


def test_empty_folders_go(tmp_path: Path) -> None:
    folder = FrameFolder.make(tmp_path / "elevator", "clip")
    folder.drop_if_empty()
    assert not (tmp_path / "elevator").exists()
    folder = FrameFolder.make(tmp_path / "elevator", "clip")
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
    FrameFolder.make(folder, "clip").write(0, PNG_SIGNATURE + b"x" * size)
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
        said, files = _attempt(protected, user=NOBODY if os.geteuid() == 0 else 0)
        assert said == f"The folder {protected / 'clip'} cannot be written: it is write-protected."
        assert files == "[]"
        protected.chmod(0o755)


def test_a_full_disk_is_said_and_leaves_no_half_frame(tmp_path: Path) -> None:
    """The limit on file sizes refuses as a full disk does, whoever runs this."""
    resource = pytest.importorskip("resource")

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))

    said, files = _attempt(tmp_path, size=100_000, before=limit)
    assert said == f"Frame 1 cannot be written to {tmp_path / 'clip'}: the disk is full."
    assert files == "['clip']"
