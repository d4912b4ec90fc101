"""Folders and environments to try the installer on, without the packages index."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import pytest

from backend.installer import children, clone, environments, system_packages
from backend.installer.clone import Environment

AWKWARD = "Zwei Wörter ñ"
"""Spaces and letters beyond ASCII, as people's folders have them."""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An empty folder with an awkward name."""
    path = tmp_path / AWKWARD
    path.mkdir()
    return path


@pytest.fixture
def environment(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Environment:
    """An environment that holds no packages, to be made."""
    monkeypatch.setattr(environments, "LOGS", folder / "logs")
    monkeypatch.setattr(system_packages, "LOGS", folder / "logs")
    lock = folder / "test.lock"
    lock.write_text("# nothing\n", encoding="utf-8")
    return Environment(folder=folder / ".venv", lock=lock, python=clone.BACKEND_PYTHON, exactly=False, room_gb=0.01)


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing here needs long to end."""
    monkeypatch.setattr(children, "PATIENCE_S", 0.5)


@pytest.fixture
def copy(folder: Path, root: Path) -> Path:
    """A clone with the installer in it and a lock file that needs no network."""
    target = folder / "clone"
    shutil.copytree(root / "backend" / "installer", target / "backend" / "installer")
    shutil.copytree(root / "shared_protocol", target / "shared_protocol")
    (target / "elevator").mkdir()
    for file in ("backend/__init__.py", "elevator/__init__.py", "elevator/arguments.py"):
        shutil.copy(root / file, target / file)
    for file in ("install.py", "blender.lock"):
        shutil.copy(root / file, target)
    (target / "requirements.lock").write_text("# nothing\n", encoding="utf-8")
    (target / "torch.lock").write_text('torch==1.0; python_version < "3"\n', encoding="utf-8")
    return target


@pytest.fixture
def offline(folder: Path) -> dict[str, str]:
    """Environment variables for a process that must neither reach an index nor touch the user's settings."""
    env = {name: value for name, value in os.environ.items() if not name.startswith("PIP_")}
    return {**env, "PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull, "ELEVATOR_HOME": str(folder / "home")}


@pytest.fixture
def base() -> Path:
    """The interpreter from which environments are made."""
    return Path(getattr(sys, "_base_executable", sys.executable))
