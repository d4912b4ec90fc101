"""A clip's files are copied by a process of its own: whole or not at all, and nothing is overwritten."""

from __future__ import annotations

import errno
import os
import sys
import time
from pathlib import Path

import pytest

from blender_addon.machine.copying import CopyError, Copying, NothingThereError, copy, why

pytestmark = pytest.mark.process
FILES = ("clip.json", "frame_0001.png", "frame_0002.png")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A result of the backend, with a file that no edit needs."""
    folder = tmp_path / "results" / "Größe 影"
    folder.mkdir(parents=True)
    for name in (*FILES, "latents.safetensors"):
        (folder / name).write_text(f"new {name}")
    return folder


def run(source: Path, target: Path, python: str = sys.executable) -> None:
    """Copy with a process, and wait for it. Raises CopyError."""
    copying = Copying(python, str(source), str(target))
    deadline = time.monotonic() + 30
    while not copying.poll():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_frames_and_record_are_copied_and_nothing_else(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "edit" / "elevator" / "a-fox-01234567"
    run(source, target)
    assert names(target) == list(FILES)
    assert (target / FILES[1]).read_text() == f"new {FILES[1]}"
    assert names(target.parent) == [target.name], "nothing half-written stays"
    assert len(names(source)) == 4, "the backend keeps its own"


def test_what_is_there_is_not_overwritten(source: Path, tmp_path: Path) -> None:
    target = tmp_path / "clip"
    target.mkdir()
    (target / FILES[1]).write_text("retouched")
    run(source, target)
    assert (target / FILES[1]).read_text() == "retouched"
    assert names(target) == list(FILES)
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("in_the_way", ["elevator", "elevator/clip"])
def test_a_file_in_the_way_is_said_and_stays(source: Path, tmp_path: Path, in_the_way: str) -> None:
    target = tmp_path / "elevator" / "clip"
    (tmp_path / in_the_way).parent.mkdir(exist_ok=True)
    (tmp_path / in_the_way).write_text("in the way")
    sentence = f"The frames cannot be written to {target}: a folder on its path does not"
    with pytest.raises(CopyError, match=sentence) as caught:
        run(source, target)
    assert not isinstance(caught.value, NothingThereError)
    with pytest.raises(CopyError, match=sentence):
        copy(source, target)
    assert (tmp_path / in_the_way).read_text() == "in the way"
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("emptied", [False, True])
def test_a_result_that_is_gone_is_said_and_leaves_no_folder(tmp_path: Path, emptied: bool) -> None:
    gone, target = tmp_path / "gone", tmp_path / "edit" / "clip"
    if emptied:
        gone.mkdir()
    with pytest.raises(NothingThereError, match=f"The backend's folder {gone} holds no frames any more"):
        run(gone, target)
    with pytest.raises(NothingThereError):
        copy(gone, target)
    assert not target.parent.exists()


@pytest.mark.parametrize(
    ("code", "clause"),
    [
        *((code, "the disk is full") for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)),
        *((code, "it is write-protected") for code in (errno.EACCES, errno.EPERM, errno.EROFS)),
        (errno.ENAMETOOLONG, "its path is too long"),
        *(
            (code, "a folder on its path does not exist")
            for code in (errno.ENOENT, errno.ENOTDIR, errno.EEXIST, errno.ENODEV)
        ),
        (errno.EIO, "input/output error"),
    ],
)
def test_an_error_of_the_system_is_said_in_a_clause(code: int, clause: str) -> None:
    assert why(OSError(code, os.strerror(code))) == clause
    assert why(OSError()) == "oserror", "it says no more of itself"


class Scanner:
    """Another program that has a file open: Windows lets nobody rename it for so many tries."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tries: int) -> None:
        self.pauses: list[float] = []
        self._left, self._replace = tries, os.replace
        monkeypatch.setattr(time, "sleep", self.pauses.append)
        monkeypatch.setattr(os, "replace", self._rename)

    def _rename(self, old: Path, new: Path) -> None:
        self._left -= 1
        if self._left >= 0:
            raise PermissionError(errno.EACCES, "Permission denied")
        self._replace(old, new)


@pytest.mark.parametrize("is_there", [False, True])
def test_a_file_that_another_program_looks_at_is_waited_for(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_there: bool
) -> None:
    target = tmp_path / "clip"
    if is_there:
        target.mkdir()
    scanner = Scanner(monkeypatch, 8)
    copy(source, target)
    assert names(target) == list(FILES)
    assert len(scanner.pauses) == 8
    assert 4 < sum(scanner.pauses) < 6
    assert scanner.pauses == sorted(scanner.pauses), "less and less often"
    assert not list(tmp_path.glob(".*"))


def test_one_that_it_never_lets_go_of_is_said(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scanner = Scanner(monkeypatch, 10**6)
    with pytest.raises(CopyError, match="it is write-protected"):
        copy(source, tmp_path / "clip")
    assert len(scanner.pauses) == 8
    assert not list(tmp_path.glob(".*"))


def test_a_copy_that_dies_without_a_word_is_said_with_its_exit_code(source: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\nexit 7\n", encoding="utf-8")
    python.chmod(0o755)
    with pytest.raises(CopyError, match=r"The frames were not copied \(exit code 7\)\."):
        run(source, tmp_path / "clip", str(python))


def test_a_python_that_does_not_start_is_said(source: Path, tmp_path: Path) -> None:
    with pytest.raises(CopyError, match="cannot be copied: /nowhere/python does not start"):
        Copying("/nowhere/python", str(source), str(tmp_path / "clip"))


def test_a_copy_that_is_killed_midway_leaves_no_folder_of_the_clips_name(source: Path, tmp_path: Path) -> None:
    os.truncate(source / "frame_0002.png", 4 << 30)  # a hole: it takes no room, and reading it takes long
    target = tmp_path / "clip"
    copying = Copying(sys.executable, str(source), str(target))
    deadline = time.monotonic() + 30
    while not list(tmp_path.glob(".clip.*.part/frame_0002.png")):
        assert time.monotonic() < deadline
        time.sleep(0.001)
    assert not target.exists(), "half of a clip has no name"
    copying.stop()
    assert not target.exists()
    assert not list(tmp_path.glob(".*")), "what was half-written is gone, too"
