"""The server: the only owner of sockets that clients reach. Never imports torch.

One thread, one loop: hear clients, hear the worker, tell both what follows. The connection file is written when all is
ready and removed at the end.
"""

from __future__ import annotations

import logging
import os
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field

import zmq

from shared_protocol import VERSION, connection, places, wire
from shared_protocol.client import HEARTBEAT_MS, HEARTBEAT_TIMEOUT_MS
from shared_protocol.connection import Connection
from shared_protocol.errors import ProtocolError, VersionMismatch
from shared_protocol.messages import (
    MAJOR,
    MINOR,
    Alive,
    AskStatus,
    Cancel,
    Generate,
    Goodbye,
    Hello,
    Message,
    Refused,
    Shutdown,
    Status,
    Welcome,
)
from shared_protocol.processes import start_time
from shared_protocol.wire import Buffer

from . import security
from .devices import likely_device
from .failures import BackendError
from .jobs import JobStore
from .requests import resolve
from .scheduler import Scheduler
from .security import CLIENTS, KeyPair
from .settings import Settings
from .styles import Catalogue
from .worker_process import WorkerProcess

log = logging.getLogger(__name__)

TICK_MS = 200
"""How often the loop goes round when nothing arrives; also how late a signal or a worker's end is noticed at most."""
ALIVE_SECONDS = 2.0
FAREWELL_MS = 1000
"""How long the last messages may take to leave."""
BATCH = 100
"""How many requests are heard before the worker gets its turn, so that no client can starve it."""


@dataclass
class _Clients:
    """Who is connected, by identity. Whoever has said Hello and can be reached is."""

    names: dict[bytes, str] = field(default_factory=dict)
    gone: set[bytes] = field(default_factory=set)
    """Found out of reach while something was sent; taken leave of at the next round."""
    nobody_since: float = field(default_factory=time.monotonic)


class Server:
    """One backend. `run` serves until it is told to stop."""

    def __init__(self, settings: Settings, catalogue: Catalogue, store: JobStore) -> None:
        """Open and guard the sockets. Raises zmq.ZMQError or OSError when that is not possible."""
        self._settings = settings
        self._catalogue = catalogue
        self._session = uuid.uuid4().hex
        self._clients = _Clients()
        self._stopping = False
        self._alive_at = 0.0
        self._context = zmq.Context()
        self._door = security.start_authenticator(self._context)
        self._keys, self._client_keys = KeyPair.fresh(), KeyPair.fresh()
        listed = security.authorized_keys(places.config_folder() / "authorized")
        security.admit(self._door, CLIENTS, [self._client_keys.public, *listed])
        self._socket = self._open()
        self._scheduler = Scheduler(store, lambda: WorkerProcess(self._context, self._door, settings), self._send)

    def run(self) -> None:
        """Serve until told to stop, then cancel what is unfinished and close. Raises OSError."""
        try:
            self._announce()
            while not self._stopping:
                self._wait()
                self._hear_clients()
                self._scheduler.work()
                self._look_after_clients()
        finally:
            self._close()

    def stop(self) -> None:
        """Ask `run` to come to its end. Safe in a signal handler."""
        self._stopping = True

    def _open(self) -> zmq.Socket[bytes]:
        socket = self._context.socket(zmq.ROUTER)
        socket.linger = 0
        socket.sndhwm = 0  # a client that looks away for a while must lose nothing
        socket.setsockopt(zmq.ROUTER_MANDATORY, 1)  # mail to a client that is gone is an error, not lost in silence
        socket.setsockopt(zmq.ROUTER_HANDOVER, 1)
        socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_HEADER_BYTES)
        socket.setsockopt(zmq.HEARTBEAT_IVL, HEARTBEAT_MS)
        socket.setsockopt(zmq.HEARTBEAT_TIMEOUT, HEARTBEAT_TIMEOUT_MS)
        self._endpoint = security.bind_guarded(socket, self._keys, CLIENTS)
        return socket

    def _announce(self) -> None:
        pid = os.getpid()
        connection.write(
            places.connection_file(),
            Connection(
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
        log.info("Ready at %s with %d styles.", self._endpoint, len(self._catalogue.recipes))

    def _wait(self) -> None:
        poller = zmq.Poller()
        poller.register(self._socket, zmq.POLLIN)
        if self._scheduler.socket is not None:
            poller.register(self._scheduler.socket, zmq.POLLIN)
        poller.poll(TICK_MS)

    def _hear_clients(self) -> None:
        for _ in range(BATCH):
            try:
                client, *frames = self._socket.recv_multipart(zmq.NOBLOCK)
            except zmq.Again:
                return
            try:
                request = wire.decode_request(frames).message
            except ProtocolError as error:
                self._refuse_unreadable(client, error)
            else:
                self._answer(client, request)

    def _refuse_unreadable(self, client: bytes, error: ProtocolError) -> None:
        if error.job is not None and client in self._clients.names:
            self._send(client, BackendError("bad_request", detail=_which_field(error)).as_event(error.job))
            return
        version = isinstance(error, VersionMismatch)
        self._refuse(client, Refused(code="version" if version else "malformed", message=str(error)))

    def _refuse(self, client: bytes, refused: Refused) -> None:
        log.warning("A client was refused (%s).", refused.code)
        self._send(client, refused)
        self._part_from(client)

    def _answer(self, client: bytes, request: Message) -> None:
        if isinstance(request, Hello):
            self._welcome(client, request)
        elif client not in self._clients.names:
            self._refuse(client, Refused(code="malformed", message="The first message must be Hello."))
        elif isinstance(request, Generate):
            self._submit(client, request)
        elif isinstance(request, Cancel):
            self._scheduler.cancel(client, request.job)
        elif isinstance(request, AskStatus):
            self._send(client, self._status())
        elif isinstance(request, Shutdown):
            log.info("A client asks for the end.")
            self.stop()

    def _welcome(self, client: bytes, hello: Hello) -> None:
        if hello.major != MAJOR:
            mismatch = VersionMismatch(theirs=hello.major, ours=MAJOR)
            self._refuse(client, Refused(code="version", message=str(mismatch)))
            return
        self._clients.names[client] = hello.client
        log.info("A client has come: %s.", hello.client)
        welcome = Welcome(
            major=MAJOR,
            minor=MINOR,
            backend=VERSION,
            session=self._session,
            device="none" if self._settings.fake else self._scheduler.device or likely_device(self._settings.device),
            styles=self._catalogue.styles,
            notes=self._catalogue.notes,
        )
        self._send(client, welcome)

    def _submit(self, client: bytes, request: Generate) -> None:
        try:
            if self._stopping:
                raise BackendError("shutting_down")
            order, warnings = resolve(request, self._catalogue, fake=self._settings.fake)
            self._scheduler.submit(client, order, warnings)
        except BackendError as error:
            log.info("A request was not accepted: %s.", error.code)
            self._send(client, error.as_event(request.job))

    def _status(self) -> Status:
        return Status(
            running=self._scheduler.current,
            waiting=self._scheduler.waiting,
            worker_pid=self._scheduler.worker_pid,
            loads=self._scheduler.loads,
            clients=len(self._clients.names),
            notes=self._catalogue.notes,
        )

    def _send(self, client: bytes, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        try:
            self._socket.send_multipart([client, *wire.encode(message, buffers)], zmq.NOBLOCK)
        except zmq.ZMQError as error:
            if error.errno != zmq.EHOSTUNREACH:
                raise
            self._clients.gone.add(client)

    def _look_after_clients(self) -> None:
        now = time.monotonic()
        if now - self._alive_at >= ALIVE_SECONDS:
            self._alive_at = now
            for client in self._clients.names:
                self._send(client, Alive())  # also finds out who has gone
        while self._clients.gone:
            self._part_from(self._clients.gone.pop())
        if self._clients.names or not self._scheduler.idle:
            self._clients.nobody_since = now
        elif not self._settings.stay and now - self._clients.nobody_since >= self._settings.grace:
            log.info("Nobody has been connected for %.0f seconds.", self._settings.grace)
            self.stop()

    def _part_from(self, client: bytes) -> None:
        name = self._clients.names.pop(client, None)
        if name is not None:
            log.info("A client has gone: %s.", name)
            self._scheduler.client_left(client)

    def _close(self) -> None:
        connection.remove(places.connection_file(), self._session)
        self._hear_clients()  # what has arrived meanwhile gets its answer, too
        self._scheduler.close()
        for client in self._clients.names:
            self._send(client, Goodbye())
        self._door.stop()
        self._socket.close(linger=FAREWELL_MS)
        self._context.term()
        log.info("Ended.")


def _which_field(error: ProtocolError) -> str:
    """ "Expected `int` <= 1024 - at `$.frames`" → "frames: expected `int` <= 1024", as a person would say it."""
    what, _, where = str(error.__cause__ or error).partition(" - at ")
    field = where.strip("`").removeprefix("$.")
    return f"{field}: {what[:1].lower()}{what[1:]}" if field else what
