"""The part of the desk where files change hands: frames of results, pictures of styles, uploads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

from shared_protocol.messages import Chunk, Done, Fetch, Fetched, Frame, Have, Message, Offer, Thumbnail
from shared_protocol.wire import MAX_BUFFER_BYTES, Buffer

from ..failures import Denial, cannot_keep
from ..styles.catalogue import Catalogue
from .jobs import Job
from .open_stores import Kept
from .peers import Peer

log = logging.getLogger(__name__)

Send = Callable[[bytes, Message, Sequence[Buffer]], None]
"""Tells one client something, by its identity."""
Stream = Callable[[bytes, Iterator[tuple[Message, Sequence[Buffer]]]], None]
"""The same with messages that are made one by one, when there is room for them."""


class FileDesk:
    """Sends and takes files. Whether a client may see a job was asked before."""

    def __init__(self, kept: Kept, catalogue: Callable[[], Catalogue], send: Send, stream: Stream) -> None:
        self._store, self._results, self._uploads = kept.store, kept.results, kept.uploads
        self._catalogue = catalogue
        self._send, self._stream = send, stream

    def fetch(self, client: Peer, job: Job, request: Fetch) -> None:
        """Send frames of a result. Raises Denial."""
        if not isinstance(job.end, Done) or not job.bytes or request.first >= job.end.frames:
            raise Denial("no_result")
        indices = range(request.first, min(request.first + request.count, job.end.frames))
        self._stream(client.identity, self._frames(job.id, indices, job.end.frames, request))

    def _frames(
        self, job: str, indices: range, frames: int, request: Fetch
    ) -> Iterator[tuple[Message, Sequence[Buffer]]]:
        try:
            for index in indices:
                data = self._results.frame(job, index)
                if len(data) > MAX_BUFFER_BYTES:
                    raise FileNotFoundError(f"frame {index} is larger than any that was made")
                yield Frame(job=job, index=index, frames=frames), (data,)
        except FileNotFoundError as error:
            log.warning("The result of job %s has gone: %s.", job, error)
            yield Denial("no_result").as_answer(request, job), ()
        except OSError as error:
            log.error("The result of job %s cannot be read: %s.", job, error)
            yield cannot_keep(self._results.folder(job), error).as_answer(request, job), ()
        else:
            yield Fetched(job=job, first=request.first, count=len(indices)), ()

    def thumbnail(self, client: Peer, sha256: str) -> None:
        """Send the picture of a style. Raises Denial."""
        picture = self._catalogue().thumbnails.get(sha256)
        if picture is None:
            raise Denial("unknown_thumbnail")
        self._send(client.identity, Thumbnail(sha256=sha256), (picture,))

    def upload(self, client: Peer, request: Offer | Chunk, buffers: Sequence[Buffer]) -> None:
        """Take a file, or a part of one. Raises Denial and OSError."""
        sender = client.owner.client_id
        if isinstance(request, Offer):
            there = self._uploads.offer(
                request.sha256,
                request.size,
                self._store.backlog.pictures,
                sender,
                whose=client.owner.principal,
            )
        else:
            there = self._uploads.append(request.sha256, request.offset, bytes(buffers[0]), sender)
        self._send(client.identity, Have(sha256=request.sha256, offset=there), ())
