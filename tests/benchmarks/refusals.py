"""How soon a backend refuses whoever may not come in: `python -m tests.benchmarks.refusals`. Prints a table."""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections.abc import Callable

import msgspec
import zmq

from backend.server.keys import KeyPair
from shared_protocol.client import Client, Lost
from shared_protocol.messages import AskStatus, Refused
from tests.backend.harness import Conversation, Running, greet, running
from tests.benchmarks.options import no_options
from tests.security.guests import guest, key_file, list_key, with_key

ROUNDS = 10


def plain(backend: Running) -> float:
    """A client without encryption, until its connection is closed."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        monitor = socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_DISCONNECTED)
        began = time.perf_counter()
        socket.connect(backend.connection.endpoint)
        assert monitor.poll(10_000)
        took = time.perf_counter() - began
        socket.disable_monitor()
        monitor.close()
        return took


def lost(**changes: str) -> Callable[[Running], float]:
    """A client with other keys, until it knows."""

    def measure(backend: Running) -> float:
        began = time.perf_counter()
        with Conversation(Client(msgspec.structs.replace(backend.connection, **changes), name="stranger")) as stranger:
            assert isinstance(next(stranger.arrivals()).message, Lost)
            return time.perf_counter() - began

    return measure


def unlisted(backend: Running) -> float:
    """A key that was never listed."""
    connection = with_key(backend.connection, KeyPair.fresh())
    return lost(client_public=connection.client_public, client_secret=connection.client_secret)(backend)


def revoked(*, speaks: bool) -> Callable[[Running], float]:
    """A key that is taken off the list while its connection stands, until the client is told."""

    def measure(backend: Running) -> float:
        pair = list_key()
        time.sleep(0.5)
        with guest(backend.connection, pair) as client:
            greet(client)
            key_file().unlink()
            began = time.perf_counter()
            while True:
                if speaks:
                    client.client.send(AskStatus())
                client.client.wait(0.02)
                if any(isinstance(message, Refused) for message, _ in client.client.poll()):
                    return time.perf_counter() - began

    return measure


def main() -> None:
    """Print the table."""
    os.environ["ELEVATOR_HOME"] = tempfile.mkdtemp()
    kinds: dict[str, Callable[[Running], float]] = {
        "no encryption": plain,
        "another backend's key expected": lost(server_key=KeyPair.fresh().public),
        "a public key without its secret": lost(client_secret=KeyPair.fresh().secret),
        "a key that is not listed": unlisted,
        "a key revoked, its client asks something": revoked(speaks=True),
        "a key revoked, its client only listens": revoked(speaks=False),
    }
    print("| refused | median, s | longest, s |\n|---|---|---|")
    with running("--stay") as backend:
        for what, measure in kinds.items():
            took = [measure(backend) for _ in range(ROUNDS)]
            print(f"| {what} | {statistics.median(took):.3f} | {max(took):.3f} |", flush=True)


if __name__ == "__main__":
    no_options(__doc__)
    main()
