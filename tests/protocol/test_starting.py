"""Starting a backend without waiting for it: with real processes that end, hang, or are slow."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shared_protocol import starting
from shared_protocol.machine import places
from shared_protocol.machine.processes import is_running
from shared_protocol.starting import (
    AGAIN_SECONDS,
    START_SECONDS,
    WORDS,
    Ended,
    Late,
    Ready,
    Starter,
    State,
    clean_environment,
)

SECONDS = 60.0
GIVES_WAY = "open('starts', 'a').write('x'); print('another runs')"
HANGS = "print('thinking', flush=True); open('begun', 'w').close(); import time; time.sleep(600)"
GETS_READY = "import time; time.sleep(0.3); open('ready', 'w').close()"


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home of the product in a folder whose name is not plain."""
    folder = tmp_path / "Hëim 影 x"
    monkeypatch.setenv("ELEVATOR_HOME", str(folder))
    return folder


def starter(folder: Path, code: str) -> Starter[str]:
    """The backend is this code, and is ready when there is a file of that name."""
    return Starter((sys.executable, "-c", code), folder, lambda: "here" if (folder / "ready").exists() else None)


def wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def has_ended(start: Starter[str]) -> bool:
    return start.pid is not None and not is_running(start.pid)


def outcome(start: Starter[str]) -> State[str]:
    """What becomes of it. Its clock stands still: it is never late and never starts another."""
    seen: list[State[str] | None] = []

    def known() -> bool:
        seen.append(start.poll(0.0))
        return seen[-1] is not None

    wait(known)
    assert seen[-1] is not None
    return seen[-1]


def test_nothing_is_started_where_one_runs(tmp_path: Path) -> None:
    (tmp_path / "ready").touch()
    start = starter(tmp_path, "1 / 0")
    assert start.poll(0.0) == Ready("here")
    assert start.pid is None


def test_a_slow_one_is_waited_for(tmp_path: Path) -> None:
    start = starter(tmp_path, GETS_READY)
    assert start.poll(0.0) is None
    assert start.pid is not None
    assert start.poll(START_SECONDS) is None
    assert outcome(start) == Ready("here")
    start.stop()


@pytest.mark.parametrize(
    ("fails", "said"),
    [
        ("print('first'); import sys; sys.stdout.flush(); sys.exit('no such device')", Ended(1, "no such device")),
        (f"print('x' * {WORDS + 1}); exit(7)", Ended(7, "x" * WORDS)),
        ("exit(7)", Ended(7, "")),
    ],
)
def test_one_that_fails_is_said_with_its_last_words(tmp_path: Path, fails: str, said: Ended) -> None:
    assert outcome(starter(tmp_path, fails)) == said


def test_one_that_hangs_is_ended_when_it_is_late(tmp_path: Path) -> None:
    start = starter(tmp_path, HANGS)
    assert start.poll(0.0) is None
    wait((tmp_path / "begun").exists)
    assert start.poll(START_SECONDS) is None
    assert not has_ended(start)
    assert start.poll(START_SECONDS + 1) == Late("thinking")
    assert has_ended(start), "it would be in the way of the next"


def test_one_that_gave_way_waits_for_the_other(tmp_path: Path) -> None:
    start = starter(tmp_path, GIVES_WAY)
    start.poll(0.0)
    pid = start.pid
    wait(lambda: has_ended(start))
    assert start.poll(1.0) is None
    assert start.poll(1.0 + AGAIN_SECONDS) is None
    assert start.pid == pid
    (tmp_path / "ready").touch()
    assert start.poll(50.0) == Ready("here")
    assert (tmp_path / "starts").read_text() == "x"


def test_one_that_gave_way_to_one_that_was_ending_is_started_again_and_again(tmp_path: Path) -> None:
    start = starter(tmp_path, GIVES_WAY)
    pids = []
    for now in (0.0, 10.0, 20.0):
        assert start.poll(now) is None
        pids.append(start.pid)
        wait(lambda: has_ended(start))
        assert start.poll(now + 1) is None
    assert len(set(pids)) == 3
    assert (tmp_path / "starts").read_text() == "xxx"
    assert start.poll(START_SECONDS + 1) == Late("another runs")


def test_one_whose_words_are_gone_has_said_nothing(tmp_path: Path) -> None:
    start = starter(tmp_path, "exit(7)")
    start.poll(0.0)
    places.start_log_file().unlink()
    assert outcome(start) == Ended(7, "")


def test_what_was_never_started_can_be_released(tmp_path: Path) -> None:
    start = starter(tmp_path, HANGS)
    start.release()
    assert start.pid is None


def test_the_second_one_may_fail(tmp_path: Path) -> None:
    start = starter(tmp_path, "import os; code = os.path.exists('once'); open('once', 'w').close(); exit(code)")
    start.poll(0.0)
    wait(lambda: has_ended(start))
    start.poll(1.0)
    start.poll(1.1 + AGAIN_SECONDS)
    assert outcome(start) == Ended(1, "")


def test_what_cannot_be_started_raises(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Starter((str(tmp_path / "absent"),), tmp_path, lambda: None).poll(0.0)


def test_it_can_be_stopped_at_any_time(tmp_path: Path) -> None:
    start = starter(tmp_path, HANGS)
    start.stop()
    start.poll(0.0)
    assert not has_ended(start)
    for _ in range(2):
        start.stop()
        assert has_ended(start)


def test_one_that_is_released_goes_on_and_nobody_is_warned(tmp_path: Path) -> None:
    code = f"""
import pathlib, sys
from shared_protocol.starting import Starter
start = Starter((sys.executable, "-c", {HANGS!r}), pathlib.Path({str(tmp_path)!r}), lambda: None)
start.poll(0.0)
start.release()
print(start.pid)
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True)
    assert not done.stderr
    pid = int(done.stdout)
    wait((tmp_path / "begun").exists)
    assert is_running(pid)
    os.kill(pid, 9)


@pytest.mark.skipif(os.name != "posix", reason="file modes and sessions are POSIX")
def test_it_stands_on_its_own_feet_and_its_words_are_private(tmp_path: Path) -> None:
    log = places.start_log_file()
    log.parent.mkdir(parents=True)
    log.write_text("old words")
    log.chmod(0o644)
    assert outcome(starter(tmp_path, "import os; print(os.getsid(0) == os.getpid()); exit(3)")) == Ended(3, "True")
    assert log.stat().st_mode & 0o777 == 0o600
    assert "old words" not in log.read_text()


def test_on_windows_it_has_no_window_and_hears_no_ctrl_c(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, Any] = {}
    monkeypatch.setattr(starting, "sys", SimpleNamespace(platform="win32"))
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)
    monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0x00000200, raising=False)
    monkeypatch.setattr(subprocess, "Popen", lambda _command, **options: told.update(options))
    assert starter(tmp_path, HANGS).poll(0.0) is None
    assert told["creationflags"] == 0x08000200
    assert "start_new_session" not in told


def test_environment_is_cleaned() -> None:
    kept = {"HOME": "/h", "PATH": "/bin", "DISPLAY": ":0", "CUDA_VISIBLE_DEVICES": "0", "MY_PYTHON": "x"}
    gone = {
        name: "x"
        for name in (
            "PYTHONHOME",
            "PYTHONPATH",
            "PYTHONSTARTUP",
            "PYTHONUSERBASE",
            "LD_LIBRARY_PATH",
            "LD_PRELOAD",
            "DYLD_INSERT_LIBRARIES",
            "VIRTUAL_ENV",
            "__PYVENV_LAUNCHER__",
            "CONDA_PREFIX",
        )
    }
    assert clean_environment(kept | gone) == kept


def test_nothing_of_another_python_is_inherited(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/another")
    monkeypatch.setenv("VIRTUAL_ENV", "/another")
    monkeypatch.setenv("ELEVATOR_OWN", "kept")
    code = "import json, os; json.dump(dict(os.environ), open('seen', 'w')); exit(1)"
    outcome(starter(tmp_path, code))
    seen = json.loads((tmp_path / "seen").read_text())
    assert seen["ELEVATOR_OWN"] == "kept"
    assert not {"PYTHONPATH", "VIRTUAL_ENV"} & seen.keys()
