"""Descriptors, space, inodes, memory or processes are not to be had for a while, at every phase of a backend or a job.

Nothing that was accepted is lost or fails for it; what cannot go on waits, and the queue says why; and when there is
enough again, all is made.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path
from typing import Any

import pytest

from elevator.pictures.clip_folder import frame_name
from shared_protocol.client import Lost
from shared_protocol.machine import places
from shared_protocol.messages import (
    Accepted,
    AskStatus,
    Cancelled,
    Chunk,
    Denied,
    Done,
    Failed,
    Free,
    Have,
    Message,
    Offer,
    Pause,
    Queue,
    QueueState,
    Resume,
    Status,
)
from tests.backend.faults.pngs import is_whole, noise
from tests.backend.faults.shortages import SHORTAGES, Memory, Shortage, Site
from tests.backend.faults.switchboard import Call, Role, switchboard
from tests.backend.harness import ENDS, LONG, ROOT, Conversation, Running, command, greet, running, until

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="limits, namespaces and preloading are made as on Linux"
)
ME = "1" * 32
SIDE, FRAMES = 128, 4
"""Of every clip: enough that its frames need memory of their own."""
FELT_SECONDS = 0.5
"""How long a shortage lasts once it is there: several rounds of the server's loop."""


class Trouble:
    """One backend over which one shortage comes, and what its client sees."""

    def __init__(self, shortage: Shortage, site: Site, backend: Running, client: Conversation) -> None:
        self.shortage, self.site, self.backend, self.client = shortage, site, backend, client
        self.jobs: list[str] = []
        self.asked = 0
        """Orders of all phases together."""

    def submit(self, count: int = 1, **fields: Any) -> list[str]:
        """Ask for clips."""
        wish = {"frames": FRAMES, "width": SIDE, "height": SIDE, **fields}
        self.asked += count
        jobs = [self.client.submit(seed=number, **wish) for number in range(self.asked - count, self.asked)]
        self.jobs += jobs
        return jobs

    def queue(self) -> QueueState:
        """Whether jobs are started. Fails if the backend has ended."""
        self.client.client.send(AskStatus())
        answer = self.client.expect(Message, lambda message: isinstance(message, Status | Lost))
        assert isinstance(answer, Status), "the backend has ended"
        return answer.queue

    def comes(self) -> None:
        self.shortage.comes(self.site, self.backend)

    def lasts(self) -> None:
        """Let it be felt, and see that whatever does not go on says why."""
        deadline = time.monotonic() + FELT_SECONDS
        while time.monotonic() < deadline:
            self.client.client.wait(0.05)
            self.client.heard += list(self.client.client.poll())
            assert self.client.client.lost is None, "the backend has ended"
        queue = self.queue()
        assert queue.running or not queue.waiting or queue.paused or queue.stopped, "nobody is told why nothing goes on"
        for stopped in (queue.stopped, *stops(self.client)):
            assert not stopped or re.search(f"{self.shortage.says}|before it was ready", stopped), stopped
            assert not stopped or not re.search(self.shortage.never_says, stopped), stopped

    def passes(self) -> None:
        self.shortage.passes(self.site)

    def goes_on_short(self, role: Role, call: Call) -> None:
        """Who comes to this call, where a switch lets it wait, goes on when the shortage is there."""
        self.site.board.await_at(role, call)
        self.comes()
        self.site.board.release(role, call)
        self.lasts()
        self.passes()

    def ends_well(self) -> None:
        """Now that there is enough again, all that was accepted is made, and so is what is asked for now."""
        client = self.client

        def settled() -> bool:
            queue = self.queue()
            if queue.stopped or queue.paused:
                client.client.send(Resume())
            # The end of a job that could not be stored is tried again; until then it neither waits nor runs.
            return not queue.running and not queue.waiting and set(self.jobs) <= {end.job for end in ends_in(client)}

        assert until(settled, 60.0), "the queue does not go on"
        accepted = {message.job for message, _ in client.heard if isinstance(message, Accepted)}
        ends = ends_in(client)
        assert sorted(end.job for end in ends) == sorted(self.jobs), "each order ends once"
        for end in ends:
            if end.job not in accepted:
                assert isinstance(end, Failed)
            elif not (isinstance(self.shortage, Memory) and getattr(end, "code", "") == "out_of_memory"):
                assert isinstance(end, Done), end
        (last,) = self.submit()
        assert isinstance(client.end_of(last), Done)
        for end in ends:
            if isinstance(end, Done):
                folder = self.site.disk / "data" / "results" / end.job
                assert all(is_whole((folder / frame_name(index)).read_bytes(), SIDE, SIDE) for index in range(FRAMES))
        client.heard.clear()
        self.jobs.clear()


def ends_in(client: Conversation) -> list[Done | Failed | Cancelled]:
    return [message for message, _ in client.heard if isinstance(message, ENDS)]


def stops(client: Conversation) -> list[str]:
    """The sentences with which the queue has stopped."""
    return [
        message.queue.stopped for message, _ in client.heard if isinstance(message, Queue) and message.queue.stopped
    ]


# Phases -----------------------------------------------------------------------------------------------------


def while_somebody_comes(trouble: Trouble) -> None:
    trouble.comes()
    with trouble.backend.client(client_id="2" * 32) as newcomer:
        trouble.lasts()
        trouble.passes()
        if newcomer.client.lost is None:
            greet(newcomer)
    with trouble.backend.client(client_id="2" * 32) as newcomer:
        greet(newcomer)


def while_orders_come(trouble: Trouble) -> None:
    trouble.comes()
    trouble.submit(3)
    trouble.lasts()
    trouble.passes()


def while_pictures_come(trouble: Trouble) -> None:
    picture = noise(1)
    sha256, client = hashlib.sha256(picture).hexdigest(), trouble.client

    def hear() -> Have | Denied:
        answer = client.expect(Message, lambda message: isinstance(message, Have | Denied))
        assert isinstance(answer, Have | Denied)
        return answer

    def send() -> Have | Denied:
        client.client.send(Offer(sha256=sha256, size=len(picture)))
        answer = hear()
        if isinstance(answer, Denied) or answer.offset == len(picture):
            return answer
        client.client.send(Chunk(sha256=sha256, offset=answer.offset), [picture[answer.offset :]])
        return hear()

    trouble.comes()
    answer = send()
    trouble.lasts()
    trouble.passes()
    if isinstance(answer, Denied):
        answer = send()
    assert answer == Have(sha256=sha256, offset=len(picture))
    trouble.submit(footage=(sha256,) * FRAMES, strength=0.5)


def before_a_worker_is_started(trouble: Trouble) -> None:
    client = trouble.client
    client.client.send(Pause())
    trouble.submit(3)
    client.client.send(Free())
    client.status()
    trouble.comes()
    client.client.send(Resume())
    trouble.lasts()
    trouble.passes()


def while_a_worker_is_started(trouble: Trouble) -> None:
    trouble.client.client.send(Free())
    trouble.client.status()
    for path in (trouble.site.disk / "state").glob("worker_output_*"):
        path.unlink()  # it takes an inode to make it anew
    trouble.site.board.stop_at("server", "open", 1, "worker_output")
    trouble.submit(3)
    trouble.goes_on_short("server", "open")


def while_a_worker_loads(trouble: Trouble) -> None:
    trouble.client.client.send(Free())
    trouble.site.board.stop_at("worker", "open", 1, "worker.log")
    trouble.submit(2)
    trouble.goes_on_short("worker", "open")


def while_frames_are_written(trouble: Trouble) -> None:
    trouble.site.board.stop_at("worker", "open", 1, "frame_0002")
    trouble.submit(2)
    trouble.goes_on_short("worker", "open")


def while_a_result_gets_its_name(trouble: Trouble) -> None:
    trouble.site.board.stop_at("server", "open", 1, "result.json")
    trouble.submit(2)
    trouble.goes_on_short("server", "open")


def while_an_end_is_stored(trouble: Trouble) -> None:
    board = trouble.site.board
    board.stop_at("server", "sync", 3, "results")  # result.json, the folder with its old name, the folder around it
    trouble.submit(2)
    board.await_at("server", "sync")
    board.stop_at("server", "write", 1, "queue.db")
    board.release("server", "sync")
    trouble.goes_on_short("server", "write")


def while_nothing_happens(trouble: Trouble) -> None:
    trouble.comes()
    trouble.lasts()
    trouble.passes()


PHASES: tuple[Callable[[Trouble], None], ...] = (
    while_somebody_comes,
    while_orders_come,
    while_pictures_come,
    before_a_worker_is_started,
    while_a_worker_is_started,
    while_a_worker_loads,
    while_frames_are_written,
    while_a_result_gets_its_name,
    while_an_end_is_stored,
    while_nothing_happens,
)


@pytest.fixture(params=SHORTAGES)
def shortage(request: pytest.FixtureRequest) -> Shortage:
    return SHORTAGES[request.param]()


@pytest.fixture
def site(shortage: Shortage, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    """The test finds the backend's files where it sees them, the backend where it does."""
    with switchboard(home, tmp_path) as board, shortage.site(home, board) as site:
        monkeypatch.setenv("ELEVATOR_HOME", str(site.disk))
        yield site


def served(site: Site, home: Path) -> AbstractContextManager[Running]:
    options: dict[str, Any] = {**site.board.environment, "ELEVATOR_HOME": str(home)}
    return running("--stay", through=site.through, step_seconds=0.002, **options)


@pytest.mark.parametrize(
    "phases",
    [
        pytest.param(PHASES, id="all"),
        *(pytest.param((phase,), id=phase.__name__, marks=pytest.mark.long) for phase in PHASES),
    ],
)
def test_a_shortage_comes_and_passes(
    phases: Sequence[Callable[[Trouble], None]], shortage: Shortage, site: Site, home: Path, tmp_path: Path
) -> None:
    """At all phases of one backend's life, and, to see which one it is, at each alone."""
    with served(site, home) as backend, backend.client(client_id=ME) as client:
        greet(client)
        trouble = Trouble(shortage, site, backend, client)
        for phase in phases:
            print(phase.__name__)
            phase(trouble)
            trouble.ends_well()
    look_at_database(site, tmp_path / "copy")


def look_at_database(site: Site, copy: Path) -> None:
    shutil.copytree(site.disk / "data", copy, ignore=shutil.ignore_patterns("results", "uploads"))
    with closing(sqlite3.connect(copy / "queue.db")) as base:  # SQLite follows links, and so finds no other root
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        assert base.execute("SELECT count(*) FROM jobs WHERE ending IS NULL").fetchone() == (0,)


def test_a_shortage_at_the_start(shortage: Shortage, site: Site, home: Path, tmp_path: Path) -> None:
    """The backend starts all the same, or says in a sentence why not; what waits is made by the next one."""
    if isinstance(shortage, Memory):
        pytest.skip("it comes over workers")
    with served(site, home) as backend, backend.client(client_id=ME) as client:
        client.client.send(Pause())
        jobs = [client.submit(seed=seed, frames=FRAMES, width=SIDE, height=SIDE) for seed in range(2)]
        client.status()
    shortage.comes(site, None)
    with start(site, home) as (process, said):
        until(lambda: process.poll() is not None or places.connection_file().exists(), 20.0)
        time.sleep(FELT_SECONDS)
        if process.poll() is None:
            process.terminate()
        process.wait(LONG)
        words = said.read_text(encoding="utf-8")
        # libzmq aborts where it cannot begin a thread; nothing is lost by that before the backend serves.
        assert process.returncode == 0 or len(words.splitlines()) == 1 or "(src/thread.cpp:" in words, words
        assert "should not" not in words
    shortage.passes(site)
    with served(site, home) as backend, backend.client(client_id=ME) as client:
        greet(client)
        client.client.send(Resume())
        assert {job: type(client.end_of(job)) for job in jobs} == dict.fromkeys(jobs, Done)
    look_at_database(site, tmp_path / "copy")


@contextmanager
def start(site: Site, home: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """A backend that may not come to serve, and the file with its complaints."""
    complaints = home.parent / "complaints"
    environment = {**os.environ, **site.board.environment, "ELEVATOR_HOME": str(home)}
    with complaints.open("wb") as output:
        arguments = [*site.through, *command("serve", "--fake", "--stay")]
        process = subprocess.Popen(arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=output)
    try:
        yield process, complaints
    finally:
        process.kill()
        process.wait()
