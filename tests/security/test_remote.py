"""A backend on another machine: in a network of its own, where the system allows that, else on another address."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from backend.server.keys import read_pair, read_public_key
from shared_protocol.machine import places
from tests.backend.harness import LONG, ROOT, command, until

pytestmark = [
    pytest.mark.timeout(180),
    pytest.mark.skipif(sys.platform != "linux", reason="addresses 127.0.0.2 and networks of one's own are Linux's"),
]

ASK = """
import sys
from backend.client import profiles
from shared_protocol.client import Client, new_job_id
from shared_protocol.messages import AskJobs, Done, Fetch, Fetched, Frame, Generate, Jobs, Welcome
from tests.backend.harness import Conversation

with Conversation(Client(profiles.find_profile("gpu"), name="elsewhere")) as client:
    client.expect(Welcome)
    job = client.submit("a pumpkin")
    print(type(client.end_of(job)).__name__, sum(isinstance(message, Frame) for message, _ in client.of(job)))
    client.client.send(Fetch(job=job))
    client.expect(Fetched)
    client.client.send(AskJobs(ended=5))
    print(client.expect(Jobs).jobs[0].prompt)
"""
STRANGER = """
import sys
from backend.client import profiles
from backend.server.keys import KeyPair
from shared_protocol.client import Client
from tests.backend.harness import Conversation
from tests.security.guests import with_key

with Conversation(Client(with_key(profiles.find_profile("gpu"), KeyPair.fresh()), name="stranger")) as client:
    print(next(client.arrivals()).message)
"""


@dataclass(frozen=True)
class Machines:
    """Two machines: what to put before a command, to run it there, and the address of the first."""

    server: tuple[str, ...]
    client: tuple[str, ...]
    address: str


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


def may_make_networks() -> bool:
    """Whether this user may make networks; containers often may not."""
    if shutil.which("ip") is None or os.geteuid() != 0:
        return False
    name = f"elevator-probe-{os.getpid()}"
    try:
        ip("netns", "add", name)
        ip("netns", "del", name)
    except subprocess.CalledProcessError:
        return False
    return True


@pytest.fixture(params=["4", "6"])
def machines(request: pytest.FixtureRequest) -> Iterator[Machines]:
    """Two network namespaces with one wire between them."""
    if not may_make_networks():
        yield Machines((), (), {"4": "127.0.0.2", "6": "[::1]"}[request.param])
        return
    ours, theirs = (f"elevator-{side}-{os.getpid()}" for side in "ab")
    addresses = {"4": ("10.77.0.1", "10.77.0.2", "24"), "6": ("fd77::1", "fd77::2", "64")}[request.param]
    try:
        for name in (ours, theirs):
            ip("netns", "add", name)
            ip("-n", name, "link", "set", "lo", "up")
        ip("-n", ours, "link", "add", "wire", "type", "veth", "peer", "name", "wire", "netns", theirs)
        for name, address in zip((ours, theirs), addresses, strict=False):
            ip(
                "-n",
                name,
                "address",
                "add",
                f"{address}/{addresses[2]}",
                "dev",
                "wire",
                *(["nodad"] * (":" in address)),
            )
            ip("-n", name, "link", "set", "wire", "up")
        shown = f"[{addresses[0]}]" if request.param == "6" else addresses[0]
        yield Machines(("ip", "netns", "exec", ours), ("ip", "netns", "exec", theirs), shown)
    finally:
        for name in (ours, theirs):
            with suppress(subprocess.CalledProcessError):
                ip("netns", "del", name)


def run_there(machine: tuple[str, ...], home: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*machine, *arguments],
        cwd=ROOT,
        env={**os.environ, "ELEVATOR_HOME": str(home)},
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )


def test_a_clip_is_made_elsewhere(machines: Machines, tmp_path: Path, home: Path) -> None:
    """By the commands alone: a key, a backend that lets it in, a profile; then a stranger, and the key revoked."""
    far, near = tmp_path / "far", tmp_path / "near"
    made = run_there(machines.client, near, command("key", "gpu"))
    assert made.returncode == 0, made.stderr
    pub = near / "config" / "keys" / "gpu.pub"
    carried = tmp_path / "carried.pub"
    shutil.copy(pub, carried)
    log = tmp_path / "said"
    serve = command("serve", "--fake", "--stay", "--bind", f"{machines.address}:0", "--authorize", str(carried))
    with log.open("wb") as said:
        process = subprocess.Popen(
            [*machines.server, *serve],
            cwd=ROOT,
            env={**os.environ, "ELEVATOR_HOME": str(far), "ELEVATOR_FAKE_STEP_SECONDS": "0.005"},
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=subprocess.STDOUT,
        )
    try:
        assert until(lambda: "public key is" in log.read_text(encoding="utf-8"), 60), log.read_text(encoding="utf-8")
        told = re.search(r"reach it at (\S+); its public key is (\S+)", log.read_text(encoding="utf-8"))
        assert told is not None
        endpoint, public = told.groups()
        assert machines.address in endpoint
        assert public == read_public_key(far / "config" / "keys" / "server.pub")
        shutil.copy(far / "config" / "keys" / "server.pub", tmp_path / "server.pub")
        options = ["--endpoint", endpoint, "--server-key", str(tmp_path / "server.pub")]
        noted = run_there(machines.client, near, command("profile", "gpu", *options))
        assert noted.returncode == 0, noted.stderr
        asked = run_there(machines.client, near, [sys.executable, "-W", "error", "-c", ASK])
        assert asked.stdout.split("\n") == ["Done 4", "a pumpkin", ""], asked.stderr
        refused = run_there(machines.client, near, [sys.executable, "-W", "error", "-c", STRANGER])
        assert "not on the backend's list" in refused.stdout, refused.stderr
        carried.write_text("", encoding="ascii")
        assert until(
            lambda: "not on the backend's list" in run_there(machines.client, near, [sys.executable, "-c", ASK]).stderr,
            30,
        )
        secret = read_pair(near / "config" / "keys" / "gpu.key").secret
        assert secret not in log.read_text(encoding="utf-8")
        assert secret not in (far / "state" / "backend.log").read_text(encoding="utf-8")
    finally:
        process.terminate()
        process.wait(60)
    assert not places.connection_file().exists()
