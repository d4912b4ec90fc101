"""The extension's zip."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
import time
import tomllib
import zipfile
from pathlib import Path

import pytest

from blender_addon.tools import packing
from shared_protocol import VERSION
from tests.addon.blenders import ROOT, VALIDATING, blenders_own

NO_PYTHON = Path("no-python-is-needed-when-wheels-are-there")


@pytest.fixture(scope="module")
def names(extension_zip: Path) -> list[str]:
    """What is in the zip."""
    with zipfile.ZipFile(extension_zip) as archive:
        return archive.namelist()


@pytest.fixture(scope="module")
def manifest(extension_zip: Path) -> dict[str, object]:
    """The manifest in the zip."""
    with zipfile.ZipFile(extension_zip) as archive:
        return tomllib.loads(archive.read("blender_manifest.toml").decode())


def test_same_sources_same_bytes(extension_zip: Path, tmp_path: Path) -> None:
    shutil.copytree(extension_zip.parent / "wheels", tmp_path / "wheels")
    begin = time.monotonic()
    again = packing.build(tmp_path, NO_PYTHON)
    assert time.monotonic() - begin < 2
    assert again.read_bytes() == extension_zip.read_bytes()
    assert again.name == f"video_elevator-{VERSION}-{packing._this_platform().replace('-', '_')}.zip"


def test_manifest_follows_blenders_rules(manifest: dict[str, object]) -> None:
    assert manifest["schema_version"] == "1.0.0"
    assert manifest["id"] == "video_elevator"
    assert manifest["version"] == VERSION
    assert manifest["name"] == "Elevator"
    tagline = str(manifest["tagline"])
    assert len(tagline) <= 64
    assert tagline[-1].isalnum()
    assert manifest["type"] == "add-on"
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert manifest["tags"] == ["Sequencer"]
    permissions = manifest["permissions"]
    assert isinstance(permissions, dict)
    assert set(permissions) == {"clipboard", "files", "network"}
    assert all(len(reason) <= 64 and reason[-1].isalnum() for reason in permissions.values())
    assert isinstance(manifest["platforms"], list)
    assert len(manifest["platforms"]) == 1
    assert str(manifest["website"]) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_wheels_are_named_and_there(manifest: dict[str, object], names: list[str]) -> None:
    wheels = manifest["wheels"]
    assert isinstance(wheels, list)
    assert sorted(wheels) == sorted(f"./{name}" for name in names if name.endswith(".whl"))
    built = [re.sub(r"\./wheels/(\w+)-[^-]+-(\w+-\w+)-.*", r"\1 \2", wheel) for wheel in sorted(wheels)]
    assert built == [
        "msgspec cp311-cp311",
        "msgspec cp313-cp313",
        "msgspec cp314-cp314",
        "pyzmq cp311-cp311",
        "pyzmq cp312-abi3",
    ]


def test_versions_are_the_backends(names: list[str]) -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    for library in ("pyzmq", "msgspec"):
        found = re.search(rf"^{library}==(\S+)", lock, re.MULTILINE)
        assert found
        assert all(f"{library}-{found[1]}-" in name for name in names if name.startswith(f"wheels/{library}-"))


def test_only_what_belongs_there_is_there(names: list[str]) -> None:
    for needed in (
        "__init__.py",
        "blender_manifest.toml",
        "blender/operators/generate.py",
        "clip/session.py",
        "LICENSE",
    ):
        assert needed in names
    rooms = "api|clip|machine|blender|blender/operators|blender/panels|shared_protocol|shared_protocol/machine"
    ours = rf"(({rooms})/)?\w+\.py|blender_manifest\.toml|LICENSE"
    for name in names:
        assert name.startswith("wheels/") or re.fullmatch(ours, name), name
    assert not any("test" in name for name in names)


def test_size(extension_zip: Path) -> None:
    assert extension_zip.stat().st_size < packing.LARGEST_BYTES


def test_protocol_is_a_package_of_the_extension(extension_zip: Path, names: list[str]) -> None:
    """A wheel's modules would be there for all extensions of a Blender, and theirs for us."""
    there = {
        f"shared_protocol/{each.relative_to(packing.PROTOCOL).as_posix()}" for each in packing.PROTOCOL.rglob("*.py")
    }
    assert there <= set(names)
    reached = set()
    with zipfile.ZipFile(extension_zip) as archive:
        for name in [name for name in names if name.endswith(".py")]:
            for node in ast.walk(ast.parse(archive.read(name))):
                if isinstance(node, ast.Import):
                    assert not any(each.name.startswith("shared_protocol") for each in node.names), name
                elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shared_protocol"):
                    assert node.level == name.count("/") + 1, f"{name} does not reach the extension's own folder"
                    reached.add(node.module)
    assert {"shared_protocol", "shared_protocol.messages", "shared_protocol.machine"} <= reached


@pytest.mark.parametrize("blender_platform", packing.RELEASED)
@pytest.mark.parametrize("version", VALIDATING)
def test_each_platforms_zip_is_valid_to_blender(version: str, blender_platform: str, tmp_path: Path) -> None:
    """With empty wheels of the right names; the true ones are fetched in a test that takes longer."""
    (tmp_path / "wheels").mkdir()
    tag = packing.PLATFORMS[blender_platform][0]
    pins = packing._pins(packing.LOCK, {each.package for each in packing.BUILDS})
    for each in packing.BUILDS:
        wheel = (
            tmp_path
            / "wheels"
            / f"{each.package}-{pins[each.package]}-cp{each.python.replace('.', '')}-{each.abi}-{tag}.whl"
        )
        wheel.write_bytes(packing._zip({"nothing": b""}))
    made = packing.build(tmp_path, NO_PYTHON, blender_platform)
    with zipfile.ZipFile(made) as archive:
        manifest = tomllib.loads(archive.read("blender_manifest.toml").decode())
    assert manifest["platforms"] == [blender_platform]
    assert len(manifest["wheels"]) == len(packing.BUILDS)
    _validate(version, made)


@pytest.mark.long
@pytest.mark.process
def test_all_platforms_with_true_wheels(tmp_path: Path, extension_zip: Path) -> None:
    shutil.copytree(extension_zip.parent / "wheels", tmp_path / "wheels")
    script = ROOT / "blender_addon" / "tools" / "packing.py"
    command = [sys.executable, str(script), "--out", str(tmp_path), "--all-platforms"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    zips = [Path(line) for line in done.stdout.splitlines()]
    assert len(zips) == len(packing.RELEASED)
    for made in zips:
        _validate(VALIDATING[-1], made)
        with zipfile.ZipFile(made) as archive:
            for name in [name for name in archive.namelist() if name.endswith(".whl")]:
                # As it was published, to the byte.
                assert archive.read(name) == (tmp_path / name).read_bytes()
                with zipfile.ZipFile(tmp_path / name) as wheel:
                    assert any(each.endswith((".so", ".pyd")) for each in wheel.namelist()), name


def _validate(version: str, made: Path) -> None:
    """What `blender --command extension validate` does, by the same file of Blender's."""
    command = [sys.executable, str(blenders_own(version, "bl_pkg/cli/blender_ext.py")), "validate", str(made)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_missing_pins_are_said(tmp_path: Path) -> None:
    with pytest.raises(packing.PackageError, match="is missing: the versions"):
        packing._pins(tmp_path / "requirements.lock", ["pyzmq"])
    (tmp_path / "requirements.lock").write_text("msgspec==1.2.3\n# pyzmq==9\n", encoding="utf-8")
    with pytest.raises(packing.PackageError, match="pins no version of pyzmq"):
        packing._pins(tmp_path / "requirements.lock", ["pyzmq", "msgspec"])


@pytest.mark.process
def test_failing_download_is_said(tmp_path: Path) -> None:
    build = packing.Build("elevator-has-no-such-package", "3.11", "cp311")
    with pytest.raises(packing.PackageError, match="pip could not fetch elevator-has-no-such-package"):
        packing._fetch(build, "1.0", ("manylinux2014_x86_64",), tmp_path, Path(sys.executable))


def test_torn_wheel_is_fetched_again(tmp_path: Path) -> None:
    torn = tmp_path / "msgspec-1.0-cp311-cp311-manylinux2014_x86_64.whl"
    torn.write_bytes(b"half of a wheel")
    build = packing.Build("msgspec", "3.11", "cp311")
    assert packing._cached(build, "1.0", ("manylinux2014_x86_64",), tmp_path) is None


def test_command_line_prints_the_path(extension_zip: Path) -> None:
    command = [sys.executable, str(ROOT / "blender_addon" / "tools" / "packing.py"), "--out", str(extension_zip.parent)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert Path(done.stdout.strip()) == extension_zip
