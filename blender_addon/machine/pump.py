"""The pump: moves what arrives from the backend into the session, and does what the session asks for.

`Pump.tick` is a plain function: `timer` calls it in the user interface, `generate`'s execute calls it in a loop in
scripts, where no timer fires. It never blocks and ends within about BUDGET.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy
import zmq

from shared_protocol.client import Client, new_job_id

from ..blender import clips
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


@dataclass(frozen=True)
class Tick:
    """What one tick did."""

    seconds: float
    messages: int
    bytes: int
    strips: int


class Pump:
    """Holds the session and the outside world that it talks about."""

    def __init__(self, folder: Path | None, wake: Callable[[], None]) -> None:
        """`folder`: where the add-on keeps files of its own, or None to keep none. `wake`: has the tick called from
        now on, until it returns False."""
        self._wake = wake
        self._styles_file = styles_file = folder / "styles.json" if folder else None
        self._client_id = ClientId(folder)
        self.session = Session(style_list.read(styles_file) if styles_file else ())
        self.on_tick: Callable[[Tick], None] | None = None
        """Told of every tick."""
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
        self._wake()
        return self.session.jobs[job]

    def refuse(self, problem: Problem) -> None:
        """Show why a wish could not become a job."""
        self._perform(self.session.refuse(problem))

    def cancel(self, job: str) -> None:
        """Ask for a job's end."""
        self._perform(self.session.cancel(job))
        self._wake()

    def reach(self) -> None:
        """Start the backend without a job, to see its styles."""
        self._listen()
        self._perform(self.session.start())
        self._wake()

    def give_up(self, job: str) -> None:
        """Do not wait for a backend that was told to end."""
        self._perform(self.session.give_up(job))

    def stop_backend(self) -> None:
        """Ask the backend to end."""
        self._perform(self.session.stop())
        self._wake()

    def resume_queue(self) -> None:
        """Ask the backend to start jobs again."""
        self._perform(self.session.resume())
        self._wake()

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
        self._perform(self.session.watch(time.monotonic()))
        self._await_backend()
        messages, size = self._listen(budget * SHARE)
        strips_added = 0
        if (job := self.session.complete) is not None and clips.may_change_scene():
            self._add_strip(job)
            strips_added = 1
        if self.on_tick is not None:
            self.on_tick(Tick(time.perf_counter() - begin, messages, size, strips_added))
        return self.session.busy

    def set_loading(self, loading: bool) -> None:
        """While a .blend is loaded nothing may touch the data."""
        self._loading = loading

    def fail(self, problem: Problem) -> None:
        """End everything because of a mistake of ours."""
        self._perform(self.session.unreachable(problem))
        while (job := self.session.complete) is not None:
            self._perform(self.session.could_not_add(job.id, problem.sentence))

    def _await_backend(self) -> None:
        if self.session.link is not Link.REACHING:
            return
        try:
            if self._process is None:
                self._process = BackendProcess()
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

    def _listen(self, budget: float = BUDGET) -> tuple[int, int]:
        """Take what arrived. Returns how many messages and how many bytes of pictures that was."""
        messages = size = 0
        if self._client is None:
            return messages, size
        for incoming in self._client.poll(budget):
            messages += 1
            size += sum(len(buffer) for buffer in incoming.buffers)
            self._perform(self.session.receive(incoming.message, incoming.buffers))
            if self._client is None or messages >= MAX_MESSAGES or size >= MAX_BYTES:
                break
        return messages, size

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
