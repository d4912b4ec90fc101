"""How commands are typed here, so that whatever a message says can be typed as it stands. Standard library only.

`install.py` writes two commands beside the Python of its environment (`backend/installer/commands.py`), and pip does so
where the packages are installed from a wheel.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

BACKEND = "video-elevator"
"""The backend's command."""
ENVIRONMENT = ".venv"
"""The folder of the environment that install.py makes, in that of a clone."""
ROOT = Path(__file__).resolve().parents[2]


def launcher() -> str:
    """What runs the backend's commands with the Python that runs this; a command's words go behind it."""
    return launcher_of(Path(sys.executable), ROOT)


def launcher_of(python: Path, root: Path) -> str:
    """The same for a Python, and the folder in which the packages lie.

    In a clone it is short in the clone's folder and whole elsewhere.
    """
    if not os.path.exists(root / "install.py"):  # a wheel's, or a clone that this user may not look into
        return BACKEND if shutil.which(BACKEND) else command_line(python.with_name(BACKEND))
    program = python.with_name(BACKEND)
    written = os.path.exists(python.with_name(f"{BACKEND}.cmd" if sys.platform == "win32" else BACKEND))
    own = python.parent.parent == root / ENVIRONMENT
    short = (lambda path: path.relative_to(root)) if own and _is_here(root) else Path
    return command_line(short(program)) if own and written else command_line(short(python), "-m", "backend")


def install_command(name: str, root: Path | None = None) -> str:
    """A command of install.py, to be typed in a clone's folder, or anywhere if `root` says which it is."""
    python = "py" if sys.platform == "win32" else "python3"
    return command_line(python, root / "install.py" if root else "install.py", name)


def mending() -> str:
    """The command that makes a broken installation whole."""
    return install_command("setup") if os.path.exists(ROOT / "install.py") else "pip install --force-reinstall FILE.whl"


def command_line(*parts: str | Path) -> str:
    """A command as one types it in this system's terminal."""
    texts = [str(part) for part in parts]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def _is_here(folder: Path) -> bool:
    try:
        return Path(os.getcwd()) == folder
    except OSError:  # it is deleted
        return False
