"""Server, worker or client is killed at a random moment, many times over: no job is lost, none ends twice.

A failure says its seed. `ELEVATOR_CHAOS_SEED=SEED` makes the same decisions again; moments then still differ a little.
"""

from __future__ import annotations

import os
import random
import sqlite3
import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import msgspec
import numpy as np
import psutil
import pytest

from elevator.pictures.clip_folder import frame_name
from shared_protocol.client import new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import (
    Accepted,
    Cancel,
    Cancelled,
    Done,
    Event,
    Failed,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Jobs,
    Message,
    Received,
)
from tests.backend.faults.lives import ORPHANS_LIVE, at_home, killable_client
from tests.backend.harness import ENDS, Conversation, Running, gone, greet, running
from tests.backend.worker.test_sampling import WEIGHTS, write_styles

OPTIONS = ("--stay", "--keep", "100000")
ROUNDS_TOGETHER = 6
"""So many rounds leave their jobs in one queue before all is looked at."""
CLIENTS = ("1" * 32, "2" * 32)
VICTIMS = ("server", "server", "worker", "worker", "client", "server and client")
SCRIPTS = ("", "", "", "fail:internal", "fail:crash-once", "fail:out_of_memory")
"""What the fake maker is told to do."""


@dataclass
class Book:
    """All that the killed clients were told, and what was asked."""

    fake: bool
    orders: dict[str, Generate] = field(default_factory=dict)
    accepted: dict[str, str] = field(default_factory=dict)
    """Job → client id."""
    ends: dict[str, Message] = field(default_factory=dict)
    cancelled: set[str] = field(default_factory=set)
    kills: list[str] = field(default_factory=list)
    """What was killed, and how many jobs were unfinished then."""

    def requests(self, chance: random.Random) -> list[Generate | Cancel]:
        """What a client asks for in one round."""
        requests: list[Generate | Cancel] = []
        for number in range(chance.randint(1, 4) if self.fake else chance.randint(1, 2)):
            order = Generate(
                job=new_job_id(),
                prompt=f"a pumpkin {chance.choice(SCRIPTS) if self.fake else ''}",
                style="plain" if self.fake else "quick",
                frames=chance.randint(1, 6),
                width=chance.choice((64, 96)) if self.fake else 64,
                height=64,
                seed=chance.randrange(1000),
                previews=chance.random() < 0.5,
            )
            self.orders[order.job] = order
            requests.append(order)
            if number and chance.random() < 0.25:  # never the first, so that there is something to kill
                self.cancelled.add(order.job)
                requests.append(Cancel(job=order.job))
        return requests

    def read(self, client_id: str, path: Path) -> int:
        """Take in what a client has written. Returns how many events."""
        lines = path.read_bytes().split(b"\n")[:-1]  # the last may be torn
        for line in lines:
            match msgspec.json.decode(line, type=Event):
                case Accepted(job=job):
                    self.accepted[job] = client_id
                case Done() | Failed() | Cancelled() as end:
                    self.note_end(end)
        return len(lines)

    def note_end(self, end: Done | Failed | Cancelled) -> None:
        assert self.ends.setdefault(end.job, end) == end, "a job has ended in two ways"

    @property
    def open(self) -> set[str]:
        return set(self.accepted) - set(self.ends)


def kill_server(backend: Running) -> None:
    family = backend.family
    backend.process.kill()
    backend.process.wait()
    assert not psutil.wait_procs(family, timeout=ORPHANS_LIVE)[1], "a worker outlived its server"


def one_round(backend: Running, book: Book, chance: random.Random, folder: Path) -> bool:
    """Jobs, and a kill at a random moment. Whether the backend still runs."""
    victim = chance.choice(VICTIMS)
    moment, more = chance.randrange(0, 30) if book.fake else chance.randrange(5, 60), chance.random() * 0.05
    client_id = chance.choice(CLIENTS)
    heard = folder / f"{len(book.kills)}.jsonl"
    requests = book.requests(chance)
    with killable_client(client_id, requests, heard) as client:
        # Counted in events rather than seconds, so that it does not depend on how fast the machine is.
        deadline = time.monotonic() + 60.0
        while book.read(client_id, heard) <= moment and client.poll() is None:
            if all(request.job in book.ends for request in requests) or time.monotonic() > deadline:
                break
            time.sleep(0.002)
        time.sleep(more)
        book.kills.append(f"{victim}, {len(book.open)} jobs open")
        workers = backend.family
        if "client" in victim:
            client.kill()
        if victim == "worker" and workers:
            workers[0].kill()
            assert gone(workers[0])
        elif "server" in victim:
            kill_server(backend)
        client.kill()
        client.wait()
        book.read(client_id, heard)
    return backend.process.poll() is None


def rounds_together(book: Book, chance: random.Random, count: int, folder: Path, options: dict[str, object]) -> None:
    """Some rounds, each with the backend that the last one left or with a new one; at the end, everything is right."""
    while count:
        with running(*OPTIONS, **options) as backend:  # type: ignore[arg-type]
            while count and one_round(backend, book, chance, folder):
                count -= 1
            count = max(0, count - 1)
    with running(*OPTIONS, **options) as backend:  # type: ignore[arg-type]
        for client_id in CLIENTS:
            look_at_all(backend, book, client_id)
        assert {path.name for path in results() if path.name.startswith(".")} == set()
        done = {job for job, end in book.ends.items() if isinstance(end, Done)}
        assert {path.name for path in results()} == done, "each result belongs to a job that is done"
    with closing(sqlite3.connect(places.data_folder() / "queue.db")) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert base.execute("SELECT count(*) FROM jobs WHERE ending IS NULL").fetchone() == (0,)
    assert not at_home(), "a process was left behind"


def results() -> list[Path]:
    return list((places.data_folder() / "results").iterdir())


def look_at_all(backend: Running, book: Book, client_id: str) -> None:
    """A client comes back: each of its jobs ends, once, and so it is told each time until it says Received."""
    mine = {job for job, client in book.accepted.items() if client == client_id}
    with backend.client(client_id=client_id) as client:
        greet(client)
        client.until_settled()
        told = ends_in(client)
    for end in told.values():
        book.note_end(end)  # type: ignore[arg-type]
    lost = {job: book.ends.get(job) for job in mine - set(told)}
    assert not lost, "an accepted job is lost, or its end is not told again"
    # Of these the client was killed before it could hear that they are accepted.
    assert set(told) <= set(book.orders)
    if not told:
        return
    with backend.client(client_id=client_id) as client:
        greet(client)
        client.expect(Jobs)
        states = {job.job: job.state for job in client.jobs(ended=400).jobs}
        assert ends_in(client) == told, "it is told the same each time"
        assert {job: states[job] for job in told} == {job: type(end).__name__.lower() for job, end in told.items()}
        for job, end in told.items():
            look_at(client, book, job, end)
        for job in told:
            client.client.send(Received(job=job))
        client.status()
    with backend.client(client_id=client_id) as client:
        client.status()
        assert not ends_in(client), "what was received is not told again"
    for job in told:
        book.accepted.pop(job, None)


def ends_in(client: Conversation) -> dict[str, Message]:
    """Job → its end; each was heard once."""
    ends = [message for message, _ in client.heard if isinstance(message, ENDS)]
    assert len({end.job for end in ends}) == len(ends), "a job has ended twice"
    return {end.job: end for end in ends}


def look_at(client: Conversation, book: Book, job: str, end: Message) -> None:
    """An end must be one that was possible; a result must be whole."""
    order = book.orders[job]
    match end:
        case Cancelled():
            assert job in book.cancelled
        case Failed(code=code):
            script = order.prompt.partition("fail:")[2]
            assert code == "worker_died" or code == script, end
        case Done(frames=frames, width=width, height=height):
            assert (frames, width, height) == (order.frames, order.width, order.height)
            folder = places.data_folder() / "results" / job
            names = {path.name for path in folder.iterdir()}
            pictures = {frame_name(index) for index in range(frames)}
            assert names == pictures | {"clip.json", "contact_sheet.jpg", "result.json"}
            client.client.send(Fetch(job=job, count=64))
            client.expect(Fetched)
            sent = [(message, buffers) for message, buffers in client.of(job) if isinstance(message, Frame)]
            pngs = {message.index: bytes(buffers[0]) for message, buffers in sent}
            assert sorted(pngs) == list(range(frames))
            for index, png in pngs.items():
                assert (folder / frame_name(index)).read_bytes() == png
                picture = cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_UNCHANGED)
                assert picture is not None, "a frame is torn"
                assert picture.shape == (height, width, 3)
            assert cv2.imread(str(folder / "contact_sheet.jpg")) is not None
            for name in ("clip.json", "result.json"):
                assert msgspec.json.decode((folder / name).read_bytes())


def chaos(rounds: int, folder: Path, **options: Any) -> None:
    seed = int(os.environ.get("ELEVATOR_CHAOS_SEED", random.randrange(2**32)))
    chance, book = random.Random(seed), Book(fake=bool(options.get("fake", True)))
    heard = folder / "heard"
    heard.mkdir()
    with ExitStack() as stack:
        stack.callback(lambda: print(f"ELEVATOR_CHAOS_SEED={seed}", *book.kills, sep="\n"))  # shown after a failure
        for start in range(0, rounds, ROUNDS_TOGETHER):
            rounds_together(book, chance, min(ROUNDS_TOGETHER, rounds - start), heard, options)
    assert len(book.kills) == rounds
    assert any(isinstance(end, Done) for end in book.ends.values())


@pytest.mark.parametrize("rounds", [5, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_kills_with_test_pictures(rounds: int, tmp_path: Path) -> None:
    chaos(rounds, tmp_path, step_seconds=0.005)


@pytest.mark.skipif(not (WEIGHTS / "t2i").is_dir(), reason="the embedded models are not there")
@pytest.mark.parametrize("rounds", [1, pytest.param(20, marks=[pytest.mark.long, pytest.mark.timeout(3600)])])
def test_kills_with_the_embedded_models(rounds: int, tmp_path: Path, home: Path) -> None:
    write_styles(home / "config" / "styles")
    chaos(rounds, tmp_path, fake=False)
