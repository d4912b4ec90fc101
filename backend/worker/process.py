"""The child process that samples: `python -m backend.worker.process`, started by the server and by nobody else.

It gets its keys through standard input, dials the server, and makes one clip at a time. Between any two items of the
maker it looks whether the job was cancelled. When the server closes that input or vanishes, the process ends at
once, whatever it is doing.
"""

from __future__ import annotations

import logging
import os
import re
import signal
import sys
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path
from typing import NoReturn

import msgspec
import zmq

from elevator.pictures.clip_folder import frame_name
from elevator.pictures.encoding import encoded
from shared_protocol import wire
from shared_protocol.machine import places
from shared_protocol.messages import Cancel, Cancelled, Done, Frame, Message, Notice
from shared_protocol.texts import sentence

from .. import logs
from ..failures import Failure, cannot_keep
from ..orders import Loaded, Preview, Ready, Sample, Task, WorkerKeys, to_worker
from ..result_files import ResultWriter
from ..shortages import lacks_memory
from .maker import Advance, Extra, Item, Maker, Note, Picture
from .progress import Reporter

log = logging.getLogger(__name__)

OOM_SCORE = Path("/proc/self/oom_score_adj")
"""The higher, the sooner Linux ends a process when memory runs out."""


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

    def receive(self) -> Message:
        """Wait for the next message."""
        return wire.decode(self._socket.recv_multipart(), to_worker).message

    def cancelled(self, job: str, reporter: Reporter) -> bool:
        """Whether the server asks to end `job`. Previews are told to the reporter. Never waits."""
        while self._socket.poll(0):
            match self.receive():
                case Cancel(job=named) if named == job:
                    return True
                case Preview(job=named, wanted=wanted) if named == job:
                    reporter.previews = wanted
        return False


class Keeper:
    """Puts what is made on the disk and tells the server, frame by frame."""

    def __init__(self, task: Task, line: Line) -> None:
        self._task, self._line = task, line
        self._files = ResultWriter(Path(task.folder))
        self._made = 0

    def picture(self, picture: Picture) -> None:
        """Keep a frame. Raises BackendError."""
        data = encoded(picture.pixels)
        self._write(frame_name(picture.index), data)
        self._line.send(Frame(job=self._task.job, index=picture.index, frames=self._task.order.result_frames), [data])
        self._made = picture.index + 1

    def extra(self, extra: Extra) -> None:
        """Keep another file. Raises BackendError."""
        self._write(extra.name, extra.data)

    def note(self, note: Note) -> None:
        """Tell the user something."""
        if note.again:
            self._made = 0
        self._line.send(Notice(job=self._task.job, message=sentence(note.sentence), again=note.again))

    def done(self, seconds: float) -> Done:
        """The end of a job whose frames are all kept. Raises BackendError if they are not."""
        order = self._task.order
        if self._made != order.result_frames:
            detail = f"{self._made} of {order.result_frames} frames were made"
            raise Failure("internal", detail=detail, log=places.log_file())
        return Done(
            job=self._task.job,
            frames=order.result_frames,
            width=order.width,
            height=order.height,
            fps_numerator=order.result_fps.numerator,
            fps_denominator=order.result_fps.denominator,
            seed=order.seed,
            seconds=seconds,
        )

    def _write(self, name: str, data: bytes) -> None:
        try:
            self._files.write(name, data)
        except OSError as error:
            raise cannot_keep(Path(self._task.folder).parent, error) from error


class Worker:
    """Makes one clip after the other."""

    def __init__(self, line: Line, maker: Maker, log: Path) -> None:
        """log: where its faults are written."""
        self._line = line
        self._log = log
        self._maker = maker
        self._loads_told = 0

    def serve(self) -> NoReturn:
        """Take orders for ever."""
        self._line.send(Ready(device=self._maker.device, memory=self._maker.memory))
        while True:
            task = self._line.receive()
            if not isinstance(task, Task):
                continue  # about a job that has just ended
            end = self._end_of(task)
            self._tell_loads()
            self._line.send(end)

    def _end_of(self, task: Task) -> Message:
        """Make the clip, or say why there is none."""
        try:
            return self._make(task)
        except Failure as error:
            log.warning("A job failed: %s", error.code)
            return error.as_event(task.job)
        except Exception as error:  # the outer edge: the job fails, the worker lives on
            log.exception("A job failed.")
            return self._fault(error).as_event(task.job)

    def _fault(self, error: Exception) -> Failure:
        if lacks_memory(error):
            return Failure("out_of_memory")
        if isinstance(error, ImportError):  # what torch and diffusers import late
            return Failure("environment_broken", detail=str(error))
        return Failure("internal", detail=type(error).__name__, log=self._log)

    def _make(self, task: Task) -> Message:
        """Make one clip. Files, frames and progress are written and sent, the job's end is returned.

        Raises BackendError.
        """
        began = time.monotonic()
        reporter = Reporter(task.job, previews=task.previews)
        keep = Keeper(task, self._line)
        with closing(self._items(task)) as items:
            for item in items:
                self._tell_loads()
                # Asked before anything is sent, so that no step shows after the one during which Cancel came.
                if self._line.cancelled(task.job, reporter):
                    return Cancelled(job=task.job)
                match item:
                    case Picture():
                        keep.picture(item)
                    case Extra():
                        self._line.send(*reporter.writing(time.monotonic()))
                        keep.extra(item)
                    case Note():
                        keep.note(item)
                        if item.again:
                            reporter.begin_anew()
                    case Advance():
                        if report := reporter.report(item, time.monotonic()):
                            self._line.send(*report)
        return keep.done(time.monotonic() - began)

    def _items(self, task: Task) -> Generator[Item, None, None]:
        order = task.order
        if isinstance(order, Sample):
            items = self._maker.make(order, task.pictures, task.cautious, task.rungs)
            if order.flow_fps is None:
                return items
            from .flowing import with_flow

            return with_flow(items, order)
        from .conforming import resample

        return resample(order)

    def _tell_loads(self) -> None:
        # At once, so that the count is right although the worker may die during the job.
        if self._maker.loads > self._loads_told:
            self._line.send(Loaded(times=self._maker.loads - self._loads_told))
            self._loads_told = self._maker.loads


def maker_for(keys: WorkerKeys) -> Maker:
    """The maker that the server asks for. Only here does torch come in."""
    if keys.fake:
        from .fake import FakeMaker

        return FakeMaker()
    from .sampling import SamplingMaker

    return SamplingMaker(keys.device, keys.memory_budget)


def log_file(device: str) -> Path:
    """The log of a device's worker. Two that turned one log over would lose records, and on Windows could not."""
    name = re.sub(r"[^a-z0-9]", "_", device.lower())
    return places.state_folder() / ("worker.log" if device == "auto" else f"worker_{name}.log")


def main() -> NoReturn:
    """Run the worker."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's business
    _die_with_parent()
    _go_first()
    keys = msgspec.json.decode(sys.stdin.buffer.readline(), type=WorkerKeys)
    logs.start(log_file(keys.device))
    threading.Thread(target=_watch_server, name="watch server", daemon=True).start()
    Worker(Line(keys), maker_for(keys), log_file(keys.device)).serve()


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
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)


def _go_first() -> None:
    """When the machine has no memory left, Linux ends this process rather than the server or Blender."""
    if sys.platform != "linux":
        return
    try:
        OOM_SCORE.write_text("500", encoding="ascii")
    except OSError as error:  # some containers forbid it
        log.info("The kernel does not let this process go first: %s.", error)


if __name__ == "__main__":
    main()
