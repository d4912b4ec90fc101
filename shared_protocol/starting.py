"""Start a backend and see what becomes of it, without waiting. Standard library and `machine` only.

A backend that finds another at work ends with exit code 0. The other is one that was started a moment earlier and will
be ready in a moment, or one that was just ending, and then ours is needed after all: it is started again.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeAlias, TypeVar

from .machine import files, places

START_SECONDS = 60.0
"""A backend is ready within a second; this is for a machine that is swapping."""
AGAIN_SECONDS = 1.0
"""How long a backend that was quicker is waited for before ours is started again."""
WORDS = 300
"""How many characters of a backend's last line are told."""

_NOT_INHERITED = ("PYTHON", "LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__", "CONDA_")
"""How the names of variables begin that are meant for another Python and its libraries: Blender's, a terminal's."""

Found = TypeVar("Found")


@dataclass(frozen=True)
class Ready(Generic[Found]):
    """A backend runs: the one that was started here, or another."""

    found: Found
    """How it is reached."""


@dataclass(frozen=True)
class Ended:
    """The backend ended before it was ready."""

    code: int
    words: str
    """The last line that it said, or nothing."""


@dataclass(frozen=True)
class Late:
    """No backend was ready within `START_SECONDS`. The one that was started here is gone."""

    words: str
    """The last line that it said, or nothing."""


State: TypeAlias = Ready[Found] | Ended | Late


def clean_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what is meant for another Python and its libraries."""
    return {name: value for name, value in environment.items() if not name.upper().startswith(_NOT_INHERITED)}


class Starter(Generic[Found]):
    """One way to a backend that runs: the one that is there, or else a new one."""

    def __init__(self, command: tuple[str, ...], folder: Path, look: Callable[[], Found | None]) -> None:
        """command: by which a backend is started, in `folder`.
        look: how a backend that is ready is reached, or None; what it raises comes out of `poll`.
        """
        self.folder = folder
        self._command = command
        self._look = look
        self._process: subprocess.Popen[bytes] | None = None
        self._began = 0.0
        self._ended: float | None = None

    @property
    def pid(self) -> int | None:
        """The process that was started last."""
        return self._process.pid if self._process else None

    def poll(self, now: float) -> State[Found] | None:
        """What has become of it, or None as long as that is not known. The first call starts a backend if none runs.

        now: seconds of any clock, the same in all calls. Does not wait. Raises OSError if nothing can be started.
        """
        # First of all: what was ready before it ended with 0 was found in time.
        found = self._look()
        if found is not None:
            return Ready(found)
        if self._process is None:
            self._began = now
            self._process = self._start()
            return None
        code = self._process.poll()
        if code:
            return Ended(code, self._words())
        if now - self._began > START_SECONDS:
            self.stop()  # it would be in the way of the next
            return Late(self._words())
        if code == 0:
            if self._ended is None:
                self._ended = now
            elif now - self._ended > AGAIN_SECONDS:
                self._ended, self._process = None, self._start()
        return None

    def stop(self) -> None:
        """End what was started here, if it still runs."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def release(self) -> None:
        """Let what was started here go on by itself: nobody will wait for it."""
        if self._process is not None:
            # Popen warns of children that nobody has waited for; this one is meant to outlive us.
            self._process.returncode = self._process.poll() or 0

    def _start(self) -> subprocess.Popen[bytes]:
        # On its own feet: Ctrl-C in this terminal, or this process's crash, must not take a job with it.
        detached: dict[str, Any] = {"start_new_session": True}
        if sys.platform == "win32":
            detached = {"creationflags": subprocess.CREATE_NO_WINDOW | subprocess.CREATE_NEW_PROCESS_GROUP}
        log = places.start_log_file()
        files.make_folder(log.parent)
        with suppress(PermissionError):  # Windows replaces no file that another backend still writes: both write there
            files.write(log, b"", durable=False)  # a new file, for one that is there would keep its mode
        with log.open("ab") as words:
            return subprocess.Popen(
                self._command,
                cwd=self.folder,
                env=clean_environment(os.environ),
                stdin=subprocess.DEVNULL,
                stdout=words,
                stderr=words,
                **detached,
            )

    def _words(self) -> str:
        try:
            lines = places.start_log_file().read_text(encoding="utf-8", errors="replace").strip().splitlines()
        except OSError:
            return ""
        return lines[-1].strip()[:WORDS] if lines else ""
