"""Start a backend in the background and wait until it is ready."""

from __future__ import annotations

import sys
import time
from pathlib import Path

from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine import files, locks, places
from shared_protocol.starting import START_SECONDS, Ended, Late, Ready, Starter

from ..root import ROOT
from .failures import ClientFailure, cannot_write_home

START_GRACE = 5.0
"""How long a backend that was started for one purpose waits for a client before it ends, seconds."""
LOOK_SECONDS = 0.05
PATIENCE = 10.0
"""How long a backend that runs may be without its connection file, seconds: while it begins or ends, or until it has
noticed that somebody has deleted the file."""


def find_running() -> Connection | None:
    """How the backend of this machine is reached, or None if none runs. Raises ClientFailure."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            return connection.read(places.connection_file())
        except NoBackend:
            pid = locks.holder(places.lock_file())
        except ConnectionFileError as error:
            raise ClientFailure("not_reached", detail=error) from error
        if pid is None:
            return None
        if time.monotonic() > deadline:
            raise ClientFailure("connection_gone", pid=pid, file=places.connection_file())
        time.sleep(LOOK_SECONDS)


def start_backend(*, fake: bool, device: str, grace: float) -> Connection:
    """Start a backend that is independent of this process's terminal, and wait until it is ready.

    The one that is ready may be another, which was a moment quicker. Raises ClientFailure.
    """
    _check_disk()
    command = (sys.executable, "-m", "backend", "serve", "--grace", str(grace), "--device", device)
    starter = Starter((*command, "--fake") if fake else command, ROOT, _running)
    while True:
        try:
            state = starter.poll(time.monotonic())
        except OSError as error:
            if error.filename and Path(error.filename).is_relative_to(places.state_folder().parent):
                raise cannot_write_home(places.state_folder(), error) from error
            where = f"{error.filename}: " if error.filename else ""
            raise _not_started(f"{where}{error.strerror}.") from error
        match state:
            case Ready(found):
                starter.release()
                return found
            case Ended(_, words):
                raise _not_started(words or "it said nothing.")
            case Late(words):
                raise _not_started(f"it was not ready within {START_SECONDS:.0f} seconds. {words}".strip())
        time.sleep(LOOK_SECONDS)


def _check_disk() -> None:
    """Raises ClientFailure where every file is everybody's: a backend would write a connection file that is believed by
    nobody."""
    folder = places.state_folder()
    try:
        files.make_folder(folder)
        kept = files.keeps_modes(folder)
    except OSError as error:
        raise cannot_write_home(folder, error) from error
    if not kept:
        raise ClientFailure("home_open", folder=folder)


def _running() -> Connection | None:
    """How a backend that is ready is reached. Whatever else lies there, the one that starts writes its own."""
    try:
        return connection.read(places.connection_file())
    except ConnectionFileError:
        return None


def _not_started(detail: str) -> ClientFailure:
    return ClientFailure("not_started", detail=detail, log=places.log_file())
