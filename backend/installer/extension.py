"""The extension's zips, which Blender installs."""

from __future__ import annotations

import os
from pathlib import Path

from backend.installer.children import Command, run
from backend.installer.clone import BACKEND, LOGS, ROOT
from backend.installer.environments import python_of
from shared_protocol.starting import clean_environment


def package(out: Path) -> Path:
    """Build this machine's zip in folder `out`."""
    return _pack(out)[0]


def package_all(out: Path) -> list[Path]:
    """Build a zip for each platform of a release."""
    return _pack(out, "--all-platforms")


def _pack(out: Path, *more: str) -> list[Path]:
    out.mkdir(parents=True, exist_ok=True)
    log = LOGS / "package.log"
    command: Command = [python_of(BACKEND), ROOT / "blender_addon" / "tools" / "packing.py", "--out", out.absolute()]
    run([*command, *more], what="Building the extension", log=log, cwd=ROOT, env=clean_environment(os.environ))
    return [Path(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith(".zip")]
