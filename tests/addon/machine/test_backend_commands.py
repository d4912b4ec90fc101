"""`doctor` and `report` as processes of their own."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from blender_addon.machine.backend_commands import BackendCommands, Finding, it_said, last_log
from shared_protocol.machine import files, places
from tests.addon.machine.test_backend_process import home, tell

__all__ = ["home"]
pytestmark = pytest.mark.process

SCRIPT = """
import json, pathlib, sys
if sys.argv[1] == "doctor":
    print("a warning of some library")
    unfit = {"what": "ünfit", "remedy": "mend", "needed": False}
    print(json.dumps({"ok": False, "findings": [unfit, {"what": "well"}]}))
    sys.exit(1)
pathlib.Path(sys.argv[3]).write_text(sys.argv[2])
"""


@pytest.fixture
def commands(home: Path, tmp_path: Path) -> BackendCommands:
    """Those of a backend that says what is needed here."""
    say(tmp_path, SCRIPT)
    return BackendCommands()


def say(folder: Path, script: str) -> None:
    (folder / "backend").mkdir(exist_ok=True)
    (folder / "backend" / "__main__.py").write_text(script, encoding="utf-8")
    tell(root=str(folder))


def finish(commands: BackendCommands) -> None:
    deadline = time.monotonic() + 30
    while not commands.look():
        assert commands.running
        assert time.monotonic() < deadline
        time.sleep(0.02)
    assert not commands.running


def test_findings_come_with_their_remedies(commands: BackendCommands) -> None:
    commands.examine()
    assert commands.running == "doctor"
    finish(commands)
    assert commands.findings == (Finding("ünfit", "mend", needed=False), Finding("well"))
    assert commands.problem is None
    assert not commands.look(), "it is told once"


def test_a_report_is_a_file(commands: BackendCommands) -> None:
    commands.write_report()
    finish(commands)
    assert commands.report is not None
    assert commands.report.read_text(encoding="utf-8") == "--out"
    assert commands.report.parent == places.state_folder()


@pytest.mark.parametrize("name", ["examine", "write_report"])
def test_what_fails_names_the_command_to_run(commands: BackendCommands, tmp_path: Path, name: str) -> None:
    say(tmp_path, "import sys; sys.exit('no such package')")
    getattr(commands, name)()
    finish(commands)
    assert commands.problem is not None
    assert "It said: no such package" in commands.problem.sentence
    assert commands.problem.command.endswith("install.py doctor")
    assert (commands.findings, commands.report) == (None, None)


def test_no_backend_is_said_at_once(home: Path) -> None:
    commands = BackendCommands()
    commands.examine()
    assert commands.problem is not None
    assert commands.problem.sentence == "The backend is not installed."
    assert not commands.running


def test_a_python_that_does_not_start_is_said(home: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.touch(mode=0o755)
    python.write_text("no program", encoding="utf-8")
    tell(python=str(python), root=str(tmp_path))
    commands = BackendCommands()
    commands.examine()
    assert commands.problem is not None
    assert commands.problem.sentence == "The command doctor could not be started: Exec format error."
    assert commands.problem.command.endswith(" doctor")
    assert not commands.running
    commands.close()


def test_one_command_at_a_time(commands: BackendCommands) -> None:
    commands.examine()
    commands.write_report()
    assert commands.running == "doctor"
    finish(commands)
    assert commands.report is None
    commands.close()


@pytest.mark.parametrize(("exit_code", "said"), [("1", ""), ("'no such package'", " It said: no such package")])
def test_a_check_that_tells_nothing_is_said_with_its_exit_code(
    commands: BackendCommands, tmp_path: Path, exit_code: str, said: str
) -> None:
    say(tmp_path, f"import sys; sys.exit({exit_code})")
    commands.examine()
    finish(commands)
    assert commands.problem is not None
    assert commands.problem.sentence == f"The check of the set-up ended with exit code 1.{said}"
    assert commands.problem.next_step == "Run this in a terminal."


def test_a_problem_is_told_until_the_next_command(commands: BackendCommands, tmp_path: Path) -> None:
    say(tmp_path, "import sys; sys.exit(1)")
    commands.examine()
    finish(commands)
    assert commands.problem is not None
    say(tmp_path, SCRIPT)
    commands.examine()
    assert commands.problem is None
    finish(commands)
    assert commands.findings is not None


def test_who_says_nothing_is_not_quoted() -> None:
    assert (it_said(""), it_said("no")) == ("", "It said: no")


def test_what_runs_ends_with_blender(commands: BackendCommands, tmp_path: Path) -> None:
    say(tmp_path, "import time; time.sleep(600)")
    commands.examine()
    assert commands._process is not None
    process = commands._process._process
    commands.close()
    assert process.poll() is not None
    assert not commands.running


def test_the_log_that_was_written_last_is_opened(home: Path) -> None:
    assert last_log() is None
    files.make_folder(places.state_folder())
    places.log_file().write_text("old", encoding="utf-8")
    places.start_log_file().write_text("", encoding="utf-8")
    assert last_log() == places.log_file(), "an empty one tells nothing"
    places.start_log_file().write_text("new", encoding="utf-8")
    os.utime(places.log_file(), (0, 0))
    assert last_log() == places.start_log_file()
