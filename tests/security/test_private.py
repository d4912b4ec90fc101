"""Whatever our processes leave in their folders is its owner's alone, however open the system makes new files."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.cli import diagnosis
from backend.installer import doctor, readiness
from blender_addon.machine.backend_process import BackendProcess
from blender_addon.machine.client_id import ClientId
from shared_protocol.machine import places
from shared_protocol.machine.processes import is_running
from tests.backend.harness import run, until

pytestmark = pytest.mark.skipif(os.name != "posix", reason="file modes are POSIX")


@pytest.fixture(autouse=True)
def everything_is_open(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """New files and folders are everybody's if nobody says otherwise; `install.py`'s findings are tested elsewhere."""
    monkeypatch.setattr(doctor, "findings", lambda: iter(()))
    before = os.umask(0)
    yield
    os.umask(before)


def open_to_others(*folders: Path) -> list[str]:
    """What in these folders, themselves included, others can read or write."""
    paths = [path for folder in folders for path in (folder, *folder.rglob("*"))]
    return [f"{path}: {path.stat().st_mode & 0o777:o}" for path in paths if path.stat().st_mode & 0o077]


def test_fresh_install_leaves_nothing_open(home: Path, tmp_path: Path) -> None:
    """The add-on starts the backend, as it does for every new user; a clip is made, with footage and a key."""
    told = readiness.tell_blender()
    told.write_text(json.dumps({**json.loads(told.read_text()), "arguments": ["--fake"]}), encoding="utf-8")
    footage = tmp_path / "footage"
    footage.mkdir()
    for number in range(2):
        cv2.imwrite(str(footage / f"{number}.png"), np.full((64, 64, 3), 90, np.uint8))
    process = BackendProcess()
    try:
        assert until(lambda: process.poll(time.monotonic()) is not None, 60)
        made = run("generate", "a boat", "--footage", str(footage), "--out", str(tmp_path / "out"))
        assert made.returncode == 0, made.stderr
    finally:
        run("stop")
        starter = process._starter
        assert starter is not None
        assert until(lambda: not is_running(starter.pid or 0), 60)
        starter.stop()  # a process that nobody has waited for is warned of
    assert places.start_log_file().exists()
    assert list(places.data_folder().iterdir())
    assert not open_to_others(places.state_folder(), places.data_folder())
    assert not [each for each in diagnosis.examine() if "others can" in each.what]


def test_client_ids_are_private(home: Path, tmp_path: Path) -> None:
    folder = tmp_path / "ids"
    folder.mkdir(mode=0o700)
    ClientId(folder).close()
    assert list(folder.iterdir())
    assert not open_to_others(folder)


def test_settings_can_be_written_by_their_owner_alone(home: Path) -> None:
    readiness.tell_blender()
    assert places.config_folder().stat().st_mode & 0o022 == 0
