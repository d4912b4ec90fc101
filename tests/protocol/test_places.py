"""Where files lie, and that Blender gets nothing heavy with this package."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from pathlib import Path

import pytest

from shared_protocol.machine import places


def test_one_variable_moves_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path))
    found = {
        "config": places.config_folder(),
        "state": places.state_folder(),
        "data": places.data_folder(),
        "data/models": places.models_folder(),
        "config/profiles": places.profiles_folder(),
        "config/backend.json": places.install_file(),
        "state/connection.json": places.connection_file(),
        "state/backend.log": places.log_file(),
        "state/backend_start.log": places.start_log_file(),
        "state/commands.log": places.commands_log_file(),
        "state/serve.lock": places.lock_file(),
    }
    assert found == {name: tmp_path / name for name in found}


@pytest.mark.skipif(sys.platform in ("win32", "darwin"), reason="XDG is for other systems")
def test_relative_xdg_folders_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ELEVATOR_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_STATE_HOME", "here")
    assert places.state_folder() == tmp_path / ".local" / "state" / "video_elevator"
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "there"))
    assert places.state_folder() == tmp_path / "there" / "video_elevator"


def test_the_package_imports_only_msgspec_and_pyzmq_besides_the_standard_library() -> None:
    roots = set()
    for path in Path(places.__file__).parents[1].rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                roots |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module is not None:
                roots.add(node.module.partition(".")[0])
    assert roots - set(sys.stdlib_module_names) == {"zmq", "msgspec"}


def test_places_and_processes_need_only_the_standard_library() -> None:
    code = "import shared_protocol.machine.places, shared_protocol.machine.processes, sys; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"zmq", "msgspec", "numpy"} & set(loaded)


def test_a_relative_home_starts_where_the_first_process_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is started later works in another folder, and is told the whole path."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ELEVATOR_HOME", "data")
    assert places.state_folder() == tmp_path / "data" / "state"
    other = tmp_path / "other"
    other.mkdir()
    code = "from shared_protocol.machine import places; print(places.state_folder())"
    environment = {**os.environ, "PYTHONPATH": str(Path(places.__file__).parents[2])}
    child = subprocess.run(
        [sys.executable, "-c", code], cwd=other, env=environment, capture_output=True, text=True, check=True
    )
    assert child.stdout.strip() == str(tmp_path / "data" / "state")


def test_a_home_below_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Units of systemd and Dockerfiles name it without a shell that would fill it in."""
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.setenv("ELEVATOR_HOME", "~/elevator")
    assert places.data_folder() == tmp_path / "elevator" / "data"


def test_nobody_without_a_home_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def none() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("ELEVATOR_HOME", raising=False)
    monkeypatch.setattr(Path, "home", none)
    with pytest.raises(places.NoHome, match="name one in the variable ELEVATOR_HOME"):
        places.state_folder()
