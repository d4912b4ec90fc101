"""Builds the extension zip. Standard library only; runs outside of Blender.

    python blender_addon/tools/packing.py --out build

The zip holds the add-on, the unmodified pyzmq and msgspec wheels for this platform's Blenders, and `shared_protocol` as
a pure wheel of ours. The same sources give the same bytes. Downloaded wheels stay in OUT/wheels.
"""

from __future__ import annotations

import argparse
import ast
import base64
import hashlib
import io
import platform
import re
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

ADDON = Path(__file__).resolve().parents[1]
ROOT = ADDON.parent
LOCK = ROOT / "requirements.lock"
PROTOCOL = ROOT / "shared_protocol"
MARKER = "# packing.py writes `platforms` and `wheels` here."
NOT_PACKED = "tools"
"""The add-on's folder of what is no part of the extension."""
LONG_AGO = (1980, 1, 1, 0, 0, 0)
LARGEST_BYTES = 100 << 20


class PackageError(Exception):
    """The zip cannot be built. The text is one sentence."""


class Build(NamedTuple):
    """One build of a package for some of Blender's Pythons: 4.2 to 5.0 have 3.11, later ones 3.13 and 3.14."""

    package: str
    python: str
    abi: str


BUILDS = (
    Build("pyzmq", "3.11", "cp311"),
    Build("pyzmq", "3.12", "abi3"),  # for 3.12 and every later Python
    Build("msgspec", "3.11", "cp311"),
    Build("msgspec", "3.13", "cp313"),
    Build("msgspec", "3.14", "cp314"),
)

PLATFORMS: Mapping[tuple[str, str], tuple[str, tuple[str, ...]]] = {
    ("linux", "x86_64"): ("linux-x64", ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")),
    ("win32", "amd64"): ("windows-x64", ("win_amd64",)),
    ("win32", "arm64"): ("windows-arm64", ("win_arm64",)),
    ("darwin", "arm64"): ("macos-arm64", ("macosx_11_0_arm64", "macosx_10_15_universal2")),
    ("darwin", "x86_64"): ("macos-x64", ("macosx_10_15_x86_64", "macosx_10_15_universal2", "macosx_10_9_x86_64")),
}
"""What Python says about this machine → Blender's name of the platform, and pip's names of it."""


def build(out: Path, python: Path) -> Path:
    """Build the zip in folder `out`, fetching with the pip of interpreter `python`. Returns its path."""
    version = _version()
    blender_platform, tags = _this_platform()
    pins = _pins(LOCK, {each.package for each in BUILDS})
    wheels = [_fetch(each, pins[each.package], tags, out / "wheels", python) for each in BUILDS]
    contents = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels}
    name, data = protocol_wheel(version)
    contents[f"wheels/{name}"] = data
    contents |= {path.relative_to(ADDON).as_posix(): path.read_bytes() for path in _sources()}
    if (ROOT / "LICENSE").is_file():
        contents["LICENSE"] = (ROOT / "LICENSE").read_bytes()
    manifest = contents["blender_manifest.toml"].decode()
    contents["blender_manifest.toml"] = _filled(manifest, version, blender_platform, contents).encode()
    packed = _zip(contents)
    if len(packed) > LARGEST_BYTES:
        raise PackageError(f"The zip would have {len(packed) >> 20} MB; {LARGEST_BYTES >> 20} are allowed.")
    target = out / f"video_elevator-{version}.zip"
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(packed)
    temporary.replace(target)
    return target


def protocol_wheel(version: str) -> tuple[str, bytes]:
    """`shared_protocol` as a wheel: file name and bytes.

    Blender unpacks a wheel only if none of that name and version is there, so the version also says what is in it.
    """
    files = {
        f"shared_protocol/{path.relative_to(PROTOCOL).as_posix()}": path.read_bytes()
        for path in sorted(PROTOCOL.rglob("*.py"))
    }
    if not files:
        raise PackageError(f"{PROTOCOL} holds no Python files.")
    digest = hashlib.sha256(b"".join(name.encode() + b"\0" + data for name, data in files.items())).hexdigest()
    release = f"{version}+{digest[:8]}"
    info = f"shared_protocol-{release}.dist-info"
    files[f"{info}/METADATA"] = (
        f"Metadata-Version: 2.1\nName: shared_protocol\nVersion: {release}\n"
        "Summary: The words that Blender and the backend exchange\nLicense: GPL-3.0-or-later\n"
        "Requires-Python: >=3.11\nRequires-Dist: msgspec\nRequires-Dist: pyzmq\n"
    ).encode()
    files[f"{info}/WHEEL"] = b"Wheel-Version: 1.0\nGenerator: elevator\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
    lines = [f"{name},sha256={_urlsafe_sha256(data)},{len(data)}" for name, data in files.items()]
    files[f"{info}/RECORD"] = ("\n".join([*lines, f"{info}/RECORD,,"]) + "\n").encode()
    return f"shared_protocol-{release}-py3-none-any.whl", _zip(files)


def _urlsafe_sha256(data: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()


def _version() -> str:
    tree = ast.parse((PROTOCOL / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["VERSION"]:
            return str(ast.literal_eval(node.value))
    raise PackageError("shared_protocol/__init__.py has no VERSION.")


def _this_platform() -> tuple[str, tuple[str, ...]]:
    machine = platform.machine().lower()
    try:
        return PLATFORMS[sys.platform, machine]
    except KeyError:
        raise PackageError(f"There is no Blender for {sys.platform} on {machine}.") from None


def _pins(lock: Path, packages: Iterable[str]) -> dict[str, str]:
    """The version of each package in the lock file: add-on and backend must speak with the same libraries."""
    try:
        text = lock.read_text(encoding="utf-8")
    except OSError:
        raise PackageError(f"{lock} is missing: the versions of pyzmq and msgspec stand there.") from None
    pins = dict(re.findall(r"^([A-Za-z0-9_.-]+)==([A-Za-z0-9_.!+-]+)", text, re.MULTILINE))
    missing = sorted(set(packages) - set(pins))
    if missing:
        raise PackageError(f"{lock} pins no version of {' and '.join(missing)}.")
    return {package: pins[package] for package in packages}


def _fetch(each: Build, version: str, tags: tuple[str, ...], folder: Path, python: Path) -> Path:
    """The wheel of one build, from the folder or else by pip."""
    folder.mkdir(parents=True, exist_ok=True)
    found = _cached(each, version, tags, folder)
    if found is not None:
        return found
    command = [str(python), "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:"]
    command += ["--implementation", "cp", "--python-version", each.python, "--abi", each.abi]
    for tag in tags:
        command += ["--platform", tag]
    command += ["--dest", str(folder), f"{each.package}=={version}"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    found = _cached(each, version, tags, folder)
    if done.returncode or found is None:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise PackageError(f"pip could not fetch {each.package} {version} for Python {each.python}; it said: {said}")
    return found


def _cached(each: Build, version: str, tags: tuple[str, ...], folder: Path) -> Path | None:
    for path in sorted(folder.glob(f"{each.package}-{version}-*-{each.abi}-*.whl")):
        # A wheel's platform part is "tag.tag…".
        ours = set(path.stem.rsplit("-", 1)[1].split(".")) & set(tags)
        if ours and zipfile.is_zipfile(path):
            return path
    return None


def _sources() -> list[Path]:
    paths = [path for path in ADDON.rglob("*.py") if path.relative_to(ADDON).parts[0] != NOT_PACKED]
    return sorted([*paths, ADDON / "blender_manifest.toml"])


def _filled(manifest: str, version: str, blender_platform: str, contents: Iterable[str]) -> str:
    if MARKER not in manifest or f'\nversion = "{version}"\n' not in manifest:
        raise PackageError(f"blender_manifest.toml lacks the line {MARKER!r} or is not of version {version}.")
    wheels = "".join(f'    "./{name}",\n' for name in sorted(contents) if name.endswith(".whl"))
    return manifest.replace(MARKER, f'platforms = ["{blender_platform}"]\nwheels = [\n{wheels}]')


def _zip(contents: Mapping[str, bytes]) -> bytes:
    """A zip of which every byte depends on the contents alone."""
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name in sorted(contents):
            entry = zipfile.ZipInfo(name, LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.create_system = 3
            # Wheels are compressed already.
            entry.compress_type = zipfile.ZIP_STORED if name.endswith(".whl") else zipfile.ZIP_DEFLATED
            archive.writestr(entry, contents[name])
    return packed.getvalue()


def main() -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the zip (default: build)")
    options = parser.parse_args()
    try:
        print(build(options.out, Path(sys.executable)))
    except (PackageError, OSError) as error:
        print(f"packing.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
