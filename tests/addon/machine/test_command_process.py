"""A command as a process: what it says, line by line, and how it ends."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.machine.backend_process import BackendError
from blender_addon.machine.command_process import TAIL_BYTES, CommandProcess
from tests.addon.machine.test_backend_commands import say
from tests.addon.machine.test_backend_process import home

__all__ = ["home"]
pytestmark = pytest.mark.process

IN_HALVES = """
import pathlib, sys, time
print("one\\ntw", end="", flush=True)
while not pathlib.Path("go").exists():
    time.sleep(0.01)
print("o\\nthree\\nfo", end="", flush=True)
"""


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def ended(folder: Path, script: str, *arguments: str) -> CommandProcess:
    """A command that has run to its end."""
    say(folder, script)
    process = CommandProcess(*arguments)
    until(lambda: process.exit_code is not None)
    return process


def test_each_line_is_told_once_and_when_it_is_whole(home: Path, tmp_path: Path) -> None:
    say(tmp_path, IN_HALVES)
    process = CommandProcess("list")
    lines: list[bytes] = []
    until(lambda: bool(lines.extend(process.new_lines()) or lines))
    assert (lines, process.exit_code) == ([b"one"], None)
    (tmp_path / "go").touch()
    until(lambda: process.exit_code is not None)
    assert process.new_lines() == [b"two", b"three"], "the last has no end yet"
    assert process.new_lines() == []
    assert process.last_line() == "fo"
    process.close()
    process.close()


def test_errors_and_signs_of_all_scripts_are_among_what_it_says(home: Path, tmp_path: Path) -> None:
    process = ended(
        tmp_path, "import sys; print(sys.argv[1:], flush=True); sys.exit('keine Größe 影 \\n')", "a b", "--c"
    )
    assert process.new_lines()[0] == b"['a b', '--c']"
    assert process.last_line() == "keine Größe 影"
    assert process.exit_code == 1
    process.close()


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("", ""),
        ("print('  ')", ""),
        ("print('x' * 300)", "x" * 300),
        ("print('x' * 301)", "x" * 300),
        (f"print('x' * {TAIL_BYTES} + '\\nend')", "end"),
    ],
)
def test_of_what_it_has_said_last_as_much_is_told_as_a_panel_takes(
    home: Path, tmp_path: Path, script: str, said: str
) -> None:
    process = ended(tmp_path, script)
    assert process.last_line() == said
    process.close()


def test_one_that_runs_is_asked_to_end_or_made_to(home: Path, tmp_path: Path) -> None:
    say(tmp_path, "import time; open('begun', 'w').close(); time.sleep(600)")
    asked, made = CommandProcess("get"), CommandProcess("get")
    until((tmp_path / "begun").exists)
    asked.stop()
    until(lambda: asked.exit_code is not None)
    asked.close()
    made.close()
    assert made.exit_code is not None


def test_nothing_of_another_python_reaches_it(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/another")
    script = "import os; print(os.environ.get('PYTHONPATH'), os.environ['PYTHONIOENCODING'], os.getcwd())"
    process = ended(tmp_path, script)
    assert process.last_line() == f"None utf-8 {os.path.realpath(tmp_path)}"
    process.close()


def test_without_a_backend_it_is_not_started(home: Path) -> None:
    with pytest.raises(BackendError):
        CommandProcess("list")
