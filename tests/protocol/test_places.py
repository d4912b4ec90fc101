"""Where files lie, and that Blender gets nothing heavy with this package."""

from __future__ import annotations

import ast
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
        "config/profiles": places.profiles_folder(),
        "config/backend.json": places.install_file(),
        "state/connection.json": places.connection_file(),
        "state/backend.log": places.log_file(),
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
