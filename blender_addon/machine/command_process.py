"""A command of the backend as a process of its own, which is looked at now and then. No bpy, and it never waits."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from typing import Any

from shared_protocol.machine import files, places
from shared_protocol.starting import clean_environment

from .backend_process import find

TAIL_BYTES = 1 << 16
"""Of what a command has said, so much is kept for the sentence that says why it failed."""


class CommandProcess:
    """One command, from its start to its end. What it prints, errors among it, goes into a file that has no name."""

    def __init__(self, *arguments: str) -> None:
        """`python -m backend` with these arguments. Raises BackendError where none is installed, and OSError."""
        install = find()
        files.make_folder(places.state_folder())
        quiet: dict[str, Any] = {}
        if sys.platform == "win32":
            quiet["creationflags"] = subprocess.CREATE_NO_WINDOW
        self._said: Any = tempfile.TemporaryFile()  # noqa: SIM115 - it is closed when the process has ended
        self._read = 0
        self._rest = b""
        try:
            self._process = subprocess.Popen(
                [install.python, "-m", "backend", *arguments],
                cwd=install.root,
                env={**clean_environment(os.environ), "PYTHONIOENCODING": "utf-8"},
                stdin=subprocess.DEVNULL,
                stdout=self._said,
                stderr=subprocess.STDOUT,
                **quiet,
            )
        except OSError:
            self._said.close()
            raise

    @property
    def exit_code(self) -> int | None:
        """How it has ended; None while it runs."""
        return self._process.poll()

    def new_lines(self) -> list[bytes]:
        """What it has printed since this was asked last, whole lines."""
        self._said.seek(self._read)
        said: bytes = self._said.read()
        self._read += len(said)
        *lines, self._rest = (self._rest + said).split(b"\n")
        return lines

    def last_line(self) -> str:
        """The last that it has said, or nothing."""
        self._said.seek(max(0, self._said.seek(0, os.SEEK_END) - TAIL_BYTES))
        lines = self._said.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1].strip()[:300] if lines else ""

    def stop(self) -> None:
        """Ask it to end; what it has begun is left so that it can go on with it another time."""
        self._process.terminate()

    def close(self) -> None:
        """Let go of it; by force, if it runs."""
        if self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        self._said.close()
