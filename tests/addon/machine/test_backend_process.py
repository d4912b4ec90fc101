"""Finding and starting the backend."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from blender_addon.clip.job import Problem
from blender_addon.machine.backend_process import (
    BackendError,
    BackendProcess,
    Install,
    Serving,
    backend_command,
    find,
    is_running,
)
from blender_addon.machine.installation import Installation
from shared_protocol import VERSION, connection
from shared_protocol.machine import places
from shared_protocol.machine.launcher import command_line
from shared_protocol.starting import START_SECONDS
from tests.addon.blenders import ROOT


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh home of the product in a folder whose name is not plain."""
    folder = tmp_path / "Hëim 影 x"
    monkeypatch.setenv("ELEVATOR_HOME", str(folder))
    return folder


def tell(**changes: Any) -> None:
    file = places.install_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    told = {"python": sys.executable, "root": str(ROOT), "version": VERSION}
    file.write_text(json.dumps(told | changes), encoding="utf-8")


def running(version: str = VERSION) -> connection.Connection:
    """A backend that runs: this process says that it is one."""
    return connection.Connection(
        endpoint="tcp://127.0.0.1:1",
        server_key="k" * 40,
        client_public="k" * 40,
        client_secret="k" * 40,
        pid=os.getpid(),
        session="s",
        version=version,
    )


def wait_for_problem(process: BackendProcess) -> BackendError:
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            assert process.poll(time.monotonic()) is None
        except BackendError as error:
            return error
        time.sleep(0.02)
    raise AssertionError("no problem was seen")


def test_install_file_is_read(home: Path) -> None:
    tell(arguments=["--fake"])
    install = find()
    assert (install.python, install.root, install.arguments) == (Path(sys.executable), ROOT, ("--fake",))


def test_missing_backend_names_the_command(home: Path) -> None:
    with pytest.raises(BackendError) as caught:
        find()
    assert caught.value.sentence == "The backend is not installed."
    assert caught.value.command.endswith("install.py setup")


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (b"", "is damaged"),
        (b"[]", "is damaged"),
        (b"{}", "is damaged"),
        (b"\xff\xfe", "is damaged"),
        (b'{"python": 1, "root": "/", "version": "0.1.0"}', "is damaged"),
    ],
)
def test_damaged_install_file_names_the_command(home: Path, content: bytes, sentence: str) -> None:
    tell()
    places.install_file().write_bytes(content)
    with pytest.raises(BackendError, match=sentence) as caught:
        find()
    assert caught.value.command.endswith("install.py setup")


def test_other_version_names_the_command_with_the_folder(home: Path) -> None:
    tell(version="9.9.9", root="/opt/my elevator")
    with pytest.raises(BackendError, match=rf"version 9.9.9 and this add-on is {VERSION}") as caught:
        find()
    assert str(Path("/opt/my elevator/install.py")) in caught.value.command


def test_an_install_file_that_cannot_be_read_names_the_command(home: Path) -> None:
    places.install_file().mkdir(parents=True)
    with pytest.raises(BackendError) as caught:
        find()
    assert caught.value.sentence == f"{places.install_file()} cannot be read."
    assert caught.value.next_step == "Run this in a terminal, in the folder of Elevator."
    assert caught.value.command.endswith("install.py setup")


def test_a_command_of_the_backend_can_be_typed_anywhere(home: Path, tmp_path: Path) -> None:
    assert backend_command("profile", "my studio") == "video-elevator profile 'my studio'"
    (tmp_path / "python").touch()
    (tmp_path / "install.py").touch()
    tell(python=str(tmp_path / "python"), root=str(tmp_path))
    assert backend_command("profile", "x") == f"{tmp_path}/python -m backend profile x"


@pytest.mark.parametrize("gone", ["python", "root"])
def test_half_a_backend_is_none(home: Path, tmp_path: Path, gone: str) -> None:
    tell(**{gone: str(tmp_path / "gone")})
    with pytest.raises(BackendError, match="no longer in"):
        find()


def test_removed_backend_names_the_command(home: Path) -> None:
    tell(python="/nowhere/python")
    with pytest.raises(BackendError, match="no longer in") as caught:
        find()
    assert caught.value.command


def test_commands_can_be_pasted() -> None:
    assert command_line("python3", Path("/a b/install.py"), "setup").count("'") in (2, 0)


def test_backend_that_ends_at_once_is_said_with_its_last_words(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text("import sys; sys.exit('no such device')", encoding="utf-8")
    tell(root=str(tmp_path))
    error = wait_for_problem(BackendProcess())
    assert error.sentence == "The backend ended at once (exit code 1). It said: no such device"
    assert error.next_step.startswith("Open Log")
    assert str(tmp_path / "install.py") in error.command
    assert error.command.endswith(" doctor")


def test_backend_that_ends_without_a_word_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text("raise SystemExit(3)", encoding="utf-8")
    tell(root=str(tmp_path))
    error = wait_for_problem(BackendProcess())
    assert error.sentence == "The backend ended at once (exit code 3). It said nothing."


def test_a_backend_that_was_started_here_is_ones_own(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    tell(root=str(tmp_path))
    process = BackendProcess()
    assert not process.is_own(running())
    assert process.poll(0.0) is None
    assert process._starter is not None
    pid = process._starter.pid
    assert pid is not None
    assert process.is_own(msgspec.structs.replace(running(), pid=pid))
    assert not process.is_own(running())
    process._starter.stop()


def test_a_backend_that_was_started_here_is_had_once_it_is_ready(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text("import time; time.sleep(600)", encoding="utf-8")
    tell(root=str(tmp_path))
    process = BackendProcess()
    try:
        assert process.poll(0.0) is None
        connection.write(places.connection_file(), running())
        assert process.poll(1.0) == running()
    finally:
        assert process._starter is not None
        process._starter.stop()


def test_backend_that_never_gets_ready_is_said(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    slow = "print('thinking', flush=True); open('begun', 'w').close(); import time; time.sleep(600)"
    (tmp_path / "backend" / "__main__.py").write_text(slow, encoding="utf-8")
    tell(root=str(tmp_path))
    process = BackendProcess()
    assert process.poll(0.0) is None
    deadline = time.monotonic() + 20
    while not (tmp_path / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    with pytest.raises(BackendError, match=r"not ready within 60 seconds. It said: thinking") as caught:
        process.poll(START_SECONDS + 1)
    assert caught.value.next_step == "Press Generate again."


def test_interpreter_that_cannot_be_started_is_said(home: Path, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("not a program", encoding="utf-8")
    tell(python=str(python))
    with pytest.raises(BackendError, match="could not be started") as caught:
        BackendProcess().poll(0.0)
    assert caught.value.command


def test_running_backend_serves_wherever_it_was_installed(home: Path) -> None:
    connection.write(places.connection_file(), running())
    assert not places.install_file().exists()
    assert BackendProcess().poll(0.0) == running()


def test_running_backend_of_another_version_is_said(home: Path) -> None:
    tell()
    connection.write(places.connection_file(), running("9.9.9"))
    with pytest.raises(BackendError, match=rf"runs is version 9.9.9 and this add-on is {VERSION}"):
        BackendProcess().poll(0.0)


def test_damaged_connection_file_is_said(home: Path) -> None:
    tell()
    file = places.connection_file()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch(mode=0o600)
    with pytest.raises(BackendError, match="is damaged"):
        BackendProcess().poll(0.0)


def test_whether_one_runs_is_said_without_starting_one(home: Path) -> None:
    tell()
    assert not is_running()
    connection.write(places.connection_file(), running())
    assert is_running()
    connection.write(places.connection_file(), running("9.9.9"))
    assert not is_running(), "it is of no use to this add-on"
    places.connection_file().write_bytes(b"")
    assert not is_running()


def test_a_profile_leads_to_another_machine(home: Path) -> None:
    tell()
    with pytest.raises(BackendError, match='There is no profile "studio"') as caught:
        BackendProcess(Serving("studio")).poll(0.0)
    assert "video-elevator profile studio --endpoint HOST:PORT" in caught.value.command
    told = msgspec.structs.replace(running("another"), pid=0, started=None)
    connection.write(places.profiles_folder() / "studio.json", told)
    process = BackendProcess(Serving("studio"))
    assert process.poll(0.0) == told, "of whatever version: the two agree on the protocol's"
    assert not process.is_own(told)
    connection.write(places.profiles_folder() / "studio.json", running())
    with pytest.raises(BackendError, match="is no profile") as caught:
        BackendProcess(Serving("studio")).poll(0.0)
    assert caught.value.next_step == "Make it anew in a terminal."
    assert "video-elevator profile studio --endpoint" in caught.value.command


@pytest.mark.process
def test_a_backend_that_is_started_is_told_its_memory(home: Path, tmp_path: Path) -> None:
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "__main__.py").write_text("import sys; sys.exit(repr(sys.argv[1:]))", encoding="utf-8")
    tell(root=str(tmp_path), arguments=["--fake"])
    error = wait_for_problem(BackendProcess(Serving(model_memory=2.5)))
    assert error.sentence.endswith("It said: ['serve', '--fake', '--model-memory', '2.5']")


def test_profiles_and_installation_are_found(home: Path) -> None:
    installation = Installation()
    assert isinstance(installation.found, Problem)
    tell()
    assert isinstance(installation.found, Problem), "it is looked at now and then, not with every redraw"
    assert isinstance(Installation().found, Install)
    connection.write(places.profiles_folder() / "studio.json", running())
    assert Installation().profiles == ("studio",)
