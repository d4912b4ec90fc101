"""The pump: moves what arrives from the backend into the session, and does what the session asks for.

`Pump.tick` is a plain function: `timer` calls it in the user interface, scripts call it in a loop, where no timer
fires. It never blocks, writes no frames of a backend on this computer, and ends within about BUDGET.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import bpy
import zmq

from shared_protocol.client import Client
from shared_protocol.messages import AskThumbnail

from ..blender import clips, strips, style_draft
from ..clip.actions import (
    Action,
    Copy,
    HangUp,
    KeepStyles,
    KeepThumbnail,
    LookForBackend,
    Reach,
    Read,
    Send,
    Tidy,
    Write,
)
from ..clip.job import NO_BACKEND, Problem
from ..clip.link import Link
from ..clip.session import Session
from ..clip.status import Status
from ..clip.ticket import Ticket
from ..clip.words import Phrase
from . import backend_process, leftovers
from .announcing import Announcer
from .backend_commands import BackendCommands
from .backend_process import BackendError, BackendProcess, Serving
from .client_id import ClientId
from .deliveries import Deliveries
from .frame_folder import FrameFolder
from .model_commands import ModelCommands
from .reading import Readings
from .style_commands import StyleCommands
from .style_list import StyleList
from .timeline import Timeline

PERIOD = 0.05
"""Seconds between two ticks."""
REST = 1.0
"""Seconds between two ticks while nothing but the start of a backend is waited for."""
BUDGET = 0.005
"""Seconds that a tick may take: a tenth of the period, so that Blender stays fluid."""
SHARE = 0.9
"""A tick takes nothing new once this share of its budget is spent: the last thing must still fit."""
MAX_MESSAGES = 32
MAX_BYTES = 2 << 20
"""A tick takes no more than this off the wire, but for the last message, however fast the machine is."""
LOOK_SECONDS = 2.0
"""How often the backend is asked what it does, while a panel that shows it is drawn."""
FAREWELL = 2.0
"""Seconds that the backend's word about a cancel or a stop is waited for, by a script or at Blender's end."""


@dataclass(frozen=True)
class Tick:
    """What one tick did."""

    seconds: float
    messages: int
    bytes: int
    """Of pictures that came over the wire and were written here."""
    filled: int
    """Clips that were shown."""


class Pump:
    """Holds the session and the outside world that it talks about."""

    def __init__(self, folder: Path | None, wake: Callable[[], None]) -> None:
        """`folder`: where the add-on keeps files of its own, or None to keep none. `wake`: has the tick called from
        now on, until it returns None."""
        self._wake = wake
        self.style_list = StyleList(folder)
        self._client_id = ClientId(folder)
        self.session = Session(self.style_list.read())
        self.timeline = Timeline(self.session)
        self.on_tick: Callable[[Tick], None] | None = None
        """Told of every tick."""
        self.on_status: Callable[[Status], None] | None = None
        """Told again and again where a clip is while `generate` waits for it in a script."""
        self._client: Client | None = None
        self._process: BackendProcess | None = None
        self.serving = Serving()
        """How a backend is had from now on: see `use`."""
        self._connected = Serving()
        """How the backend that is connected, or was last, is had."""
        self._own_session = ""
        """Of the backend that this Blender has started last."""
        self._session_id = ""
        """Of the backend that is connected, or was last."""
        self.stops_backend = False
        """Whether that backend ends with this Blender, if nobody else uses it."""
        self._deliveries = Deliveries(self.session, clips.spare_folder)
        self._readings = Readings(self.session)
        self.announcer = Announcer(self.session)
        self.commands = BackendCommands()
        self.models = ModelCommands()
        self.styles = StyleCommands()
        self.scene_name = ""
        """Of the scene that gets the style that is written next."""
        self._looked_at = self._asked = float("-inf")
        self._loading = False

    # What operators call ------------------------------------------------------------------------------------

    def submit(self, ticket: Ticket, folder: Path) -> None:
        """Start a job for which a strip waits."""
        self._listen()  # a backend that died while nothing was going on is noticed here
        self._change_over()
        self.do(self.session.submit(ticket.request, str(folder), ticket.pictures))

    def use(self, serving: Serving) -> None:
        """Have the backend in another way from now on; what is being made is finished where it is."""
        self.serving = serving
        self._change_over()

    def do(self, actions: Iterable[Action]) -> None:
        """Follow what a method of the session asks for, and go on in the next ticks."""
        self._perform(actions)
        self._wake()

    def look_around(self) -> None:
        """Somebody looks at what the backend does: ask it now and then. May be called in a draw."""
        self._looked_at = time.monotonic()
        self._wake()

    def wait(self, seconds: float) -> None:
        """Sleep until something can have happened. For scripts only: it blocks."""
        if self._client is not None and self.session.link is Link.GREETING:
            self._client.wait(seconds)
        else:
            time.sleep(min(seconds, PERIOD))

    def settle(self, seconds: float = FAREWELL) -> None:
        """Let what was cancelled end, but do not wait long. For scripts only: it blocks."""
        deadline = time.monotonic() + seconds
        while self.tick(budget=PERIOD) and time.monotonic() < deadline:
            self.wait(PERIOD)

    def edit_changed(self) -> None:
        """Undo, redo or loading has put another edit in place of the one that was there."""
        if self.timeline.mend():
            self._perform(self.timeline.look(time.monotonic()))
        self._wake()

    def follow_to(self, blend: Path) -> None:
        """The open file is saved for the first time: its clips go beside it. Raises FrameFileError."""
        clips.follow_to(blend)
        parent = clips.Folders.parent(blend)
        assert parent is not None
        self._perform(self._deliveries.follow_to(parent))

    def close(self) -> None:
        """Let go of everything. Jobs are left to the backend, which ends by itself when it has none and no client."""
        if self.stops_backend:
            self._stop_if_alone()
        self._deliveries.close()
        self._readings.close()
        self.commands.close()
        self.models.close()
        self.styles.close()
        self._hang_up()
        self._client_id.close()

    # The tick -----------------------------------------------------------------------------------------------

    def tick(self, budget: float = BUDGET) -> float | None:
        """Do what is to be done now. Returns after how many seconds another tick is needed, or None."""
        if self._loading:
            return PERIOD
        begin, now = time.perf_counter(), time.monotonic()
        self._perform(self.session.watch(now))
        self._await_backend()
        looked_at = self._ask(now)
        messages, size = self._listen(budget * SHARE)
        self._perform(self._deliveries.look())
        self._perform(self._readings.look())
        if self.timeline.due(now):
            self._perform(self.timeline.look(now))
        filled = 0
        if not strips.hands_are_busy(bpy.context):
            filled = self._perform(self.timeline.fill())
        if self.on_tick is not None:
            self.on_tick(Tick(time.perf_counter() - begin, messages, size, filled))
        self.announcer.tell()
        made = self.models.made + self.styles.made
        if self.commands.look() | self.models.look() | self.styles.look():
            self.session.changed = True
            style_draft.follow(self.styles, self.models, self.scene_name)
        if self.models.made + self.styles.made != made:
            self.look_around()  # whoever is asked how it is looks at its styles, and tells of new ones
            looked_at = True
        if self.session.busy:
            return PERIOD
        commands = self.commands.running or self.models.running or self.styles.running
        return REST if self.session.waiting or looked_at or commands else None

    def set_loading(self, loading: bool) -> None:
        """While a .blend is loaded nothing may touch the data; what was in the edit is no longer."""
        self._loading = loading
        if loading:
            self.session.leave_file()
            self.timeline.leave_file()
        else:
            leftovers.tidy(clips.parent_folder())

    def fail(self, problem: Problem) -> None:
        """Let go of the backend because of a mistake of ours. It keeps its clips, and those on their way go on."""
        self._perform(self.session.unreachable(problem))

    def _await_backend(self) -> None:
        if self.session.link is not Link.REACHING:
            return
        try:
            if self._process is None:
                self._process = BackendProcess(self.serving)
            connection = self._process.poll(time.monotonic())
            if connection is None:
                return
            name = f"Blender {bpy.app.version_string}"
            self._client = Client(connection, name=name, client_id=self._client_id.value, live_frames=False)
        except BackendError as error:
            self._perform(self.session.unreachable(Problem(error.sentence, error.next_step, error.command, NO_BACKEND)))
        except zmq.ZMQError as error:
            sentence = Phrase("The connection cannot be opened: {why}.", why=error.strerror)
            self._perform(self.session.unreachable(Problem(sentence, code=NO_BACKEND)))
        else:
            if self._process.is_own(connection):
                self._own_session = connection.session
            self._process, self._connected = None, self.serving
            self._session_id, self.session.local = connection.session, not self.serving.profile
            self._perform(self.session.connected())

    def _ask(self, now: float) -> bool:
        """Ask the backend what it does, if somebody looks. Returns whether an answer is waited for or more are."""
        looked_at = self.session.link is Link.READY and now - self._looked_at < LOOK_SECONDS
        if looked_at and now - self._asked >= LOOK_SECONDS:
            self._asked = now
            self._perform(self.session.backend.look_around())
        return self.session.link is Link.READY and now - self._asked < LOOK_SECONDS

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

    def _perform(self, actions: Iterable[Action]) -> int:
        """Do what is asked for, and what follows from that. Returns how many actions that were."""
        todo, done = deque(actions), 0
        while todo:
            todo.extend(self._do(todo.popleft()))
            done += 1
        return done

    def _do(self, action: Action) -> Iterable[Action]:
        match action:
            case Reach():
                pass  # the next tick starts it, so that this click returns at once
            case LookForBackend():
                there = bool(self.serving.profile) or backend_process.is_running()
                return self.session.reach() if there else ()
            case HangUp():
                self._hang_up()
            case Send(request):
                if self._client is not None:
                    self._client.send(request)
            case Read():
                return self._readings.read(action, self._connected.profile)
            case Copy():
                return self._deliveries.copy(action)
            case Write():
                return self._deliveries.write(action)
            case Tidy(job):
                self._deliveries.drop(job)
                self._readings.stop(job)
                FrameFolder.of(self.session.jobs[job]).drop_if_empty()
            case KeepStyles(styles):
                return [Send(AskThumbnail(sha256=sha256)) for sha256 in self.style_list.keep(styles)]
            case KeepThumbnail(sha256, data):
                self.style_list.keep_picture(sha256, data)
        return ()

    def _change_over(self) -> None:
        """Leave a backend that is no longer the wanted one, unless it makes something."""
        if self.serving.profile != self._connected.profile and not self.session.active:
            self._perform(self.session.part())

    def _stop_if_alone(self) -> None:
        """End the backend that this Blender has started, unless somebody else uses it. Blocks for a moment."""
        session = self.session
        if session.link is not Link.READY or self._session_id != self._own_session:
            return
        session.backend.status, told = None, session.backend.times_told
        self._perform(session.backend.look_around())
        if self._hear_until(lambda: session.backend.status is not None and session.backend.times_told != told):
            assert session.backend.status is not None
            if session.backend.status.clients <= 1 and not session.backend.others:
                self._perform(session.stop())
                self._hear_until(lambda: session.link is Link.NONE)

    def _hear_until(self, holds: Callable[[], bool]) -> bool:
        """Listen until something holds, FAREWELL seconds at most."""
        deadline = time.monotonic() + FAREWELL
        while not holds() and self._client is not None and time.monotonic() < deadline:
            self._client.wait(PERIOD)
            self._listen(PERIOD)
        return holds()

    def _hang_up(self) -> None:
        self._process = None
        if self._client is not None:
            self._client.close()
            self._client = None
