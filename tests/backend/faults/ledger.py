"""What clients were promised by backends that are killed, and whether it was kept."""

from __future__ import annotations

import hashlib
import os
import random
import sqlite3
from collections import Counter
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from elevator.pictures.clip_folder import frame_name
from shared_protocol.client import Lost, new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Chunk,
    Conform,
    Done,
    Failed,
    Fetch,
    Forget,
    Frame,
    Generate,
    Have,
    Message,
    Move,
    Offer,
    Received,
    Terminal,
)
from shared_protocol.wire import Buffer
from tests.backend.faults.pngs import is_whole, noise
from tests.backend.harness import ENDS, Conversation, Running, greet

PART_BYTES = 4096
"""Of a picture that is sent: several parts, so that the backend can end between two."""
MOST_OPEN = 8
"""Unfinished jobs of a customer: more would only make the rounds long."""
SCRIPTS = ("", "", "", "", "fail:internal", "fail:out_of_memory", "fail:crash-once")
"""What the fake maker is told to do."""
SIDE = 64
"""Of every clip, pixels."""
HALF = (".partial-", ".forgotten-")
"""How the names of folders begin that are half written or half deleted."""
_ends: msgspec.json.Decoder[Terminal] = msgspec.json.Decoder(Terminal)


@dataclass
class Ledger:
    """All that was asked and told, by all clients."""

    orders: dict[str, Generate | Conform] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    """Job → client id."""
    accepted: set[str] = field(default_factory=set)
    refused: set[str] = field(default_factory=set)
    """Orders of which a live answer said that they are not accepted."""
    ends: dict[str, Terminal] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    forgotten: set[str] = field(default_factory=set)
    """Results that a client has asked to delete."""
    received: set[str] = field(default_factory=set)
    """Jobs of which a client has said Received; whether the backend heard it is not known."""
    pictures: dict[str, bytes] = field(default_factory=dict)
    """Sha256 → a file that was sent, or a part of it."""
    taken: set[str] = field(default_factory=set)
    """Pictures of which the backend has said that it has them whole."""

    def order(self, client_id: str, order: Generate | Conform) -> Generate | Conform:
        """Note an order before it is sent."""
        self.orders[order.job], self.customers[order.job] = order, client_id
        return order

    def hear(self, message: Message, buffers: tuple[Buffer, ...] = ()) -> None:
        """Note what a client was told. Fails if it contradicts what was told before."""
        match message:
            case Accepted(job=job):
                self.accepted.add(job)
            case Failed(job=job) if job not in self.accepted and job not in self.ends:
                self.refused.add(job)
            case Done(job=job) | Failed(job=job) | Cancelled(job=job):
                assert self.ends.setdefault(job, message) == message, "a job has ended in two ways"
            case Frame() if buffers:  # a journal of a killed client keeps none
                assert is_whole(bytes(buffers[0]), SIDE, SIDE), "a frame was sent that is torn"
            case Have(sha256=sha256, offset=offset) if offset == len(self.pictures[sha256]):
                self.taken.add(sha256)

    @property
    def open(self) -> set[str]:
        """Jobs of which it is not known how they end."""
        return self.accepted - set(self.ends)

    @property
    def done(self) -> list[str]:
        """Jobs with a result that nobody has asked to delete."""
        return [job for job, end in self.ends.items() if isinstance(end, Done) and job not in self.forgotten]


class Customer:
    """A client that does something or other, and comes back under its name."""

    def __init__(self, name: str, ledger: Ledger, chance: random.Random) -> None:
        self.name = name
        self.line: Conversation | None = None
        self._ledger, self._chance = ledger, chance
        self._sending: set[str] = set()
        """Pictures of which the next `Have` wants another part."""
        self._told: set[str] = set()
        """Jobs whose end came over this line."""
        self._cancelled = Counter[str]()
        """How often each job was asked to be cancelled, less the times that its end was told once more."""

    def come(self, backend: Running) -> None:
        """Connect, if it is not connected."""
        if self.line is None:
            self.line = backend.client(client_id=self.name)

    def leave(self) -> None:
        """Go without a word."""
        if self.line is not None:
            self.line.client.close()
        self.line = None
        self._sending.clear()
        self._told.clear()
        self._cancelled.clear()

    def hear(self) -> int:
        """Take in what has come. Returns how many events."""
        if self.line is None:
            return 0
        count = 0
        for message, buffers in self.line.client.poll():
            count += 1
            if isinstance(message, Lost):
                self.leave()
                return count
            self._ledger.hear(message, buffers)
            if isinstance(message, ENDS):
                # Whoever asks to cancel a job that has ended is told its end once more.
                assert message.job not in self._told or self._cancelled[message.job], "a job has ended twice"
                self._cancelled[message.job] -= message.job in self._told
                self._told.add(message.job)
            if isinstance(message, Have) and message.sha256 in self._sending:
                self._send_part(message.sha256, message.offset)
        return count

    def act(self) -> None:
        """Ask for something."""
        if self.line is None:
            return
        kinds = {self._submit: 5, self._cancel: 2, self._offer: 2, self._move: 1, self._leave_it: 1}
        if self._ledger.done:
            kinds |= {self._conform: 2, self._fetch: 2, self._forget: 1, self._receive: 1}
        (act,) = self._chance.choices(list(kinds), list(kinds.values()))
        act()

    @property
    def _open(self) -> list[str]:
        return sorted(job for job in self._ledger.open if self._ledger.customers[job] == self.name)

    def _send(self, request: Message, *buffers: Buffer) -> None:
        assert self.line is not None
        self.line.client.send(request, buffers)  # type: ignore[arg-type]

    def _submit(self) -> None:
        if len(self._open) > MOST_OPEN:
            return self._cancel()
        frames = self._chance.randint(1, 4)
        footage: tuple[str, ...] = ()
        if self._ledger.taken and self._chance.random() < 0.4:
            footage = (self._chance.choice(sorted(self._ledger.taken)),) * frames
        order = Generate(
            job=new_job_id(),
            prompt=f"a pumpkin {self._chance.choice(SCRIPTS)}",
            style="plain",
            frames=frames,
            width=SIDE,
            height=SIDE,
            seed=self._chance.randrange(1000),
            previews=self._chance.random() < 0.3,
            footage=footage,
            strength=0.5 if footage else 1.0,
        )
        self._send(self._ledger.order(self.name, order))
        return None

    def _conform(self) -> None:
        source = self._chance.choice(self._ledger.done)
        method = "flow" if self._chance.random() < 0.3 else "hold"
        order = Conform(job=new_job_id(), source=source, fps_numerator=self._chance.choice((12, 24)), method=method)  # type: ignore[arg-type]
        self._send(self._ledger.order(self.name, order))

    def _cancel(self) -> None:
        if jobs := self._open:
            job = self._chance.choice(jobs)
            self._ledger.cancelled.add(job)
            self._cancelled[job] += 1
            self._send(Cancel(job=job))

    def _move(self) -> None:
        if jobs := self._open:
            self._send(Move(job=self._chance.choice(jobs), position=self._chance.randrange(3)))

    def _fetch(self) -> None:
        self._send(Fetch(job=self._chance.choice(self._ledger.done), count=64))

    def _forget(self) -> None:
        job = self._chance.choice(self._ledger.done)
        self._ledger.forgotten.add(job)
        self._send(Forget(job=job))

    def _receive(self) -> None:
        job = self._chance.choice(self._ledger.done)
        self._ledger.received.add(job)
        self._send(Received(job=job))

    def _leave_it(self) -> None:
        """Nothing, for once."""

    def _offer(self) -> None:
        unfinished = sorted(set(self._ledger.pictures) - self._ledger.taken)
        if unfinished and self._chance.random() < 0.5:
            sha256 = self._chance.choice(unfinished)
        else:
            picture = noise(self._chance.randrange(2**32))
            sha256 = hashlib.sha256(picture).hexdigest()
            self._ledger.pictures[sha256] = picture
        self._sending.add(sha256)
        self._send(Offer(sha256=sha256, size=len(self._ledger.pictures[sha256])))

    def _send_part(self, sha256: str, offset: int) -> None:
        picture = self._ledger.pictures[sha256]
        if offset == len(picture):
            self._sending.discard(sha256)
        else:
            self._send(Chunk(sha256=sha256, offset=offset), picture[offset : offset + PART_BYTES])

    def finish_sending(self, backend: Running) -> None:
        """Send all that was begun, and wait until the backend has it."""
        with backend.client(client_id=self.name) as line:
            for sha256, picture in self._ledger.pictures.items():
                line.client.send(Offer(sha256=sha256, size=len(picture)))
                offset = line.expect(Have).offset
                assert offset == len(picture) or sha256 not in self._ledger.taken, "a picture is lost"
                while offset < len(picture):
                    part = picture[offset : offset + PART_BYTES]
                    line.client.send(Chunk(sha256=sha256, offset=offset), [part])
                    offset = line.expect(Have).offset


def check_with(backend: Running, ledger: Ledger, names: list[str]) -> None:
    """Every client comes back to a backend that nobody disturbs: all that was accepted ends, once, and is told so."""
    for name in names:
        with backend.client(client_id=name) as line:
            greet(line)
            line.until_settled()
            told = ends_in(line)
            for message, buffers in line.heard:
                if not isinstance(
                    message, Failed
                ):  # which here is the end of a job, whose Accepted was perhaps unheard
                    ledger.hear(message, buffers)
            for job, end in told.items():
                assert job in ledger.orders
                assert ledger.ends.setdefault(job, end) == end, "a job has ended in two ways"
                look_at_end(ledger, end)
            mine = {job for job in ledger.accepted if ledger.customers[job] == name}
            silent = mine - set(told) - ledger.received - ledger.forgotten
            assert not silent, "an accepted job is lost, or its end is not told again"
            states = {view.job: view.state for view in line.jobs(ended=500).jobs}
            for job in mine:
                assert states[job] == type(ledger.ends[job]).__name__.lower()
            for job, end in told.items():
                if isinstance(end, Done) and job not in ledger.forgotten:
                    look_at_frames(line, end)


def ends_in(line: Conversation) -> dict[str, Terminal]:
    """Job → its end; each was heard once."""
    ends = [message for message, _ in line.heard if isinstance(message, ENDS)]
    assert len({end.job for end in ends}) == len(ends), "a job has ended twice"
    return {end.job: end for end in ends}


def look_at_end(ledger: Ledger, end: Terminal) -> None:
    """An end must be one that was possible."""
    order = ledger.orders[end.job]
    match end:
        case Cancelled(job=job):
            assert job in ledger.cancelled, "nobody has cancelled it"
        case Failed(code=code):
            script = order.prompt.partition("fail:")[2] if isinstance(order, Generate) else "source_missing"
            assert code in (script, "worker_died"), end
        case Done():
            if isinstance(order, Generate):
                assert (end.frames, end.width, end.height) == (order.frames, order.width, order.height)


def look_at_frames(line: Conversation, end: Done) -> None:
    """What is fetched is what lies on the disk, whole."""
    before = len(line.heard)
    line.client.send(Fetch(job=end.job, count=64))
    line.status()
    pngs = {
        message.index: bytes(buffers[0])
        for message, buffers in line.heard[before:]
        if isinstance(message, Frame) and message.job == end.job
    }
    assert sorted(pngs) == list(range(end.frames))
    folder = places.data_folder() / "results" / end.job
    for index, png in pngs.items():
        assert is_whole(png, end.width, end.height), "a frame is torn"
        assert (folder / frame_name(index)).read_bytes() == png


def check_files(ledger: Ledger) -> None:
    """When no backend runs: everything is there, whole, and nothing that is half."""
    data = places.data_folder()
    results = {path.name: path for path in (data / "results").iterdir()}
    done = {job for job, end in ledger.ends.items() if isinstance(end, Done)}
    assert done - ledger.forgotten <= set(results) <= done, "each result belongs to a job that is done"
    for job, folder in results.items():
        end = ledger.ends[job]
        assert isinstance(end, Done)
        frames = {frame_name(index) for index in range(end.frames)}
        names = {path.name for path in folder.iterdir()}
        assert names in (
            frames | {"clip.json", "contact_sheet.jpg", "result.json"},
            frames | {"clip.json", "result.json"},
        )
        for name in frames:
            assert is_whole((folder / name).read_bytes(), end.width, end.height), "a frame is torn"
        assert msgspec.json.decode((folder / "clip.json").read_bytes())
        assert msgspec.json.decode((folder / "result.json").read_bytes())
    pictures = {path.name: path.read_bytes() for path in (data / "uploads").iterdir()}
    assert pictures == {f"{sha256}.png": picture for sha256, picture in ledger.pictures.items()}
    home = Path(os.environ["ELEVATOR_HOME"])
    left = [path for path in home.rglob("*") if path.name.startswith(HALF) or path.suffix == ".part"]
    assert not left, "something half was left behind"
    assert not places.connection_file().exists()


def check_database(ledger: Ledger) -> None:
    """When no backend runs: the database is whole, and says the same as the clients heard."""
    with closing(sqlite3.connect(places.data_folder() / "queue.db")) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = {job: (state, ending) for job, state, ending in base.execute("SELECT id, state, ending FROM jobs")}
    assert ledger.accepted <= set(rows) <= set(ledger.orders)
    for job, (state, ending) in rows.items():
        assert ending is not None, "it has not ended"
        end = _ends.decode(ending)
        assert state == type(end).__name__.lower()
        assert ledger.ends.setdefault(job, end) == end, "the database says another end than the client heard"
        assert job not in ledger.refused or isinstance(end, Failed)
