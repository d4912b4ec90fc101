"""What is done on Windows alone. It is played here."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from blender_addon.clip.actions import Read
from blender_addon.machine import command_process, copying, reading
from tests.addon.machine.test_backend_process import home, tell
from tests.addon.sessions import PICTURES, A

__all__ = ["home"]

STARTED: dict[str, tuple[Any, Callable[[Path], object]]] = {
    "a command": (command_process, lambda folder: command_process.CommandProcess("list")),
    "a copy": (copying, lambda folder: copying.Copying(sys.executable, str(folder), str(folder / "clip"))),
    "a reader": (reading, lambda folder: reading.Reading(Read(A, PICTURES, 64, 64), "")),
}


@pytest.mark.parametrize("system", ["win32", "linux"])
@pytest.mark.parametrize("name", STARTED)
def test_no_process_opens_a_window(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, system: str
) -> None:
    tell()
    told: dict[str, Any] = {}
    module, start = STARTED[name]
    monkeypatch.setattr(module, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(subprocess, "CREATE_NO_WINDOW", 0x08000000, raising=False)

    def refused(_command: object, **options: Any) -> None:
        told.update(options)
        raise OSError(5, "Access is denied")

    monkeypatch.setattr(subprocess, "Popen", refused)
    with pytest.raises((OSError, copying.CopyError, reading.ReadError)):
        start(tmp_path)
    assert told.get("creationflags", 0) == (0x08000000 if system == "win32" else 0)
