"""Starts real Blenders and runs checks inside them.

A file `inside/NAME.py` holds functions `check_*`; all of one file run in one process, on the extension installed from
its zip in a fresh profile, against a real backend with the fake generator.
"""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
INSIDE = Path(__file__).resolve().parent / "inside"
BLENDER, OLD_BLENDER = "5.0.1", "4.2.23"
VALIDATING = (OLD_BLENDER, BLENDER)
"""Blenders whose rules for extensions the zips are held to."""
LIMIT_SECONDS = 150
STEP_SECONDS = "0.01"
GRACE_SECONDS = "2"


def python_of(version: str) -> Path:
    """The interpreter that has this Blender as a module."""
    folder = ROOT / f".venv-blender-{version}"
    for candidate in (folder / "bin" / "python", folder / "Scripts" / "python.exe"):
        if candidate.is_file():
            return candidate
    raise AssertionError(f"There is no {folder.name} beside install.py: run `python3 install.py test`, which makes it.")


def blenders_own(version: str, path: str) -> Path:
    """A file of an add-on that comes with Blender."""
    environment = python_of(version).parents[1]
    (found,) = environment.glob(f"[Ll]ib/**/site-packages/bpy/*/scripts/addons_core/{path}")
    return found


def checks_of(name: str) -> list[str]:
    """The checks that a file holds, in order."""
    tree = ast.parse((INSIDE / f"{name}.py").read_text(encoding="utf-8"))
    return [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("check_")]


@dataclass
class Outcome:
    """What one Blender did."""

    code: int
    output: str
    seconds: float
    results: dict[str, str] = field(default_factory=dict)
    """Check → nothing, or what went wrong."""
    figures: dict[str, Any] = field(default_factory=dict)


class Lab:
    """A fresh profile of Blender and a fresh home of the product, in folders whose names are not plain."""

    def __init__(self, folder: Path, version: str, zip_file: Path) -> None:
        self.folder = folder / "Schöne Läb 影"
        self.python = python_of(version)
        self.zip = zip_file
        self.profile = self.folder / "profile"
        self.home = self.folder / "home"
        self.projects = self.folder / "my projects"
        for each in (self.profile, self.home / "config", self.projects):
            each.mkdir(parents=True)
        self.tell_of_backend()

    def tell_of_backend(self, **changes: Any) -> None:
        """Write what install.py writes, for the fake generator."""
        told = {
            "python": sys.executable,
            "root": str(ROOT),
            "version": _version(),
            "arguments": ["--fake", "--grace", GRACE_SECONDS],
        }
        (self.home / "config" / "backend.json").write_text(json.dumps(told | changes), encoding="utf-8")

    def environment(self) -> dict[str, str]:
        """What Blender is started with. PYTHONPATH and the like must not reach the backend."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "ELEVATOR"))}
        return own | {
            "HOME": str(self.folder),
            "BLENDER_USER_RESOURCES": str(self.profile),
            "ELEVATOR_HOME": str(self.home),
            "ELEVATOR_FAKE_STEP_SECONDS": STEP_SECONDS,
            "PYTHONHASHSEED": "0",
            "LD_LIBRARY_PATH": str(self.folder),
        }

    def run(self, name: str, checks: list[str], wrap: tuple[str, ...] = (), **told: Any) -> Outcome:
        """Run checks in one Blender. `wrap` is a command that starts the command."""
        report = self.folder / "report.json"
        report.unlink(missing_ok=True)
        spec: Mapping[str, Any] = {
            "name": name,
            "checks": checks,
            "zip": str(self.zip),
            "projects": str(self.projects),
            "home": str(self.home),
            "report": str(report),
            "lab": str(self.folder),
            **told,
        }
        file = self.folder / "spec.json"
        file.write_text(json.dumps(spec), encoding="utf-8")
        begin = time.monotonic()
        done = subprocess.run(
            [*wrap, str(self.python), str(INSIDE / "harness.py"), str(file)],
            env=self.environment(),
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=LIMIT_SECONDS,
            check=False,
        )
        said = json.loads(report.read_text(encoding="utf-8")) if report.is_file() else {}
        return Outcome(
            done.returncode,
            done.stdout.decode(errors="replace"),
            time.monotonic() - begin,
            said.get("results", {}),
            said.get("figures", {}),
        )

    def script(self, file: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
        """Run a script with the bpy module, in the profile that an earlier run has left."""
        return subprocess.run(
            [self.python, file, *words],
            env=self.environment() | {"PYTHONIOENCODING": "utf-8"},
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=LIMIT_SECONDS,
            check=False,
        )


def may_mount() -> bool:
    """Whether this user may make a private mount namespace."""
    if shutil.which("unshare") is None or not hasattr(os, "geteuid") or os.geteuid() != 0:
        return False
    tried = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "mount", "-t", "tmpfs", "tmpfs", "/mnt"],
        capture_output=True,
        check=False,
    )
    return tried.returncode == 0


def _version() -> str:
    from shared_protocol import VERSION

    return VERSION
