"""Find the backend, start it, wait for it without blocking. No bpy, no ZeroMQ.

The backend has its own Python. install.py says where in `places.install_file()`:

    {"python": "/…/.venv/bin/python", "root": "/…/elevator", "version": "0.1.0", "arguments": ["--fake"]}

`arguments` is optional: more arguments for `serve`. The backend's readiness shows by its connection file.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from shared_protocol import VERSION, connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine import files, places

START_SECONDS = 60.0
"""The backend's server is ready within a second; this is for a machine that is swapping."""
AGAIN_SECONDS = 1.0
"""How long a backend that was faster may take to be ready."""
LAST_WORDS = 300
SETUP = "setup"
"""The command of install.py that sets up what the add-on needs."""

_NOT_INHERITED = ("PYTHON", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "CONDA_")


class BackendError(Exception):
    """The backend cannot be had. `command` is the one command that mends it, if there is one."""

    def __init__(self, sentence: str, next_step: str = "", command: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.next_step = next_step
        self.command = command


@dataclass(frozen=True)
class Install:
    """Where the backend is, as install.py has told."""

    python: Path
    root: Path
    version: str
    arguments: tuple[str, ...] = ()


def command_line(*parts: str | Path) -> str:
    """A command as one types it in this system's terminal."""
    texts = [str(part) for part in parts]
    return subprocess.list2cmdline(texts) if sys.platform == "win32" else shlex.join(texts)


def _setup_command(root: Path | None = None) -> str:
    python = "py" if sys.platform == "win32" else "python3"
    return command_line(python, root / "install.py" if root else "install.py", SETUP)


def find(file: Path | None = None) -> Install:
    """Read what install.py has told. Raises BackendError with the command to run."""
    path = file or places.install_file()
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8"))
        arguments = told.get("arguments", [])
        install = Install(Path(told["python"]), Path(told["root"]), str(told["version"]), tuple(map(str, arguments)))
    except FileNotFoundError:
        raise BackendError(
            "The backend is not installed.",
            "Run this in a terminal, in the folder of Elevator.",
            _setup_command(),
        ) from None
    except OSError as error:
        raise BackendError(
            f"{path} cannot be read.", "Run this in a terminal, in the folder of Elevator.", _setup_command()
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendError(
            f"{path} is damaged.", "Run this in a terminal, in the folder of Elevator.", _setup_command()
        ) from error
    if install.version != VERSION:
        raise BackendError(
            f"The backend is version {install.version} and this add-on is {VERSION}.",
            "Get the same release of both, then run this in a terminal.",
            _setup_command(install.root),
        )
    if not install.python.is_file() or not install.root.is_dir():
        raise BackendError(
            f"The backend is no longer in {install.root}.",
            "Run this in a terminal, in the folder of Elevator.",
            _setup_command(),
        )
    return install


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what Blender's own Python and libraries need and the backend's must not see."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(_NOT_INHERITED)}


def _new_private(path: Path) -> BinaryIO:
    """An empty file that is its owner's alone from its first moment. Raises OSError."""
    files.make_folder(path.parent)
    path.unlink(missing_ok=True)  # one that is there would keep its mode
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")


class BackendProcess:
    """One way to a backend that runs: the one that is there, or else a new one."""

    def __init__(self, now: float) -> None:
        """Start a backend if none runs. Raises BackendError. `now` are seconds of the clock that `poll` gets."""
        self._since = now
        self._process: subprocess.Popen[bytes] | None = None
        self._ended_at: float | None = None
        self._log = places.state_folder() / "backend_start.log"
        if self._read() is None:
            self._process = self._start(find())

    def poll(self, now: float) -> connection.Connection | None:
        """The connection once the backend is ready, None until then. Never blocks. Raises BackendError."""
        found = self._read()
        if found is not None:
            return found
        code = self._process.poll() if self._process else None
        if code:
            raise BackendError(f"The backend ended at once (exit code {code}). {self._last_words()}".strip())
        if now - self._since > START_SECONDS:
            raise BackendError(
                f"The backend was not ready within {START_SECONDS:.0f} seconds. {self._last_words()}".strip(),
                "Press Generate again.",
            )
        if code == 0:
            self._start_again(now)
        return None

    def _start_again(self, now: float) -> None:
        """Exit code 0 means that another backend runs: one that was faster, whose connection file appears in a moment,
        or one that was just ending, and then ours is needed after all."""
        if self._ended_at is None:
            self._ended_at = now
        elif now - self._ended_at > AGAIN_SECONDS:
            self._ended_at, self._process = None, self._start(find())

    def _read(self) -> connection.Connection | None:
        try:
            found = connection.read(places.connection_file())
        except NoBackend:
            return None
        except ConnectionFileError as error:
            raise BackendError(str(error)) from error
        if found.version != VERSION:
            raise BackendError(
                f"The backend that runs is version {found.version} and this add-on is {VERSION}.",
                "Close what else uses it: it ends a minute later. Then press Generate again.",
            )
        return found

    def _start(self, install: Install) -> subprocess.Popen[bytes]:
        command = [str(install.python), "-m", "backend", "serve", *install.arguments]
        # On its own feet: Ctrl-C in Blender's terminal or Blender's crash must not take a job with it.
        detached: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        try:
            with _new_private(self._log) as log:
                return subprocess.Popen(
                    command,
                    cwd=install.root,
                    env=clean_environment(os.environ),
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=log,
                    close_fds=True,
                    **detached,
                )
        except OSError as error:
            raise BackendError(
                f"The backend could not be started: {error.strerror or error}.",
                "Run this in a terminal.",
                _setup_command(install.root),
            ) from error

    def _last_words(self) -> str:
        try:
            lines = self._log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return f"It said: {lines[-1].strip()[:LAST_WORDS]}" if lines else ""
