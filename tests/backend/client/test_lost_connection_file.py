"""A backend that runs without its connection file: everybody says so, and which process it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.cli import diagnosis
from backend.client import launch
from backend.client.launch import find_running
from backend.failures import BackendError
from backend.installer import doctor
from backend.server.only_one import only_one
from shared_protocol import connection
from shared_protocol.machine import locks, places
from shared_protocol.machine.processes import start_time
from tests.backend.commands import Call, caller
from tests.backend.harness import ROOT, command, run, running, until
from tests.protocol.test_connection_file import of_this_process

HOLDS = """
import sys
from pathlib import Path
from backend.server.only_one import only_one
with only_one(Path(sys.argv[1])) as held:
    print(held.alone, flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def lock(home: Path) -> Path:
    places.state_folder().mkdir(mode=0o700, parents=True)
    return places.lock_file()


@pytest.fixture
def other(lock: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that holds the lock, as a backend does."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(lock)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        yield process
        process.kill()


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Call:
    monkeypatch.setattr(launch, "PATIENCE", 0.2)
    monkeypatch.setattr(doctor, "findings", lambda: iter(()))
    return caller(capsys)


def test_the_holder_says_who_it_is(other: subprocess.Popen[str], lock: Path) -> None:
    for _ in range(3):  # to ask lets go of nothing
        assert locks.holder(lock) == other.pid
    with only_one(lock) as held:
        assert not held.alone
    assert locks.holder(lock) == other.pid, "who finds it held leaves the name alone"
    assert lock.stat().st_mode & 0o077 == 0 or os.name != "posix"


def test_nobody_holds_what_was_let_go(other: subprocess.Popen[str], lock: Path) -> None:
    assert other.stdin is not None
    other.stdin.close()
    other.wait(60)
    assert lock.read_bytes() == b""
    assert locks.holder(lock) is None


def test_nobody_holds_what_a_killed_process_had(other: subprocess.Popen[str], lock: Path) -> None:
    other.kill()
    other.wait(60)
    assert lock.read_bytes()
    assert locks.holder(lock) is None
    with only_one(lock) as held:
        assert held.alone


def test_a_process_of_the_same_number_is_not_the_holder(lock: Path) -> None:
    """Where the system tells when a process began, and where it does not."""
    for started in (start_time(os.getpid()), 1, None):
        lock.write_text(json.dumps({"pid": os.getpid(), "started": started}))
        assert locks.holder(lock) is None


@pytest.mark.parametrize("content", ["", "x", "[]", "{}", '{"pid": "x"}', '{"pid": 1e400}', '{"pid": 1}', "\udcff"])
def test_what_is_no_name_is_none(lock: Path, content: str) -> None:
    lock.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert locks.holder(lock) is None
    lock.write_text(json.dumps({"pid": 10**30, "started": None}))
    assert locks.holder(lock) is None


def test_all_commands_say_which_process_it_is(other: subprocess.Popen[str], call: Call, tmp_path: Path) -> None:
    said = f"A backend runs, process {other.pid}, but its connection file {places.connection_file()} is not there."
    for words in (["status"], ["stop"], ["queue"], ["generate", "a fox", "--fake", "--out", str(tmp_path / "clip")]):
        done = call(*words)
        assert done.code == 3, words
        assert done.err.startswith(said), words
        assert f"end process {other.pid}" in done.err
    done = call("status", "--json")
    assert (done.code, done.lines[0]["code"]) == (3, "connection_gone")
    found = [one for one in diagnosis.examine() if "backend runs" in one.what]
    assert [one.what for one in found] == [said[:1].lower() + said[1:-1]]
    assert str(other.pid) in found[0].remedy
    assert run("serve", "--fake").stdout == f"A backend runs already: process {other.pid}.\n"


def test_a_file_that_comes_again_is_waited_for(other: subprocess.Popen[str]) -> None:
    def write() -> None:
        time.sleep(0.3)
        connection.write(places.connection_file(), of_this_process())

    writer = threading.Thread(target=write)
    writer.start()
    assert find_running() == of_this_process()
    writer.join()


def test_a_backend_that_was_just_ending_is_none(other: subprocess.Popen[str]) -> None:
    ends = threading.Timer(0.3, other.kill)
    ends.start()
    assert find_running() is None
    ends.join()


def test_patience_ends(other: subprocess.Popen[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "PATIENCE", 0.0)
    with pytest.raises(BackendError) as caught:
        find_running()
    assert caught.value.code == "connection_gone"


def test_a_backend_signs_its_lock(home: Path) -> None:
    with running() as backend:
        assert locks.holder(places.lock_file()) == backend.process.pid
    assert locks.holder(places.lock_file()) is None


def test_one_that_waits_begins_when_the_other_has_ended(home: Path, tmp_path: Path) -> None:
    said = tmp_path / "said"
    with running("--stay") as backend, said.open("wb") as out:
        process = subprocess.Popen(command("serve", "--fake", "--stay", "--wait"), cwd=ROOT, stdout=out)
        try:
            words = f"A backend runs already: process {backend.process.pid}. This one begins when it has ended."
            assert until(lambda: words in said.read_text(encoding="utf-8"), 60)
            assert run("stop").returncode == 0
            assert until(lambda: locks.holder(places.lock_file()) == process.pid, 60)
            assert run("stop").returncode == 0
            assert process.wait(60) == 0
        finally:
            process.kill()
            process.wait()
    assert said.read_text(encoding="utf-8").count("runs already") == 1


def test_why_a_backend_does_not_start_stands_in_its_log(home: Path) -> None:
    """A service has no terminal."""
    (home / "config" / "keys").mkdir(parents=True)
    (home / "config" / "keys" / "server.key").write_text("{")
    (home / "config" / "keys" / "server.key").chmod(0o600)
    failed = run("serve", "--fake", "--bind", "127.0.0.1:0")
    assert failed.returncode == 1
    assert failed.stderr.strip() in places.log_file().read_text(encoding="utf-8")
