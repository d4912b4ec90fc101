"""The wheel, installed where nothing of this clone is, does what the clone does."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from backend.styles.catalogue import read_catalogue
from elevator.presets import FOLDER as PRESETS
from tests.install.conftest import AWKWARD

PACKAGES = ("elevator", "backend", "shared_protocol")
PIP = (sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet")
LOOK = """
import json
from pathlib import Path
import backend, elevator, shared_protocol
from backend.client import connect
from backend.styles.catalogue import read_catalogue
from elevator import Sources, load_models, presets_for
from elevator.presets import FOLDER
catalogue = read_catalogue()
recipes = catalogue.recipes
print(json.dumps({
    "files": [package.__file__ for package in (elevator, backend, shared_protocol)],
    "styles": list(recipes),
    "notes": catalogue.notes,
    "missing": [str(recipe.missing()) for recipe in recipes.values() if recipe.missing()],
    "presets": {path.stem: list(presets_for(path.stem)) for path in FOLDER.glob("*.toml")},
    "sizes": load_models(Sources("embedded", "embedded")).size_multiple,
}))
"""
"""Asks an environment for what it has, the embedded models' weights included."""


class Installed:
    """An environment with the wheel in it, away from the clone, and a folder to start commands in."""

    def __init__(self, folder: Path, wheel: Path) -> None:
        self.place = folder / "environment"
        self.elsewhere = folder / "elsewhere"
        self.elsewhere.mkdir()
        venv.create(self.place, symlinks=True)
        self.bin = self.place / "bin"
        (self.site,) = self.place.glob("lib/python*/site-packages")
        # Other people's packages are those that the tests run with.
        (self.site / "others.pth").write_text(sysconfig.get_path("purelib") + "\n", encoding="utf-8")
        command: list[str | Path] = [*PIP, "--python", self.bin / "python", "install", "--no-deps", "--no-index", wheel]
        subprocess.run(command, check=True, env=self.env(), timeout=120)

    def env(self) -> dict[str, str]:
        """Variables that tell nothing of the clone."""
        env = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "PIP_"))}
        return {**env, "PIP_CONFIG_FILE": os.devnull, "ELEVATOR_HOME": str(self.elsewhere / "home")}

    def run(self, program: str, *arguments: str) -> str:
        """Run a program of the environment, which must succeed. Returns what it says."""
        done = subprocess.run(
            [self.bin / program, *arguments],
            cwd=self.elsewhere,
            env=self.env(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextmanager
    def running(self, program: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A program of the environment, beside the test."""
        process = subprocess.Popen([self.bin / program, *arguments], cwd=self.elsewhere, env=self.env())
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()


def _made(folder: str, names: list[str]) -> set[str]:
    """What git ignores: large, or made anew."""
    return {"__pycache__"} | ({"checkpoints", "cache"} if Path(folder).name == "embedded" else set())


def build(root: Path, out: Path) -> Path:
    """Build the wheel from a copy: setuptools leaves things behind in the folder that it builds."""
    source = out / "source"
    for package in PACKAGES:
        shutil.copytree(root / package, source / package, ignore=_made)
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(root / file, source)
    command: list[str | Path] = [
        *PIP,
        "wheel",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--wheel-dir",
        out,
        source,
    ]
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = out.glob("*.whl")
    return wheel


@pytest.fixture(scope="module")
def wheel(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(root, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Installed:
    return Installed(tmp_path_factory.mktemp(AWKWARD), wheel)


def test_it_holds_every_file_of_the_packages(wheel: Path, root: Path) -> None:
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *PACKAGES]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=False)
    if listed.returncode:
        pytest.skip("this is no clone: what belongs to the packages is not known")
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert held == {name for name in listed.stdout.decode().split("\0") if name and (root / name).exists()}


def test_styles_presets_and_models_are_there(installed: Installed) -> None:
    said = json.loads(installed.run("python", "-c", LOOK))
    assert [Path(file).parent.parent for file in said["files"]] == [installed.site] * len(PACKAGES)
    assert set(said["styles"]) >= {"plain", "neon", "pixel_art", "sketch"}
    assert set(said["styles"]) <= set(read_catalogue().recipes)
    assert not said["notes"]
    assert not said["missing"]
    assert set(said["presets"]) == {path.stem for path in PRESETS.glob("*.toml")}
    assert all(said["presets"].values())
    assert said["sizes"]


@pytest.mark.parametrize(("program", "word"), [("video-elevator", "generate"), ("elevator", "--t2v")])
def test_commands_explain_themselves(installed: Installed, program: str, word: str) -> None:
    assert word in installed.run(program, "--help")


def test_a_clip_is_made_from_end_to_end(installed: Installed) -> None:
    connection = installed.elsewhere / "home"
    with installed.running("video-elevator", "serve", "--fake", "--stay") as backend:
        limit = time.monotonic() + 30
        while not list(connection.rglob("connection.json")):
            assert backend.poll() is None
            assert time.monotonic() < limit
            time.sleep(0.05)
        installed.run("video-elevator", "generate", "a fox", "--frames", "2", "--out", "fox")
        assert "plain" in installed.run("video-elevator", "status")
        installed.run("video-elevator", "stop")
        assert backend.wait(30) == 0
    frames = sorted((installed.elsewhere / "fox").glob("*.png"))
    assert len(frames) == 2
