"""`install.py uninstall` deletes what it says, after asking, and nothing else."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.installer import uninstall as module
from backend.installer.problem import Problem
from backend.installer.uninstall import uninstall
from shared_protocol.machine import places
from tests.backend.harness import running


@pytest.fixture
def clone(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A clone that was set up, and what its backend has left in this user's folders."""
    root = folder / "clone"
    for name in (".venv/bin/python", ".venv-blender-5.0.1/x", "build/logs/x", "install.py", "elevator/weights"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text("x", encoding="utf-8")
    monkeypatch.setattr(module, "ROOT", root)
    monkeypatch.setattr(module, "BUILD", root / "build")
    monkeypatch.setenv("ELEVATOR_HOME", str(folder / "home"))
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "big.safetensors").write_text("x", encoding="utf-8")
    for file in (
        places.config_folder() / "keys" / "server.key",
        places.config_folder() / "styles" / "mine.toml",
        places.data_folder() / "models" / "mine.safetensors",
        places.data_folder() / "results" / "clip" / "frame_0001.png",
        places.state_folder() / "backend.log",
        places.lock_file(),
    ):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x", encoding="utf-8")
    (places.data_folder() / "models" / "linked").symlink_to(elsewhere)
    yield root
    assert (root / "install.py").exists()
    assert (root / "elevator" / "weights").exists()
    assert (elsewhere / "big.safetensors").exists()


def left(folder: Path) -> set[str]:
    return {path.name for path in folder.rglob("*") if path.is_file() and "elsewhere" not in path.parts}


def nobody(question: str) -> str:
    raise EOFError


@pytest.mark.parametrize(
    ("answers", "stays"),
    [
        (["", ""], {"server.key", "mine.toml", "mine.safetensors", "frame_0001.png", "backend.log", "serve.lock"}),
        (["y", "n"], {"mine.toml", "mine.safetensors"}),
        (["yes", "Y"], set()),
    ],
)
def test_what_cannot_be_had_again_is_asked_for(clone: Path, answers: list[str], stays: set[str]) -> None:
    given = iter(answers)
    assert uninstall(yes=False, keep_models=False, ask=lambda question: next(given)) == 0
    assert left(places.config_folder().parent) == stays
    assert not (clone / ".venv").exists()
    assert not (clone / "build").exists()


def test_yes_asks_nothing_and_models_may_stay(clone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert uninstall(yes=True, keep_models=True, ask=nobody) == 0
    assert left(places.config_folder().parent) == {"mine.toml", "mine.safetensors"}
    said = capsys.readouterr().out
    for path in (clone / ".venv", places.data_folder() / "results", places.data_folder() / "models"):
        assert f"  {path}\n" in said
    assert uninstall(yes=True, keep_models=False, ask=nobody) == 0
    assert not places.config_folder().parent.exists() or not left(places.config_folder().parent)


def test_where_nobody_answers_all_that_matters_stays(clone: Path) -> None:
    assert uninstall(yes=False, keep_models=False, ask=nobody) == 0
    assert "frame_0001.png" in left(places.config_folder().parent)


def test_a_backend_that_runs_is_not_pulled_away(clone: Path) -> None:
    places.lock_file().unlink()
    with running("--stay"), pytest.raises(Problem, match="A backend runs"):
        uninstall(yes=True, keep_models=False, ask=nobody)
    assert (clone / ".venv").exists()


def test_what_cannot_be_deleted_is_named(
    clone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = os.unlink

    def held(path: object, **options: int) -> None:
        if str(path).endswith("python"):
            raise PermissionError(13, "it is in use", str(path))
        real(path, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(os, "unlink", held)
    assert uninstall(yes=True, keep_models=False, ask=nobody) == 1
    assert "python: it is in use." in capsys.readouterr().err
