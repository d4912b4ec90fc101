"""Start a backend in the background and wait until it is ready."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import IO

from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import places

from ..settings import ROOT
from .failures import ClientFailure

START_GRACE = 5.0
"""How long a backend that was started for one purpose waits for a client before it ends, seconds."""
START_SECONDS = 30.0
LOOK_SECONDS = 0.05
AGAIN_SECONDS = 1.0
"""How long a backend that was quicker is waited for before another is started."""


def start_backend(*, fake: bool, device: str, grace: float) -> tuple[Connection, subprocess.Popen[bytes]]:
    """Start a backend that is independent of this process's terminal, and wait until it is ready.

    The process that is returned may not be the one that serves: another may have been a moment quicker.
    Raises BackendError.
    """
    arguments = [sys.executable, "-m", "backend", "serve", "--grace", str(grace), "--device", device]
    if fake:
        arguments.append("--fake")
    with tempfile.TemporaryFile() as words:
        process = _start(arguments, words)
        deadline = time.monotonic() + START_SECONDS
        began = time.monotonic()
        while time.monotonic() < deadline:
            try:
                return connection.read(places.connection_file()), process
            except ConnectionFileError:
                if process.poll():
                    break
            if process.poll() == 0 and time.monotonic() - began > AGAIN_SECONDS:
                # There was another backend, which will be ready in a moment, or which was about to end.
                process, began = _start(arguments, words), time.monotonic()
            time.sleep(LOOK_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read().decode(errors="replace").strip().splitlines()
    raise ClientFailure("not_started", detail=said[-1] if said else "it said nothing.", log=places.log_file())


def _start(arguments: Sequence[str], words: IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=words,
        # A group of its own: Ctrl-C in this terminal is for this process alone.
        start_new_session=True,
        creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0) | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )


def release(process: subprocess.Popen[bytes]) -> None:
    """Let a process that was started here go on by itself: nobody will wait for it."""
    # Popen warns of children that nobody has waited for; this one is meant to outlive us.
    process.returncode = process.poll() or 0
