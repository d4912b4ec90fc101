"""A package that somebody or something has damaged is named, and set up again."""

from __future__ import annotations

import base64
import hashlib
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from backend.installer import clone, contents, doctor, environments
from backend.installer.clone import Environment
from backend.installer.contents import pins
from backend.installer.environments import STAMP, damages, ensure, is_complete, lacks

WHEEL = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
FILES = {"some_tool/__init__.py": "def answer():\n    return 42\n", "some_tool/_fast.so": "binary" * 100}


def wheel(folder: Path, version: str) -> None:
    """A wheel of a package with two files."""
    info = f"some_tool-{version}.dist-info"
    files = {
        **FILES,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: Some.Tool\nVersion: {version}\n",
        f"{info}/WHEEL": WHEEL,
    }
    rows = []
    for name, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        rows.append(f"{name},sha256={digest},{len(text)}\n")
    folder.mkdir(exist_ok=True)
    with zipfile.ZipFile(folder / f"some_tool-{version}-py3-none-any.whl", "w") as file:
        for name, text in {**files, f"{info}/RECORD": "".join([*rows, f"{info}/RECORD,,\n"])}.items():
            file.writestr(name, text)


def pinning(version: str, folder: Path) -> str:
    return f"--no-index\n--find-links {folder.joinpath('wheels').as_uri()}\nSome_Tool=={version}\n"


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Environment:
    """An environment with one package, complete."""
    folder = tmp_path_factory.mktemp("original")
    wheel(folder / "wheels", "1.0")
    lock = folder / "test.lock"
    lock.write_text(pinning("1.0", folder), encoding="utf-8")
    environment = Environment(folder / ".venv", lock, clone.BACKEND_PYTHON, exactly=False, room_gb=0.01)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(environments, "LOGS", folder / "logs")
        ensure(environment, Path(getattr(sys, "_base_executable", sys.executable)))
    assert is_complete(environment)
    return environment


@pytest.fixture
def whole(original: Environment, environment: Environment) -> Environment:
    """A copy of it."""
    shutil.copytree(original.folder, environment.folder, symlinks=True)
    shutil.copy(original.lock, environment.lock)
    assert is_complete(environment)
    return environment


def site(environment: Environment) -> Path:
    return next(environment.folder.glob("lib/python*/site-packages"))


def change(file: Path) -> None:
    """Other bytes, as many as before."""
    file.write_bytes(bytes(file.stat().st_size))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "everything deleted": (
        lambda site: [shutil.rmtree(each) for each in site.glob("some_tool*")],
        "some-tool: is not there",
    ),
    "package deleted": (lambda site: shutil.rmtree(site / "some_tool"), "some-tool: some_tool/__init__.py is gone"),
    "a file deleted": (lambda site: (site / "some_tool/_fast.so").unlink(), "some-tool: some_tool/_fast.so is gone"),
    "cut short": (lambda site: os.truncate(site / "some_tool/_fast.so", 9), "_fast.so is not as it was installed"),
    "other bytes": (lambda site: change(site / "some_tool/_fast.so"), "_fast.so is not as it was installed"),
    "list deleted": (
        lambda site: (site / "some_tool-1.0.dist-info/RECORD").unlink(),
        "some-tool: the list of its files is gone",
    ),
    "list empty": (
        lambda site: os.truncate(site / "some_tool-1.0.dist-info/RECORD", 0),
        "some-tool: the list of its files is gone",
    ),
    "another version": (
        lambda site: (site / "some_tool-1.0.dist-info").rename(site / "some_tool-0.9.dist-info"),
        "some-tool: is 0.9 instead of 1.0",
    ),
    "two versions": (
        lambda site: shutil.copytree(site / "some_tool-1.0.dist-info", site / "some_tool-0.9.dist-info"),
        "some-tool: is there twice",
    ),
    "pip half there": (lambda site: (site / "pip/__init__.py").unlink(), "pip: pip/__init__.py is gone"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_damage_is_named_and_mended(
    whole: Environment, base: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    harm, sentence = DAMAGES[name]
    harm(site(whole))
    assert not is_complete(whole)
    assert sentence in lacks(whole)
    finding = doctor._environment(whole, "python3 install.py setup", needed=True)
    assert finding.remedy == "python3 install.py setup"
    assert sentence in finding.what

    capsys.readouterr()
    ensure(whole, base)
    assert sentence in capsys.readouterr().out
    assert is_complete(whole)
    for file, text in FILES.items():
        assert (site(whole) / file).read_text() == text


def test_package_beside_those_of_the_lock_must_be_whole_too(whole: Environment) -> None:
    whole.lock.write_text("# nothing\n", encoding="utf-8")
    (site(whole) / "some_tool/_fast.so").unlink()
    assert [str(each) for each in damages(whole)] == ["some-tool: some_tool/_fast.so is gone"]


def test_new_version_takes_the_place_of_the_old(whole: Environment, folder: Path, base: Path) -> None:
    wheel(folder / "wheels", "1.1")
    whole.lock.write_text(pinning("1.1", folder), encoding="utf-8")
    assert lacks(whole) == "made for another lock file or system"
    ensure(whole, base)
    assert [each.name for each in site(whole).glob("some_tool-*")] == ["some_tool-1.1.dist-info"]


def test_bytecode_belongs_to_python(whole: Environment) -> None:
    """pip lists it, and Python writes it anew as it likes."""
    shutil.rmtree(site(whole) / "some_tool" / "__pycache__", ignore_errors=True)
    assert is_complete(whole)


def test_cut_off_and_absent_ones_are_said(whole: Environment) -> None:
    (whole.folder / STAMP).write_text("unfinished", encoding="utf-8")
    assert lacks(whole) == "an installation was cut off"
    (whole.folder / STAMP).unlink()
    assert lacks(whole) == "not made yet"


def test_pins_of_other_systems_are_left_out() -> None:
    lock = 'a.B_c==1.0\ncolorama==0.4.6; sys_platform == "win3.2"\nd==2; sys_platform == "no-such"\n# e==1\nf>=3\n'
    assert pins(lock) == {"a-b-c": "1.0"}


def test_local_builds_are_of_the_pinned_version(tmp_path: Path) -> None:
    """torch==2.1 is met by 2.1+cpu as well as by 2.1+cu128, and not by 2.10."""
    for found, fits in {"2.1": True, "2.1+cpu": True, "2.10": False, "2.0+cpu": False}.items():
        info = tmp_path / found / "lib" / "python3.11" / "site-packages" / f"torch-{found}.dist-info"
        info.mkdir(parents=True)
        (info / "RECORD").write_text(f"torch-{found}.dist-info/RECORD,,\n", encoding="utf-8")
        assert (not list(contents.damages(tmp_path / found, {"torch": "2.1"}, 0.0))) is fits, found


@pytest.mark.parametrize(
    "environment_of_clone", [clone.BACKEND, clone.BLENDER, clone.OLD_BLENDER], ids=lambda each: each.name
)
def test_lines_of_the_lock_files_are_understood(environment_of_clone: Environment) -> None:
    lines = [line for line in environment_of_clone.wanted.splitlines() if line and line[0] not in "# "]
    packages = [line for line in lines if "win32" not in line]
    assert len(pins("\n".join(packages))) == len(packages)
    assert ("torch" in pins(environment_of_clone.wanted)) == (environment_of_clone is clone.BACKEND)
