"""No process outlives the block in which it was started."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from backend.installer.children import ask, end_on_signals, end_stray, run, started
from backend.installer.one_at_a_time import one_at_a_time
from backend.installer.problem import Interrupted, Problem
from shared_protocol.machine.processes import is_running

FAMILY = """
import subprocess, sys, time, pathlib, signal
if sys.argv[2] == "stubborn":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path(sys.argv[1]).write_text(str(child.pid))
time.sleep(0 if sys.argv[2] == "hasty" else 600)
"""


def wait_for(file: Path) -> int:
    """The number in a file that appears soon."""
    limit = time.monotonic() + 20
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < limit
        time.sleep(0.01)
    return int(file.read_text())


def is_gone(pid: int) -> bool:
    limit = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < limit:
        time.sleep(0.01)
    return not is_running(pid)


@pytest.mark.parametrize("manner", ["docile", "stubborn", "hasty"])
def test_whole_family_ends(folder: Path, manner: str) -> None:
    file = folder / "pid"
    with started([sys.executable, "-c", FAMILY, file, manner]) as process:
        grandchild = wait_for(file)
        if manner == "hasty":
            process.wait()
    assert process.poll() is not None
    assert is_gone(grandchild)


def test_it_ends_when_the_block_fails(folder: Path) -> None:
    file = folder / "pid"
    with pytest.raises(Interrupted), started([sys.executable, "-c", FAMILY, file, "docile"]):  # noqa: PT012
        grandchild = wait_for(file)
        raise Interrupted
    assert is_gone(grandchild)


def test_stray_ends_with_its_group(folder: Path) -> None:
    file = folder / "pid"
    stray = subprocess.Popen([sys.executable, "-c", FAMILY, file, "docile"], start_new_session=True)
    grandchild = wait_for(file)
    end_stray(stray.pid)
    stray.wait()
    assert is_gone(grandchild)
    end_stray(stray.pid)  # once more is no harm


def test_signals_become_one_exception() -> None:
    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in signals]
    try:
        end_on_signals()
        with pytest.raises(Interrupted):
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGINT)  # comes while tidying: ignored
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)


@pytest.mark.parametrize("asked", [False, True])
def test_a_child_that_is_made_in_that_moment_is_known(
    folder: Path, monkeypatch: pytest.MonkeyPatch, asked: bool
) -> None:
    """Ctrl-C comes when the child runs and nobody has its number yet."""
    born = []

    class Popen(subprocess.Popen):  # type: ignore[type-arg]
        def __init__(self, *args: object, **options: object) -> None:
            super().__init__(*args, **options)  # type: ignore[call-overload]
            born.append(self.pid)
            signal.raise_signal(signal.SIGINT)

    signals = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(each) for each in signals]
    sleeper = [sys.executable, "-c", "import time; time.sleep(600)"]
    try:
        end_on_signals()
        monkeypatch.setattr(subprocess, "Popen", Popen)
        with pytest.raises(Interrupted):  # noqa: PT012
            if asked:
                ask(sleeper)
            with started(sleeper):
                pytest.fail("the block begins")
    finally:
        for each, handler in zip(signals, before, strict=True):
            signal.signal(each, handler)
    assert is_gone(born[0])


def test_what_takes_too_long_is_not_waited_for() -> None:
    began = time.monotonic()
    assert ask([sys.executable, "-c", "import time; time.sleep(600)"], timeout_s=0.2) is None
    assert time.monotonic() - began < 60


def test_failure_names_its_reason(folder: Path) -> None:
    script = "print('fine'); print('ERROR: the reason'); print('hint: more'); raise SystemExit(3)"
    with pytest.raises(Problem, match=r"Trying failed: ERROR: the reason\. The whole output is in"):
        run([sys.executable, "-c", script], what="Trying", log=folder / "logs" / "a.log")


def test_asking_never_fails() -> None:
    assert ask([sys.executable, "-c", "print('yes')"]) == "yes"
    assert ask([sys.executable, "-c", "raise SystemExit(1)"]) is None
    assert ask(["no such program"]) is None
    assert ask([sys.executable, "-c", "import time; time.sleep(60)"], timeout_s=0.1) is None


def test_only_one_at_a_time(folder: Path, root: Path) -> None:
    file = folder / "build" / "setup.lock"
    script = (
        "import sys, pathlib\n"
        "from backend.installer.one_at_a_time import one_at_a_time\n"
        "with one_at_a_time(pathlib.Path(sys.argv[1]), 'sets up'):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", script, file], cwd=root, stdin=pipe, stdout=pipe) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with (
            pytest.raises(Problem, match=rf"sets up in this folder \(process {holder.pid}\)"),
            one_at_a_time(file, "sets up"),
        ):
            pass
        holder.kill()  # the system gives the lock back
    with one_at_a_time(file, "sets up"):
        pass
