"""Environments are complete, brought up to date, or made anew; never half-finished."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from backend.installer import environments
from backend.installer.children import reason
from backend.installer.clone import Environment
from backend.installer.environments import STAMP, UNFINISHED, ensure, is_complete, python_of
from backend.installer.problem import Problem


@pytest.fixture
def commands(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What is run; pip is only recorded, so that tests are quick."""
    ran: list[list[str]] = []

    def run(args: Sequence[str | Path], **_: Any) -> None:
        ran.append([str(arg) for arg in args])
        if "venv" in ran[-1]:
            folder = ran[-1][-1]
            subprocess.run([ran[-1][0], "-m", "venv", "--without-pip", folder], check=True)

    monkeypatch.setattr(environments, "run", run)
    return ran


def pips(commands: list[list[str]]) -> int:
    return sum("install" in command for command in commands)


def test_real_one_is_made_in_an_awkward_folder(environment: Environment, base: Path) -> None:
    assert not is_complete(environment)
    ensure(environment, base)
    assert is_complete(environment)
    said = subprocess.run([python_of(environment), "-c", "import pip"], check=False)
    assert said.returncode == 0


@pytest.mark.parametrize(
    ("log", "words"),
    [
        ("", ""),
        ("Looking in indexes: somewhere\nCollecting numpy==1.26.4 (from -r lock (line 3))\n", "looking for numpy"),
        ("Requirement already satisfied: pip==26.3 in ./site-packages\nWARNING: no\n", "looking for pip"),
        (
            "Collecting bpy==5.0.1\n  Downloading bpy-5.0.1-cp311-x.whl (374.3 MB)\n  ━━━\n",
            "downloading bpy (374.3 MB)",
        ),
        (
            "Installing collected packages: pip, numpy\n  Attempting\n      Successfully uninstalled pip\n",
            "unpacking 2 packages",
        ),
    ],
)
def test_what_pip_does_is_told_in_words(log: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "pip.log"
    file.write_text(log, encoding="utf-8")
    assert environments.pip_is_busy_with(file) == words


def test_an_index_that_is_not_reached_is_named(tmp_path: Path) -> None:
    """The real pip, whose last word is another."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    log = tmp_path / "pip.log"
    with log.open("wb") as file:
        command: list[str | Path] = [
            sys.executable,
            "-m",
            "pip",
            "--isolated",
            "--retries",
            "1",
            "install",
            "--target",
            tmp_path / "no",
        ]
        command += ["--index-url", f"http://127.0.0.1:{port}/simple", "no-such-package"]
        said = subprocess.run(command, stdout=file, stderr=file, check=False)
    assert said.returncode
    assert "No matching distribution" in reason(log)
    assert environments.pips_reason(log).startswith("the package index was not reached.")


@pytest.mark.parametrize(
    ("log", "sentence"),
    [
        (
            "WARNING: Retrying after connection broken by 'ProxyError('Cannot connect to proxy.'\nERROR: No\n",
            "the proxy",
        ),
        (
            "SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]\nERROR: No\n",
            "the package index could",
        ),
        ('NameResolutionError("HTTPSConnection"\nERROR: No matching distribution found\n', "the package index was"),
        ("ERROR: No matching distribution found for torch==9\n", "ERROR: No matching"),
    ],
)
def test_why_pip_failed_is_said_in_words(log: str, sentence: str, tmp_path: Path) -> None:
    file = tmp_path / "pip.log"
    file.write_text(log, encoding="utf-8")
    assert environments.pips_reason(file).startswith(sentence)


def test_second_start_runs_nothing(environment: Environment, base: Path, commands: list[list[str]]) -> None:
    ensure(environment, base)
    first = len(commands)
    ensure(environment, base)
    assert (first, len(commands)) == (2, 2)


def test_one_that_was_cut_off_is_made_anew(environment: Environment, base: Path, commands: list[list[str]]) -> None:
    ensure(environment, base)
    leftover = environment.folder / "half a package"
    leftover.touch()
    (environment.folder / STAMP).write_text(UNFINISHED, encoding="utf-8")
    assert not is_complete(environment)
    ensure(environment, base)
    assert is_complete(environment)
    assert not leftover.exists()


def test_cut_off_shows_as_soon_as_anything_is_there(
    environment: Environment, base: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(args: Sequence[str | Path], **_: Any) -> None:
        assert (environment.folder / STAMP).read_text(encoding="utf-8") == UNFINISHED
        raise KeyboardInterrupt

    monkeypatch.setattr(environments, "run", killed)
    with pytest.raises(KeyboardInterrupt):
        ensure(environment, base)
    assert not is_complete(environment)


def test_one_made_by_hand_is_kept_and_brought_up_to_date(
    environment: Environment, base: Path, commands: list[list[str]]
) -> None:
    subprocess.run([base, "-m", "venv", "--without-pip", environment.folder], check=True)
    mine = environment.folder / "mine"
    mine.touch()
    ensure(environment, base)
    assert is_complete(environment)
    assert mine.exists()
    assert pips(commands) == len(commands) == 1


def test_changed_lock_brings_it_up_to_date(environment: Environment, base: Path, commands: list[list[str]]) -> None:
    ensure(environment, base)
    environment.lock.write_text("# another\n", encoding="utf-8")
    assert not is_complete(environment)
    ensure(environment, base)
    assert is_complete(environment)
    assert pips(commands) == 2
    assert len(commands) == 3


def test_lost_interpreter_means_anew(environment: Environment, base: Path, commands: list[list[str]]) -> None:
    ensure(environment, base)
    shutil.rmtree(environment.folder / "bin")
    assert not is_complete(environment)
    ensure(environment, base)
    assert is_complete(environment)


def test_other_python_than_the_wanted_one_means_anew(
    environment: Environment, base: Path, commands: list[list[str]]
) -> None:
    ensure(environment, base)
    assert not is_complete(replace(environment, python=(3, 4), exactly=True))


def test_failing_pip_is_said_and_leaves_it_unfinished(environment: Environment, base: Path) -> None:
    environment.lock.write_text("--no-index\nno-such-package==1.0\n", encoding="utf-8")
    with pytest.raises(Problem, match=r"no-such-package.*The whole output is in"):
        ensure(environment, base)
    assert not is_complete(environment)


def test_full_disk_is_said_before_anything_is_begun(environment: Environment, base: Path) -> None:
    with pytest.raises(Problem, match="make room"):
        ensure(replace(environment, room_gb=1e9), base)
    assert not environment.folder.exists()


def test_pip_of_the_base_helps_where_the_environment_has_none(
    environment: Environment, base: Path, commands: list[list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Debian without python3-venv: a pip, but nothing that puts one into an environment."""
    monkeypatch.setattr(environments, "has_ensurepip", lambda python: False)
    ensure(environment, base)
    create, install = commands
    assert "--without-pip" in create
    assert install[:5] == [str(base), "-m", "pip", "--python", str(python_of(environment))]
