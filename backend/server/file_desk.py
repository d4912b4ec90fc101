"""The part of the desk where files change hands: frames of results, pictures of styles, uploads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from shared_protocol.messages import Chunk, Done, Fetch, Fetched, Frame, Have, Message, Offer, Thumbnail
from shared_protocol.wire import Buffer

from ..failures import Denial
from ..styles.catalogue import Catalogue
from .jobs import Job
from .open_stores import Kept
from .peers import Peer

log = logging.getLogger(__name__)

Send = Callable[[bytes, Message, Sequence[Buffer]], None]
"""Tells one client something, by its identity."""


class FileDesk:
    """Sends and takes files. Whether a client may see a job was asked before."""

    def __init__(self, kept: Kept, catalogue: Catalogue, send: Send) -> None:
        self._store, self._results, self._uploads = kept.store, kept.results, kept.uploads
        self._thumbnails = catalogue.thumbnails
        self._send = send

    def fetch(self, client: Peer, job: Job, request: Fetch) -> None:
        """Send frames of a result. Raises Denial."""
        if not isinstance(job.end, Done) or not job.bytes or request.first >= job.end.frames:
            raise Denial("no_result")
        indices = range(request.first, min(request.first + request.count, job.end.frames))
        try:
            for index in indices:
                frame = Frame(job=job.id, index=index, frames=job.end.frames)
                self._send(client.identity, frame, (self._results.frame(job.id, index),))
        except FileNotFoundError as error:
            log.warning("The result of job %s has gone: %s.", job.id, error)
            raise Denial("no_result") from error
        self._send(client.identity, Fetched(job=job.id, first=request.first, count=len(indices)), ())

    def thumbnail(self, client: Peer, sha256: str) -> None:
        """Send the picture of a style. Raises Denial."""
        picture = self._thumbnails.get(sha256)
        if picture is None:
            raise Denial("unknown_thumbnail")
        self._send(client.identity, Thumbnail(sha256=sha256), (picture,))

    def upload(self, client: Peer, request: Offer | Chunk, buffers: Sequence[Buffer]) -> None:
        """Take a file, or a part of one. Raises Denial and OSError."""
        sender = client.owner.client_id
        if isinstance(request, Offer):
            there = self._uploads.offer(request.sha256, request.size, self._store.backlog.pictures, sender)
        else:
            there = self._uploads.append(request.sha256, request.offset, bytes(buffers[0]), sender)
        self._send(client.identity, Have(sha256=request.sha256, offset=there), ())
