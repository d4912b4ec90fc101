"""What clients of other keys are not told: where files lie, processes, notes about files, whose jobs run.

The user of the backend's own machine (`local`) may know all of it. PROTOCOL.md has the table.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import msgspec

from shared_protocol.machine import places
from shared_protocol.messages import (
    Accepted,
    Denied,
    Done,
    Estimate,
    Failed,
    Jobs,
    JobView,
    Message,
    Notice,
    Queue,
    QueueState,
    Status,
    Styles,
    Welcome,
    WorkerView,
)

from ..root import ROOT
from ..styles.catalogue import Catalogue
from .guests import LOCAL
from .peers import Peer, Peers
from .store import JobStore

T = TypeVar("T", bound=msgspec.Struct)
_SIGNS = r"[^\s\\/:\"'“”,;()]"
_PATH = re.compile(rf"(?<![\w…./\\])(?:[A-Za-z]:)?[\\/](?:{_SIGNS}+[\\/])*(?={_SIGNS})")
"""The folders of an absolute path, without the last part of it. Nothing relative, and no address."""


class Discretion:
    """Takes out of messages what a client is not to know."""

    def __init__(self, catalogue: Callable[[], Catalogue], store: JobStore, peers: Peers) -> None:
        self._store, self._peers = store, peers
        self._catalogue = catalogue
        self._folders: tuple[Catalogue, tuple[str, ...]] | None = None
        """Those that texts name, the longest first: a name with spaces is not seen to be one path; and of which styles
        they are."""

    def due(self, client: Peer, message: Message) -> Message:
        """The message as this client may read it."""
        if client.owner.principal == LOCAL:
            return message
        match message:
            case Welcome():
                return msgspec.structs.replace(message, notes=(), queue=self._queue(message.queue))
            case Styles():
                return msgspec.structs.replace(message, notes=())
            case Queue():
                return msgspec.structs.replace(message, queue=self._queue(message.queue))
            case Jobs():
                jobs = tuple(map(self._view, message.jobs))
                return msgspec.structs.replace(message, queue=self._queue(message.queue), jobs=jobs)
            case Status():
                return self._status(client, message)
            case Accepted():
                return msgspec.structs.replace(message, warnings=tuple(map(self._text, message.warnings)))
            case Done():
                return msgspec.structs.replace(message, folder="")
            case Notice():
                return self._reworded(message, "message")
            case Failed() | Denied():
                return self._reworded(message, "message", "next_step")
            case Estimate():
                return self._reworded(message, "problem", "next_step")
        return message

    def _status(self, client: Peer, status: Status) -> Status:
        principal = client.owner.principal
        return msgspec.structs.replace(
            status,
            clients=self._peers.of_key(principal),
            notes=(),
            workers=tuple(self._worker(worker, principal) for worker in status.workers),
            queue=self._queue(status.queue),
            data_folder="",
        )

    def _worker(self, worker: WorkerView, principal: str) -> WorkerView:
        job = self._store.get(worker.job) if worker.job else None
        mine = job is not None and job.owner.principal == principal
        return msgspec.structs.replace(worker, pid=0, job=worker.job if mine else "")

    def _view(self, view: JobView) -> JobView:
        return msgspec.structs.replace(self._reworded(view, "message"), folder="")

    def _queue(self, queue: QueueState) -> QueueState:
        return self._reworded(queue, "stopped")

    def _reworded(self, said: T, *texts: str) -> T:
        return msgspec.structs.replace(said, **{text: self._text(getattr(said, text)) for text in texts})

    def _text(self, text: str) -> str:
        """A sentence with nothing of its paths but what they end with."""
        for folder in self._known():
            text = text.replace(folder, "…/")
        return _PATH.sub("…/", text)

    def _known(self) -> tuple[str, ...]:
        """The folders that texts may name."""
        catalogue = self._catalogue()
        if self._folders is None or self._folders[0] is not catalogue:
            ours = (places.data_folder(), places.state_folder(), places.config_folder(), ROOT, *_homes())
            named = (path for recipe in catalogue.recipes.values() for _, path in recipe.sources.paths())
            self._folders = (catalogue, _folders((*ours, *named)))
        return self._folders[1]


def _homes() -> Iterator[Path]:
    """The user's own folder, if there is one."""
    with suppress(RuntimeError):
        yield Path.home()


def _folders(paths: Iterable[Path]) -> tuple[str, ...]:
    """The folders in which these lie, and those that they are, as the beginnings of longer paths."""
    found = {str(folder).rstrip(os.sep) + os.sep for path in paths for folder in (path, path.parent)}
    return tuple(sorted(found - {os.sep}, key=len, reverse=True))
