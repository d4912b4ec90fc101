"""A backend on another machine: where keys of clients and profiles lie.

    on the client's machine     python -m backend key studio                → keys/studio.key, keys/studio.pub
    on the backend's machine    python -m backend serve --bind 0.0.0.0:5555 --authorize studio.pub
    on the client's machine     python -m backend profile studio --endpoint tcp://gpu:5555 --server-key server.pub

Files lie in the settings folder: `keys/NAME.key` (secret), `keys/NAME.pub`, `profiles/NAME.json` (secret). The pair of
the backend itself is `keys/server.key`. Nothing is served without CURVE.
"""

from __future__ import annotations

from pathlib import Path

from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError, NoBackend
from shared_protocol.machine import places

from .failures import ClientFailure


def keys_folder() -> Path:
    """Where key pairs lie."""
    return places.config_folder() / "keys"


def profile_file(name: str) -> Path:
    """Where the profile of this name lies."""
    return places.profiles_folder() / f"{name}.json"


def find_profile(name: str) -> Connection:
    """The profile of this name. Raises BackendError."""
    try:
        return connection.read_profile(profile_file(name))
    except NoBackend:
        raise ClientFailure("profile_missing", name=name) from None
    except ConnectionFileError as error:
        raise ClientFailure("profile_unfit", detail=error, name=name) from error
