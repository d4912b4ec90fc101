"""The server's view of its worker: start it, talk to it, notice its end."""

from __future__ import annotations

import itertools
import logging
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import msgspec
import zmq

from shared_protocol import wire
from shared_protocol.errors import ProtocolError
from shared_protocol.machine import places
from shared_protocol.wire import Incoming

from ..child_environment import child_environment
from ..orders import ToWorker, WorkerKeys, from_worker
from ..root import ROOT
from ..serve_options import ServeOptions
from .descriptors import need
from .door import Door, bind_guarded
from .keys import KeyPair
from .output_file import Trimmer, trim

log = logging.getLogger(__name__)

DESCRIPTORS = 32
"""More than a worker's line and the pipes to its process take."""
END_SECONDS = 2.0
"""How long a worker may take to end by itself."""
TAIL_BYTES = 4096
"""Of what a worker has printed: the end of a traceback."""
_IMPORT_ERROR = re.compile(r"(?:ModuleNotFoundError|ImportError): (.+)")
_domains = (f"worker {number}" for number in itertools.count())
"""Authentication domains, one for each worker's line: no client's key, and no other worker's, opens it."""
CALM = {"OMP_WAIT_POLICY": "PASSIVE"}
"""torch's threads otherwise spin while they wait for each other. Beside other work on the same cores, that made a clip
ten times slower (57 s instead of 6 s on two busy cores)."""


class WorkerProcess:
    """One child process with a line of its own, so that a dead worker's mail never mixes with its successor's."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], door: Door, options: ServeOptions, device: str) -> None:
        """Start the process; it reports `Ready` when it is. Raises OSError."""
        self.is_strange = False
        """Whether it has said something that nobody can read: then it is of no use, for its job's end may be lost."""
        self._end_by = 0.0
        with ExitStack() as opened:
            need(DESCRIPTORS)
            try:
                keys = self._open(opened, context, door, options, device)
            except zmq.ZMQError as error:  # no descriptor is left, for one
                raise OSError(error.errno, error.strerror) from error
            self._said_before = _size(output_file(device))
            self._device = device
            self._process = _start(output_file(device))
            self._outputs = Trimmer(output_file(device), places.start_log_file())
            opened.callback(self._close_input)
            # Standard input rather than arguments or environment, which other processes can read. It stays open: when
            # the server vanishes, however it does, the worker sees its end.
            assert self._process.stdin is not None
            try:
                self._process.stdin.write(msgspec.json.encode(keys) + b"\n")
                self._process.stdin.flush()
            except OSError:  # it has ended already
                self._process.kill()
                self._process.wait()
                raise
            self._opened = opened.pop_all()
        log.info("Worker %d was started.", self.pid)

    def _open(
        self,
        opened: ExitStack,
        context: zmq.Context[zmq.Socket[bytes]],
        door: Door,
        options: ServeOptions,
        device: str,
    ) -> WorkerKeys:
        """The line, and how the worker finds it. Raises zmq.ZMQError."""
        ours, theirs = KeyPair.fresh(), KeyPair.fresh()
        domain = next(_domains)
        door.admit(domain, [theirs.public])
        opened.callback(door.close, domain)
        self.socket = context.socket(zmq.DEALER)
        opened.callback(self.socket.close)
        self.socket.linger = 0
        self.socket.sndhwm = self.socket.rcvhwm = 0
        self.socket.setsockopt(zmq.MAXMSGSIZE, wire.MAX_BUFFER_BYTES + wire.ENCRYPTION_BYTES)
        return WorkerKeys(
            endpoint=bind_guarded(self.socket, ours, domain),
            server_key=ours.public,
            public=theirs.public,
            secret=theirs.secret,
            fake=options.fake,
            device=device,
            memory_budget=options.memory_budget,
        )

    @property
    def pid(self) -> int:
        """Process id."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """How the process ended, or None while it runs."""
        return self._process.poll()

    @property
    def import_error(self) -> str:
        """Why a process that has ended could not even import what it needs; empty if that was not it."""
        try:
            with output_file(self._device).open("rb") as file:
                size = file.seek(0, os.SEEK_END)
                file.seek(min(size, max(self._said_before, size - TAIL_BYTES)))
                lines = file.read().decode("utf-8", "replace").strip().splitlines()
        except OSError:
            return ""
        match = _IMPORT_ERROR.fullmatch(lines[-1]) if lines else None
        return match[1] if match else ""

    def send(self, message: ToWorker) -> None:
        """Hand a message to ZeroMQ. Only after `Ready`: before, nobody is at the other end. A process that has just
        ended gets nothing, which its exit code tells soon."""
        with suppress(zmq.Again):
            self.socket.send_multipart(wire.encode(message), zmq.NOBLOCK)

    def receive(self) -> Iterator[Incoming]:
        """What has come. Never waits."""
        self._outputs.look()
        while True:
            try:
                yield wire.decode(self.socket.recv_multipart(zmq.NOBLOCK), from_worker)
            except zmq.Again:
                return
            except ProtocolError:
                log.exception("The worker sent something strange.")
                self.is_strange = True
                return

    def end(self, *, at_once: bool = False) -> None:
        """Tell the process to end, and close the line. Never waits: `is_over` is to be asked until it is true.

        `at_once`: by force, so that it does nothing more to the files of its job.
        """
        if at_once:
            self._process.kill()
        self._opened.close()
        self._end_by = time.monotonic() + END_SECONDS

    @property
    def is_over(self) -> bool:
        """Whether the process that was told to end has ended; by force, if it takes too long."""
        if self._process.poll() is None:
            if time.monotonic() > self._end_by:
                self._process.kill()
            return False
        log.info("Worker %d has ended with code %s.", self.pid, self.exit_code)
        return True

    def wait(self) -> None:
        """Wait until a process that was told to end has ended."""
        try:
            self._process.wait(max(0.0, self._end_by - time.monotonic()))
        except subprocess.TimeoutExpired:
            self._process.kill()
            with suppress(subprocess.TimeoutExpired):  # the system does not let it go: nothing is to be done about it
                self._process.wait(END_SECONDS)
        log.info("Worker %d has ended with code %s.", self.pid, self.exit_code)

    def _close_input(self) -> None:
        if self._process.stdin is not None:
            with suppress(OSError):  # it is gone, and what was written to it never left
                self._process.stdin.close()


def output_file(device: str) -> Path:
    """Where what libraries print in the workers of a device goes, and the stack of a crash."""
    return places.state_folder() / f"worker_output_{re.sub(r'[^a-z0-9]', '_', device.lower())}.log"


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _start(path: Path) -> subprocess.Popen[bytes]:
    trim(path)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "backend.worker.process"],
            cwd=ROOT,
            env={**CALM, **child_environment(os.environ)},
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
