"""What Windows does otherwise, as far as an installation meets it. No Windows has run this: tests simulate it."""

from __future__ import annotations

import sys
from pathlib import Path, PureWindowsPath

from backend.installer.problem import Problem

LONGEST_PATH = 259
"""Signs of a file's whole name, where longer ones are not switched on."""
DEEPEST = 175
"""Signs that the longest name below .venv has, a header of torch, and some to spare."""


def check_folder(root: Path) -> None:
    """Raises Problem if a clone in this folder could not hold its environment."""
    if sys.platform == "win32" and len(str(root)) + DEEPEST > LONGEST_PATH and not long_names():
        raise Problem(
            f"The name of the folder {root} is too long: below it files would have names of more than {LONGEST_PATH} "
            "signs, which this Windows does not take. Move it to a shorter one, such as C:\\elevator, or switch long "
            "names on: https://learn.microsoft.com/windows/win32/fileio/maximum-file-path-limitation"
        )


def long_names() -> bool:
    """Whether names of files may be longer."""
    if sys.platform != "win32":
        return True
    import winreg

    try:
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, r"SYSTEM\CurrentControlSet\Control\FileSystem") as key:
            return bool(winreg.QueryValueEx(key, "LongPathsEnabled")[0])
    except OSError:
        return False


def is_of_the_store(python: Path) -> bool:
    """Whether it is the Microsoft Store's Python, or the stub that leads there.

    What that one writes below AppData lands in a folder of its own, so Blender would not find the backend.
    """
    return "windowsapps" in (part.lower() for part in PureWindowsPath(python).parts)
