"""Newer Pythons: everything but torch installs from the locks, and the backend serves. torch has its own pace."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from backend.installer import clone, development
from backend.installer.clone import Environment
from backend.installer.environments import python_of
from backend.installer.interpreters import find_python

pytestmark = [pytest.mark.long, pytest.mark.process, pytest.mark.timeout(1800)]
TESTS = ("tests/protocol", "tests/backend/server", "tests/backend/client", "tests/security")
WITH_TORCH = r"^(import torch|from (torch|elevator\.(cost|models)))"


@pytest.mark.parametrize("minor", [12, 13, 14])
def test_the_backend_serves(minor: int, tmp_path: Path, root: Path) -> None:
    environment = Environment(tmp_path / ".venv", clone.BACKEND.lock, (3, minor), exactly=True, room_gb=0.0)
    python = find_python(environment)
    if python is None:
        pytest.skip(f"this machine has no Python 3.{minor}")
    run([python, "-m", "venv", environment.folder], tmp_path)
    python = python_of(environment)
    run([python, "-m", "pip", "install", "-q", "--no-deps", "-r", clone.BACKEND.lock, "-r", development.LOCK], tmp_path)
    made: list[str | Path] = [python, "-m", "backend", "generate", "a fox", "--fake", "--frames", "2", "--out"]
    run([*made, tmp_path / "clip"], root, ELEVATOR_HOME=str(tmp_path / "home"))
    assert len(list((tmp_path / "clip").glob("*.png"))) == 2
    with_torch = [
        f"--ignore={file}"
        for folder in TESTS
        for file in (root / folder).rglob("test_*.py")
        if re.search(WITH_TORCH, file.read_text(encoding="utf-8"), re.MULTILINE)
    ]
    run([python, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-n", "2", *with_torch, *TESTS], root)


def run(command: list[str | Path], folder: Path, **more: str) -> None:
    env = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=folder, env={**env, **more}, capture_output=True, text=True, encoding="utf-8", check=False
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-3000:]
