"""Another user of the same machine gets hold of nothing: tried as `nobody`, in a home that lies where all can look."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import zmq

from backend.server.keys import KeyPair, server_keys
from shared_protocol.messages import Chunk, Done, Fetch, Frame, Have, Offer, Progress
from tests.backend.harness import ROOT, Conversation, greet, running

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can start another user's program"),
]


@pytest.fixture
def open_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A home in a folder that everybody may enter, as /home is on many machines."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        home = Path(folder) / "maria"
        home.mkdir(mode=0o755)
        monkeypatch.setenv("ELEVATOR_HOME", str(home))
        before = os.umask(0)  # the worst that a user can have
        yield home
        os.umask(before)


def attack(home: Path, server_key: str, endpoints: list[str]) -> dict[str, list[str]]:
    """What `nobody` got hold of."""
    known = [str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()]
    done = subprocess.run(
        [sys.executable, "-m", "tests.security.other_user", str(home), server_key, *endpoints],
        cwd=ROOT,
        input=json.dumps(known),
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def test_another_user_gets_hold_of_nothing(open_home: Path) -> None:
    server_keys(open_home / "config" / "keys")
    job = "f" * 32  # as a stranger would have to know it
    with running("--bind", "127.0.0.1:0", step_seconds=0.1) as backend, backend.client() as owner:
        greet(owner)
        first = owner.submit("a pumpkin")
        assert isinstance(owner.end_of(first), Done)
        picture = bytes(next(buffers[0] for message, buffers in owner.of(first) if isinstance(message, Frame)))
        name = hashlib.sha256(picture).hexdigest()
        owner.client.send(Offer(sha256=name, size=len(picture)))
        owner.expect(Have)
        owner.client.send(Chunk(sha256=name, offset=0), [picture])
        owner.expect(Have, lambda message: message.offset == len(picture))
        owner.submit("an okapi", job=job)
        owner.expect(Progress, lambda message: message.job == job)
        ports = {
            entry.laddr.port
            for entry in psutil.Process(backend.process.pid).net_connections("tcp")
            if entry.status == psutil.CONN_LISTEN
        }
        assert len(ports) >= 3, "clients here, clients elsewhere, and the worker"
        got = attack(open_home, backend.connection.server_key, [f"tcp://127.0.0.1:{port}" for port in ports])
        assert got == {"files": [], "answers": []}
        assert isinstance(owner.end_of(job), Done)
        frames = [bytes(buffers[0]) for message, buffers in owner.of(job) if isinstance(message, Frame)]
        owner.client.send(Fetch(job=job))
        fetched = list(fetch(owner, 4))
        assert fetched == frames
        assert len(frames) == 4
        assert not any(b"forged" in frame for frame in frames)
        kept = [path for part in ("state", "data") for path in (open_home / part).rglob("*")]
        assert len(kept) > 10
        loose = {str(path): oct(path.stat().st_mode) for path in kept if stat.S_IMODE(path.stat().st_mode) & 0o077}
        assert not loose


def fetch(client: Conversation, count: int) -> Iterator[bytes]:
    """The next frames that come."""
    while count:
        message, buffers = next(client.arrivals())
        if isinstance(message, Frame):
            count -= 1
            yield bytes(buffers[0])


def test_the_attack_would_find_an_open_door(open_home: Path) -> None:
    """The other user's program works: what is left open is found."""
    (open_home / "state").mkdir(mode=0o755)
    (open_home / "state" / "connection.json").write_text("secret")
    with zmq.Context() as context, context.socket(zmq.ROUTER) as socket:
        socket.linger = 0
        socket.bind("tcp://127.0.0.1:0")
        got = attack(open_home, KeyPair.fresh().public, [socket.getsockopt_string(zmq.LAST_ENDPOINT)])
        assert socket.poll(1000), "it has knocked"
    assert "read state/connection.json" in got["files"]
    assert "listed state/connection.json" in got["files"]
