"""The connection file: how a client reaches the running backend.

The backend writes it after its socket is bound, so its appearance means "ready". It holds the key pair that clients
on this machine use, so only its owner may read it (mode 0600).
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from .errors import ConnectionFileError, NoBackend
from .processes import is_running

Z85Key = Annotated[str, Meta(min_length=40, max_length=40)]
MAX_BYTES = 64 << 10


class Connection(msgspec.Struct, frozen=True, kw_only=True):
    """What the connection file says."""

    endpoint: str
    """ZeroMQ address, such as "tcp://127.0.0.1:41234"."""
    server_key: Z85Key
    """The backend's public CURVE key."""
    client_public: Z85Key
    client_secret: Z85Key
    pid: int
    started: int | None = None
    """Start time of the process, as `processes.start_time` gives it."""
    session: str
    """Differs for every start of the backend."""
    version: str
    """Version of the backend."""


def write(path: Path, connection: Connection) -> None:
    """Write the file in one step, readable by its owner alone. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # mkstemp creates with mode 0600, so the secret is at no moment readable by others.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".tmp")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(msgspec.json.encode(connection))
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        Path(temporary).unlink(missing_ok=True)
        raise


def read(path: Path) -> Connection:
    """Read the file of a backend that runs.

    Raises NoBackend if there is none, ConnectionFileError if the file is damaged or others can read it.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NoBackend("No backend runs.") from None
    except OSError as error:
        raise ConnectionFileError(f"The connection file {path} cannot be read: {error.strerror}.") from error
    if os.name == "posix" and mode & 0o077:
        raise ConnectionFileError(f"Others can read the connection file {path}: delete it and start the backend anew.")
    try:
        connection = msgspec.json.decode(data, type=Connection)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConnectionFileError(
            f"The connection file {path} is damaged: delete it and start the backend anew."
        ) from error
    if not is_running(connection.pid, connection.started):
        raise NoBackend("The backend has ended.")
    return connection


def remove(path: Path, session: str) -> None:
    """Delete the file if it is still the one of `session`: a newer backend's file is left alone."""
    try:
        if msgspec.json.decode(path.read_bytes(), type=Connection).session == session:
            path.unlink(missing_ok=True)
    except (OSError, msgspec.DecodeError):
        return
