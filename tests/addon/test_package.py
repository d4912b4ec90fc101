"""The extension's zip."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
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
from tests.addon.blenders import ROOT


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
    again = packing.build(tmp_path, Path("no-python-is-needed-when-wheels-are-there"))
    assert time.monotonic() - begin < 2
    assert again.read_bytes() == extension_zip.read_bytes()
    assert again.name == f"video_elevator-{VERSION}.zip"


def test_manifest_follows_blenders_rules(manifest: dict[str, object]) -> None:
    assert manifest["schema_version"] == "1.0.0"
    assert manifest["id"] == "video_elevator"
    assert manifest["version"] == VERSION
    assert "Blender" not in str(manifest["name"])
    tagline = str(manifest["tagline"])
    assert len(tagline) <= 64
    assert tagline[-1].isalnum()
    assert manifest["type"] == "add-on"
    assert manifest["blender_version_min"] == "4.2.0"
    assert manifest["license"] == ["SPDX:GPL-3.0-or-later"]
    assert manifest["tags"] == ["Sequencer"]
    permissions = manifest["permissions"]
    assert isinstance(permissions, dict)
    assert set(permissions) == {"files", "network"}
    assert all(len(reason) <= 64 and reason[-1].isalnum() for reason in permissions.values())
    assert isinstance(manifest["platforms"], list)
    assert len(manifest["platforms"]) == 1


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
        "shared_protocol py3-none",
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
    ours = r"(api/|clip/|machine/|blender/|blender/operators/|blender/panels/)?\w+\.py|blender_manifest\.toml|LICENSE"
    for name in names:
        assert name.startswith("wheels/") or re.fullmatch(ours, name), name
    assert not any("test" in name for name in names)


def test_size(extension_zip: Path) -> None:
    assert extension_zip.stat().st_size < packing.LARGEST_BYTES


def test_protocol_wheel_is_a_wheel(tmp_path: Path) -> None:
    name, data = packing.protocol_wheel(VERSION)
    assert packing.protocol_wheel(VERSION) == (name, data)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        contents = {each: archive.read(each) for each in archive.namelist()}
    (record,) = [each for each in contents if each.endswith(".dist-info/RECORD")]
    rows = {row[0]: row for row in csv.reader(contents[record].decode().splitlines())}
    assert set(rows) == set(contents)
    for each, row in rows.items():
        if each != record:
            digest = base64.urlsafe_b64encode(hashlib.sha256(contents[each]).digest()).rstrip(b"=").decode()
            assert row[1:] == [f"sha256={digest}", str(len(contents[each]))]
    assert {
        path.relative_to(ROOT / "shared_protocol").as_posix() for path in (ROOT / "shared_protocol").rglob("*.py")
    } == {each.removeprefix("shared_protocol/") for each in contents if each.startswith("shared_protocol/")}
    wheel = tmp_path / name
    wheel.write_bytes(data)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command += ["--target", str(tmp_path / "t"), str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    assert (tmp_path / "t" / "shared_protocol" / "messages.py").is_file()


def test_another_protocol_is_another_wheel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Blender unpacks a wheel only if it has none of that name and version yet."""
    changed = tmp_path / "shared_protocol"
    shutil.copytree(ROOT / "shared_protocol", changed)
    before, _ = packing.protocol_wheel(VERSION)
    with (changed / "messages.py").open("a", encoding="utf-8") as file:
        file.write("# more\n")
    monkeypatch.setattr(packing, "PROTOCOL", changed)
    after, _ = packing.protocol_wheel(VERSION)
    assert before != after


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
