"""Which Python and which Blender are on this machine?"""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from backend.installer.children import ask
from backend.installer.clone import BLENDER_MINIMUM, Environment
from backend.installer.problem import Problem
from backend.installer.windows import is_of_the_store

_TELL = "import sys; print(sys.version_info[0], sys.version_info[1], sys.executable)"


def find_python(environment: Environment) -> Path | None:
    """An interpreter from which `environment` can be made: the one that runs this first, then others."""
    for command in _pythons(environment.python):
        found = _look_at(command)
        if found is None:
            continue
        version, python = found
        if version == environment.python or (version > environment.python and not environment.exactly):
            return python
    return None


def need_python(environment: Environment) -> Path:
    """The same. Raises Problem if there is none."""
    python = find_python(environment)
    if python is None:
        wanted = "{}.{}".format(*environment.python) + ("" if environment.exactly else " or newer")
        here = "{}.{}".format(*sys.version_info[:2])
        raise Problem(
            f"{environment.name} needs Python {wanted} and this is Python {here}: install it, such as with "
            f'"uv python install {wanted.split()[0]}", and start this command again; it is found by itself.'
        )
    return python


def _pythons(wanted: tuple[int, int]) -> Iterator[list[str]]:
    # Not sys.executable: inside a virtual environment it is a link that goes away when that is made anew.
    yield [getattr(sys, "_base_executable", "") or sys.executable]
    for minor in range(wanted[1], wanted[1] + 4):
        if sys.platform == "win32":
            yield ["py", f"-{wanted[0]}.{minor}"]
        yield [f"python{wanted[0]}.{minor}"]
    yield ["python3"]
    # Those of pyenv and uv that are not switched on.
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    for minor in range(wanted[1], wanted[1] + 4):
        yield from ([str(python)] for python in versions.glob(f"{wanted[0]}.{minor}.*/bin/python3"))
        inside = "python.exe" if sys.platform == "win32" else "bin/python3"
        yield from ([str(python)] for python in _uvs_folder().glob(f"cpython-{wanted[0]}.{minor}.*/{inside}"))


def _uvs_folder() -> Path:
    """Where uv puts the Pythons that it installs."""
    if given := os.environ.get("UV_PYTHON_INSTALL_DIR"):
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("APPDATA") or Path.home() / "AppData" / "Roaming") / "uv" / "python"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "uv" / "python"


def _look_at(command: list[str]) -> tuple[tuple[int, int], Path] | None:
    program = shutil.which(command[0])
    if program and sys.platform == "win32" and is_of_the_store(Path(program)):
        return None
    answer = ask([program, *command[1:], "-c", _TELL]) if program else None
    if not answer:
        return None
    major, minor, executable = answer.split(" ", 2)
    if sys.platform == "win32" and is_of_the_store(Path(executable)):
        return None
    return (int(major), int(minor)), Path(executable)


def version_of(python: Path) -> tuple[int, int] | None:
    """Version of an interpreter, or None if it does not start."""
    found = _look_at([str(python)])
    return found[0] if found else None


def find_blender(given: Path | None) -> Path | None:
    """An installed Blender that is new enough: the given one, else one from the usual places.

    Raises Problem if the given one is unfit.
    """
    if given is not None:
        if not _fits(given):
            raise Problem(f"{given} is no Blender {BLENDER_MINIMUM[0]}.{BLENDER_MINIMUM[1]} or newer.")
        return given
    return next((blender for blender in _blenders() if _fits(blender)), None)


def _blenders() -> Iterator[Path]:
    on_path = shutil.which("blender")
    if on_path:
        yield Path(on_path)
    usual = {
        "win32": [(Path("C:/Program Files/Blender Foundation"), "Blender */blender.exe")],
        "darwin": [(Path("/Applications"), "Blender*.app/Contents/MacOS/Blender")],
    }.get(
        sys.platform,
        [(Path("/opt"), "blender*/blender"), (Path.home(), "blender*/blender"), (Path("/snap/bin"), "blender")],
    )
    for folder, pattern in usual:
        yield from sorted(folder.glob(pattern), reverse=True)


def _fits(blender: Path) -> bool:
    match = re.search(r"^Blender (\d+)\.(\d+)", ask([blender, "--version"]) or "", re.MULTILINE)
    return match is not None and (int(match[1]), int(match[2])) >= BLENDER_MINIMUM
