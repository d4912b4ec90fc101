"""Folders whose names are no text, or too long: one sentence at once, and never a fault later."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from backend.cli.folders import LONGEST
from shared_protocol.machine import places
from shared_protocol.messages import Done
from tests.backend.harness import LONG, ROOT, command, run, running

COMMANDS = (
    ("serve", "--fake"),
    ("status",),
    ("generate", "a fox", "--fake", "--out", "x"),
    ("doctor",),
    ("report",),
    ("key", "studio"),
    ("service", "status"),
)
odd = pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")


def in_home(home: bytes, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    return subprocess.run(
        command(*words),
        cwd=ROOT,
        env={**environment, b"ELEVATOR_HOME": home},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


@odd
@pytest.mark.parametrize("words", COMMANDS, ids=lambda words: words[0])
def test_a_name_that_is_no_text_is_said(words: tuple[str, ...], tmp_path: Path) -> None:
    home = os.fsencode(tmp_path) + b"/utf\xff8"
    failed = in_home(home, *words)
    assert failed.returncode == 1
    assert failed.stderr.startswith(f"The folder {tmp_path}/utf\\udcff8/")
    assert "ELEVATOR_HOME" in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert not failed.stdout
    assert not os.path.exists(home), "nothing was made there"


def of_length(folder: Path, size: int) -> str:
    """A folder below this one, whose whole name has so many bytes."""
    room = size - len(os.fsencode(folder)) - 1
    parts = ["é" * 50] * (room // 101)
    return "/".join([str(folder), *parts, "z" * (room - 101 * len(parts))])


@odd
def test_a_name_that_is_too_long_is_said(tmp_path: Path) -> None:
    failed = run("serve", "--fake", ELEVATOR_HOME=of_length(tmp_path, LONGEST - len("/config") + 1))
    assert failed.returncode == 1
    assert f"it has {LONGEST + 1} bytes, and {LONGEST} is the most" in failed.stderr
    assert len(failed.stderr) < 500
    assert not list(tmp_path.iterdir())


@odd
def test_the_longest_name_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ELEVATOR_HOME", of_length(tmp_path, LONGEST - len("/config")))
    with running() as backend, backend.client() as client:
        end = client.end_of(client.submit())
        assert isinstance(end, Done)
        assert end.folder.startswith(str(places.data_folder()))
        assert client.status().data_folder == str(places.data_folder())


@pytest.mark.parametrize("name", ["mit Leer\nzeile", "影 é", "%h $HOME 'x' \"y\"", "…" * 80])
def test_other_names_work(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if sys.platform == "win32" and set(name) & set('\n"%$'):
        pytest.skip("no name there")
    monkeypatch.setenv("ELEVATOR_HOME", str(tmp_path / name))
    with running() as backend, backend.client() as client:
        assert isinstance(client.end_of(client.submit()), Done)
        assert run("status").returncode == 0


@odd
def test_frames_go_where_they_shall_whatever_the_folder_is_called(tmp_path: Path) -> None:
    with running():
        out = os.fsencode(tmp_path) + b"/out\xff"
        done = in_home(os.fsencode(os.environ["ELEVATOR_HOME"]), *GENERATE, os.fsdecode(out))
        assert done.returncode == 0, done.stderr
        assert "out\\udcff" in done.stdout
        again = in_home(os.fsencode(os.environ["ELEVATOR_HOME"]), *GENERATE, os.fsdecode(out), "--overwrite", "--json")
        assert again.returncode == 0, again.stderr
        assert json.loads(again.stdout.splitlines()[-1])["folder"] == os.fsdecode(out)
    assert len(os.listdir(out)) == 2


GENERATE = ("generate", "a fox", "--frames", "2", "--quiet", "--out")


@odd
def test_nobody_without_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    code = "import pathlib, sys; pathlib.Path.home = lambda: (_ for _ in ()).throw(RuntimeError('no home'))"
    start = f"{code}; from backend.__main__ import main; sys.exit(main(['status']))"
    environment = {name: value for name, value in os.environ.items() if name != "ELEVATOR_HOME"}
    failed = subprocess.run(
        [sys.executable, "-c", start], cwd=ROOT, env=environment, capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert failed.stderr.startswith("No folder of this user is known")
