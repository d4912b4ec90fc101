"""Libraries and packages of the operating system that pip cannot bring."""

from __future__ import annotations

import ctypes
import os
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path

from backend.installer.children import ask, run
from backend.installer.clone import LOGS, Environment
from backend.installer.problem import Problem
from backend.installer.terminal import say

BPY_LIBRARIES = {
    "libX11.so.6": "libx11-6",
    "libXrender.so.1": "libxrender1",
    "libXfixes.so.3": "libxfixes3",
    "libXi.so.6": "libxi6",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libSM.so.6": "libsm6",
    "libGL.so.1": "libgl1",
    "libXxf86vm.so.1": "libxxf86vm1",  # this and the next: only bpy 4.2
    "libgomp.so.1": "libgomp1",
}
"""Shared libraries that the bpy modules load, and the Debian packages that hold them."""


def missing_libraries() -> list[str]:
    """Libraries that bpy needs and that the system's loader does not find."""
    if not sys.platform.startswith("linux"):
        return []  # there the wheels bring what they need
    return [name for name in BPY_LIBRARIES if not _loads(name)]


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def has_ensurepip(python: Path) -> bool:
    """Whether `python -m venv` can put a pip into what it makes; on Debian that is a package of its own."""
    return ask([python, "-c", "import ensurepip"]) is not None


def has_pip(python: Path) -> bool:
    return ask([python, "-m", "pip", "--version"]) is not None


def venv_package(environment: Environment, python: Path) -> str:
    """Debian's package without which `python` cannot make `environment`, or nothing.

    Without root a pip outside of the environment does as well, so then the package is wanted only if there is none.
    """
    if has_ensurepip(python) or (not _is_root() and has_pip(python)):
        return ""
    return "python{}.{}-venv".format(*environment.python) if environment.exactly else "python3-venv"


def provide(packages: Iterable[str], libraries: Iterable[str]) -> None:
    """Install what is missing, or raise Problem with the one command that does it."""
    names = [*dict.fromkeys([*packages, *(BPY_LIBRARIES[library] for library in libraries)])]
    if not names:
        return
    if shutil.which("apt-get") is None:
        wanted = ", ".join([*packages, *libraries])
        raise Problem(f"This system lacks {wanted}: install them with its package manager and start again.")
    if not _is_root():
        raise Problem(f"This system lacks packages. Run this once: sudo apt-get install -y {' '.join(names)}")
    say(f"The system lacks {' '.join(names)}: apt-get installs that.")
    _apt_install(names)


def _is_root() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0


def _apt_install(names: list[str]) -> None:
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    wait = ["-o", "DPkg::Lock::Timeout=120"]
    install = ["apt-get", "install", "-y", "--no-install-recommends", *wait, *names]
    try:
        run(install, what="apt-get install", log=LOGS / "apt-install.log", env=env)
    except Problem:
        # Lists are missing or old, or an earlier installation was cut off in its middle: mend both and try again.
        run(["dpkg", "--configure", "-a"], what="dpkg --configure -a", log=LOGS / "dpkg.log", env=env)
        run(["apt-get", "update", *wait], what="apt-get update", log=LOGS / "apt-update.log", env=env)
        run(install, what="apt-get install", log=LOGS / "apt-install.log", env=env)
