"""install.py as a person starts it, in a clone of its own and without the packages index."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
import sysconfig
import time
import venv
from pathlib import Path

import pytest

from backend.installer import demo
from backend.installer.clone import Environment
from backend.installer.commands import write_commands
from backend.installer.problem import Problem
from shared_protocol import VERSION
from shared_protocol.machine.processes import is_running

ROOT = Path(__file__).resolve().parents[2]
SETUP = ["setup", "--torch-index", "file:///no-index"]

SLOW_BUILD = """
import pathlib, subprocess, sys, time
def build_wheel(*_):
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    pathlib.Path(__file__).with_name("pid").write_text(str(child.pid))
    time.sleep(600)
"""


def install(copy: Path, env: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, copy / "install.py", *arguments],
        env=env,
        cwd=copy.parent,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )


@pytest.mark.parametrize("command", ["setup", "demo", "test", "package", "doctor", "uninstall"])
def test_help_explains_every_command(copy: Path, offline: dict[str, str], command: str) -> None:
    every = install(copy, offline, "--help")
    one = install(copy, offline, command, "--help")
    assert (every.returncode, one.returncode) == (0, 0)
    assert command in every.stdout
    assert "--torch-index" in one.stdout
    assert "--torch {auto,cpu,cuda,rocm,xpu}" in one.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["setup", "--no-such"], "unknown argument: --no-such"),
        (["demo", "--seed", "-5"], "argument --seed: -5 is not between"),
        (["demo", "--frames", "3000000000"], "argument --frames: 3000000000 is not between"),
        (["demo", "--size", "big"], "argument --size: big is no whole number"),
        (["demmo"], "invalid choice: 'demmo'"),
        ([], "required"),
    ],
)
def test_wrong_arguments_are_said(copy: Path, offline: dict[str, str], arguments: list[str], sentence: str) -> None:
    done = install(copy, offline, *arguments)
    assert done.returncode == 2
    assert sentence in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [([], []), (["--long"], ["--long"]), (["--ui", "tests/ui"], ["--ui", "tests/ui"]), (["-k", "x"], ["-k", "x"])],
)
def test_what_test_is_given_reaches_pytest(
    arguments: list[str], told: list[str], root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("backend.installer.readiness.make_ready", lambda environments, index: None)
    monkeypatch.setattr("backend.installer.development.make_ready", lambda: None)
    monkeypatch.setattr("backend.installer.checks.check", lambda: 0)
    given: list[list[str]] = []
    monkeypatch.setattr("backend.installer.checks.test", lambda words: given.append(words) or 0)
    assert runpy.run_path(str(root / "install.py"))["main"](["test", *arguments]) == 0
    assert given == [told]


def test_old_python_is_told_plainly(root: Path) -> None:
    script = (
        "import collections, runpy, sys\n"
        "sys.version_info = collections.namedtuple('V', 'major minor micro')(3, 9, 2)\n"
        "runpy.run_path(sys.argv[1], run_name='__main__')\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, root / "install.py"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stderr.strip() == "install.py needs Python 3.10 or newer: this is 3.9."


def test_setup_tells_blender_and_is_quick_the_second_time(copy: Path, offline: dict[str, str]) -> None:
    first = install(copy, offline, *SETUP)
    assert first.returncode == 0, first.stdout + first.stderr
    told = json.loads((Path(offline["ELEVATOR_HOME"]) / "config" / "backend.json").read_text(encoding="utf-8"))
    assert told == {"python": str(copy / ".venv" / "bin" / "python"), "root": str(copy), "version": VERSION}
    assert os.access(copy / ".venv" / "bin" / "video-elevator", os.X_OK)
    began = time.monotonic()
    second = install(copy, offline, *SETUP)
    assert second.returncode == 0
    assert time.monotonic() - began < 3
    assert "Installing" not in second.stdout


@pytest.fixture
def with_commands(environment: Environment) -> Environment:
    """A clone's environment, with this one's packages, in a folder with spaces and letters not every shell takes."""
    venv.create(environment.folder, symlinks=True)
    (site,) = environment.folder.glob("lib/python*/site-packages")
    (site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
    for room in ("backend", "elevator", "shared_protocol"):
        (environment.folder.parent / room).symlink_to(ROOT / room)
    write_commands(environment)
    return environment


@pytest.mark.parametrize(("name", "word"), [("video-elevator", "generate"), ("elevator", "--t2v")])
def test_commands_run_the_clone_from_any_folder(
    with_commands: Environment, name: str, word: str, tmp_path: Path
) -> None:
    (tmp_path / "backend.py").write_text("raise SystemExit('a file of the folder it is started in')", encoding="utf-8")
    env = {each: value for each, value in os.environ.items() if not each.startswith("PYTHON")}
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / name).symlink_to(with_commands.folder / "bin" / name)
    moved = with_commands.folder.parent.rename(tmp_path / "moved")
    (tmp_path / "links" / f"to {name}").symlink_to(moved / ".venv" / "bin" / name)
    for program in (moved / ".venv" / "bin" / name, tmp_path / "links" / f"to {name}"):
        command = [str(program), "--help"]
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
        assert word in done.stdout


def test_words_reach_the_command_as_they_are(with_commands: Environment) -> None:
    (with_commands.folder.parent / "backend").unlink()
    (with_commands.folder.parent / "backend").mkdir()
    told = "import sys\ndef main():\n    print(sys.argv[1:])\n"
    (with_commands.folder.parent / "backend" / "__main__.py").write_text(told, encoding="utf-8")
    words = ["generate", "two  spaces", "", "-x", "$HOME `id` \"'\\ *", "ñ"]
    done = subprocess.run(
        [with_commands.folder / "bin" / "video-elevator", *words], capture_output=True, encoding="utf-8", check=False
    )
    assert done.stdout == f"{words}\n"


def test_windows_gets_files_that_its_terminals_run(environment: Environment, monkeypatch: pytest.MonkeyPatch) -> None:
    """Written here; no Windows has run them."""
    monkeypatch.setattr(sys, "platform", "win32")
    (environment.folder / "Scripts").mkdir(parents=True)
    write_commands(environment)
    written = {path.name: path.read_bytes() for path in (environment.folder / "Scripts").iterdir()}
    assert written.keys() == {"video-elevator.cmd", "elevator.cmd"}
    for text in written.values():
        first, second, rest = text.split(b"\r\n")
        assert (first, rest) == (b"@echo off", b"")
        assert second.startswith(b'"%~dp0python.exe" -P -c "import sys;')
        assert second.endswith(b'" "%~dp0..\\.." %*')
        assert second.count(b'"') == 6
        assert second.isascii(), "cmd.exe reads it in whatever code page"


def test_doctor_says_what_is_missing_and_what_mends_it(copy: Path, offline: dict[str, str]) -> None:
    done = install(copy, offline, "doctor")
    assert done.returncode == 1
    assert "MISSING  .venv is complete: not made yet → python3 install.py setup" in done.stdout
    assert "git checkout -- elevator/embedded/weights" in done.stdout
    assert not (copy / ".venv").exists()


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long)])
def test_stopping_leaves_no_process_and_the_next_try_succeeds(
    copy: Path, offline: dict[str, str], number: signal.Signals
) -> None:
    """pip builds a package, which takes for ever: as deep as processes go here."""
    package = copy / "slow"
    package.mkdir()
    (package / "pyproject.toml").write_text(
        '[build-system]\nrequires = []\nbuild-backend = "slow_build"\nbackend-path = ["."]\n'
        '[project]\nname = "slow"\nversion = "1"\n',
        encoding="utf-8",
    )
    (package / "slow_build.py").write_text(SLOW_BUILD, encoding="utf-8")
    lock = copy / "requirements.lock"
    whole = lock.read_text(encoding="utf-8")
    lock.write_text(f"{whole}\nslow @ {package.as_uri()}\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, copy / "install.py", *SETUP], env=offline, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    pid = package / "pid"
    limit = time.monotonic() + 60
    while not (pid.exists() and pid.read_text()):
        assert time.monotonic() < limit
        time.sleep(0.05)
    process.send_signal(number)
    output, _ = process.communicate(timeout=30)
    assert process.returncode == 130
    assert "Stopped. Nothing keeps running" in output.decode()
    assert not is_running(int(pid.read_text()))

    lock.write_text(whole, encoding="utf-8")
    again = install(copy, offline, *SETUP)
    assert again.returncode == 0, again.stdout + again.stderr
    assert ".venv is unfinished or unfit: it is made anew." in again.stdout


def test_failure_is_one_sentence(copy: Path, offline: dict[str, str]) -> None:
    with (copy / "requirements.lock").open("a", encoding="utf-8") as lock:
        lock.write("no-such-package==1.0\n")
    done = install(copy, offline, *SETUP)
    assert done.returncode == 1
    assert done.stderr.strip().startswith("install.py: Installing packages into .venv failed: ERROR:")
    assert "Traceback" not in done.stdout + done.stderr


class TestFolderOfTheDemo:
    def test_earlier_one_is_replaced_by_the_whole_new_one(self, folder: Path) -> None:
        target = folder / "demo"
        target.mkdir()
        (target / "demo.blend").write_text("old")
        with demo._new_folder(target) as new:
            (new / "demo.blend").write_text("new")
            assert (target / "demo.blend").read_text() == "old"
        assert (target / "demo.blend").read_text() == "new"
        assert [path.name for path in folder.iterdir()] == ["demo"]

    def test_earlier_one_survives_a_failure(self, folder: Path) -> None:
        target = folder / "demo"
        target.mkdir()
        (target / "demo.blend").write_text("old")
        with pytest.raises(Problem), demo._new_folder(target) as new:  # noqa: PT012
            (new / "half").touch()
            raise Problem("no")
        assert (target / "demo.blend").read_text() == "old"
        assert [path.name for path in folder.iterdir()] == ["demo"]

    def test_somebody_elses_folder_is_left_alone(self, folder: Path) -> None:
        (folder / "my film").touch()
        with pytest.raises(Problem, match="name another folder"), demo._new_folder(folder):
            pass
