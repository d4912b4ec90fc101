"""A client as it should be, beside others that are not: `python -m tests.backend.faults.honest_client`.

It asks for the status, again and again, and now and then for a clip, until its standard input ends. Then it waits for
its clips, and prints what it has measured, as a line of JSON.
"""

from __future__ import annotations

import sys
import threading
import time

import msgspec

from shared_protocol import connection
from shared_protocol.client import Client
from shared_protocol.machine import places
from shared_protocol.messages import Accepted, AskStatus, Cancelled, Done, Failed, Generate, Message, Status

PAUSE_SECONDS = 0.03
"""Between an answer and the next question."""
EVERY = 30
"""Questions between two clips."""


class Report(msgspec.Struct):
    """What it has seen."""

    waits: list[float] = []
    """For each answer, seconds."""
    ends: dict[str, str] = {}
    """Clip → how it ended."""
    accepted: int = 0
    lost: str = ""
    """Why the connection was lost, or empty."""


def job_of(number: int) -> str:
    """The names of its clips, which others may guess."""
    return f"{number:032x}"


def main() -> None:
    """Ask until nobody listens any more."""
    enough = threading.Event()
    threading.Thread(target=lambda: sys.stdin.read() or enough.set(), daemon=True).start()
    report = Report()
    with Client(connection.read(places.connection_file()), name="honest", client_id="f" * 32) as client:
        jobs = 0
        while client.lost is None and not (enough.is_set() and len(report.ends) == jobs):
            if not enough.is_set() and len(report.waits) % EVERY == 0:
                client.send(order(job_of(jobs)))
                jobs += 1
            asked = time.monotonic()
            client.send(AskStatus())
            while client.lost is None and not hear(client, report):
                client.wait(1.0)
            report.waits.append(time.monotonic() - asked)
            time.sleep(PAUSE_SECONDS)
        if client.lost is not None:
            report.lost = client.lost.reason
    print(msgspec.json.encode(report).decode(), flush=True)


def order(job: str) -> Generate:
    """A small clip."""
    return Generate(job=job, prompt="a pumpkin", style="plain", frames=2, width=64, height=64, seed=1)


def hear(client: Client, report: Report) -> bool:
    """Note what has come. Whether the answer is among it."""
    answered = False
    for message, _ in client.poll():
        answered |= isinstance(message, Status)
        note(message, report)
    return answered


def note(message: Message, report: Report) -> None:
    """What becomes of its clips."""
    match message:
        case Accepted():
            report.accepted += 1
        case Done() | Failed() | Cancelled():
            assert message.job not in report.ends, "it has ended twice"
            report.ends[message.job] = type(message).__name__


if __name__ == "__main__":
    main()
