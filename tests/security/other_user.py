"""What another local user tries, as a program of its own: `python -m tests.security.other_user FOLDER ENDPOINT…`.

It begins as root, to be able to start at all, and becomes `nobody` before it touches anything. What it got hold of is
printed as JSON: the files that it could read or write, and what ports of the backend have answered.
"""

from __future__ import annotations

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path

import zmq

from shared_protocol import wire
from shared_protocol.messages import Done, Frame, Hello, Shutdown

NOBODY = 65534
JOB = "f" * 32


def become_nobody() -> None:
    os.setgroups([])
    os.setgid(NOBODY)
    os.setuid(NOBODY)
    assert os.getuid() == os.geteuid() == NOBODY


def touch_files(folder: Path) -> list[str]:
    """What can be read or written below the folder, in the places that everybody knows by name."""
    got = []
    parts = ("state", "data", "config", "data/results", "data/uploads", "config/keys", "config/authorized")
    names = {
        "state": ("connection.json", "backend.log", "worker.log", "serve.lock"),
        "data": ("queue.db", "queue.db-wal", "queue.db-shm"),
        "data/results": (JOB,),
    }
    told = json.loads(sys.stdin.read())
    for part in parts:
        with suppress(OSError):
            got += [f"listed {part}/{name}" for name in os.listdir(folder / part)]
        with suppress(OSError):
            (folder / part / "planted").write_text("x")
            got.append(f"planted into {part}")
        for name in names.get(part, ()):
            told.append(f"{part}/{name}")
    for name in told:
        path = folder / name
        with suppress(OSError):
            with path.open("rb") as file:
                file.read(1)
            got.append(f"read {name}")
        with suppress(OSError):
            os.close(os.open(path, os.O_WRONLY))
            got.append(f"opened {name} to write")
        with suppress(OSError):
            path.unlink()
            got.append(f"deleted {name}")
    return got


def knock(endpoint: str, server_key: str, *, plain: bool) -> list[str]:
    """Come in with keys of one's own, and bring frames for somebody else's job."""
    with zmq.Context() as context, context.socket(zmq.DEALER) as socket:
        socket.linger = 0
        if not plain:
            public, secret = zmq.curve_keypair()
            socket.curve_serverkey, socket.curve_publickey, socket.curve_secretkey = server_key.encode(), public, secret
        socket.connect(endpoint)
        frame = wire.encode(Frame(job=JOB, index=0, frames=1), [b"\x89PNG forged"])
        done = wire.encode(Done(job=JOB, frames=1, width=64, height=64, fps_numerator=8, seed=1, seconds=1))
        for message in (wire.encode(Hello(client="other")), frame, done, wire.encode(Shutdown())):
            with suppress(zmq.Again):
                socket.send_multipart(message, zmq.NOBLOCK)
        deadline = time.monotonic() + 1.0
        answers = []
        while time.monotonic() < deadline:
            if socket.poll(100):
                answers.append(socket.recv_multipart()[1].decode())
        return answers


def main(folder: str, server_key: str, *endpoints: str) -> None:
    become_nobody()
    answers = [knock(each, server_key, plain=plain) for each in endpoints for plain in (True, False)]
    print(json.dumps({"files": touch_files(Path(folder)), "answers": [one for each in answers for one in each]}))


if __name__ == "__main__":
    main(*sys.argv[1:])
