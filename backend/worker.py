"""The child process that samples: `python -m backend.worker`, started by the server and by nobody else.

It gets its keys through standard input, dials the server, and makes one clip at a time. Between any two items of the
generator it looks whether the job was cancelled. When the server closes that input or vanishes, the process ends at
once, whatever it is doing.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import closing
from typing import NoReturn

import msgspec
import zmq

from shared_protocol import places, wire
from shared_protocol.messages import Cancel, Cancelled, Done, Frame, Message

from . import logs
from .failures import BackendError
from .generator import Generator, Picture
from .orders import Loaded, Ready, Sample, WorkerKeys, to_worker
from .pictures import png
from .progress import Reporter

log = logging.getLogger(__name__)

LOG_FILE = "worker.log"


class Line:
    """The worker's end of the line to the server."""

    def __init__(self, keys: WorkerKeys) -> None:
        self._context = zmq.Context()
        self._socket = self._context.socket(zmq.DEALER)
        self._socket.linger = 0
        self._socket.sndhwm = 0
        self._socket.curve_serverkey = keys.server_key.encode()
        self._socket.curve_publickey = keys.public.encode()
        self._socket.curve_secretkey = keys.secret.encode()
        self._socket.connect(keys.endpoint)

    def send(self, message: Message, buffers: Sequence[bytes] = ()) -> None:
        """Hand a message to ZeroMQ."""
        self._socket.send_multipart(wire.encode(message, buffers))

    def receive(self) -> Sample | Cancel:
        """Wait for the next message."""
        message = wire.decode(self._socket.recv_multipart(), to_worker).message
        assert isinstance(message, Sample | Cancel)
        return message

    def cancelled(self, job: str) -> bool:
        """Whether the server asks to end `job`. Never waits."""
        while self._socket.poll(0):
            message = self.receive()
            if isinstance(message, Cancel) and message.job == job:
                return True
        return False


class Worker:
    """Makes one clip after the other."""

    def __init__(self, line: Line, generator: Generator) -> None:
        self._line = line
        self._generator = generator
        self._loads_told = 0

    def serve(self) -> NoReturn:
        """Take orders for ever."""
        self._line.send(Ready(device=self._generator.device))
        while True:
            order = self._line.receive()
            if not isinstance(order, Sample):
                continue  # Cancel for a job that has just ended
            end = self._end_of(order)
            self._tell_loads()
            self._line.send(end)

    def _end_of(self, order: Sample) -> Message:
        """Make the clip, or say why there is none."""
        try:
            return self._make(order)
        except BackendError as error:
            log.warning("A job failed: %s", error.code)
            return error.as_event(order.job)
        except MemoryError:
            return BackendError("out_of_memory").as_event(order.job)
        except Exception as error:  # the outer edge: the job fails, the worker lives on
            log.exception("A job failed.")
            detail = type(error).__name__
            return BackendError("internal", detail=detail, log=places.state_folder() / LOG_FILE).as_event(order.job)

    def _make(self, order: Sample) -> Message:
        """Make one clip. Frames and progress are sent, the job's end is returned. Raises BackendError."""
        began = time.monotonic()
        reporter = Reporter(order.job, previews=order.previews)
        made = 0
        with closing(self._generator.generate(order)) as items:
            for item in items:
                self._tell_loads()
                # Asked before anything is sent, so that no step shows after the one during which Cancel came.
                if self._line.cancelled(order.job):
                    return Cancelled(job=order.job)
                if isinstance(item, Picture):
                    self._line.send(Frame(job=order.job, index=made, frames=order.frames), [png(item.pixels)])
                    made += 1
                elif report := reporter.report(item, time.monotonic()):
                    self._line.send(*report)
        if made != order.frames:
            raise BackendError("internal", detail=f"{made} of {order.frames} frames were made", log=places.log_file())
        return Done(
            job=order.job,
            frames=order.frames,
            width=order.width,
            height=order.height,
            fps=order.fps,
            seed=order.seed,
            seconds=time.monotonic() - began,
        )

    def _tell_loads(self) -> None:
        # At once, so that the count is right although the worker may die during the job.
        if self._generator.loads > self._loads_told:
            self._line.send(Loaded(times=self._generator.loads - self._loads_told))
            self._loads_told = self._generator.loads


def make_generator(keys: WorkerKeys) -> Generator:
    """The generator that the server asks for. Only here does torch come in."""
    if keys.fake:
        from .fake import FakeGenerator

        return FakeGenerator()
    from .sampling import SamplingGenerator

    return SamplingGenerator(keys.device)


def main() -> NoReturn:
    """Run the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's business
    _die_with_parent()
    logs.start(places.state_folder() / LOG_FILE)
    keys = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerKeys)
    threading.Thread(target=_watch_server, name="watch server", daemon=True).start()
    Worker(Line(keys), make_generator(keys)).serve()


def _watch_server() -> None:
    # The server writes nothing more, so reading ends only when its end of the pipe is closed.
    while os.read(sys.stdin.fileno(), 1024):
        pass
    os._exit(0)


def _die_with_parent() -> None:
    """Linux ends the process even while some library holds the interpreter's lock."""
    if sys.platform != "linux":
        return
    import ctypes

    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL, 0, 0, 0)


if __name__ == "__main__":
    main()
