"""`models` as a process of its own: what it says while it runs, and what it has brought."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from blender_addon.machine.model_commands import Fetching, FoundPair, ModelCommands, ModelSet
from blender_addon.machine.told_commands import ToldCommands
from tests.addon.machine.test_backend_commands import say
from tests.addon.machine.test_backend_process import home

__all__ = ["home"]
pytestmark = pytest.mark.process

SCRIPT = """
import json, os, pathlib, signal, sys, time
here = pathlib.Path(__file__).parent
words = sys.argv[1:]
(here / "words").write_text(json.dumps(words), encoding="utf-8")
def tell(kind, **fields):
    print(json.dumps({"type": kind, **fields}, ensure_ascii=False), flush=True)
print("a warning of some library")
if words[1] == "list":
    got = (here / "got").exists()
    tell("ModelSet", name="sd", title="SD", about="ünfit", size=5, missing=0 if got else 5, memory_gb=8, presets="x")
    tell("Model", name="of another kind")
elif words[1] == "get":
    tell("Fetching", file="a", bytes_done=2, bytes_total=5, seconds_left=None)
    while not (here / "go").exists():
        time.sleep(0.01)
    (here / "got").touch()
    tell("Added", name="sd", base="b", style="s")
elif words[1] == "verify":
    tell("CheckedFile", path="a", problem="")
    tell("CheckedFile", path="b", problem="")
elif words[1] == "repair":
    tell("CheckedFile", path="a", problem="it is cut short")
    if "--offline" in words:  # so that a test has both
        tell("GotFile", model="m", path="a", size=1, sha256="", published=True)
elif words[1] == "remove":
    if words[-1] != "shared":
        tell("RemovedFile", path="a", size=2_000_000_000)
        tell("RemovedFile", path="b", size=500_000_000)
elif words[1] in ("export", "import"):
    tell("Bundle", path=words[-1], files=3, size=4_100_000_000, notes=[])
elif words[1] == "scan":
    tell("FoundModel", path="/m/a.ckpt")
    tell("FoundPair", t2i="/m/a.ckpt", t2v="/m/b.ckpt", t2v_lora="", presets="x")
else:
    tell("Error", code="x", message="It does not fit.", next_step="Choose another.", exit_code=1)
    sys.exit(1)
"""


@pytest.fixture
def backend(home: Path, tmp_path: Path) -> Path:
    """The folder of one that says what is needed here."""
    say(tmp_path, SCRIPT)
    return tmp_path / "backend"


def finish(models: ToldCommands) -> None:
    deadline = time.monotonic() + 60
    while models.running:
        models.look()
        assert time.monotonic() < deadline
        time.sleep(0.02)


def words(backend: Path) -> list[str]:
    said: list[str] = json.loads((backend / "words").read_text(encoding="utf-8"))
    return said


def test_sets_are_listed(backend: Path) -> None:
    models = ModelCommands()
    assert models.sets is None
    models.list()
    assert models.running == "list"
    finish(models)
    assert models.sets is not None
    (found,) = models.sets
    assert found == ModelSet("sd", "SD", "ünfit", 5, 5, 8)
    assert not found.is_here
    assert models.problem is None
    assert words(backend) == ["models", "list", "--json"]


def test_a_download_tells_how_far_it_is_and_what_is_here_afterwards(backend: Path) -> None:
    models = ModelCommands()
    models.get("sd", offline=False)
    deadline = time.monotonic() + 60
    while models.progress is None:
        models.look()
        assert time.monotonic() < deadline
    assert models.progress == Fetching(2, 5)
    assert (models.running, models.target) == ("get", "sd")
    models.scan("/elsewhere")
    assert models.running == "get", "one command at a time"
    (backend / "go").touch()
    finish(models)
    assert models.progress is None
    assert (models.made, models.added) == (1, "sd")
    assert models.sets is not None
    assert models.sets[0].is_here


def test_a_download_that_is_stopped_is_no_problem(backend: Path) -> None:
    models = ModelCommands()
    models.get("sd", offline=False)
    while models.progress is None:
        models.look()
    models.stop()
    finish(models)
    assert models.problem is None
    assert models.made == 0
    assert not (backend / "got").exists()


def test_without_online_access_the_command_is_told_so(backend: Path) -> None:
    models = ModelCommands()
    models.get("sd", offline=True)
    while models.progress is None:
        models.look()
    assert words(backend) == ["models", "get", "--json", "--offline", "--", "sd"]
    models.close()


def test_folders_and_pairs_may_be_called_like_options(backend: Path) -> None:
    models = ModelCommands()
    models.scan("--yes")
    finish(models)
    assert words(backend) == ["models", "scan", "--json", "--", "--yes"]
    assert models.pairs == (FoundPair("/m/a.ckpt", "/m/b.ckpt"),)
    models.add(FoundPair("-a", "-b", "-c"))
    finish(models)
    assert words(backend) == ["models", "add", "--json", "--", "-a", "-b", "-c"]


@pytest.mark.parametrize(
    ("ask", "typed", "said"),
    [
        (lambda models: models.verify(), ["verify"], "All files are as they came: 2."),
        (lambda models: models.repair(offline=True), ["repair", "--offline"], "Files that were got again: 1."),
        (lambda models: models.repair(offline=False), ["repair"], "All files are as they came: 1."),
        (lambda models: models.remove("sd"), ["remove", "--yes", "--", "sd"], "2.5 GB were deleted."),
        (lambda models: models.remove("shared"), ["remove", "--yes", "--", "shared"], "nothing was deleted"),
        (lambda models: models.pack("/a b.zip"), ["export", "--", "/a b.zip"], "4.1 GB are packed in /a b.zip."),
        (lambda models: models.unpack("-a.zip"), ["import", "--", "-a.zip"], "4.1 GB are new here."),
    ],
)
def test_what_was_done_with_files_is_said(
    backend: Path, ask: Callable[[ModelCommands], None], typed: list[str], said: str
) -> None:
    models = ModelCommands()
    ask(models)
    deadline = time.monotonic() + 60
    while not (backend / "words").exists() or not (backend / "words").read_bytes().endswith(b"]"):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    told = words(backend)  # before it is asked what is here now
    finish(models)
    assert told == ["models", typed[0], "--json", *typed[1:]]
    assert said in models.result
    assert (models.sets is not None) == (typed[0] not in ("verify", "export")), "what is here may have changed"
    models.scan("/elsewhere")
    assert models.result == "", "it was about another command"
    finish(models)


def test_what_fails_says_why_in_the_commands_own_words(backend: Path) -> None:
    models = ModelCommands()
    models.add(FoundPair("a", "b"))
    finish(models)
    assert models.problem is not None
    assert (models.problem.sentence, models.problem.next_step) == ("It does not fit.", "Choose another.")
    models.list()
    assert models.problem is None
    finish(models)


def test_one_that_dies_says_its_last_words(home: Path, tmp_path: Path) -> None:
    say(tmp_path, "import sys; sys.exit('no such package')")
    models = ModelCommands()
    models.list()
    finish(models)
    assert models.problem is not None
    assert "models list failed" in models.problem.sentence
    assert "no such package" in models.problem.sentence
    assert models.sets is None


def test_what_runs_ends_with_blender(backend: Path) -> None:
    models = ModelCommands()
    models.get("sd", offline=False)
    assert models._process is not None
    process = models._process._process
    models.close()
    assert process.poll() is not None
    assert not models.running
    assert not models.look()
