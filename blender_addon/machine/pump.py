"""The one timer: moves what arrives from the backend into the session, and does what the session asks for.

`Pump.tick` is a plain function: Blender's timer calls it in the user interface, `generate`'s execute calls it in a loop
in scripts, where no timer fires. It never blocks and ends within about BUDGET.
"""
# mypy: disable-error-code="untyped-decorator"

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bpy
import zmq
from bpy.app.handlers import persistent

from shared_protocol.client import Client, new_job_id

from ..blender import clips, strips
from ..clip.actions import Action, HangUp, KeepStyles, Reach, Send, Tidy, Write
from ..clip.job import Job, Place, Problem
from ..clip.link import Link
from ..clip.session import Session
from ..clip.status import Status
from ..clip.wish import Wish, check, folder_name
from . import style_list
from .backend_process import BackendError, BackendProcess
from .client_id import ClientId
from .frame_folder import FrameFileError, FrameFolder

PERIOD = 0.05
"""Seconds between two ticks."""
BUDGET = 0.005
"""Seconds that a tick may take: a tenth of the period, so that Blender stays fluid."""
SHARE = 0.9
"""A tick takes nothing new once this share of its budget is spent: the last thing must still fit."""
MAX_MESSAGES = 32
MAX_BYTES = 8 << 20
"""A tick takes no more than this off the wire, however fast the machine is."""
FAREWELL = 2.0
"""Seconds that a script which was interrupted waits for the backend's word about its cancel."""

log = logging.getLogger(__name__)


@dataclass
class Tick:
    """What one tick did, for tests and for the curious."""

    seconds: float = 0.0
    messages: int = 0
    bytes: int = 0
    strips: int = 0


class Pump:
    """Holds the session and the outside world that it talks about."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: where the add-on keeps files of its own, or None to keep none."""
        self._styles_file = styles_file = folder / "styles.json" if folder else None
        self._client_id = ClientId(folder)
        self.session = Session(style_list.read(styles_file) if styles_file else ())
        self.last = Tick()
        self.largest = Tick()
        """The most of each, over all ticks that added no strip: Blender itself makes strip and undo step."""
        self.on_status: Callable[[Status], None] | None = None
        """Told again and again where a clip is while `generate` waits for it in a script."""
        self._client: Client | None = None
        self._process: BackendProcess | None = None
        self._loading = False

    # What operators call ------------------------------------------------------------------------------------

    def submit(self, wish: Wish, place: Place, parent: Path) -> Job:
        """Start a job. Raises WishError or FrameFileError before anything has happened."""
        check(wish)
        job = new_job_id()
        folder = FrameFolder.make(parent, folder_name(wish.prompt, job))
        self._listen()  # a backend that died while nothing was going on is noticed here
        self._perform(self.session.submit(job, wish, place, str(folder.path)))
        self.start_timer()
        return self.session.jobs[job]

    def refuse(self, problem: Problem) -> None:
        """Show why a wish could not become a job."""
        self._perform(self.session.refuse(problem))

    def cancel(self, job: str) -> None:
        """Ask for a job's end."""
        self._perform(self.session.cancel(job))
        self.start_timer()

    def reach(self) -> None:
        """Start the backend without a job, to see its styles."""
        self._listen()
        self._perform(self.session.start())
        self.start_timer()

    def give_up(self, job: str) -> None:
        """Do not wait for a backend that was told to end."""
        self._perform(self.session.give_up(job))

    def stop_backend(self) -> None:
        """Ask the backend to end."""
        self._perform(self.session.stop())
        self.start_timer()

    def resume_queue(self) -> None:
        """Ask the backend to start jobs again."""
        self._perform(self.session.resume())
        self.start_timer()

    def wait(self, seconds: float) -> None:
        """Sleep until something can have happened. For scripts only: it blocks."""
        if self._client is not None and self.session.complete is None:
            self._client.wait(seconds)
        else:
            time.sleep(min(seconds, PERIOD))

    def settle(self, seconds: float = FAREWELL) -> None:
        """Let what was cancelled end, but do not wait long. For scripts only: it blocks."""
        deadline = time.monotonic() + seconds
        while self.tick(budget=PERIOD) and time.monotonic() < deadline:
            self.wait(PERIOD)

    def close(self) -> None:
        """Let go of everything. Jobs are left to the backend, which ends by itself when it has none and no client."""
        if bpy.app.timers.is_registered(_on_timer):
            bpy.app.timers.unregister(_on_timer)
        self._hang_up()
        self._client_id.close()
        for job in self.session.active:
            FrameFolder.of(job).drop_if_empty()

    # The tick -----------------------------------------------------------------------------------------------

    def tick(self, budget: float = BUDGET) -> bool:
        """Do what is to be done now. Returns whether another tick is needed."""
        if self._loading:
            return True
        begin = time.perf_counter()
        self.last = Tick()
        self._perform(self.session.watch(time.monotonic()))
        self._await_backend()
        self._listen(budget * SHARE)
        if (job := self.session.complete) is not None and clips.may_change_scene():
            self._add_strip(job)
        self.last.seconds = time.perf_counter() - begin
        self._note_largest()
        return self.session.busy

    def start_timer(self) -> None:
        """Have Blender call the tick until nothing is left to do."""
        if not bpy.app.timers.is_registered(_on_timer):
            bpy.app.timers.register(_on_timer, first_interval=PERIOD, persistent=True)

    def set_loading(self, loading: bool) -> None:
        """While a .blend is loaded nothing may touch the data."""
        self._loading = loading

    def fail(self, problem: Problem) -> None:
        """End everything because of a mistake of ours."""
        self._perform(self.session.unreachable(problem))
        while (job := self.session.complete) is not None:
            self._perform(self.session.could_not_add(job.id, problem.sentence))

    def _note_largest(self) -> None:
        if self.last.strips:
            return
        for name in ("seconds", "messages", "bytes"):
            setattr(self.largest, name, max(getattr(self.largest, name), getattr(self.last, name)))

    def _await_backend(self) -> None:
        if self.session.link is not Link.REACHING:
            return
        try:
            if self._process is None:
                self._process = BackendProcess(time.monotonic())
            connection = self._process.poll(time.monotonic())
            if connection is None:
                return
            self._client = Client(connection, name=f"Blender {bpy.app.version_string}", client_id=self._client_id.value)
        except BackendError as error:
            self._process = None
            self._perform(self.session.unreachable(Problem(error.sentence, error.next_step, error.command)))
        except zmq.ZMQError as error:
            self._process = None
            self._perform(self.session.unreachable(Problem(f"The connection cannot be opened: {error.strerror}.")))
        else:
            self._process = None
            self._perform(self.session.connected())

    def _listen(self, budget: float = BUDGET) -> None:
        if self._client is None:
            return
        for incoming in self._client.poll(budget):
            self.last.messages += 1
            self.last.bytes += sum(len(buffer) for buffer in incoming.buffers)
            self._perform(self.session.receive(incoming.message, incoming.buffers))
            if self._client is None or self.last.messages >= MAX_MESSAGES or self.last.bytes >= MAX_BYTES:
                break

    # Actions ------------------------------------------------------------------------------------------------

    def _perform(self, actions: Iterable[Action]) -> None:
        todo = deque(actions)
        while todo:
            todo.extend(self._do(todo.popleft()))

    def _do(self, action: Action) -> Iterable[Action]:
        match action:
            case Reach():
                self._process = None  # the next tick starts it, so that this click returns at once
            case HangUp():
                self._hang_up()
            case Send(request):
                if self._client is not None:
                    self._client.send(request)
            case Write():
                return self._write(action)
            case Tidy(job):
                FrameFolder.of(self.session.jobs[job]).drop_if_empty()
            case KeepStyles(styles):
                if self._styles_file is not None:
                    style_list.keep(self._styles_file, styles)
        return ()

    def _write(self, action: Write) -> Iterable[Action]:
        folder = FrameFolder.of(self.session.jobs[action.job])
        try:
            folder.write(action.index, action.data)
        except FrameFileError as first:
            try:
                folder = folder.move_to(clips.spare_folder())
                folder.write(action.index, action.data)
            except FrameFileError:
                return self.session.could_not_write(action.job, str(first))
            sentence = f"{first} The frames are in {folder.path} instead."
            return [*self.session.moved(action.job, str(folder.path), sentence), *self._wrote(action)]
        return self._wrote(action)

    def _wrote(self, action: Write) -> Iterable[Action]:
        return self.session.wrote(action.job, action.index)

    def _add_strip(self, job: Job) -> None:
        self.last.strips += 1
        try:
            text, warnings = clips.add(job)
        except (clips.ClipError, RuntimeError) as error:
            # RuntimeError is how Blender's own functions refuse.
            self._perform(self.session.could_not_add(job.id, str(error).strip()))
        else:
            self._perform(self.session.added(job.id, text, warnings))

    def _hang_up(self) -> None:
        self._process = None
        if self._client is not None:
            self._client.close()
            self._client = None


_pump: Pump | None = None


def the_pump() -> Pump:
    """The pump of this Blender."""
    if _pump is None:
        raise RuntimeError("The add-on is not registered.")
    return _pump


def _on_timer() -> float | None:
    if _pump is None:
        return None
    try:
        again = _pump.tick()
    except Exception as error:  # the outer edge: an escaping exception would end the timer in silence
        log.exception("The add-on made a mistake")
        _pump.fail(Problem(f"The add-on made a mistake: {error}.", "Please report what stands in Blender's terminal."))
        again = False
    if _pump.session.changed:
        _pump.session.changed = False
        strips.redraw(bpy.context.window_manager)
    return PERIOD if again else None


@persistent
def _on_load_pre(*_: Any) -> None:
    if _pump is not None:
        _pump.set_loading(True)


@persistent
def _on_load_post(*_: Any) -> None:
    if _pump is not None:
        _pump.set_loading(False)


_HANDLERS: dict[str, Callable[..., None]] = {
    "load_pre": _on_load_pre,
    "load_post": _on_load_post,
    "load_post_fail": _on_load_post,
}


def register(folder: Path | None) -> None:
    """Make the pump and listen to Blender's loading of files. `folder`: where the add-on keeps files of its own."""
    global _pump
    _pump = Pump(folder)
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).append(handler)


def unregister() -> None:
    """Stop everything."""
    global _pump
    for name, handler in _HANDLERS.items():
        getattr(bpy.app.handlers, name).remove(handler)
    if _pump is not None:
        _pump.close()
        _pump = None
