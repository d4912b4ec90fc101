"""Pictures that clips start from are read by a process of their own, and told to the session."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import pytest

from blender_addon.clip.actions import Action, Read, Send, Tidy
from blender_addon.clip.job import Problem, State
from blender_addon.clip.session import Session
from blender_addon.machine.reading import Readings
from shared_protocol.machine.processes import is_running
from tests.addon.machine.test_backend_process import home, tell
from tests.addon.sessions import PICTURES, A, folder, ready, request

__all__ = ["home"]
pytestmark = pytest.mark.process

HASHES = tuple(digit * 64 for digit in "abcd")
READS = f"""
import json, os, pathlib, sys
folder = pathlib.Path(sys.argv[1])
asked = json.loads((folder / "asked.json").read_bytes())
pathlib.Path("seen.json").write_text(json.dumps([asked, sorted(os.environ)]))
(folder / "told.json").write_text(json.dumps({{"footage": {list(HASHES)}, "anchor": "{"e" * 64}"}}))
"""
WAITS = """
import os, pathlib, time
pathlib.Path(f"begun-{os.getpid()}").touch()
time.sleep(600)
"""
READ = Read(A, PICTURES, 64, 48)


@pytest.fixture
def temporary(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where folders for a while are made."""
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    return place


def does(folder: Path, script: str) -> None:
    """The backend's reader is this script."""
    module = folder / "backend" / "client" / "strip_pictures.py"
    module.parent.mkdir(parents=True)
    module.write_text(script, encoding="utf-8")
    tell(root=str(folder))


@pytest.fixture
def session() -> Session:
    """One whose job starts from pictures that must be read."""
    session = ready()
    (read,) = session.submit(request(), folder(A), PICTURES)
    assert isinstance(read, Read)
    return session


def outcome(readings: Readings) -> list[Action]:
    """What comes of what is being read."""
    deadline = time.monotonic() + 30
    while not (actions := list(readings.look())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return actions


def begin(readings: Readings, profile: str = "") -> None:
    assert list(readings.read(READ, profile)) == []


def test_hashes_of_what_was_read_go_into_the_request(
    session: Session, temporary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VIRTUAL_ENV", "/another")
    does(tmp_path, READS)
    readings = Readings(session)
    begin(readings, "studio")
    assert outcome(readings) == [Send(request(footage=HASHES, anchor="e" * 64))]
    assert session.jobs[A].state is State.SENT
    asked, environment = json.loads((tmp_path / "seen.json").read_bytes())
    footage = [["/movie.mp4", frame] for frame in (3, 4, 5, 6)]
    assert asked == {"width": 64, "height": 48, "footage": footage, "anchor": None, "profile": "studio"}
    assert "VIRTUAL_ENV" not in environment, "it is another Python's"
    assert list(readings.look()) == [], "it is told once"
    assert not list(temporary.iterdir())


@pytest.mark.parametrize(
    ("script", "sentence"),
    [
        ("import sys; print('a warning', file=sys.stderr); sys.exit('It is no picture.')", "It is no picture."),
        ("raise SystemExit(3)", "The pictures could not be read (exit code 3)."),
        ("", "The pictures could not be read: No such file or directory."),
    ],
)
def test_what_cannot_be_read_is_said(
    session: Session, temporary: Path, tmp_path: Path, script: str, sentence: str
) -> None:
    does(tmp_path, script)
    readings = Readings(session)
    begin(readings)
    assert outcome(readings) == [Tidy(A)]
    assert session.jobs[A].problem == Problem(sentence, "Press Try Again when that is mended.", code="footage_missing")
    assert not list(temporary.iterdir())


def failed_at_once(readings: Readings, session: Session) -> str:
    actions: Iterable[Action] = readings.read(READ, "")
    assert list(actions) == [Tidy(A)]
    assert list(readings.look()) == []
    problem = session.jobs[A].problem
    assert problem is not None
    return problem.sentence


def test_without_a_backend_it_is_said_that_there_is_none(session: Session, temporary: Path) -> None:
    assert failed_at_once(Readings(session), session) == "The pictures cannot be read: The backend is not installed."


def test_a_python_that_does_not_start_is_said_and_leaves_no_folder(
    session: Session, temporary: Path, tmp_path: Path
) -> None:
    python = tmp_path / "python"
    python.touch(mode=0o755)
    python.write_text("no program", encoding="utf-8")
    tell(python=str(python), root=str(tmp_path))
    assert failed_at_once(Readings(session), session) == "The pictures cannot be read: Exec format error."
    assert not list(temporary.iterdir())


def test_what_nobody_wants_any_more_is_ended(session: Session, temporary: Path, tmp_path: Path) -> None:
    does(tmp_path, WAITS)
    readings = Readings(session)
    begun: set[int] = set()

    def one_more() -> int:
        deadline = time.monotonic() + 30
        while not (new := {int(file.name[6:]) for file in tmp_path.glob("begun-*")} - begun):
            assert time.monotonic() < deadline
            assert list(readings.look()) == [], "it is not waited for"
            time.sleep(0.01)
        begun.update(new)
        (pid,) = new
        return pid

    readings.stop(A)
    begin(readings)
    first = one_more()
    assert is_running(first)
    begin(readings)
    assert not is_running(first), "it was asked for anew"
    second = one_more()
    readings.stop(A)
    assert not is_running(second)
    begin(readings)
    third = one_more()
    readings.close()
    assert not is_running(third)
    assert list(readings.look()) == []
    assert not list(temporary.iterdir())
