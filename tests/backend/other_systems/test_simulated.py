"""What other systems do differently, forced on this one: folders on PYTHONPATH that change Python at its start."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from shared_protocol.messages import Done, Notice, Queue
from tests.backend.harness import greet, run, running

HERE = Path(__file__).parent


def test_where_asyncio_waits_for_no_socket_clients_get_in(home: Path) -> None:
    with running("--stay", PYTHONPATH=str(HERE / "proactor_loop")) as backend, backend.client() as client:
        greet(client)
        assert isinstance(client.end_of(client.submit()), Done)
        status = run("status", PYTHONPATH=str(HERE / "proactor_loop"))
        assert status.returncode == 0, status.stderr


def test_the_simulated_asyncio_has_the_fault() -> None:
    """pyzmq's own thread for the same purpose ends in it."""
    program = (
        "import time, zmq\n"
        "from zmq.auth.thread import ThreadAuthenticator\n"
        "with zmq.Context() as context:\n"
        "    door = ThreadAuthenticator(context)\n"
        "    door.start()\n"
        "    door.thread.join(60)\n"
        "    print('alive' if door.is_alive() else 'ended')\n"
        "    import os; os._exit(0)\n"
    )
    environment = {"PYTHONPATH": str(HERE / "proactor_loop")}
    told = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=False)
    assert "Proactor event loop does not implement" in told.stderr


def test_where_a_scanner_holds_new_files_nothing_is_lost_or_made_twice(home: Path) -> None:
    scanner = str(HERE / "scanner")
    with running("--stay", PYTHONPATH=scanner) as backend, backend.client() as client:
        greet(client)
        job = client.submit(frames=4)
        assert isinstance(client.end_of(job), Done)
        assert not [message for message, _ in client.heard if isinstance(message, Notice | Queue)]
        out = home / "clip"
        saved = run("generate", "a cat", "--frames", "4", "--out", str(out), PYTHONPATH=scanner)
        assert saved.returncode == 0, saved.stderr
        assert len(list(out.glob("frame_*.png"))) == 4
        again = run(
            "generate",
            "a dog",
            "--frames",
            "4",
            "--out",
            str(out),
            "--overwrite",
            "--footage",
            str(out),
            PYTHONPATH=scanner,
        )
        assert again.returncode == 0, again.stderr
