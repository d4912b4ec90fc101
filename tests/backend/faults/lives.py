"""A backend that may be killed at any moment, its start included."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec
import psutil

from shared_protocol import connection
from shared_protocol.errors import ConnectionFileError
from shared_protocol.machine import places
from shared_protocol.messages import Request
from tests.backend.harness import LONG, ROOT, Running, command, until

ORPHANS_LIVE = 3.0
"""Seconds after which a worker must have followed its server; 2 are meant, and this machine may be busy."""
BEGINNERS_LIVE = 60.0
"""The same of one that has just been started: it looks for its server when it has read its libraries."""


@contextmanager
def life(*options: str, **environment: str) -> Iterator[Running | None]:
    """A backend with the fake maker, or None if it was killed while it started. No process of it is left afterwards,
    however it has ended, or the test fails."""
    environment = {"ELEVATOR_FAKE_STEP_SECONDS": "0.002", **environment}
    process = subprocess.Popen(
        command("serve", "--fake", "--stay", *options),
        cwd=ROOT,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield _started(process)
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(LONG)
        finally:
            process.kill()
            process.wait()
    assert not psutil.wait_procs(at_home(), timeout=BEGINNERS_LIVE)[1], "a process was left behind"


def _started(process: subprocess.Popen[bytes]) -> Running | None:
    found: list[connection.Connection] = []

    def ready() -> bool:
        if process.poll() is not None:
            return True
        try:
            found[:] = [connection.read(places.connection_file())]
        except ConnectionFileError:
            return False
        return found[0].pid == process.pid

    assert until(ready), "the backend neither serves nor ends"
    # A file that stands there may be that of a backend which was killed just after it wrote it.
    return Running(process, found[0]) if found and process.poll() is None else None


def at_home() -> list[psutil.Process]:
    """Every process of the backend in this test's home."""
    found = []
    for process in psutil.process_iter():
        try:
            ours = process.environ().get("ELEVATOR_HOME") == os.environ["ELEVATOR_HOME"]
            if ours and process.status() != psutil.STATUS_ZOMBIE and process.pid != os.getpid():
                found.append(process)
        except psutil.Error:
            continue
    return found


@contextmanager
def killable_client(client_id: str, requests: Sequence[Request], heard: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A client in a process of its own that writes what it hears into a file; it is killed with the block."""
    with heard.open("wb") as output:
        arguments = [sys.executable, "-m", "tests.backend.killable_client", client_id]
        process = subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=output, stderr=subprocess.DEVNULL)
    assert process.stdin is not None
    with suppress(BrokenPipeError), process.stdin:
        process.stdin.write(b"".join(msgspec.json.encode(request) + b"\n" for request in requests))
    try:
        yield process
    finally:
        process.kill()
        process.wait()
