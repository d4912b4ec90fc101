"""The connection file: how a client reaches the running backend.

The backend writes it after its socket is bound, so its appearance means "ready". It holds the key pair that clients
on this machine use, so only its owner may read it (mode 0600).

A profile is a file of the same form that a user has for a backend on another machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from .edited import NoText, text_of
from .errors import ConnectionFileError, ExposedFile, NoBackend
from .machine import files
from .machine.processes import is_running

Z85Key = Annotated[str, Meta(min_length=40, max_length=40)]


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What the connection file says."""

    endpoint: str
    """ZeroMQ address, such as "tcp://127.0.0.1:41234"."""
    server_key: Z85Key
    """The backend's public CURVE key."""
    client_public: Z85Key
    client_secret: Z85Key
    pid: int
    """Process of the backend; 0 in a profile, since it is another machine's."""
    started: int | None = None
    """Start time of the process, as `processes.start_time` gives it."""
    session: str
    """Differs for every start of the backend."""
    version: str
    """Version of the backend."""


def write(path: Path, connection: Connection) -> None:
    """Write the file in one step, readable by its owner alone. Raises OSError."""
    files.make_folder(path.parent)
    files.write(path, msgspec.json.encode(connection))


def read(path: Path) -> Connection:
    """Read the file of a backend that runs on this machine.

    Raises NoBackend if there is none, ConnectionFileError if the file is damaged or others can read it.
    """
    connection = _read(path, kind="connection file", mend="delete it and start the backend anew")
    if not is_running(connection.pid, connection.started):
        raise NoBackend("The backend has ended.")
    return connection


def read_profile(path: Path) -> Connection:
    """Read a profile: the file by which a client reaches a backend on another machine. Its `pid` is 0.

    Raises NoBackend if there is none, ConnectionFileError if the file is damaged or others can read it.
    """
    connection = _read(path, kind="profile")
    if connection.pid:
        raise ConnectionFileError(f"{path} is no profile: it is the connection file of a backend on its own machine.")
    return connection


def _read(path: Path, *, kind: str, mend: str = "") -> Connection:
    try:
        data = files.read(path)
    except (FileNotFoundError, NotADirectoryError):
        raise NoBackend("No backend runs." if kind == "connection file" else f"There is no {kind} {path}.") from None
    except OSError as error:
        raise ConnectionFileError(f"The {kind} {path} cannot be read: {error.strerror}.") from error
    except ExposedFile:
        raise ConnectionFileError(f"Others can read the {kind} {path}{mend and f': {mend}'}.") from None
    try:
        return msgspec.json.decode(text_of(data), type=Connection)
    except NoText as error:
        raise ConnectionFileError(f"The {kind} {path} is damaged: {error}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise ConnectionFileError(f"The {kind} {path} is damaged: {mend}.") from error


def remove(path: Path, session: str) -> None:
    """Delete the file if it is still the one of `session`: a newer backend's file is left alone."""
    try:
        if msgspec.json.decode(path.read_bytes(), type=Connection).session == session:
            path.unlink(missing_ok=True)
    except (OSError, msgspec.DecodeError):
        return
