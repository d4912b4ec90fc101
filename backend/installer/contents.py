"""What an environment holds, seen from outside: is every package of the lock file there, whole and unchanged?

pip looks no deeper than a package's name and version, so a package of which half is deleted looks whole to it. Each one
lists its files with their sizes and checksums (RECORD). Sizes are compared always; a checksum only for a file that was
written after the environment was complete, which keeps the whole look under a second.
"""

from __future__ import annotations

import base64
import csv
import hashlib
import os
import re
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

_PIN = re.compile(r"^([\w.-]+)==([\w.+!-]+)\s*(?:;\s*sys_platform\s*==\s*[\"'](\w+)[\"'])?\s*\\?$")


@dataclass(frozen=True)
class Damage:
    """A package that is not as it was installed."""

    package: str
    what: str
    replaces: bool = False
    """Whether it is whole, though of another version: pip takes that away by itself."""

    def __str__(self) -> str:
        return f"{self.package}: {self.what}"


def pins(text: str) -> dict[str, str]:
    """Versions by name of what a lock file's text asks for on this system; lines of another form are left out."""
    found = [match for line in text.splitlines() if (match := _PIN.match(line))]
    return {plain(match[1]): match[2] for match in found if match[3] in (None, sys.platform)}


def damages(folder: Path, wanted: dict[str, str], since: float) -> Iterator[Damage]:
    """What is wrong in the environment `folder`, which was complete at the time `since`."""
    infos = _infos(folder)
    for package, version in wanted.items():
        if not infos.get(package):
            yield Damage(package, "is not there")
        elif (found := _version(infos[package][0])) not in (version, f"{version}+{found.partition('+')[2]}"):
            yield Damage(package, f"is {found} instead of {version}", replaces=True)
    for package, each in infos.items():
        if len(each) > 1:
            yield Damage(package, "is there twice")
        elif what := _look_at(each[0], since):
            yield Damage(package, what)


def forget(folder: Path, package: str) -> None:
    """Have pip see that a package is not there, so that it installs it over what is left."""
    for info in _infos(folder).get(package, ()):
        shutil.rmtree(info)
    if package == "pip":  # a broken one cannot install itself: without it another's is used
        for site in _sites(folder):
            shutil.rmtree(site / "pip", ignore_errors=True)


def has_module(folder: Path, module: str) -> bool:
    """Whether a module is there."""
    return any((site / module).exists() for site in _sites(folder))


def plain(name: str) -> str:
    """A package's name as it is compared: `Typing_Extensions` and `typing.extensions` are the same."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _sites(folder: Path) -> Iterator[Path]:
    yield from folder.glob("Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages")


def _infos(folder: Path) -> dict[str, list[Path]]:
    """The folders in which pip keeps what it knows, by package."""
    found: dict[str, list[Path]] = {}
    for site in _sites(folder):
        for info in sorted(site.glob("*.dist-info")):
            found.setdefault(plain(info.name.split("-")[0]), []).append(info)
    return found


def _version(info: Path) -> str:
    return info.name[: -len(".dist-info")].partition("-")[2]


def _look_at(info: Path, since: float) -> str:
    """What is wrong with one package, or nothing."""
    try:
        with (info / "RECORD").open(encoding="utf-8", newline="") as record:
            rows = [row for row in csv.reader(record) if len(row) == 3]
    except (OSError, UnicodeDecodeError, csv.Error):
        rows = []
    if not rows:
        return "the list of its files is gone"
    for name, checksum, size in rows:
        if "__pycache__" in name:
            continue  # Python makes these anew
        file = os.path.join(info.parent, name)
        try:
            state = os.stat(file)
        except OSError:
            return f"{name} is gone"
        changed = state.st_mtime > since and checksum.startswith("sha256=") and _sha256(file) != checksum[7:]
        if changed or (size.isdigit() and state.st_size != int(size)):
            return f"{name} is not as it was installed"
    return ""


def _sha256(file: str) -> str:
    """As RECORD writes it."""
    digest = hashlib.sha256(Path(file).read_bytes()).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")
