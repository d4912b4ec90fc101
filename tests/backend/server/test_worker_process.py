"""A worker's process as the server sees it, with processes in its place that do what a worker should not."""

from __future__ import annotations

import errno
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import zmq

from backend.serve_options import ServeOptions
from backend.server import worker_process
from backend.server.door import Door
from backend.server.worker_process import WorkerProcess, output_file
from tests.backend.harness import ROOT, until

pytestmark = pytest.mark.process
DEAF = "import time; time.sleep(600)"
OBEYS = "import sys; sys.stdin.read(); sys.exit(7)"
MUMBLES = """
import json, sys, zmq
keys = json.loads(sys.stdin.readline())
line = zmq.Context().socket(zmq.DEALER)
for option, key in (("serverkey", "server_key"), ("publickey", "public"), ("secretkey", "secret")):
    setattr(line, f"curve_{option}", keys[key].encode())
line.connect(keys["endpoint"])
line.send(b"garbage")
sys.stdin.read()
"""
Start = Callable[..., WorkerProcess]


@pytest.fixture
def door(home: Path) -> Iterator[Door]:
    (home / "state").mkdir(parents=True)
    with zmq.Context() as context:
        door = Door(context)
        yield door
        assert not door.domains, "whoever has ended leaves nothing at the door"
        door.stop()


@pytest.fixture
def start(door: Door, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts a worker that runs a program of ours; `ended`: it has ended before it hears its keys."""
    processes: list[subprocess.Popen[bytes]] = []

    def start(program: str, *, ended: bool = False) -> WorkerProcess:
        def begin(path: Path) -> subprocess.Popen[bytes]:
            with path.open("ab") as output:
                processes.append(
                    subprocess.Popen(
                        [sys.executable, "-c", program], cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=output
                    )
                )
            if ended:
                processes[-1].wait()
            return processes[-1]

        monkeypatch.setattr(worker_process, "_start", begin)
        return WorkerProcess(door._asked.context, door, ServeOptions(fake=True), "cpu")

    yield start
    for process in processes:
        process.kill()
        process.wait()


def test_a_worker_that_obeys_ends_by_itself(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "END_SECONDS", 60.0)
    for ask in (WorkerProcess.wait, lambda worker: until(lambda: worker.is_over, 60)):
        worker = start(OBEYS)
        assert worker.exit_code is None
        worker.end()
        ask(worker)
        assert worker.exit_code == 7


def test_a_worker_that_does_not_end_is_ended_by_force_when_its_time_is_over(
    start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_process, "END_SECONDS", 0.3)
    for ask in (WorkerProcess.wait, lambda worker: until(lambda: worker.is_over, 60)):
        worker = start(DEAF)
        worker.end()
        assert not worker.is_over
        ask(worker)
        assert worker.exit_code not in (None, 0)


def test_a_worker_with_a_job_is_ended_at_once(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_process, "END_SECONDS", 600.0)
    worker = start(DEAF)
    began = time.monotonic()
    worker.end(at_once=True)
    worker.wait()
    assert time.monotonic() - began < 60


def test_a_worker_that_says_what_nobody_can_read_is_strange(start: Start) -> None:
    worker = start(MUMBLES)
    assert not worker.is_strange
    assert until(lambda: not list(worker.receive()) and worker.is_strange, 60)
    worker.end(at_once=True)
    worker.wait()


def test_a_worker_that_has_ended_before_it_heard_its_keys_was_not_started(start: Start) -> None:
    with pytest.raises(OSError, match=r"Broken pipe|Invalid argument"):
        start("", ended=True)


def test_a_line_that_cannot_be_opened_is_no_worker(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> str:
        raise zmq.ZMQError(errno.EMFILE)

    monkeypatch.setattr(worker_process, "bind_guarded", refuse)
    with pytest.raises(OSError, match="Too many open files") as refused:
        start(OBEYS)
    assert not isinstance(refused.value, zmq.ZMQError)
    assert refused.value.errno == errno.EMFILE


@pytest.mark.parametrize(
    ("before", "printed", "missed"),
    [
        ("", "ModuleNotFoundError: No module named 'torch'", "No module named 'torch'"),
        ("", "x" * 100 + "\n" + "line\n" * 4000 + "ImportError: half a package", "half a package"),
        ("", "ImportError: an older one\nSegmentation fault", ""),
        ("", "", ""),
        ("ModuleNotFoundError: No module named 'torch'\n", "", ""),
        ("ModuleNotFoundError: No module named 'torch'\n", "ImportError: another", "another"),
    ],
)
def test_what_a_worker_could_not_import_is_what_it_has_printed_last(
    before: str, printed: str, missed: str, start: Start
) -> None:
    output_file("cpu").write_text(before, encoding="utf-8")
    worker = start(f"import sys; sys.stdin.readline(); print({printed!r}, end='')")
    worker._process.wait(60)
    assert worker.import_error == missed
    output_file("cpu").unlink()
    assert worker.import_error == ""
    worker.end()
    worker.wait()
