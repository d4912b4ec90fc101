"""Where the product keeps its files on each operating system. Standard library only.

`ELEVATOR_HOME` in the environment moves everything into one folder, which tests and portable installs use.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

APP = "video_elevator"


class NoHome(RuntimeError):
    """Nobody knows a folder of this user's."""

    def __init__(self) -> None:
        super().__init__(
            "No folder of this user is known, in which settings and results could lie: "
            "name one in the variable ELEVATOR_HOME."
        )


def _home(variable: str, fallback: Path) -> Path:
    value = os.environ.get(variable, "")
    return Path(value) if os.path.isabs(value) else fallback


def _folder(xdg_variable: str, xdg_fallback: str, windows_variable: str, part: str) -> Path:
    moved = _moved()
    if moved is not None:
        return moved / part
    try:
        home = Path.home()
    except RuntimeError as error:  # no HOME, and an account without a folder, as in many containers
        raise NoHome from error
    if sys.platform == "win32":
        return _home(windows_variable, home / "AppData" / "Local") / APP / part
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / APP / part
    return _home(xdg_variable, home / xdg_fallback) / APP


def _moved() -> Path | None:
    """The folder that ELEVATOR_HOME names. A relative one starts where this process has been started; the processes
    that it starts work in other folders, and so are told the whole path."""
    value = os.environ.get("ELEVATOR_HOME")
    if not value:
        return None
    path = Path(os.path.expanduser(value))
    if not path.is_absolute():
        path = path.absolute()
    if str(path) != value:
        os.environ["ELEVATOR_HOME"] = str(path)
    return path


def config_folder() -> Path:
    """Folder of settings: what install.py tells the add-on lies here."""
    return _folder("XDG_CONFIG_HOME", ".config", "APPDATA", "config")


def state_folder() -> Path:
    """Folder of things that change while the product runs: connection file, logs."""
    return _folder("XDG_STATE_HOME", ".local/state", "LOCALAPPDATA", "state")


def data_folder() -> Path:
    """Folder of what must not be lost: the queue, results, uploaded pictures."""
    return _folder("XDG_DATA_HOME", ".local/share", "LOCALAPPDATA", "data")


def models_folder() -> Path:
    """Folder of model files: those that were got, and whatever a user puts there."""
    return data_folder() / "models"


def profiles_folder() -> Path:
    """Folder of profiles, `NAME.json`: how backends on other machines are reached."""
    return config_folder() / "profiles"


def install_file() -> Path:
    """The file by which the add-on finds the backend (interpreter, root, version)."""
    return config_folder() / "backend.json"


def connection_file() -> Path:
    """The file by which a client reaches the running backend (endpoint, keys, pid)."""
    return state_folder() / "connection.json"


def lock_file() -> Path:
    """The file that the running backend holds, and in which it says which process it is."""
    return state_folder() / "serve.lock"


def log_file() -> Path:
    """The backend's log."""
    return state_folder() / "backend.log"


def commands_log_file() -> Path:
    """The faults of commands that are the backend's clients."""
    return state_folder() / "commands.log"


def start_log_file() -> Path:
    """What a backend said that was started in the background, before its own log was open or beside it."""
    return state_folder() / "backend_start.log"
