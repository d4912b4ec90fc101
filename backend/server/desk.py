"""Answers what clients ask. Knows queue, results and uploads; says its answers through a function."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

from shared_protocol import VERSION
from shared_protocol.errors import VersionMismatch
from shared_protocol.machine import places
from shared_protocol.messages import (
    MAJOR,
    MINOR,
    AskEstimate,
    Asking,
    AskJobs,
    AskStatus,
    AskThumbnail,
    Cancel,
    Chunk,
    Conform,
    Done,
    Failed,
    Fetch,
    Forget,
    Free,
    Generate,
    Hello,
    Message,
    Move,
    Offer,
    Pause,
    Received,
    Refused,
    Resume,
    Shutdown,
    Status,
    Styles,
    Watch,
    Welcome,
)
from shared_protocol.texts import path_text, sentences, short_name
from shared_protocol.wire import Buffer, Incoming

from ..failures import Denial, Failure, cannot_keep
from ..serve_options import ServeOptions
from ..styles.catalogue import Library
from .descriptors import can_open
from .devices import likely_device
from .estimates import Estimates
from .file_desk import FileDesk, Send, Stream
from .guests import LOCAL
from .jobs import Job, Owner, State
from .listing import Listing
from .open_stores import Kept
from .peers import Peer, Peers
from .requests import resolve, resolve_conform
from .scheduler import Scheduler
from .store_errors import StoreRefuses

log = logging.getLogger(__name__)


READ_SECONDS = 1.0
"""How often the database is asked again for what it has not answered."""


class Desk:
    """Where requests are answered."""

    def __init__(
        self,
        options: ServeOptions,
        library: Library,
        kept: Kept,
        scheduler: Scheduler,
        peers: Peers,
        session: str,
        send: Send,
        stream: Stream,
        stop: Callable[[], None],
    ) -> None:
        """`send` tells one client something, by its identity, and `stream` what is made when there is room for it;
        `stop` ends the backend after this round."""
        self._options, self._library, self._scheduler = options, library, scheduler
        self._store, self._results, self._uploads = kept.store, kept.results, kept.uploads
        self._files = FileDesk(kept, lambda: library.catalogue, send, stream)
        self._kept_notes = kept.notes
        self._peers, self._session = peers, session
        self._send_to, self._stop = send, stop
        self._stopping = False
        self._listing = Listing(kept.store, scheduler)
        self._catching_up: list[tuple[Peer, Iterator[None]]] = []
        """Clients that have come back and are not told all yet."""
        self._unread: list[Peer] = []
        """Those of them that are told anew, since the database did not answer."""
        self._read_at = 0.0
        self._estimates = Estimates(options, lambda: library.catalogue, scheduler, kept.uploads.path)
        scheduler.foreseen = self._estimates.rungs

    def welcome(self, identity: bytes, principal: str, hello: Hello) -> Refused | None:
        """Let a client in and tell it what it has missed; or the reason why it is not let in."""
        if hello.major != MAJOR:
            message = str(VersionMismatch(theirs=hello.major, ours=MAJOR))
            return Refused(request_id=hello.request_id, code="version", message=message)
        client_id = hello.client_id or uuid.uuid4().hex
        try:
            if hello.client_id and not self._store.may_use(client_id, principal):
                message = "This client id belongs to another key: leave it out, to get one of your own."
                return Refused(request_id=hello.request_id, code="not_authorized", message=message)
        except StoreRefuses as error:  # it is let in all the same: the jobs carry the key, too
            log.warning("It is not known whose a client's id is: %s.", error)
        client = Peer(identity, hello.client, Owner(principal, client_id), hello.live_frames)
        replaced = self._peers.remove(identity)
        self._peers.add(client)
        if replaced is not None:
            self.client_left(replaced)
        log.info("A client has come: %s.", hello.client)
        client.asked.begin(hello)
        self._look_at_styles(but=client)
        fake, device = self._options.fake, self._scheduler.device or likely_device(self._options.device)
        self._send(
            client,
            Welcome(
                major=MAJOR,
                minor=MINOR,
                backend=VERSION,
                session=self._session,
                device="none" if fake else short_name(device),
                styles=self._library.catalogue.styles,
                notes=self._notes,
                client_id=client_id,
                queue=self._scheduler.state,
            ),
        )
        client.asked.followed(hello)
        if hello.client_id:
            self._catching_up.append((client, self._missed(client)))
            self._catch_up()
        return None

    def client_left(self, client: Peer) -> None:
        """A client is gone; its jobs go on."""
        self._estimates.forget(client.identity)
        for job_id in client.previews:
            self._scheduler.preview(job_id)

    def look(self) -> None:
        """Tell what was found out about clips since the last round."""
        for identity, estimate in self._estimates.look():
            self._send_to(identity, estimate, ())
        self._catch_up()

    @property
    def busy(self) -> bool:
        """Whether it has more to tell as soon as nobody else waits."""
        return bool(self._catching_up)

    def close(self) -> None:
        """End what is being found out."""
        self._estimates.close()

    def answer(self, client: Peer, incoming: Incoming) -> None:
        """Follow one request."""
        request = incoming.message
        assert isinstance(request, Asking)
        client.asked.begin(request)
        try:
            self._follow(client, request, incoming.buffers)
        except (Failure, Denial) as error:
            self._deny(client, request, error)
        except StoreRefuses as error:
            log.error("A request could not be followed: %s.", error)
            self._deny(client, request, error.failure)
        except OSError as error:
            log.error("A request failed: %s.", error)
            self._deny(client, request, cannot_keep(places.data_folder(), error))
        client.asked.followed(request)

    def unreadable(self, job_id: str, why: str) -> Failed:
        """What is said of an order that cannot be read, but for the name of its job."""
        again = self._store.get(job_id) is not None
        return (Failure("duplicate_job") if again else Failure("bad_request", detail=why)).as_event(job_id)

    def _follow(self, client: Peer, request: Message, buffers: Sequence[Buffer]) -> None:
        match request:
            case Generate() | Conform():
                self._submit(client, request)
            case Cancel(job=job):
                found = self._job(client, job)
                if found.end is None:
                    self._scheduler.cancel(found)
                else:
                    self._send(client, found.end)
            case Move():
                self._move(client, request)
            case Pause() | Resume():
                self._scheduler.pause(isinstance(request, Pause))
            case Free():
                self._scheduler.free()
                self._send(client, self._status())
            case AskJobs():
                self._send(client, self._listing.page(client, request))
            case Watch():
                self._watch(client, request)
            case Fetch():
                self._files.fetch(client, self._job(client, request.job), request)
            case Received(job=job):
                if self._job(client, job).ended:
                    self._store.receive(job)
            case Forget(job=job):
                self._forget(client, job)
            case Offer() | Chunk():
                self._files.upload(client, request, buffers)
            case AskEstimate(clip=clip):
                self._look_at_styles(clip.style)
                self._send(client, self._estimates.ask(client.identity, clip))
            case AskThumbnail(sha256=sha256):
                self._files.thumbnail(client, sha256)
            case AskStatus():
                self._look_at_styles()
                self._send(client, self._status())
            case Shutdown():
                self._shut_down(client)

    def _catch_up(self) -> None:
        """Tell each client that has come back another part of what it has missed."""
        told = []
        for client, parts in self._catching_up:
            there = self._peers.get(client.identity, client.owner.principal) is client
            try:
                if there and any(True for _ in islice(parts, 1)):
                    told.append((client, parts))
            except StoreRefuses as error:
                log.error("What a client has missed cannot be read: %s.", error)
                self._unread.append(client)
        self._catching_up = told
        if self._unread and time.monotonic() >= self._read_at:
            self._read_at = time.monotonic() + READ_SECONDS
            again, self._unread = self._unread, []
            self._catching_up += [(client, self._missed(client)) for client in again]

    def _missed(self, client: Peer) -> Iterator[None]:
        return self._listing.missed(client, partial(self._send, client))

    # Jobs ---------------------------------------------------------------------------------------------------

    def _submit(self, client: Peer, request: Generate | Conform) -> None:
        if self._store.get(request.job) is not None:
            raise Failure("duplicate_job")  # before all else: any other reason would be taken for the first job's end
        if self._stopping:
            raise Failure("shutting_down")
        self._check_quota(client.owner.principal)
        if isinstance(request, Generate):
            self._look_at_styles(request.style)
            order, warnings = resolve(
                request, self._library.catalogue, fake=self._options.fake, upload=self._uploads.path
            )
            warnings = (*warnings, *self._estimates.foresee(order))
            job = Job(request.job, client.owner, order, request.prompt, submitted=time.time())
        else:
            job, warnings = self._conform(client, request), ()
        if self._options.log_prompts:
            log.info("Job %s: %r", request.job, job.prompt)
        self._scheduler.submit(job, warnings)
        if isinstance(request, Generate) and request.previews:  # not before: the name may be another job's
            client.previews.add(job.id)
            self._scheduler.preview(job.id)

    def _check_quota(self, principal: str) -> None:
        """Raise Failure if a guest's finished clips take all that they may: no other key's go for them."""
        most = self._options.guest_bytes
        if principal != LOCAL and (taken := self._store.tally.waiting(principal)) >= most:
            raise Failure("results_full", taken=f"{taken / 1e9:.1f}", most=f"{most / 1e9:.1f}")

    def _conform(self, client: Peer, request: Conform) -> Job:
        source = self._store.get(request.source)
        if source is None or not client.may_see(source) or not isinstance(source.end, Done) or not source.bytes:
            raise Failure("source_missing", detail="it has no result here")
        order = resolve_conform(request, source.end, self._results.folder(source.id))
        return Job(request.job, client.owner, order, source.prompt, submitted=time.time())

    def _job(self, client: Peer, job_id: str) -> Job:
        """A job of this client's key. Raises BackendError, the same for jobs that are not and for those of others."""
        job = self._store.get(job_id)
        if job is None or not client.may_see(job):
            raise Denial("unknown_job")
        return job

    def _move(self, client: Peer, request: Move) -> None:
        job = self._job(client, request.job)
        if job.state is not State.QUEUED:
            raise Denial("job_not_waiting")
        self._scheduler.move(job, request.position)
        self._send(client, self._listing.page(client, AskJobs()))

    def _watch(self, client: Peer, request: Watch) -> None:
        job = self._job(client, request.job)
        client.watched.add(job.id)
        if request.previews:
            client.previews.add(job.id)
        else:
            client.previews.discard(job.id)
        self._scheduler.preview(job.id)
        self._send(client, self._listing.one(client, job))
        if job.end is not None:
            self._send(client, job.end)

    # Results ------------------------------------------------------------------------------------------------

    def _forget(self, client: Peer, job_id: str) -> None:
        job = self._job(client, job_id)
        if not job.ended:
            raise Denial("job_not_ended")
        self._results.forget(job_id)
        self._store.drop_result(job_id)
        self._send(client, self._listing.page(client, AskJobs()))

    # Styles -------------------------------------------------------------------------------------------------

    @property
    def _notes(self) -> tuple[str, ...]:
        return sentences((*self._kept_notes, *self._library.catalogue.notes))

    def _look_at_styles(self, asked: str = "", *, but: Peer | None = None) -> None:
        """Read again what has changed of them on the disk, and tell everybody but one if the lists are others now."""
        before, notes = self._library.catalogue, self._notes
        if not can_open() or not self._library.look(asked):
            return
        now = self._library.catalogue
        if (before.styles, notes) == (now.styles, self._notes):
            return
        for note in now.notes:
            if note not in before.notes:
                log.warning("%s", note)
        log.info("The styles have changed: %d now.", len(now.recipes))
        told = Styles(styles=now.styles, notes=self._notes)
        for client in self._peers:
            if client is not but:
                self._send(client, told)

    # The backend --------------------------------------------------------------------------------------------

    def _shut_down(self, client: Peer) -> None:
        if client.owner.principal != LOCAL:
            raise Denial("not_allowed")
        log.info("A client asks for the end.")
        self._stopping = True
        self._stop()

    def _status(self) -> Status:
        state, workers = self._scheduler.state, self._scheduler.workers
        return Status(
            loads=self._scheduler.loads,
            clients=len(self._peers),
            notes=self._notes,
            workers=workers,
            queue=state,
            data_folder=path_text(places.data_folder()),
        )

    def _deny(self, client: Peer, request: Message, error: Failure | Denial) -> None:
        log.info("%s was denied: %s.", type(request).__name__, error.code)
        if isinstance(request, Generate | Conform):  # whoever asks for a job waits for its end
            assert isinstance(error, Failure)
            self._send(client, error.as_event(request.job))
        else:
            assert isinstance(error, Denial)
            about = getattr(request, "job", "") or getattr(request, "sha256", "")
            self._send(client, error.as_answer(request, about))

    def _send(self, client: Peer, message: Message) -> None:
        self._send_to(client.identity, message, ())
