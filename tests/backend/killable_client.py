"""A client in a process of its own, which tests kill: `python -m tests.backend.killable_client CLIENT_ID < requests`.

Each line of its input is a request as JSON. It sends them all, and writes each event that comes as a line of JSON.
What it has written, it has received.
"""

from __future__ import annotations

import os
import sys

import msgspec

from shared_protocol import connection
from shared_protocol.client import Client, Lost
from shared_protocol.machine import places
from shared_protocol.messages import Request


def main() -> None:
    """Send, then listen until the backend is gone or this process is killed."""
    with Client(connection.read(places.connection_file()), name="killable", client_id=sys.argv[1]) as client:
        for line in sys.stdin.buffer:
            client.send(msgspec.json.decode(line, type=Request))
        while client.lost is None:
            client.wait(1.0)
            for message, _ in client.poll():
                if not isinstance(message, Lost):
                    os.write(1, msgspec.json.encode(message) + b"\n")


if __name__ == "__main__":
    main()
