"""Virtual environments that are either complete or made anew."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from backend.installer.children import run
from backend.installer.clone import LOGS, Environment
from backend.installer.interpreters import version_of
from backend.installer.problem import Problem
from backend.installer.system_packages import has_ensurepip
from backend.installer.terminal import say

STAMP = "elevator-stamp.json"
"""Lies in an environment: what it was made of, or that it is unfinished. Written last."""
UNFINISHED = "unfinished"

PipArguments = Callable[[Sequence[str | Path]], Sequence[str]]
"""Given the pip command: more arguments for it. Asked only when something is going to be installed."""


def python_of(environment: Environment) -> Path:
    """Its interpreter."""
    if sys.platform == "win32":
        return environment.folder / "Scripts" / "python.exe"
    return environment.folder / "bin" / "python"


def is_complete(environment: Environment) -> bool:
    """Whether it holds exactly what its lock file says, and its interpreter starts."""
    stamp = _stamp(environment)
    version = version_of(python_of(environment)) if stamp == wanted_stamp(environment) else None
    return version is not None and _fits(environment, version)


def wanted_stamp(environment: Environment) -> str:
    """What the stamp of a complete environment says."""
    lock = hashlib.sha256(environment.lock.read_bytes()).hexdigest()
    system = f"{sys.platform} {platform.machine()}"
    return json.dumps({"lock": lock, "package": environment.package, "system": system})


def ensure(environment: Environment, base: Path, more_arguments: PipArguments | None = None) -> None:
    """Make the environment complete. `base` is the interpreter from which it is made.

    One that was cut off in its middle is made anew: packages that are half there look whole to pip. One without
    a stamp was made by hand, and one with an old stamp belongs to an older lock file: pip brings both up to date.
    """
    if is_complete(environment):
        return
    _check_room(environment)
    version = version_of(python_of(environment))
    if _stamp(environment) == UNFINISHED or version is None or not _fits(environment, version):
        _create(environment, base)
    _write_stamp(environment, UNFINISHED)
    pip = _pip(environment, base)
    command = [*pip, "install", "--disable-pip-version-check", "--no-input", "-r", environment.lock]
    if environment.package:
        command.append(environment.package)
    command += more_arguments(pip) if more_arguments else ()
    run(command, what=f"Installing packages into {environment.name}", log=LOGS / f"pip{environment.name}.log")
    _write_stamp(environment, wanted_stamp(environment))


def _fits(environment: Environment, version: tuple[int, int]) -> bool:
    return version == environment.python or (version > environment.python and not environment.exactly)


def _check_room(environment: Environment) -> None:
    free_gb = shutil.disk_usage(environment.folder.parent).free / 1e9
    if free_gb < environment.room_gb:
        raise Problem(
            f"{environment.name} needs {environment.room_gb} GB and the disk has {free_gb:.1f} GB left: "
            "make room and start again."
        )


def _create(environment: Environment, base: Path) -> None:
    if environment.folder.exists():
        say(f"{environment.name} is unfinished or unfit: it is made anew.")
        shutil.rmtree(environment.folder)
    _write_stamp(environment, UNFINISHED)
    without_pip = [] if has_ensurepip(base) else ["--without-pip"]
    run(
        [base, "-m", "venv", *without_pip, environment.folder],
        what=f"Creating {environment.name}",
        log=LOGS / f"venv{environment.name}.log",
    )


def _pip(environment: Environment, base: Path) -> list[str | Path]:
    """The pip command for it: its own, or that of `base` where it has none."""
    python = python_of(environment)
    if has_module(environment, "pip"):
        return [python, "-m", "pip"]
    return [base, "-m", "pip", "--python", python]


def has_module(environment: Environment, module: str) -> bool:
    """Whether a package is installed in it, seen from outside."""
    site = "Lib/site-packages" if sys.platform == "win32" else "lib/python*/site-packages"
    return any(environment.folder.glob(f"{site}/{module}"))


def _stamp(environment: Environment) -> str | None:
    try:
        return (environment.folder / STAMP).read_text(encoding="utf-8")
    except OSError:
        return None


def _write_stamp(environment: Environment, text: str) -> None:
    environment.folder.mkdir(parents=True, exist_ok=True)
    temporary = environment.folder / f"{STAMP}.tmp"
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, environment.folder / STAMP)
