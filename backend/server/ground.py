"""The files that a running backend stands on, which somebody may delete or replace under it. Looked at every second."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

import msgspec

from shared_protocol import connection
from shared_protocol.connection import Connection
from shared_protocol.machine import places

from .failures import StartFailure
from .only_one import OnlyOne
from .store import FileState, JobStore
from .store_errors import StoreRefuses

log = logging.getLogger(__name__)

LOOK_SECONDS = 0.5


class Ground:
    """The connection file, the lock file and the database."""

    def __init__(self, store: JobStore, announced: Connection, held: OnlyOne, clock: Callable[[], float]) -> None:
        """`announced`: what the connection file says. `held`: the lock file. `clock`: seconds that go forward."""
        self._store, self._announced, self._held, self._clock = store, announced, held, clock
        self._looked_at = clock()

    def look(self) -> None:
        """Mend what can be mended. Raises BackendError when the backend must end."""
        if self._clock() - self._looked_at < LOOK_SECONDS:
            return
        self._looked_at = self._clock()
        self._look_at_lock()  # first: if another backend has begun, the other files are that one's
        self._look_at_connection()
        self._look_at_queue()

    def _look_at_lock(self) -> None:
        try:
            self._held.look()
        except OSError as error:  # the next look tries again
            log.warning("The lock file cannot be looked after: %s.", error)

    def _look_at_connection(self) -> None:
        path = places.connection_file()
        try:
            if self._is_ours(path):
                return
            log.warning("The connection file was deleted or changed and is written again.")
            connection.write(path, self._announced)
        except OSError as error:  # the next look tries again
            log.warning("The connection file cannot be looked after: %s.", error)

    def _is_ours(self, path: Path) -> bool:
        try:
            return msgspec.json.decode(path.read_bytes(), type=Connection).session == self._announced.session
        except (FileNotFoundError, msgspec.DecodeError):
            return False

    def _look_at_queue(self) -> None:
        try:
            state = self._store.file_state
            if state is FileState.GONE:
                log.error("The queue's file was deleted under the backend and is written again.")
                self._store.write_again()
            elif state is FileState.ANOTHER:
                aside = self._store.put_aside()
                raise StartFailure("queue_replaced", file=self._store.path, aside=aside.name)
        except (StoreRefuses, OSError) as error:
            log.error("The queue's file cannot be written again: %s.", error)
