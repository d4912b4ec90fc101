"""The demo, run as a person runs it, with the backend, Blender and models of this clone."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PROMPT = "a pumpkin moving right, blue background"
DEMO_HOME = ROOT / "build" / "demo-home"


@dataclass(frozen=True)
class Made:
    """What a demo printed and left."""

    output: str
    code: int
    folder: Path


def environment(folder: Path) -> dict[str, str]:
    """Environment variables of a demo that leaves the user's settings alone."""
    env = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    return {**env, "ELEVATOR_HOME": str(folder / "home"), "ELEVATOR_FAKE_STEP_SECONDS": "0.01"}


def command(folder: Path, *arguments: str) -> list[str | Path]:
    """The command that puts a demo into `folder`/demo."""
    return [sys.executable, ROOT / "install.py", "demo", *arguments, "--out", folder / "demo"]


def run_demo(folder: Path, *arguments: str) -> Made:
    """Run the demo to its end."""
    done = subprocess.run(
        command(folder, *arguments),
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf-8",
        timeout=400,
        check=False,
    )
    return Made(done.stdout, done.returncode, folder / "demo")


def processes_of_demos() -> list[str]:
    """Command lines of what runs with the demo's own home."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if f"ELEVATOR_HOME={DEMO_HOME}".encode() in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:
            continue  # it has just ended
    return found


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an awkward name."""
    path = tmp_path_factory.mktemp("demo") / "Zwei Wörter ñ"
    path.mkdir()
    return path


@pytest.fixture(scope="session")
def made(folder: Path, blender_python: Path) -> Made:
    """The demo as README tells it, with the embedded models."""
    place = folder / "made"
    place.mkdir()
    return run_demo(place, PROMPT)


@pytest.fixture(autouse=True)
def nothing_stays_behind() -> Iterator[None]:
    """After every test no process of the demo runs."""
    yield
    limit = time.monotonic() + 5
    while (left := processes_of_demos()) and time.monotonic() < limit:
        time.sleep(0.1)
    assert not left
