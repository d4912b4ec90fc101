"""How the extension's zip is put together, with stand-ins for the wheels. What is in the true one: `test_package`."""

from __future__ import annotations

import itertools
import platform
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from blender_addon.tools import packing
from blender_addon.tools.packing import PackageError
from shared_protocol import VERSION

NO_PYTHON = Path("no-python-is-needed-when-wheels-are-there")
PINS = dict(re.findall(r"^(pyzmq|msgspec)==(\S+)", packing.LOCK.read_text(encoding="utf-8"), re.MULTILINE))


def wheel(folder: Path, each: packing.Build, tag: str, version: str = "") -> Path:
    """A wheel of this name that holds nothing of use."""
    folder.mkdir(exist_ok=True)
    name = f"{each.package}-{version or PINS[each.package]}-cp{each.python.replace('.', '')}-{each.abi}-{tag}.whl"
    with zipfile.ZipFile(folder / name, "w") as archive:
        archive.writestr("nothing", "0" * 1000)
    return folder / name


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with all wheels for Linux."""
    for each in packing.BUILDS:
        wheel(tmp_path / "wheels", each, "manylinux2014_x86_64.manylinux_2_17_x86_64")
    return tmp_path


def test_a_zip_is_the_same_to_the_byte_whenever_it_is_packed(out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = packing.build(out, NO_PYTHON, "linux-x64")
    assert made == out / f"video_elevator-{VERSION}-linux_x64.zip"
    assert sorted(path.name for path in out.iterdir()) == [made.name, "wheels"], "nothing half-written stays"
    with zipfile.ZipFile(made) as archive:
        entries = archive.infolist()
        first = archive.read("clip/session.py").decode()
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    names = [entry.filename for entry in entries]
    assert names == sorted(names)
    assert not [name for name in names if name.startswith("tools/")]
    for entry in entries:
        assert (entry.date_time, entry.create_system) == ((1980, 1, 1, 0, 0, 0), 3), "of no machine and no day"
        assert entry.external_attr >> 16 == 0o644
        assert (entry.compress_type == zipfile.ZIP_STORED) == entry.filename.endswith(".whl"), "packed already"
    assert "\nfrom ..shared_protocol.client import Lost\n" in first, "the extension's own"
    assert manifest["platforms"] == ["linux-x64"]
    assert manifest["wheels"] == [f"./{name}" for name in names if name.endswith(".whl")]
    assert len(manifest["wheels"]) == 5
    largest = made.stat().st_size
    monkeypatch.setattr(packing, "LARGEST_BYTES", largest)
    assert packing.build(out, NO_PYTHON, "linux-x64").read_bytes() == made.read_bytes()
    monkeypatch.setattr(packing, "LARGEST_BYTES", largest - 1)
    with pytest.raises(PackageError, match=r"The zip would have \d+ MB; \d+ are allowed"):
        packing.build(out, NO_PYTHON, "linux-x64")


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-x64"),
        ("win32", "AMD64", "windows-x64"),
        ("win32", "ARM64", "windows-arm64"),
        ("darwin", "arm64", "macos-arm64"),
        ("darwin", "x86_64", "macos-x64"),
    ],
)
def test_this_machine_is_known_by_blenders_name(
    system: str, machine: str, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packing, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(platform, "machine", lambda: machine)
    assert packing._this_platform() == name


@pytest.mark.parametrize(("system", "machine"), [("linux", "aarch64"), ("linux", "riscv64"), ("freebsd", "amd64")])
def test_a_machine_without_a_blender_is_said(system: str, machine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "sys", SimpleNamespace(platform=system))
    monkeypatch.setattr(platform, "machine", lambda: machine)
    with pytest.raises(PackageError, match=f"There is no Blender for {system} on {machine}."):
        packing._this_platform()


class Pip:
    """Stands in for pip: what it is asked for, and what it brings."""

    def __init__(self, brings: bool, said: str = "", code: int = 0) -> None:
        self.asked: list[list[str]] = []
        self._brings, self._said, self._code = brings, said, code

    def __call__(self, command: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        self.asked.append(command)
        if self._brings:
            wheel(Path(command[command.index("--dest") + 1]), packing.BUILDS[2], "win_amd64")
        return subprocess.CompletedProcess(command, self._code, "", self._said)


def test_a_wheel_that_is_not_there_is_fetched_for_its_python_and_system(
    out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, pip = out / "others" / "wheels", Pip(brings=True)
    monkeypatch.setattr(subprocess, "run", pip)
    python, msgspec = Path("/opt/python"), packing.BUILDS[2]
    found = packing._fetch(msgspec, PINS["msgspec"], ("win_amd64", "any_other"), folder, python)
    assert found.name == f"msgspec-{PINS['msgspec']}-cp311-cp311-win_amd64.whl"
    (command,) = pip.asked
    assert command[:4] == ["/opt/python", "-m", "pip", "download"]
    assert {"--no-deps", "--only-binary=:all:"} <= set(command)
    given = [" ".join(pair) for pair in itertools.pairwise(command)]
    for pair in ("--implementation cp", "--python-version 3.11", "--abi cp311", "--platform win_amd64"):
        assert pair in given
    assert "--platform any_other" in given
    assert command[-1] == f"msgspec=={PINS['msgspec']}"
    assert packing._fetch(msgspec, PINS["msgspec"], ("win_amd64",), folder, python) == found
    assert len(pip.asked) == 1, "it is there now"


@pytest.mark.parametrize(
    ("pip", "said"),
    [
        (Pip(brings=True, said="a warning\nNo matching distribution\n", code=1), "No matching distribution"),
        (Pip(brings=False, said="", code=1), "nothing"),
        (Pip(brings=False, said="It is well."), "It is well."),
    ],
)
def test_a_wheel_that_does_not_come_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pip: Pip, said: str
) -> None:
    monkeypatch.setattr(subprocess, "run", pip)
    with pytest.raises(PackageError) as caught:
        packing._fetch(packing.BUILDS[2], "9.9", ("win_amd64", "win_arm64"), tmp_path, NO_PYTHON)
    assert str(caught.value) == f"pip could not fetch msgspec 9.9 for Python 3.11 on win_amd64; it said: {said}"


def test_a_wheel_of_another_version_build_or_system_is_none(tmp_path: Path) -> None:
    msgspec = packing.BUILDS[2]
    wheel(tmp_path, msgspec, "manylinux2014_x86_64", version="9.8")
    wheel(tmp_path, msgspec, "win_amd64", version="9.9")
    wheel(tmp_path, packing.BUILDS[3], "manylinux2014_x86_64", version="9.9")
    assert packing._cached(msgspec, "9.9", ("manylinux2014_x86_64",), tmp_path) is None
    ours = wheel(tmp_path, msgspec, "manylinux_2_17_x86_64.manylinux2014_x86_64", version="9.9")
    assert packing._cached(msgspec, "9.9", ("manylinux2014_x86_64",), tmp_path) == ours


@pytest.mark.parametrize(
    "manifest", [f'id = "x"\nversion = "{VERSION}"\n', f'id = "x"\nversion = "9.9.9"\n{packing.MARKER}\n']
)
def test_a_manifest_of_another_version_or_without_its_mark_is_said(manifest: str) -> None:
    with pytest.raises(PackageError, match=rf"lacks the line .* or is not of version {VERSION}"):
        packing._filled(manifest, VERSION, "linux-x64", ())


def test_a_product_without_a_version_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "__init__.py").write_text("VERSION: str\nMAJOR = 1\n", encoding="utf-8")
    monkeypatch.setattr(packing, "PROTOCOL", tmp_path)
    with pytest.raises(PackageError, match=r"shared_protocol/__init__\.py has no VERSION"):
        packing.build(tmp_path, NO_PYTHON, "linux-x64")


def test_the_command_says_what_is_wrong_and_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(packing, "LOCK", tmp_path / "gone.lock")
    monkeypatch.setattr(sys, "argv", ["packing.py", "--out", str(tmp_path)])
    assert packing.main() == 1
    said = capsys.readouterr()
    assert said.err.startswith(f"packing.py: {tmp_path / 'gone.lock'} is missing: the versions")
    assert said.out == ""


def test_the_command_prints_where_each_zip_is(
    out: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for each in packing.BUILDS:
        for tags in packing.PLATFORMS.values():
            wheel(out / "wheels", each, tags[0])
    monkeypatch.setattr(sys, "argv", ["packing.py", "--out", str(out), "--all-platforms"])
    assert packing.main() == 0
    names = [f"video_elevator-{VERSION}-{each}.zip" for each in ("linux_x64", "windows_x64", "macos_arm64")]
    assert capsys.readouterr().out.splitlines() == [str(out / name) for name in names]
    assert sorted(path.name for path in out.glob("*.zip")) == sorted(names)
