"""What other processes print for weeks stays small, and its end can be read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.server import output_file, worker_process
from backend.server.output_file import KEPT_OUTPUT, MAX_OUTPUT, Trimmer, trim
from shared_protocol.machine import places
from shared_protocol.messages import Done
from tests.backend.harness import running, until

PRINTS = """
import sys
for number in range(400_000):
    print(f"line {number}", flush=number % 1000 == 0)
    if number % 20_000 == 0:
        sys.stdin.readline()
print("the end")
"""


def append(path: Path, size: int) -> None:
    with path.open("ab") as file:
        file.write(b"y" * (size - 1) + b"\n")


def test_what_is_small_stays_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "output.log"
    trim(file)
    assert not file.exists()
    append(file, MAX_OUTPUT)
    before = file.stat()
    trim(file)
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (before.st_size, before.st_mtime_ns)


@pytest.mark.parametrize("line", [b"one\n", b"x" * 4000 + b"\n", b"no end of a line"])
def test_of_what_is_large_the_end_stays(tmp_path: Path, line: bytes) -> None:
    file = tmp_path / "output.log"
    file.touch(0o600)
    file.write_bytes(line * (2 * MAX_OUTPUT // len(line)) + b"Fatal Python error: Segmentation fault")
    number = file.stat().st_ino
    trim(file)
    left = file.read_bytes()
    assert KEPT_OUTPUT - len(line) <= len(left) <= KEPT_OUTPUT
    assert left.endswith(b"Fatal Python error: Segmentation fault")
    assert b"\n" not in line or left.startswith(line), "from the beginning of a line"
    assert file.stat().st_ino == number, "whoever has it open writes on there"


@pytest.mark.skipif(os.name != "posix", reason="sizes on the disk are POSIX")
@pytest.mark.process
def test_whoever_prints_meanwhile_prints_on(tmp_path: Path) -> None:
    """As a worker does, whose output the server has opened for it."""
    file = tmp_path / "output.log"
    with file.open("ab") as output:
        process = subprocess.Popen([sys.executable, "-c", PRINTS], stdin=subprocess.PIPE, stdout=output)
    assert process.stdin is not None
    with process.stdin:
        for _ in range(20):
            process.stdin.write(b"\n")
            process.stdin.flush()
            trim(file)
    assert process.wait(60) == 0
    trim(file)
    text = file.read_bytes()
    assert text.endswith(b"the end\n")
    assert b"\0" not in text, "a hole: it went on where it was"
    assert len(text) <= MAX_OUTPUT


def test_files_are_looked_at_once_in_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[Path] = []
    monkeypatch.setattr(output_file, "trim", looked.append)
    trimmer = Trimmer(tmp_path / "a", tmp_path / "b")
    for _ in range(100):
        trimmer.look()
    assert looked == [tmp_path / "a", tmp_path / "b"]
    assert until(lambda: trimmer.look() or len(looked) == 4, 60)


def test_a_worker_that_lives_for_weeks_fills_no_disk(home: Path) -> None:
    with running("--stay") as backend, backend.client() as client:
        assert isinstance(client.end_of(client.submit()), Done)
        pid = client.status().workers[0].pid
        printed = (worker_process.output_file("auto"), places.start_log_file())
        for file in printed:
            append(file, 3 * MAX_OUTPUT)
        assert until(lambda: all(file.stat().st_size <= KEPT_OUTPUT for file in printed), 60)
        assert client.status().workers[0].pid == pid
