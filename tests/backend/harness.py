"""A real backend in processes of its own, and a client that waits for what it expects."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

import psutil

from shared_protocol import connection
from shared_protocol.client import Client, Lost, new_job_id
from shared_protocol.connection import Connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import places
from shared_protocol.messages import (
    AskJobs,
    AskStatus,
    Cancelled,
    Done,
    Failed,
    Generate,
    Jobs,
    Message,
    Status,
    Welcome,
)
from shared_protocol.wire import Incoming

ROOT = Path(__file__).resolve().parents[2]
LONG = 180.0
"""More than anything here takes, seconds, though reading torch may take a minute beside other work."""
ENDS = (Done, Failed, Cancelled)
M = TypeVar("M", bound=Message)


def until(condition: Callable[[], bool], seconds: float = LONG) -> bool:
    """Wait until something is so. Whether it came to be."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def command(*arguments: str) -> list[str]:
    """The command line of the backend, with warnings as errors."""
    return [sys.executable, "-W", "error", "-m", "backend", *arguments]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """One command of the backend, to its end."""
    return subprocess.run(
        command(*arguments),
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=LONG,
        check=False,
    )


class Running:
    """A backend that runs."""

    def __init__(self, process: subprocess.Popen[bytes], connection: Connection) -> None:
        self.process = process
        self.connection = connection

    def client(self, **options: Any) -> Conversation:
        return Conversation(Client(self.connection, **{"name": "test", **options}))

    @property
    def family(self) -> list[psutil.Process]:
        """Its worker processes."""
        try:
            return psutil.Process(self.process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []


class Conversation:
    """A client that waits, and remembers all that came."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.heard: list[Incoming] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()

    def arrivals(self, seconds: float = LONG) -> Iterator[Incoming]:
        """What comes, as it comes."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            self.client.wait(0.2)
            for incoming in self.client.poll():
                self.heard.append(incoming)
                yield incoming
        raise AssertionError(f"this did not come within {seconds} s; heard: {self.heard[-5:]}")

    def expect(self, kind: type[M], fits: Callable[[M], bool] = lambda message: True) -> M:
        """The next message of this kind; nothing may be lost before it."""
        for message, _ in self.arrivals():
            if isinstance(message, kind) and fits(message):
                return message
            assert not isinstance(message, Lost), message
        raise AssertionError

    def submit(self, prompt: str = "a pumpkin", **fields: Any) -> str:
        """Ask for a small clip. The job's name."""
        job = new_job_id()
        small = {"style": "plain", "frames": 4, "width": 64, "height": 64, "seed": 1}
        self.client.send(Generate(**{"job": job, "prompt": prompt, **small, **fields}))
        return job

    def end_of(self, job: str) -> Message:
        """The job's terminal event."""
        return self.expect(Message, lambda message: isinstance(message, ENDS) and message.job == job)

    def of(self, job: str) -> list[Incoming]:
        """All that was heard of a job."""
        return [incoming for incoming in self.heard if getattr(incoming.message, "job", None) == job]

    def status(self) -> Status:
        self.client.send(AskStatus())
        return self.expect(Status)

    def jobs(self, ended: int = 0) -> Jobs:
        self.client.send(AskJobs(ended=ended))
        return self.expect(Jobs)

    def until_settled(self) -> Status:
        """Ask until nothing runs: whatever could still come for a job has then come before."""
        while (status := self.status()).queue.running or status.queue.waiting:
            time.sleep(0.02)
        return status


def pid_of(status: Status) -> int:
    """Process id of the first worker that runs; 0 when none does."""
    return next((worker.pid for worker in status.workers if worker.pid), 0)


@contextmanager
def running(
    *options: str, fake: bool = True, step_seconds: float = 0.005, through: Sequence[str] = (), **environment: str
) -> Iterator[Running]:
    """A backend under the present ELEVATOR_HOME; it and its workers are gone afterwards, or the test fails.

    `through`: a command that becomes the backend, such as `setpriv` with its options.
    """
    environment = {"ELEVATOR_FAKE_STEP_SECONDS": str(step_seconds), **environment}
    arguments = [*through, *command("serve", *(["--fake"] if fake else []), *options)]
    process = subprocess.Popen(
        arguments, cwd=ROOT, env={**os.environ, **environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    found: list[Connection] = []

    def ready() -> bool:
        assert process.poll() is None, "the backend did not start"
        try:
            found[:] = [connection.read(places.connection_file())]
        except ConnectionFileError:
            return False
        return found[0].pid == process.pid

    try:
        assert until(ready)
        backend = Running(process, found[0])
        yield backend
        family = backend.family
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(LONG)
        finally:
            process.kill()
            process.wait()
    assert not psutil.wait_procs(family, timeout=10)[1], "a worker outlived its server"


def gone(process: psutil.Process, seconds: float = LONG) -> bool:
    """Wait until a process has ended. Whether it has."""

    def ended() -> bool:
        try:
            return not process.is_running() or process.status() == psutil.STATUS_ZOMBIE
        except psutil.NoSuchProcess:  # between the two questions
            return True

    return until(ended, seconds)


def greet(conversation: Conversation) -> Welcome:
    """The backend's greeting."""
    return conversation.expect(Welcome)
