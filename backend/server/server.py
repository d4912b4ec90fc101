"""The server: the only owner of sockets that clients reach. Never imports torch.

One thread, one loop: hear clients, hear the workers, tell both what follows. The connection file is written when all is
ready and removed at the end. `desk` answers what clients ask.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Sequence

import msgspec
import zmq

from shared_protocol import VERSION, connection, wire
from shared_protocol.client import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from shared_protocol.connection import Connection as ConnectionFile
from shared_protocol.errors import ProtocolError, VersionMismatch
from shared_protocol.machine import places
from shared_protocol.machine.processes import start_time
from shared_protocol.messages import Alive, Frame, Goodbye, Hello, Message, Progress, Refused
from shared_protocol.wire import Buffer

from ..failures import Failure
from ..serve_options import ServeOptions
from ..styles.catalogue import Catalogue
from . import security
from .clock import AwakeClock
from .desk import Desk
from .devices import worker_devices
from .jobs import Job
from .open_stores import Kept
from .peers import Peers
from .scheduler import Scheduler, make_slots
from .security import CLIENTS, Guests, KeyPair
from .worker_process import WorkerProcess

log = logging.getLogger(__name__)

TICK_MS = 200
"""How often the loop goes round when nothing arrives; also how late a signal or a worker's end is noticed at most."""
ALIVE_SECONDS = 2.0
FAREWELL_MS = 1000
"""How long the last messages may take to leave."""
BATCH = 100
"""How many requests are heard before the workers get their turn, so that no client can starve them."""


class Server:
    """One backend. `run` serves until it is told to stop."""

    def __init__(self, options: ServeOptions, catalogue: Catalogue, kept: Kept) -> None:
        """Open and guard the sockets. Raises zmq.ZMQError, OSError or BackendError when that is not possible."""
        self._options = options
        self._styles = len(catalogue.recipes)
        self._session = uuid.uuid4().hex
        self._clock = AwakeClock()
        self._peers = Peers()
        self._gone: set[bytes] = set()
        """Found out of reach while something was sent; taken leave of at the next round."""
        self._nobody_since = self._alive_at = self._clock()
        self._stopping = False
        self._kept = kept
        self._context = zmq.Context()
        self._door = security.start_authenticator(self._context)
        self._client_keys = KeyPair.fresh()
        self._keys = security.server_keys(places.config_folder() / "keys") if options.bind else KeyPair.fresh()
        self._guests = Guests(self._client_keys.public, places.config_folder() / "authorized", options.authorize)
        security.admit(self._door, CLIENTS, self._guests)
        self._socket = self._open()
        self._scheduler = Scheduler(
            kept.store,
            kept.results,
            options,
            make_slots(worker_devices(options.device), self._start_worker, self._clock, options),
            emit=self._emit,
            broadcast=self._broadcast,
            previewed=self._peers.want_previews,
            audience=self._peers.audience,
            upload=kept.uploads.path,
            clock=self._clock,
        )
        self._desk = Desk(options, catalogue, kept, self._scheduler, self._peers, self._session, self._send, self.stop)

    @property
    def public_key(self) -> str:
        """By which clients know the backend."""
        return self._keys.public

    @property
    def endpoint(self) -> str:
        """Where other machines reach it, or where this one does."""
        return self._remote or self._endpoint

    def run(self) -> None:
        """Serve until told to stop, then end the workers and close. Raises OSError."""
        try:
            self._announce()
            while not self._stopping:
                self._wait()
                self._hear_clients()
                self._scheduler.work()
                self._desk.look()
                self._look_after_clients()
        finally:
            self._close()

    def stop(self) -> None:
        """Ask `run` to come to its end. Safe in a signal handler."""
        self._stopping = True

    def _start_worker(self, device: str) -> WorkerProcess:
        return WorkerProcess(self._context, self._door, self._options, device)

    def _open(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.sndhwm = 0  # a client that looks away for a while must lose nothing
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # mail to a client that is gone is an error, not lost in silence
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_HEADER_BYTES + wire.ENCRYPTION_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._endpoint = security.bind_guarded(socket, self._keys, CLIENTS)
        self._remote = ""
        if self._options.bind:
            self._remote = security.bind_guarded(socket, self._keys, CLIENTS, self._options.bind)
        return socket

    def _announce(self) -> None:
        pid = os.getpid()
        connection.write(
            places.connection_file(),
            ConnectionFile(
                endpoint=self._endpoint,
                server_key=self._keys.public,
                client_public=self._client_keys.public,
                client_secret=self._client_keys.secret,
                pid=pid,
                started=start_time(pid),
                session=self._session,
                version=VERSION,
            ),
        )
        log.info("Ready at %s with %d styles.", self._endpoint, self._styles)
        if self._remote:
            log.info("Other machines reach it at %s.", self._remote)

    def _wait(self) -> None:
        poller = zmq.Poller()
        for socket in (self._socket, *self._scheduler.sockets):
            poller.register(socket, zmq.POLLIN)
        poller.poll(0 if self._desk.busy else TICK_MS)

    def _hear_clients(self) -> None:
        for _ in range(BATCH):
            try:
                identity, *frames = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
            except zmq.Again:
                return
            self._hear(identity.bytes, frames)

    def _hear(self, identity: bytes, frames: Sequence[zmq.Frame]) -> None:
        principal = self._guests.principal_of(security.user_of(frames[0])) if frames else None
        if principal is None:
            self._refuse(identity, Refused(code="not_authorized", message=REVOKED))
            return
        try:
            incoming = wire.decode_request([frame.bytes for frame in frames])
        except ProtocolError as error:
            self._refuse_unreadable(identity, principal, error)
            return
        if isinstance(incoming.message, Hello):
            refused = self._desk.welcome(identity, principal, incoming.message)
            if refused is not None:
                self._refuse(identity, refused)
            return
        client = self._peers.get(identity, principal)
        if client is None:
            self._refuse(identity, Refused(code="malformed", message="The first message must be Hello."))
        else:
            self._desk.answer(client, incoming)

    def _refuse_unreadable(self, identity: bytes, principal: str, error: ProtocolError) -> None:
        if error.job is not None and self._peers.get(identity, principal) is not None:
            self._send(identity, Failure("bad_request", detail=_which_field(error)).as_event(error.job))
            return
        version = isinstance(error, VersionMismatch)
        self._refuse(identity, Refused(code="version" if version else "malformed", message=str(error)[:2000]))

    def _refuse(self, identity: bytes, refused: Refused) -> None:
        log.warning("A client was refused (%s).", refused.code)
        self._send(identity, refused)
        self._part_from(identity)

    def _emit(self, job: Job, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        for client, wants_preview in self._peers.hearing(job):
            if isinstance(message, Frame) and not client.live_frames:
                continue
            if isinstance(message, Progress) and message.preview_frames and not wants_preview:
                self._send(client.identity, msgspec.structs.replace(message, preview_frames=0))
            else:
                self._send(client.identity, message, buffers)

    def _broadcast(self, message: Message) -> None:
        for client in self._peers:
            self._send(client.identity, message)

    def _send(self, identity: bytes, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        try:
            self._socket.send_multipart([identity, *wire.encode(message, buffers)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._gone.add(identity)

    def _look_after_clients(self) -> None:
        now = self._clock()
        if now - self._alive_at >= ALIVE_SECONDS:
            self._alive_at = now
            self._broadcast(Alive())  # also finds out who has gone
        for client in self._peers:  # at every round, so that a key that is taken away is shut out within a second
            key = client.owner.principal
            if key != security.LOCAL and self._guests.principal_of(key) is None:
                self._refuse(client.identity, Refused(code="not_authorized", message=REVOKED))
        while self._gone:
            self._part_from(self._gone.pop())
        if len(self._peers) or not self._scheduler.idle:
            self._nobody_since = now
        elif not self._options.stay and now - self._nobody_since >= self._options.grace:
            log.info("Nobody has been connected for %.0f seconds.", self._options.grace)
            self.stop()

    def _part_from(self, identity: bytes) -> None:
        client = self._peers.remove(identity)
        if client is not None:
            log.info("A client has gone: %s.", client.name)
            self._desk.client_left(client)

    def _close(self) -> None:
        connection.remove(places.connection_file(), self._session)
        self._hear_clients()  # what has arrived meanwhile gets its answer, too
        self._desk.close()
        self._scheduler.close()
        self._broadcast(Goodbye())
        self._door.stop()
        self._socket.close(linger=FAREWELL_MS)
        self._context.term()
        self._kept.store.close()
        log.info("Ended.")


REVOKED = "This client's key is not on the backend's list any more: ask the user of the backend's machine."


def _which_field(error: ProtocolError) -> str:
    """ "Expected `int` <= 1024 - at `$.frames`" → "frames: expected `int` <= 1024", as a person would say it."""
    what, _, where = str(error.__cause__ or error).partition(" - at ")
    field = where.strip("`").removeprefix("$.")
    return f"{field}: {what[:1].lower()}{what[1:]}" if field else what
