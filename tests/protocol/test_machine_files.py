"""Files in one step, private folders and locks."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import psutil
import pytest

from shared_protocol.errors import ExposedFile
from shared_protocol.machine import files, locks
from shared_protocol.machine.processes import start_time


@pytest.fixture(autouse=True)
def everything_is_open() -> Iterator[None]:
    """New files and folders are everybody's if nobody says otherwise."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


@pytest.mark.parametrize(("private", "expected"), [(True, 0o600), (False, 0o666)])
def test_a_file_is_private_or_as_the_user_has_it(tmp_path: Path, private: bool, expected: int) -> None:
    (tmp_path / "a").write_bytes(b"old")
    files.write(tmp_path / "a", memoryview(b"new"), private=private)
    assert (tmp_path / "a").read_bytes() == b"new"
    assert mode(tmp_path / "a") == expected
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_shall_stay_stays(tmp_path: Path) -> None:
    files.write(tmp_path / "a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "a", b"second", replace=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_durable_file_alone_waits_for_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, durable: bool
) -> None:
    synced: list[int] = []
    monkeypatch.setattr(os, "fsync", synced.append)
    files.write(tmp_path / "a", b"x", durable=durable)
    assert len(synced) == durable


@pytest.mark.skipif(os.name != "posix", reason="open files are counted by their numbers")
def test_no_file_and_no_folder_stays_open(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def next_number() -> int:
        number = os.open(tmp_path, os.O_RDONLY)
        os.close(number)
        return number

    def refused(_: int) -> None:
        raise OSError(5, "Input/output error")

    before = next_number()
    for replace in (True, True, False):
        name = "a" if replace else "b"
        files.write(tmp_path / name, b"new", durable=True, replace=replace)
    files.sync_folder(tmp_path)
    monkeypatch.setattr(os, "fsync", refused)
    for call in (lambda: files.sync_folder(tmp_path), lambda: files.write(tmp_path / "a", b"newer", durable=True)):
        with pytest.raises(OSError, match="Input/output"):
            call()
    assert next_number() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_missing_folders_are_private_and_others_stay(tmp_path: Path) -> None:
    (tmp_path / "theirs").mkdir(mode=0o755)
    files.make_folder(tmp_path / "theirs" / "a" / "b")
    files.make_folder(tmp_path / "theirs")
    assert [mode(tmp_path / each) for each in ("theirs", "theirs/a", "theirs/a/b")] == [0o755, 0o700, 0o700]


def test_a_file_in_the_way_of_a_folder_is_said(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    with pytest.raises(FileExistsError):
        files.make_folder(tmp_path / "a")


def test_a_held_file_is_held_once_and_keeps_its_place(tmp_path: Path) -> None:
    with (tmp_path / "a").open("a+b") as first, (tmp_path / "a").open("a+b") as second:
        assert locks.take(first.fileno())
        assert not locks.take(second.fileno())
        assert os.lseek(first.fileno(), 0, os.SEEK_CUR) == 0
        first.close()
        assert locks.take(second.fileno())


class Msvcrt(ModuleType):
    """Windows' locks of single bytes, which keep others from reading them."""

    LK_NBLCK = 2

    def __init__(self, held: bool) -> None:
        super().__init__("msvcrt")
        self.bytes: list[tuple[int, int]] = []
        self._held = held

    def locking(self, descriptor: int, mode: int, count: int) -> None:
        assert mode == self.LK_NBLCK, "it does not wait"
        self.bytes.append((os.lseek(descriptor, 0, os.SEEK_CUR), count))
        if self._held:
            raise PermissionError(13, "Permission denied")


@pytest.mark.parametrize("held", [False, True])
def test_windows_holds_a_byte_behind_what_is_written_and_the_same_in_every_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: bool
) -> None:
    msvcrt = Msvcrt(held)
    monkeypatch.setitem(sys.modules, "msvcrt", msvcrt)
    monkeypatch.setattr(locks, "sys", SimpleNamespace(platform="win32"))
    with (tmp_path / "a").open("w+b") as file:
        os.lseek(file.fileno(), 3, os.SEEK_SET)
        assert locks.take(file.fileno()) is not held
        assert msvcrt.bytes == [(65536, 1)]
        assert os.lseek(file.fileno(), 0, os.SEEK_CUR) == 3, "who writes goes on where it was"


def test_who_holds_a_file_has_signed_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert locks.holder(path) is None, "there is none"
    path.write_bytes(b"an older and longer name than any that follows, of whoever it was")
    with path.open("r+b") as held:
        held.read()
        assert locks.take(held.fileno())
        assert locks.holder(path) is None, "nobody has signed it"
        locks.sign(held.fileno())
        assert locks.holder(path) == os.getpid()
        assert json.loads(path.read_bytes()) == {"pid": os.getpid(), "started": start_time(os.getpid())}
    assert locks.holder(path) is None, "its holder has let go of it"


@pytest.mark.parametrize(
    "told", ["", "[]", "{}", '{"pid": 1}', '{"pid": "x", "started": 1}', '{"pid": 0, "started": 1}']
)
def test_a_file_that_tells_no_process_is_held_by_none(tmp_path: Path, told: str) -> None:
    with (tmp_path / "lock").open("w+b") as held:
        assert locks.take(held.fileno())
        held.write(told.encode())
        held.flush()
        assert locks.holder(tmp_path / "lock") is None


def test_a_process_that_has_ended_holds_nothing(tmp_path: Path) -> None:
    """Nor does another that bears its number now."""
    with (tmp_path / "lock").open("w+b") as held:
        assert locks.take(held.fileno())
        held.write(json.dumps({"pid": os.getpid(), "started": 1}).encode())
        held.flush()
        assert locks.holder(tmp_path / "lock") is None


def test_a_disk_that_cannot_hold_files_is_said(tmp_path: Path) -> None:
    with (tmp_path / "a").open("w+b") as file:
        descriptor = file.fileno()
    with pytest.raises(OSError, match="Bad file descriptor"):
        locks.take(descriptor)


def test_what_a_killed_writer_has_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", ".a.0123.part", ".ab.0123.part", ".a.0123", "a.part"):
        (tmp_path / name).write_bytes(b"")
    files.sweep(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.0123", ".ab.0123.part", "a", "a.part"]


class Held:
    """A file that another program has open: so often its name is refused."""

    def __init__(self, times: int) -> None:
        self.left, self.tried = times, 0

    def __call__(self) -> str:
        self.tried += 1
        self.left -= 1
        if self.left >= 0:
            raise PermissionError(13, "Permission denied")
        return "done"


@pytest.fixture
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Time passes in sleep alone."""
    pauses: list[float] = []
    monkeypatch.setattr(time, "monotonic", lambda: sum(pauses))
    monkeypatch.setattr(time, "sleep", pauses.append)
    return pauses


def test_a_name_that_is_refused_for_a_while_is_waited_for(slept: list[float]) -> None:
    assert files.patiently(Held(6)) == "done"
    assert sum(slept) < files.PATIENCE_SECONDS
    assert slept == sorted(slept), "less and less often"


def test_one_that_is_refused_for_ever_is_given_up(slept: list[float]) -> None:
    held = Held(10**6)
    with pytest.raises(PermissionError):
        files.patiently(held)
    assert files.PATIENCE_SECONDS / 2 < sum(slept) <= files.PATIENCE_SECONDS
    assert held.tried < 20


def test_other_faults_are_told_at_once(slept: list[float]) -> None:
    def full() -> None:
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        files.patiently(full)
    assert not slept


def test_a_file_is_written_though_its_name_is_refused_for_a_moment(
    tmp_path: Path, slept: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    held, replace = Held(3), os.replace
    monkeypatch.setattr(os, "replace", lambda *names: (held(), replace(*names)))
    files.write(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_disk_without_links_takes_a_file_that_replaces_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(old: Path, new: Path) -> None:
        raise PermissionError(1, "Operation not permitted")  # as Linux says it of exFAT

    monkeypatch.setattr(os, "link", link)
    files.write(tmp_path / "a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "a", b"second", replace=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert mode(tmp_path / "a") == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_windows_gives_a_name_that_none_has_by_renaming(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def rename(old: Path, new: Path) -> None:
        if new.exists():
            raise FileExistsError(183, "Cannot create a file when that file already exists")
        os.replace(old, new)

    monkeypatch.setattr(files, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(os, "rename", rename)
    files.write(tmp_path / "a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        files.write(tmp_path / "a", b"second", replace=False)
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_a_disk_that_keeps_no_modes_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """exFAT and others give all files one mode, whatever was asked for."""
    tmp_path.chmod(0o777)
    opened = psutil.Process().num_fds()
    assert files.keeps_modes(tmp_path)
    assert psutil.Process().num_fds() == opened, "who only looks leaves no descriptor open"
    real = os.fstat

    def everybodys(descriptor: int) -> object:
        return SimpleNamespace(st_mode=real(descriptor).st_mode | 0o777)

    with monkeypatch.context() as disk:
        disk.setattr(os, "fstat", everybodys)
        assert not files.keeps_modes(tmp_path)
    tmp_path.chmod(0o700)
    assert files.keeps_modes(tmp_path), "a disk that is mounted for its owner alone is as good"
    assert not list(tmp_path.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
def test_a_disk_that_makes_no_files_without_a_name_is_tried_with_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who only looks leaves neither a file nor another time."""
    monkeypatch.delattr(os, "O_TMPFILE", raising=False)
    tmp_path.chmod(0o755)
    os.utime(tmp_path, ns=(1_000_000_007, 2_000_000_011))
    assert files.keeps_modes(tmp_path)
    assert not list(tmp_path.iterdir())
    assert tmp_path.stat().st_mtime_ns == 2_000_000_011


@pytest.mark.skipif(os.name != "posix", reason="Windows brings no folder to the disk")
def test_a_folder_that_was_brought_to_the_disk_is_not_held_open(tmp_path: Path) -> None:
    opened = psutil.Process().num_fds()
    files.sync_folder(tmp_path)
    assert psutil.Process().num_fds() == opened


def test_windows_brings_no_folder_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its disks have a journal, and it opens no folder."""
    monkeypatch.setattr(files, "sys", SimpleNamespace(platform="win32"))
    files.sync_folder(tmp_path / "which could not be opened")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such bits")
@pytest.mark.parametrize("open_to", [0o640, 0o604, 0o620, 0o602, 0o610, 0o601])
def test_what_others_can_see_is_not_read(tmp_path: Path, open_to: int) -> None:
    (tmp_path / "a").touch(mode=0o600)
    assert files.read(tmp_path / "a") == b""
    (tmp_path / "a").chmod(open_to)
    with pytest.raises(ExposedFile, match="Others can read"):
        files.read(tmp_path / "a")


def test_of_a_file_larger_than_any_of_ours_the_beginning_is_read(tmp_path: Path) -> None:
    """One byte more than there can be, so that it is seen to be too large."""
    files.write(tmp_path / "a", bytes(files.MAX_BYTES + 10))
    assert len(files.read(tmp_path / "a")) == files.MAX_BYTES + 1


def test_a_file_that_is_gone_is_said_at_once(tmp_path: Path, slept: list[float]) -> None:
    with pytest.raises(FileNotFoundError):
        files.read(tmp_path / "a")
    assert not slept
