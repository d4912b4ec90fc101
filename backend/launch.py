"""Start a backend in the background and wait until it is ready."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time

from shared_protocol import connection, places
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError

from .failures import BackendError
from .settings import ROOT

START_GRACE = 5.0
"""How long a backend that was started for one purpose waits for a client before it ends, seconds."""
START_SECONDS = 30.0
LOOK_SECONDS = 0.05


def start_backend(*, fake: bool, device: str, grace: float) -> tuple[Connection, subprocess.Popen[bytes]]:
    """Start a backend that is independent of this process's terminal, and wait until it is ready.

    The process that is returned may not be the one that serves: another may have been a moment quicker.
    Raises BackendError.
    """
    arguments = [sys.executable, "-m", "backend", "serve", "--grace", str(grace), "--device", device]
    with tempfile.TemporaryFile() as words:
        process = subprocess.Popen(
            [*arguments, "--fake"] if fake else arguments,
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=words,
            # A group of its own: Ctrl-C in this terminal is for this process, which then ends the backend in order.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0)
            | getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                return connection.read(places.connection_file()), process
            except ConnectionFileError:
                if process.poll():  # 0 means that another backend was quicker, which will be ready in a moment
                    break
            time.sleep(LOOK_SECONDS)
        if process.poll() is None:
            process.kill()
            process.wait()
        words.seek(0)
        said = words.read().decode(errors="replace").strip().splitlines()
    raise BackendError("not_started", detail=said[-1] if said else "it said nothing.", log=places.log_file())


def release(process: subprocess.Popen[bytes]) -> None:
    """Let a process that was started here go on by itself: nobody will wait for it."""
    # Popen warns of children that nobody has waited for; this one is meant to outlive us.
    process.returncode = process.poll() or 0
