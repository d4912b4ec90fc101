"""Writes the SHA-256 of every wheel that may be installed into requirements.lock and development.lock.

    .venv/bin/python scripts/locks.py           # after a version was changed
    .venv/bin/python scripts/locks.py --check   # write nothing; 1 if a file is not what it should be

Hashes are those that the package index publishes. Wheels alone, so that nothing is built; of the systems and Pythons
that the backend runs on, so that the files stay readable. torch has a lock of its own (torch.lock): its builds come
from several indexes, and pip takes no build of a version whose hash it was not told.
"""

from __future__ import annotations

import json
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pip._internal.models.index import PyPI

ROOT = Path(__file__).resolve().parents[1]
LOCKS = ("requirements.lock", "development.lock")
PIN = re.compile(r"(?P<name>[\w.-]+)==(?P<version>[\w.+!-]+)(?P<marker>;[^\\]*)?")
PYTHONS = {"py3", "py2.py3", *(f"cp3{minor}" for minor in range(11, 15))}
ABI3 = re.compile(r"cp3(\d|10|11)\Z")
SYSTEMS = re.compile(r"any\Z|manylinux.*(x86_64|aarch64)|macosx|win_amd64|win_arm64")
ACCEPTED = "application/vnd.pypi.simple.v1+json"


def hashes(name: str, version: str) -> list[str]:
    """Of the wheels of a release that may be installed, sorted. Raises SystemExit if there is none."""
    plain = re.sub(r"[-_.]+", "-", name).lower()
    request = urllib.request.Request(f"{PyPI.simple_url}/{plain}/", headers={"Accept": ACCEPTED})
    with urllib.request.urlopen(request, timeout=60) as answer:
        files: list[dict[str, Any]] = json.load(answer)["files"]
    found = sorted(file["hashes"]["sha256"] for file in files if _fits(file["filename"], plain, version))
    if not found:
        raise SystemExit(f"{name} {version} has no wheel that fits.")
    return found


def _fits(filename: str, plain: str, version: str) -> bool:
    if not filename.endswith(".whl"):
        return False
    parts = filename[: -len(".whl")].split("-")
    python, abi, system = parts[-3:]
    is_it = (re.sub(r"[-_.]+", "-", parts[0]).lower(), parts[1]) == (plain, version)
    runs = (python in PYTHONS and not abi.endswith("t")) or (abi == "abi3" and ABI3.match(python) is not None)
    return is_it and runs and SYSTEMS.match(system) is not None


def written(text: str) -> Iterator[str]:
    """The lines of a lock with the hashes as they are now."""
    for line in text.splitlines():
        if line.startswith("#"):
            yield line
        elif match := PIN.match(line):
            pin = f"{match['name']}=={match['version']}{(match['marker'] or '').rstrip()}"
            yield " \\\n    ".join(
                [pin, *(f"--hash=sha256:{each}" for each in hashes(match["name"], match["version"]))]
            )


def main(arguments: list[str]) -> int:
    """Write, or check. Returns the exit code."""
    changed = 0
    for name in LOCKS:
        path = ROOT / name
        before = path.read_text(encoding="utf-8")
        after = "\n".join(written(before)) + "\n"
        changed += before != after
        if arguments != ["--check"]:
            path.write_text(after, encoding="utf-8")
    return int(bool(changed and arguments == ["--check"]))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
