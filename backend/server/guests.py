"""Who may talk to the backend, besides those on this machine who can read its connection file.

Each start makes a fresh key pair for the clients on this machine, which reach it through the connection file. Public
keys in `config_folder()/authorized/*.pub`, and in the files that `serve --authorize` names, are let in besides; a key
that is taken away there is shut out at once.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

from ..shortages import passes
from .handshake_log import StrangerLog
from .keys import check_key_files, fingerprint, read_public_key

log = logging.getLogger(__name__)

LOCAL: Final = "local"
"""The principal of whoever uses the connection file's pair. All others are named by their public key."""
LOOK_SECONDS = 0.2
"""How often the list of keys is looked at, at most."""


class Guests:
    """Who may come in among the clients, and under which name. Safe to use from several threads.

    pyzmq asks about each new connection, in its authenticator's thread. A connection that stands is not closed when its
    key is taken off the list, so the server asks again about each message.
    """

    def __init__(self, local_public: str, folder: Path, files: Sequence[Path] = ()) -> None:
        """`folder` holds `*.pub` files of one public key each, and `files` are more of them.

        Raises BackendError if one of `files` holds no key now: whoever names it wants to let somebody in.
        """
        check_key_files(files)
        self._local = local_public
        self._folder = folder
        self._files = tuple(files)
        self._lock = threading.Lock()
        self._found: dict[Path, str] = {}
        """The key in each file that holds one."""
        self._wrong: dict[Path, str] = {}
        """What is wrong with each of the others, as the log has it."""
        self._keys: frozenset[str] = frozenset()
        self._seen: tuple[object, ...] | None = None
        self._looked = 0.0
        self._refused: set[str] = set()
        self._warn = StrangerLog()

    def principal_of(self, key: str) -> str | None:
        """Who has this public key (Z85): `LOCAL`, the key itself if it is listed, or None for a stranger."""
        if key == self._local:
            return LOCAL
        with self._lock:
            self._look()
            if key in self._keys:
                return key
            self._log_refusal(key)
        return None

    def callback(self, domain: str, key: bytes) -> bool:
        """Whether `key` (Z85) may come in."""
        return self.principal_of(key.decode("ascii", "replace")) is not None

    def _look(self) -> None:
        """Read the list again if it has changed."""
        now = time.monotonic()
        if self._seen is not None and now - self._looked < LOOK_SECONDS:
            return
        self._looked = now
        paths = [*self._public_files(), *self._files]
        seen = tuple(_state_of(path) for path in paths)
        if seen == self._seen:
            return
        self._seen = seen
        self._found = dict(self._read(paths))
        self._wrong = {path: why for path, why in self._wrong.items() if path in paths or path == self._folder}
        keys = frozenset(self._found.values())
        for key in keys - self._keys:
            log.info("The key %s may come in.", fingerprint(key))
            self._refused.discard(key)
        for key in self._keys - keys:
            log.warning("The key %s is revoked.", fingerprint(key))
        self._keys = keys

    def _public_files(self) -> list[Path]:
        """What lies in the folder; for as long as that cannot be seen, what lay there."""
        try:
            names = [name for name in os.listdir(self._folder) if name.endswith(".pub")]
        except FileNotFoundError:
            names = []
        except OSError as error:
            self._complain(self._folder, error)
            if passes(error):
                self._seen = ()
                return [path for path in self._found if path not in self._files]
            names = []
        else:
            self._wrong.pop(self._folder, None)
        return sorted(self._folder / name for name in names)

    def _read(self, paths: Iterable[Path]) -> Iterator[tuple[Path, str]]:
        """The key in each file. One that holds none costs nobody else's."""
        for path in paths:
            try:
                yield path, read_public_key(path)
            except (OSError, ValueError) as error:
                self._complain(path, error)
                if passes(error):
                    self._seen = ()  # to be read again, and until then the key is what it was
                    if path in self._found:
                        yield path, self._found[path]
            else:
                self._wrong.pop(path, None)

    def _complain(self, path: Path, error: OSError | ValueError) -> None:
        """Once, until it is another fault."""
        why = str(error.strerror if isinstance(error, OSError) else error)
        if self._wrong.get(path) != why:
            self._wrong[path] = why
            log.warning("The key file %s is skipped: %s.", path.name, why)

    def _log_refusal(self, key: str) -> None:
        """Once for each key."""
        sentence = "A connection was refused: its key is not on the list of clients (key %s)."
        if key not in self._refused and self._warn(sentence, fingerprint(key)):
            self._refused.add(key)


def _state_of(path: Path) -> tuple[object, ...]:
    """Differs when the file has changed."""
    try:
        state = path.stat()
    except OSError:
        return (path, None)
    return (path, state.st_mtime_ns, state.st_ctime_ns, state.st_size, state.st_ino, state.st_mode)
