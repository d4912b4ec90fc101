"""What messages name can be typed where the reader is."""

from __future__ import annotations

import ast
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shared_protocol.machine import launcher
from shared_protocol.machine.launcher import install_command, launcher_of


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with an environment, in a folder with a space."""
    root = tmp_path / "my clone"
    for name in ("bin/python", "bin/video-elevator", "Scripts/python.exe", "Scripts/video-elevator.cmd"):
        (root / ".venv" / name).parent.mkdir(parents=True, exist_ok=True)
        (root / ".venv" / name).write_text('#!/bin/sh\necho "$@"\n', encoding="utf-8")
        (root / ".venv" / name).chmod(0o755)
    (root / "install.py").touch()
    return root


@pytest.mark.parametrize("here", [".", ".."])
def test_a_clones_command_runs_where_it_is_named(clone: Path, here: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone / here)
    said = launcher_of(clone / ".venv" / "bin" / "python", clone)
    assert said == (".venv/bin/video-elevator" if here == "." else shlex.quote(f"{clone}/.venv/bin/video-elevator"))
    done = subprocess.run(["sh", "-c", f"{said} status"], capture_output=True, text=True, check=True)
    assert done.stdout == "status\n"


def test_in_a_folder_that_is_deleted_the_whole_command_is_named(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    said = launcher_of(clone / ".venv" / "bin" / "python", clone)
    assert said == shlex.quote(f"{clone}/.venv/bin/video-elevator")


def test_what_mends_an_installation_is_the_command_that_made_it(
    clone: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launcher, "ROOT", clone)
    assert launcher.mending() == "python3 install.py setup"
    monkeypatch.setattr(launcher, "ROOT", tmp_path)
    assert launcher.mending() == "pip install --force-reinstall FILE.whl"


def test_a_command_of_install_py_is_typed_in_its_folder_or_anywhere(clone: Path) -> None:
    assert install_command("doctor") == "python3 install.py doctor"
    assert install_command("doctor", clone) == f"python3 '{clone}/install.py' doctor"


def test_this_pythons_own_command_runs_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    said = launcher.launcher()
    assert (launcher.ROOT / "shared_protocol" / "PROTOCOL.md").is_file()
    assert said == launcher_of(Path(sys.executable), launcher.ROOT)
    assert Path(shlex.split(said)[0]).parent == Path(sys.executable).parent


def test_where_no_command_is_written_the_python_is_named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    (clone / ".venv" / "bin" / "video-elevator").unlink()
    assert launcher_of(clone / ".venv" / "bin" / "python", clone) == ".venv/bin/python -m backend"
    assert launcher_of(Path("/opt/conda/bin/python"), clone) == "/opt/conda/bin/python -m backend"


def test_a_wheels_command_is_named_as_the_terminal_finds_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python = tmp_path / "bin" / "python"
    monkeypatch.setenv("PATH", "")
    assert launcher_of(python, tmp_path) == f"{tmp_path}/bin/video-elevator"
    monkeypatch.setattr(shutil, "which", lambda name: f"/somewhere/{name}")
    assert launcher_of(python, tmp_path) == "video-elevator"


def test_on_windows_its_terminals_words_are_used(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(clone)
    monkeypatch.setattr(sys, "platform", "win32")
    said = launcher_of(clone / ".venv" / "Scripts" / "python.exe", clone)
    assert said.replace("/", "\\") == r".venv\Scripts\video-elevator"
    monkeypatch.chdir(clone.parent)
    assert launcher_of(clone / ".venv" / "Scripts" / "python.exe", clone).startswith('"')
    assert install_command("setup") == "py install.py setup"


def test_no_message_names_a_python_that_the_terminal_may_not_know(root: Path) -> None:
    """Texts about modules, in docstrings, are for those who read the code."""
    for room in ("backend", "shared_protocol", "blender_addon", "elevator"):
        for file in (root / room).rglob("*.py"):
            tree = ast.parse(file.read_text(encoding="utf-8"))
            documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documents:
                    assert "python -m backend" not in node.value, (file, node.lineno)


def test_a_clone_that_may_not_be_looked_into_hinders_no_message(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(_path: object, **_: object) -> os.stat_result:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setenv("PATH", "")
    monkeypatch.setattr(os, "stat", refused)
    assert launcher_of(clone / ".venv" / "bin" / "python", clone).endswith("video-elevator'")
