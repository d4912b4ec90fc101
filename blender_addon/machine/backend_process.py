"""Find the backend, start it, wait for it without blocking. No bpy, no ZeroMQ.

The backend has its own Python. install.py says where in `places.install_file()`:

    {"python": "/…/.venv/bin/python", "root": "/…/elevator", "version": "0.1.0", "arguments": ["--fake"]}

`arguments` is optional: more arguments for `serve`. The backend's readiness shows by its connection file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared_protocol import VERSION, connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine import places
from shared_protocol.machine.launcher import BACKEND, command_line, install_command, launcher_of
from shared_protocol.starting import START_SECONDS, Ended, Late, Ready, Starter

from ..clip.words import Phrase, sentences

SETUP = "setup"
"""The command of install.py that sets up what the add-on needs."""
DOCTOR = "doctor"
"""The command of install.py that says what is wrong."""


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


def _setup_command(root: Path | None = None) -> str:
    return install_command(SETUP, root)


def doctor_command(root: Path | None = None) -> str:
    """The command that says what is wrong with the set-up. It needs nothing of it."""
    return install_command(DOCTOR, root)


def backend_command(*words: str) -> str:
    """A command of the backend, from any folder."""
    try:
        install = find()
    except BackendError:  # the one meant is on another machine, and made none here
        return command_line(BACKEND, *words)
    return f"{launcher_of(install.python, install.root)} {command_line(*words)}"


def find(file: Path | None = None) -> Install:
    """Read what install.py has told. Raises BackendError with the command to run."""
    path = file or places.install_file()
    try:
        told: Any = json.loads(path.read_text(encoding="utf-8-sig"))
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
            Phrase("{path} cannot be read.", path=path),
            "Run this in a terminal, in the folder of Elevator.",
            _setup_command(),
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackendError(
            Phrase("{path} is damaged.", path=path),
            "Run this in a terminal, in the folder of Elevator.",
            _setup_command(),
        ) from error
    if install.version != VERSION:
        raise BackendError(
            Phrase("The backend is version {theirs} and this add-on is {ours}.", theirs=install.version, ours=VERSION),
            "Get the same release of both, then run this in a terminal.",
            _setup_command(install.root),
        )
    if not install.python.is_file() or not install.root.is_dir():
        raise BackendError(
            Phrase("The backend is no longer in {folder}.", folder=install.root),
            "Run this in a terminal, in the folder of Elevator.",
            _setup_command(),
        )
    return install


@dataclass(frozen=True)
class Serving:
    """How a backend is had, as the artist wants it."""

    profile: str = ""
    """Name of a profile: a backend on another machine. Empty: the one of this computer."""
    model_memory: float = 0.0
    """GB that models kept between clips may take on a device; 0: as the backend does it. For one that is started."""

    @property
    def arguments(self) -> tuple[str, ...]:
        """For `serve`."""
        return ("--model-memory", f"{self.model_memory:g}") if self.model_memory else ()


class BackendProcess:
    """One way to a backend that runs: the one that is there, or else a new one."""

    def __init__(self, serving: Serving = Serving()) -> None:
        self._serving = serving
        self._starter: Starter[connection.Connection] | None = None

    def is_own(self, found: connection.Connection) -> bool:
        """Whether that backend was started here."""
        return self._starter is not None and self._starter.pid == found.pid

    def poll(self, now: float) -> connection.Connection | None:
        """The connection once the backend is ready, None until then. Starts one if none runs. Never blocks.

        now: seconds of any clock, the same in all calls. Raises BackendError.
        """
        if self._serving.profile:
            return read_profile(self._serving.profile)
        if self._starter is None:
            found = _running()
            if found is not None:
                return found  # wherever it was installed
            install = find()
            command = (str(install.python), "-m", "backend", "serve", *install.arguments, *self._serving.arguments)
            self._starter = Starter(command, install.root, _running)
        try:
            state = self._starter.poll(now)
        except OSError as error:
            raise BackendError(
                Phrase("The backend could not be started: {why}.", why=error.strerror or str(error)),
                "Run this in a terminal.",
                _setup_command(self._starter.folder),
            ) from error
        match state:
            case Ready(found):
                return found
            case Ended(code, words):
                raise BackendError(
                    sentences(Phrase("The backend ended at once (exit code {code}).", code=code), _it_said(words)),
                    "Open Log in the panel Backend has all of it; this, in a terminal, says what is wrong.",
                    doctor_command(self._starter.folder),
                )
            case Late(words):
                late = Phrase("The backend was not ready within {seconds} seconds.", seconds=f"{START_SECONDS:.0f}")
                raise BackendError(sentences(late, _it_said(words)), "Press Generate again.")
        return None


def read_profile(name: str) -> connection.Connection:
    """How the backend on another machine is reached. Raises BackendError."""
    anew = backend_command("profile", name, "--endpoint", "HOST:PORT", "--server-key", "FILE")
    try:
        return connection.read_profile(places.profiles_folder() / f"{name}.json")
    except NoBackend:
        raise BackendError(
            Phrase('There is no profile "{name}".', name=name),
            "Choose another in the preferences, or make it in a terminal.",
            anew,
        ) from None
    except ConnectionFileError as error:
        raise BackendError(str(error), "Make it anew in a terminal.", anew) from error


def is_running() -> bool:
    """Whether a backend runs that this add-on can talk to."""
    try:
        return _running() is not None
    except BackendError:
        return False


def _running() -> connection.Connection | None:
    """How the backend that runs is reached, or None if none does. Raises BackendError."""
    try:
        found = connection.read(places.connection_file())
    except NoBackend:
        return None
    except ConnectionFileError as error:
        raise BackendError(str(error)) from error
    if found.version != VERSION:
        raise BackendError(
            Phrase(
                "The backend that runs is version {theirs} and this add-on is {ours}.",
                theirs=found.version,
                ours=VERSION,
            ),
            "Close what else uses it: it ends a minute later. Then press Generate again.",
        )
    return found


def _it_said(words: str) -> str:
    return Phrase("It said: {words}", words=words) if words else Phrase("It said nothing.")
