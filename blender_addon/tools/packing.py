"""Builds the extension zip. Standard library only; runs outside of Blender.

    python blender_addon/tools/packing.py --out build

The zip holds the add-on, `shared_protocol` as a package inside it, and the unmodified pyzmq and msgspec wheels of one
platform for all of its Blenders. A wheel's modules belong to every extension of a Blender; ours must not, so it is no
wheel. The same sources give the same bytes. Downloaded wheels stay in OUT/wheels.
"""

from __future__ import annotations

import argparse
import ast
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

PLATFORMS: Mapping[str, tuple[str, ...]] = {
    "linux-x64": ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64"),
    "windows-x64": ("win_amd64",),
    "windows-arm64": ("win_arm64",),
    "macos-arm64": ("macosx_11_0_arm64", "macosx_10_15_universal2"),
    "macos-x64": ("macosx_10_15_x86_64", "macosx_10_15_universal2", "macosx_10_9_x86_64"),
}
"""Blender's name of a platform, and pip's names of it."""
RELEASED = ("linux-x64", "windows-x64", "macos-arm64")
"""The platforms of a release: those for which every Blender from 4.2 on is built."""
MACHINES = {"x86_64": "x64", "amd64": "x64", "arm64": "arm64", "aarch64": "arm64"}
SYSTEMS = {"linux": "linux", "win32": "windows", "darwin": "macos"}


def build(out: Path, python: Path, blender_platform: str = "") -> Path:
    """Build one platform's zip in folder `out`, fetching with the pip of interpreter `python`. Returns its path.

    `blender_platform`: Blender's name of it; empty: this machine's.
    """
    version = _version()
    blender_platform = blender_platform or _this_platform()
    pins = _pins(LOCK, {each.package for each in BUILDS})
    tags = PLATFORMS[blender_platform]
    wheels = [_fetch(each, pins[each.package], tags, out / "wheels", python) for each in BUILDS]
    contents = {f"wheels/{wheel.name}": wheel.read_bytes() for wheel in wheels} | _sources()
    manifest = contents["blender_manifest.toml"].decode()
    contents["blender_manifest.toml"] = _filled(manifest, version, blender_platform, contents).encode()
    packed = _zip(contents)
    if len(packed) > LARGEST_BYTES:
        raise PackageError(f"The zip would have {len(packed) >> 20} MB; {LARGEST_BYTES >> 20} are allowed.")
    # As Blender's own `extension build --split-platforms` names them.
    target = out / f"video_elevator-{version}-{blender_platform.replace('-', '_')}.zip"
    temporary = target.with_suffix(".tmp")
    temporary.write_bytes(packed)
    temporary.replace(target)
    return target


def _version() -> str:
    tree = ast.parse((PROTOCOL / "__init__.py").read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == ["VERSION"]:
            return str(ast.literal_eval(node.value))
    raise PackageError("shared_protocol/__init__.py has no VERSION.")


def _this_platform() -> str:
    machine = platform.machine().lower()
    name = f"{SYSTEMS.get(sys.platform)}-{MACHINES.get(machine)}"
    if name not in PLATFORMS:
        raise PackageError(f"There is no Blender for {sys.platform} on {machine}.")
    return name


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
        raise PackageError(
            f"pip could not fetch {each.package} {version} for Python {each.python} on {tags[0]}; it said: {said}"
        )
    return found


def _cached(each: Build, version: str, tags: tuple[str, ...], folder: Path) -> Path | None:
    for path in sorted(folder.glob(f"{each.package}-{version}-*-{each.abi}-*.whl")):
        # A wheel's platform part is "tag.tag…".
        ours = set(path.stem.rsplit("-", 1)[1].split(".")) & set(tags)
        if ours and zipfile.is_zipfile(path):
            return path
    return None


def _sources() -> dict[str, bytes]:
    """What the extension holds beside wheels, by its name there."""
    found = {
        path.relative_to(ADDON).as_posix(): path
        for path in ADDON.rglob("*.py")
        if path.relative_to(ADDON).parts[0] != NOT_PACKED
    }
    found |= {path.relative_to(ROOT).as_posix(): path for path in PROTOCOL.rglob("*.py")}
    found |= {"blender_manifest.toml": ADDON / "blender_manifest.toml", "LICENSE": ROOT / "LICENSE"}
    return {
        name: _inside(name, path.read_bytes()) if name.endswith(".py") else path.read_bytes()
        for name, path in found.items()
    }


def _inside(name: str, source: bytes) -> bytes:
    """A file of the extension, for which `shared_protocol` lies in the extension too and is imported from there."""
    up = b"." * (name.count("/") + 1)
    return re.sub(rb"^( *from )(?=shared_protocol\b)", rb"\1" + up, source, flags=re.MULTILINE)


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
    """The command line. Prints the path of each zip."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "build", help="folder for the zips (default: build)")
    parser.add_argument(
        "--all-platforms", action="store_true", help=f"a zip for each of {', '.join(RELEASED)}, not for this machine"
    )
    options = parser.parse_args()
    try:
        for blender_platform in RELEASED if options.all_platforms else ("",):
            print(build(options.out, Path(sys.executable), blender_platform), flush=True)
    except (PackageError, OSError) as error:
        print(f"packing.py: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
