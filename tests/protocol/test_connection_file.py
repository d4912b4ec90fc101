"""The connection file: its owner's alone, whole or not there, and never that of a dead process."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine.processes import is_running, start_time

posix = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


def of_this_process(session: str = "one") -> Connection:
    pid = os.getpid()
    return Connection(
        endpoint="tcp://127.0.0.1:1",
        server_key="a" * 40,
        client_public="b" * 40,
        client_secret="c" * 40,
        pid=pid,
        started=start_time(pid),
        session=session,
        version="0",
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "état d'ici" / "connection.json"


def test_what_is_written_is_read(path: Path) -> None:
    connection.write(path, of_this_process())
    assert connection.read(path) == of_this_process()
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


@posix
def test_only_its_owner_may_read_it(path: Path) -> None:
    before = os.umask(0)
    try:
        connection.write(path, of_this_process())
    finally:
        os.umask(before)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@posix
@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o622, 0o601, 0o610])
def test_a_file_that_others_can_read_is_refused(path: Path, mode: int) -> None:
    connection.write(path, of_this_process())
    path.chmod(mode)
    with pytest.raises(ConnectionFileError, match="Others"):
        connection.read(path)


def test_it_is_never_half_written(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    connection.write(path, of_this_process("old"))

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        connection.write(path, of_this_process("new"))
    assert connection.read(path).session == "old"
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]


def test_no_file_means_no_backend(path: Path) -> None:
    with pytest.raises(NoBackend, match="No backend runs"):
        connection.read(path)
    with pytest.raises(NoBackend, match=f"There is no profile {path}"):
        connection.read_profile(path)


def test_a_folder_in_its_place_is_an_error_with_a_sentence(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(ConnectionFileError):
        connection.read(path)


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff\xfe", b'{"pid": 1}', b"[" * 50_000])
def test_a_damaged_file_is_an_error_with_a_sentence(path: Path, content: bytes) -> None:
    connection.write(path, of_this_process())
    path.write_bytes(content)
    with pytest.raises(ConnectionFileError, match="damaged"):
        connection.read(path)


def test_a_cut_file_is_an_error_with_a_sentence(path: Path) -> None:
    connection.write(path, of_this_process())
    whole = path.read_bytes()
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(ConnectionFileError, match="damaged"):
            connection.read(path)


@pytest.mark.parametrize("field", ["server_key", "client_public", "client_secret"])
@pytest.mark.parametrize("length", [39, 41])
def test_a_key_of_another_length_is_an_error_with_a_sentence(path: Path, field: str, length: int) -> None:
    connection.write(path, msgspec.structs.replace(of_this_process(), **{field: "a" * length}))
    with pytest.raises(ConnectionFileError, match="damaged"):
        connection.read(path)


def test_only_a_file_without_a_process_is_a_profile(path: Path) -> None:
    profile = msgspec.structs.replace(of_this_process(), pid=0, started=None)
    connection.write(path, profile)
    assert connection.read_profile(path) == profile
    connection.write(path, of_this_process())
    with pytest.raises(ConnectionFileError, match="is no profile"):
        connection.read_profile(path)


def test_the_file_of_a_dead_process_means_no_backend(path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    connection.write(path, msgspec.structs.replace(of_this_process(), pid=process.pid))
    with pytest.raises(NoBackend, match="ended"):
        connection.read(path)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a process started")
def test_a_reused_pid_is_not_the_backend(path: Path) -> None:
    ours = of_this_process()
    assert ours.started is not None
    connection.write(path, msgspec.structs.replace(ours, started=ours.started - 1))
    with pytest.raises(NoBackend, match="ended"):
        connection.read(path)


def test_a_process_that_waits_to_be_buried_does_not_run() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as process:
        assert is_running(process.pid, start_time(process.pid))
        assert process.stdin is not None
        process.kill()
        if os.name == "posix":
            os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and its parent has not asked
            assert not is_running(process.pid)
    assert not is_running(process.pid)
    assert not is_running(0)
    assert not is_running(-1)


def test_only_its_own_session_removes_it(path: Path) -> None:
    connection.remove(path, "one")
    connection.write(path, of_this_process("two"))
    connection.remove(path, "one")
    assert connection.read(path).session == "two"
    connection.remove(path, "two")
    assert not path.exists()
    path.write_bytes(b"damaged")
    connection.remove(path, "two")
    assert path.exists()


def test_a_profile_that_was_edited_may_have_a_mark_of_byte_order(path: Path) -> None:
    profile = msgspec.structs.replace(of_this_process(), pid=0)
    connection.write(path, profile)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert connection.read_profile(path) == profile
    path.write_bytes(path.read_bytes().decode("utf-8-sig").encode("utf-16"))
    with pytest.raises(ConnectionFileError, match="stored as UTF-16 text: save it as UTF-8"):
        connection.read_profile(path)
