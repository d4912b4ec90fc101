"""Files in one step, private folders and locks."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from shared_protocol.machine import files, locks


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


def test_what_a_killed_writer_has_left_is_swept_and_nothing_else(tmp_path: Path) -> None:
    for name in ("a", ".a.0123.part", ".ab.0123.part", ".a.0123", "a.part"):
        (tmp_path / name).write_bytes(b"")
    files.sweep(tmp_path / "a")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".a.0123", ".ab.0123.part", "a", "a.part"]
