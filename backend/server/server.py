"""The server: the only owner of sockets that clients reach. Never imports torch.

One thread, one loop: hear clients, hear the workers, tell both what follows. The connection file is written when all is
ready and removed at the end. `desk` answers what clients ask.
"""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Iterator, Sequence
from typing import Literal

import msgspec
import zmq

from shared_protocol import VERSION, connection, mistakes, wire
from shared_protocol.connection import Connection as ConnectionFile
from shared_protocol.errors import ProtocolError, VersionMismatch
from shared_protocol.machine import files, places
from shared_protocol.machine.processes import start_time
from shared_protocol.messages import Alive, Asking, Frame, Goodbye, Hello, Message, Progress, Refused, Terminal
from shared_protocol.texts import sentence
from shared_protocol.wire import Buffer

from ..serve_options import ServeOptions
from ..styles.catalogue import Library
from .clock import AwakeClock
from .descriptors import Reserve, raise_limit
from .desk import Desk
from .devices import worker_devices
from .discretion import Discretion
from .door import CLIENTS, Door, user_of
from .ground import Ground
from .guests import LOCAL, Guests
from .inbox import MOST_BYTES, MOST_REQUESTS
from .jobs import Job
from .keys import KeyPair, server_keys
from .mail import Mail
from .only_one import OnlyOne
from .open_stores import Kept
from .peers import Peers
from .scheduler import Scheduler, make_slots
from .worker_process import WorkerProcess

log = logging.getLogger(__name__)

TICK_MS = 200
"""How often the loop goes round when nothing arrives; also how late a signal or a worker's end is noticed at most."""
BUSY_TICK_MS = 5
"""The same while something waits for room on a client's line, or to be deleted."""
ALIVE_SECONDS = 2.0
COUNT_SECONDS = 0.5
"""How often it is looked whether descriptors are left."""
FAREWELL_MS = 1000
"""How long the last messages may take to leave."""
HEAR_SECONDS = 0.05
"""How long requests are heard before the workers get their turn, so that no client can starve them."""


class Server:
    """One backend. `run` serves until it is told to stop."""

    def __init__(self, options: ServeOptions, library: Library, kept: Kept, held: OnlyOne) -> None:
        """Open and guard the sockets. Raises zmq.ZMQError, OSError or BackendError when that is not possible.

        `held`: what keeps other backends from the same files.
        """
        self._options = options
        self._library = library
        self._session = uuid.uuid4().hex
        self._clock = AwakeClock()
        self._peers = Peers()
        self._nobody_since = self._alive_at = self._counted_at = self._clock()
        raise_limit()
        self._reserve = Reserve()
        self._stopping = False
        self._kept, self._held = kept, held
        self._context = zmq.Context()
        self._door = Door(self._context)
        self._client_keys = KeyPair.fresh()
        self._keys = server_keys(places.config_folder() / "keys") if options.bind else KeyPair.fresh()
        self._guests = Guests(self._client_keys.public, places.config_folder() / "authorized", options.authorize)
        self._door.admit(CLIENTS, self._guests)
        self._mail = Mail(self._context, self._keys, options.bind)
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
        self._desk = Desk(
            options,
            library,
            kept,
            self._scheduler,
            self._peers,
            self._session,
            self._send,
            self._stream,
            self.stop,
        )
        self._discretion = Discretion(lambda: library.catalogue, kept.store, self._peers)

    @property
    def public_key(self) -> str:
        """By which clients know the backend."""
        return self._keys.public

    @property
    def endpoint(self) -> str:
        """Where other machines reach it, or where this one does."""
        return self._mail.remote or self._mail.endpoint

    def run(self) -> None:
        """Serve until told to stop, then end the workers and close.

        Raises OSError, and BackendError if another file was put in the queue's place, or another backend has begun.
        """
        try:
            ground = Ground(self._kept.store, self._announce(), self._held, self._clock)
            while not self._stopping:
                self._wait()
                ground.look()  # before anything is accepted into a file that is not there any more
                self._door.look()
                self._hear_clients()
                self._scheduler.work()
                self._desk.look()
                self._look_after_clients()
                self._look_after_descriptors()
        finally:
            self._close()

    def stop(self) -> None:
        """Ask `run` to come to its end. Safe in a signal handler."""
        self._stopping = True

    def _start_worker(self, device: str) -> WorkerProcess:
        return WorkerProcess(self._context, self._door, self._options, device)

    def _announce(self) -> ConnectionFile:
        pid = os.getpid()
        announced = ConnectionFile(
            endpoint=self._mail.endpoint,
            server_key=self._keys.public,
            client_public=self._client_keys.public,
            client_secret=self._client_keys.secret,
            pid=pid,
            started=start_time(pid),
            session=self._session,
            version=VERSION,
        )
        files.sweep(places.connection_file())
        connection.write(places.connection_file(), announced)
        log.info("Ready at %s with %d styles.", self._mail.endpoint, len(self._library.catalogue.recipes))
        if self._mail.remote:
            log.info("Other machines reach it at %s.", self._mail.remote)
        return announced

    def _wait(self) -> None:
        poller = zmq.Poller()
        for socket in (self._mail.socket, *self._scheduler.sockets):
            poller.register(socket, zmq.POLLIN)
        soon = self._mail.waits or not self._scheduler.is_tidy
        poller.poll(0 if self._desk.busy else BUSY_TICK_MS if soon else TICK_MS)

    def _hear_clients(self) -> None:
        for identity in self._mail.read():
            self._refuse(identity, Refused(code="too_much", message=TOO_MUCH))
        until = self._clock() + HEAR_SECONDS
        for identity, frames in self._mail.hear():
            self._hear(identity, frames)
            if self._clock() > until:
                return

    def _hear(self, identity: bytes, frames: Sequence[zmq.Frame]) -> None:
        principal = self._guests.principal_of(user_of(frames[0])) if frames else None
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
            assert isinstance(incoming.message, Asking)
            request_id, first = incoming.message.request_id, "The first message must be Hello."
            self._refuse(identity, Refused(request_id=request_id, code="malformed", message=first))
        else:
            self._desk.answer(client, incoming)

    def _refuse_unreadable(self, identity: bytes, principal: str, error: ProtocolError) -> None:
        if error.job is not None and self._peers.get(identity, principal) is not None:
            failed = self._desk.unreadable(error.job, mistakes.of_request(error.__cause__ or error))
            self._send(identity, msgspec.structs.replace(failed, request_id=error.request_id))
            return
        code: Literal["version", "malformed"] = "version" if isinstance(error, VersionMismatch) else "malformed"
        self._refuse(identity, Refused(request_id=error.request_id, code=code, message=sentence(str(error))))

    def _refuse(self, identity: bytes, refused: Refused) -> None:
        log.warning("A client was refused (%s).", refused.code)
        self._send(identity, refused)
        self._mail.disown(identity)
        self._part_from(identity)

    def _emit(self, job: Job, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        for client, wants_preview in self._peers.hearing(job, end=isinstance(message, Terminal)):
            behind = self._mail.is_behind(client.identity)
            if isinstance(message, Frame) and (behind or not client.live_frames):
                continue
            if isinstance(message, Progress) and message.preview_frames and (behind or not wants_preview):
                self._send(client.identity, msgspec.structs.replace(message, preview_frames=0))
            else:
                self._send(client.identity, message, buffers)

    def _broadcast(self, message: Message) -> None:
        for client in self._peers:
            if not (isinstance(message, Alive) and self._mail.is_behind(client.identity)):
                self._send(client.identity, message)

    def _send(self, identity: bytes, message: Message, buffers: Sequence[Buffer] = ()) -> None:
        self._mail.send(identity, self._due(identity, message), buffers)

    def _stream(self, identity: bytes, messages: Iterator[tuple[Message, Sequence[Buffer]]]) -> None:
        self._mail.stream(identity, ((self._due(identity, message), buffers) for message, buffers in messages))

    def _due(self, identity: bytes, message: Message) -> Message:
        """The message with the name of the request that it answers, and with nothing that is not for this client."""
        client = self._peers.at(identity)
        return message if client is None else self._discretion.due(client, client.asked.named(message))

    def _look_after_clients(self) -> None:
        now = self._clock()
        if now - self._alive_at >= ALIVE_SECONDS:
            self._alive_at = now
            self._broadcast(Alive())  # also finds out who has gone
        for client in self._peers:  # at every round, so that a key that is taken away is shut out within a second
            key = client.owner.principal
            if key != LOCAL and self._guests.principal_of(key) is None:
                self._refuse(client.identity, Refused(code="not_authorized", message=REVOKED))
        self._mail.flush()
        for identity in self._mail.neglected():
            log.warning("A client does not read what it is told.")
            self._mail.forget(identity)
            self._part_from(identity)
        for identity in self._mail.gone():
            self._part_from(identity)
        if len(self._peers) or not self._scheduler.idle:
            self._nobody_since = now
        elif not self._options.stay and now - self._nobody_since >= self._options.grace:
            log.info("Nobody has been connected for %.0f seconds.", self._options.grace)
            self.stop()

    def _look_after_descriptors(self) -> None:
        """Strangers may take all descriptors: then they are closed out, and those who have a key go on."""
        now = self._clock()
        if now - self._counted_at < COUNT_SECONDS:
            return
        self._counted_at = now
        if self._reserve.is_needed() and (closed := self._mail.close_out_strangers()):
            log.warning("Hardly any descriptors are left: %d connections without a word were closed.", closed)

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
        self._mail.close(FAREWELL_MS)
        self._context.term()
        self._kept.store.close()
        self._reserve.release()
        log.info("Ended.")


REVOKED = "This client's key is not on the backend's list any more: ask the user of the backend's machine."
TOO_MUCH = (
    f"This client has sent more than {MOST_REQUESTS} requests or {MOST_BYTES >> 20} MiB ahead of their answers:"
    " wait for answers before you send more."
)
