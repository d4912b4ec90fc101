"""No client reaches another, whatever it sends, leaves unread or is called: raw sockets against a real server."""

from __future__ import annotations

import socket as network
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec
import psutil
import pytest
import zmq

from shared_protocol import wire
from shared_protocol.client import new_job_id
from shared_protocol.messages import (
    AskStatus,
    Denied,
    Done,
    Fetch,
    Fetched,
    Frame,
    Generate,
    Hello,
    Message,
    Pause,
    Refused,
    Request,
    Status,
    Welcome,
)
from tests.backend.harness import Running, greet, run, running, until
from tests.security.guests import answer_on, open_line

QUICK = 5.0
"""More than anybody waits for an answer of a server that has nothing to do, seconds. Usual are some milliseconds."""


@pytest.fixture
def backend() -> Iterator[Running]:
    with running("--stay", step_seconds=0.002) as backend:
        yield backend


Dial = Callable[..., zmq.Socket[bytes]]


@pytest.fixture
def dial(backend: Running) -> Iterator[Dial]:
    """Opens lines to the backend, without our client."""
    with zmq.Context() as context, ExitStack() as lines:

        def opened(identity: bytes = b"") -> zmq.Socket[bytes]:
            return lines.enter_context(open_line(context, backend.connection, identity))

        yield opened


def say(line: zmq.Socket[bytes], request: Request) -> None:
    line.send_multipart(wire.encode(request))


def connections(backend: Running) -> int:
    """How many clients' connections the backend has."""
    port = int(backend.connection.endpoint.rpartition(":")[2])
    lines = psutil.Process(backend.process.pid).net_connections("tcp")
    return sum(line.laddr.port == port and line.status == psutil.CONN_ESTABLISHED for line in lines)


def small(prompt: str = "a pumpkin") -> Generate:
    return Generate(job=new_job_id(), prompt=prompt, style="plain", frames=1, width=64, height=64, seed=1)


def test_a_client_that_leaves_a_flood_unread_and_vanishes_ends_nothing(backend: Running, dial: Dial) -> None:
    with backend.client() as honest:
        greet(honest)
        for _ in range(8):
            line = dial()
            line.setsockopt(zmq.HEARTBEAT_IVL, 20)
            say(line, Hello(client="flood"))
            answer_on(line)
            for _ in range(2000):
                say(line, AskStatus())
            time.sleep(0.1)
            line.close(linger=0)
            asked = time.monotonic()
            honest.status()
            assert time.monotonic() - asked < QUICK
        assert backend.process.poll() is None


def test_who_sends_too_much_is_told_so_and_closed_out(backend: Running, dial: Dial) -> None:
    with backend.client() as honest:
        greet(honest)
        line = dial()
        say(line, Hello(client="flood"))
        answer_on(line)
        for _ in range(20_000):  # they arrive many times faster than anybody answers them
            say(line, AskStatus())
        while not isinstance(answer := answer_on(line), Refused):
            pass
        assert answer.code == "too_much"
        assert until(lambda: connections(backend) == 1, QUICK), "the connection was not closed"
        assert isinstance(honest.end_of(honest.submit()), Done)
        assert until(lambda: honest.status().clients == 1)


@pytest.mark.parametrize(("parts", "size"), [(65, 0), (200_000, 0), (300, 1 << 20)])
def test_a_message_of_more_parts_than_any_is_refused_and_nobody_waits_for_it(
    backend: Running, dial: Dial, parts: int, size: int
) -> None:
    with backend.client() as honest:
        greet(honest)
        line = dial()
        say(line, Hello(client="many"))
        assert isinstance(answer_on(line), Welcome)
        piece = bytes(size)
        for _ in range(parts - 1):
            line.send(piece, zmq.SNDMORE)
        line.send(piece)
        slowest = 0.0
        for _ in range(20):
            asked = time.monotonic()
            honest.status()
            slowest = max(slowest, time.monotonic() - asked)
        assert slowest < QUICK
        while not isinstance(refused := answer_on(line), Refused):
            pass
        assert refused.code == "too_much"


BASE = """
title = "Wide"
t2i = "nothing"
t2v = "nothing"
max_size = 512
presets = "zeroscope"
"""
STYLE = """
title = "Wide"
base = "wide"
preset = "fast"
example_prompt = "a pumpkin"
"""


@pytest.fixture
def wide(home: Path) -> None:
    """A style whose clips are large."""
    for kind, text in (("bases", BASE), ("styles", STYLE)):
        (home / "config" / kind).mkdir(parents=True)
        (home / "config" / kind / "wide.toml").write_text(text, encoding="utf-8")


def test_a_client_that_does_not_read_takes_no_memory_and_misses_nothing_that_it_asked_for(
    wide: None, backend: Running, dial: Dial
) -> None:
    with backend.client() as maker:
        greet(maker)
        job = maker.submit("grain:255", style="wide", frames=32, width=512, height=512)
        assert isinstance(maker.end_of(job), Done)
        line = dial()
        line.rcvhwm = 1
        say(line, Hello(client="slow"))
        assert isinstance(answer_on(line), Welcome)
        before = psutil.Process(backend.process.pid).memory_info().rss
        rounds = 12
        for _ in range(rounds):
            say(line, Fetch(job=job, count=32))
        for _ in range(20):
            maker.status()
            time.sleep(0.05)
        grown = psutil.Process(backend.process.pid).memory_info().rss - before
        asked_for = rounds * maker.jobs(ended=1).jobs[0].bytes
        assert asked_for > 150 << 20
        assert grown < asked_for / 2
        frames, done = [], 0
        while done < rounds:
            message = answer_on(line)
            if isinstance(message, Frame):
                frames.append(message.index)
            done += isinstance(message, Fetched)
        assert frames == list(range(32)) * rounds


def test_nobody_gets_anothers_mail_by_its_identity(backend: Running, dial: Dial) -> None:
    mine = dial(b"blender")
    say(mine, Hello(client="mine"))
    assert isinstance(answer_on(mine), Welcome)
    order = small()
    order = msgspec.structs.replace(order, frames=8)
    say(mine, order)
    thief = dial(b"blender")
    say(thief, Hello(client="thief"))
    ends: list[Message] = []
    while not ends:
        message = answer_on(mine)
        if isinstance(message, Done):
            ends.append(message)
    say(mine, AskStatus())
    while not isinstance(answer_on(mine), Status):
        pass
    assert not thief.poll(300), "the thief heard something"


def test_a_cancel_that_no_worker_has_heeded_survives_the_backend(home: Path) -> None:
    with running("--stay", step_seconds=5) as backend, backend.client() as client:
        job = client.submit("a slow pumpkin")
        client.expect(Message, lambda message: getattr(message, "phase", "") == "painting")
        client.client.send(Pause())  # something to wait for that comes after the cancel
        client.client.send(msgspec.convert({"type": "Cancel", "job": job}, Request))
        client.status()
        backend.process.kill()
        backend.process.wait()
    with running("--stay") as backend, backend.client() as client:
        greet(client)
        (ended,) = client.jobs(ended=5).jobs
        assert ended.state == "cancelled"


def test_strangers_connections_leave_room_for_work_and_are_closed(home: Path) -> None:
    resource = pytest.importorskip("resource")
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    limit = 400
    through = ["prlimit", f"--nofile={limit}:{limit}"]
    with running("--stay", through=through) as backend, backend.client() as honest:
        greet(honest)
        host, port = backend.connection.endpoint.removeprefix("tcp://").rsplit(":", 1)
        lines: list[network.socket] = []

        def besieged() -> bool:
            """On a busy machine strangers trickle in, and the first ones are shut out by then: so others follow."""
            for line in [line for line in lines if has_ended(line)]:
                lines.remove(line)
                line.close()
            while len(lines) < min(limit + 100, hard):
                lines.append(network.socket())
                lines[-1].setblocking(False)
                lines[-1].connect_ex((host, int(port)))
            return "Hardly any descriptors" in log(home)

        with ExitStack() as strangers:
            strangers.callback(lambda: [line.close() for line in lines])
            assert until(besieged)
            assert isinstance(honest.end_of(honest.submit()), Done)  # a worker can be started all the same
            with backend.client() as another:
                greet(another)


def has_ended(line: network.socket) -> bool:
    """Whether the other end has closed it. What came before that is read and forgotten."""
    try:
        while line.recv(1024):
            pass
    except BlockingIOError:
        return False
    except OSError:
        pass
    return True


def log(home: Path) -> str:
    return "".join(file.read_text(encoding="utf-8") for file in home.rglob("backend.log"))


def test_more_descriptors_may_be_opened_than_is_usual(home: Path) -> None:
    through = ["prlimit", "--nofile=256:4096"]
    with running("--stay", through=through) as backend:
        limits = Path(f"/proc/{backend.process.pid}/limits").read_text(encoding="ascii")
        assert "4096                 4096                 files" in next(
            line for line in limits.splitlines() if line.startswith("Max open files")
        )


def test_a_lost_connection_file_is_written_again(backend: Running, home: Path) -> None:
    (file,) = home.rglob("connection.json")
    before = file.read_bytes()
    file.unlink()
    assert until(file.exists)
    assert file.read_bytes() == before
    file.write_text("{}", encoding="utf-8")
    assert until(lambda: file.read_bytes() == before)
    assert run("status").returncode == 0


def test_a_deleted_queue_is_written_again_with_all_that_waits(home: Path) -> None:
    with running("--stay") as backend, backend.client() as client:
        greet(client)
        client.client.send(Pause())
        jobs = [client.submit() for _ in range(3)]
        client.jobs()
        (file,) = home.rglob("queue.db")
        file.unlink()
        assert until(file.exists)
        jobs.append(client.submit())
        client.jobs()
        backend.process.kill()
        backend.process.wait()
    with running("--stay") as backend, backend.client() as client:
        greet(client)
        assert [view.job for view in client.jobs().jobs] == jobs


def test_a_queue_that_was_replaced_ends_the_backend_with_both_kept(home: Path) -> None:
    with running("--stay") as backend, backend.client() as client:
        greet(client)
        client.client.send(Pause())
        client.submit()
        client.jobs()
        (file,) = home.rglob("queue.db")
        another = file.with_name("another")
        another.write_bytes(b"something else")
        another.replace(file)
        assert until(lambda: backend.process.poll() is not None)
    assert file.read_bytes() == b"something else"
    assert len(list(file.parent.glob("queue-replaced-*.db"))) == 1


def test_a_queue_that_another_program_holds_is_not_called_full(backend: Running, home: Path) -> None:
    (file,) = home.rglob("queue.db")
    with backend.client() as client, closing(sqlite3.connect(file, isolation_level=None)) as viewer:
        greet(client)
        viewer.execute("BEGIN EXCLUSIVE")
        asked = time.monotonic()
        client.client.send(Pause())
        denied = client.expect(Denied)
        assert time.monotonic() - asked < QUICK
        assert denied.code == "queue_unusable"
        assert "another program holds it" in denied.message
        viewer.execute("ROLLBACK")
        assert isinstance(client.end_of(client.submit()), Done)
