"""One backend at a time, also where somebody deletes or replaces the file by which that is known."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from backend.failures import BackendError
from backend.server.only_one import OnlyOne, only_one
from shared_protocol.machine import locks, places
from tests.backend.harness import run, running, until

posix = pytest.mark.skipif(os.name != "posix", reason="no file that is open is deleted there")


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    return tmp_path / "state" / "serve.lock"


@pytest.fixture
def no_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system on which folders cannot be held, as NFS is."""
    take = locks.take

    def only_files(descriptor: int) -> bool:
        if os.path.isdir(f"/proc/self/fd/{descriptor}"):
            raise OSError(errno.EBADF, "no folders")
        return take(descriptor)

    monkeypatch.setattr(locks, "take", only_files)


def test_one_alone_has_it(lock: Path) -> None:
    with only_one(lock) as first:
        assert first.alone
        with only_one(lock) as second:
            assert not second.alone
        assert locks.holder(lock) == os.getpid(), "who does not have it leaves the file alone"
        before = lock.stat()
        first.look()
        assert lock.stat().st_mtime_ns == before.st_mtime_ns
    with only_one(lock) as third:
        assert third.alone


@posix
def test_it_is_held_without_its_file_too(lock: Path) -> None:
    with only_one(lock) as first:
        lock.unlink()
        with only_one(lock) as second:
            assert not second.alone
        assert locks.holder(lock) is None
        first.look()
        assert locks.holder(lock) == os.getpid()
        lock.unlink()
        first.look()
        assert locks.holder(lock) == os.getpid()
        assert lock.stat().st_mode & 0o777 == 0o600
    assert lock.read_bytes() == b""


@posix
@pytest.mark.usefixtures("no_folders")
@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="the stand-in reads /proc")
def test_where_folders_cannot_be_held_the_later_one_stays(lock: Path) -> None:
    first = OnlyOne(lock)
    assert first.alone
    lock.unlink()
    with only_one(lock) as second:
        assert second.alone
        before = os.listdir("/proc/self/fd")
        with pytest.raises(BackendError) as caught:
            first.look()
        assert caught.value.code == "lock_taken"
        assert len(os.listdir("/proc/self/fd")) == len(before), "the other's file is not left open"
        first.close()
        second.look()
        assert locks.holder(lock) == os.getpid()


@posix
@pytest.mark.parametrize("replaced", [False, True])
def test_a_backend_notices_and_no_second_one_begins(home: Path, replaced: bool) -> None:
    with running("--stay") as backend:
        lock = places.lock_file()
        if replaced:
            (lock.parent / "other").write_text("x")
            os.replace(lock.parent / "other", lock)
        else:
            lock.unlink()
        second = run("serve", "--fake")
        assert second.stdout == f"A backend runs already: process {backend.process.pid}.\n"
        assert until(lambda: locks.holder(lock) == backend.process.pid, 60)
        assert "The lock file was deleted or replaced" in places.log_file().read_text(encoding="utf-8")
        assert run("status").returncode == 0
