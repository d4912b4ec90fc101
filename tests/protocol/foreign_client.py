"""A client of its own, written from PROTOCOL.md alone: ZeroMQ and JSON, and nothing of the project.

What it does it has from that text; where it had to guess, the text was wrong.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import secrets
import stat
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import zmq

TAG = b"elevator/1"
MAX_HEADER = 1 << 20
MAX_BUFFER = 64 << 20
CHUNK = 512 << 10
ENDS = ("Done", "Failed", "Cancelled")
LONG = 120.0
"""More than anything here takes, seconds."""


@dataclass(frozen=True)
class Heard:
    """A message as it came."""

    type: str
    fields: Mapping[str, Any]
    buffers: list[bytes]

    def __getitem__(self, field: str) -> Any:
        return self.fields[field]


class Lost(Exception):
    """The conversation is over."""


def state_folder(environment: Mapping[str, str] = os.environ) -> Path:
    """See "The connection file"."""
    home, moved = Path.home(), environment.get("ELEVATOR_HOME")
    if moved:
        return Path(moved) / "state"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "video_elevator" / "state"
    windows = sys.platform == "win32"
    named = environment.get("LOCALAPPDATA" if windows else "XDG_STATE_HOME", "")
    if windows:
        return (Path(named) if os.path.isabs(named) else home / "AppData" / "Local") / "video_elevator" / "state"
    return (Path(named) if os.path.isabs(named) else home / ".local" / "state") / "video_elevator"


def connection(but: str = "", seconds: float = LONG) -> dict[str, Any]:
    """Wait for the connection file of a backend that runs, of another session than `but`."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        try:
            with (state_folder() / "connection.json").open("rb") as file:
                if os.name == "posix" and stat.S_IMODE(os.fstat(file.fileno()).st_mode) & 0o077:
                    raise Lost("others can read the connection file")
                found: dict[str, Any] = json.load(file)
        except FileNotFoundError:
            found = {}
        if found and found["session"] != but and runs(found["pid"], found["started"]):
            return found
        time.sleep(0.02)
    raise Lost("no backend runs")


def runs(pid: int, started: int | None) -> bool:
    """Whether a process runs and, where the system tells when it has started, is the one that is meant."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    if started is None:
        return True
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except FileNotFoundError:
        return False
    return fields[0] != "Z" and int(fields[22 - 3]) == started


class Foreign:
    """One conversation."""

    def __init__(
        self,
        found: Mapping[str, Any],
        *,
        client_id: str = "",
        keys: tuple[str, str] | None = None,
        live_frames: bool = True,
        identity: bytes | None = None,
        hello: bool = True,
    ) -> None:
        """`found`: what the connection file says. `keys`: another pair, public and secret."""
        self.found = found
        self.heard: list[Heard] = []
        self._numbers = itertools.count(1)
        self._context = zmq.Context()
        self.socket = socket = self._context.socket(zmq.DEALER)
        public, secret = keys or (found["client_public"], found["client_secret"])
        for option, value in {
            zmq.IDENTITY: secrets.token_hex(16).encode() if identity is None else identity,
            zmq.CURVE_SERVERKEY: found["server_key"].encode(),
            zmq.CURVE_PUBLICKEY: public.encode(),
            zmq.CURVE_SECRETKEY: secret.encode(),
            zmq.RECONNECT_IVL: 86_400_000,
            zmq.HEARTBEAT_IVL: 1_000,
            zmq.HEARTBEAT_TIMEOUT: 10_000,
            zmq.HANDSHAKE_IVL: 10_000,
            zmq.CONNECT_TIMEOUT: 10_000,
            zmq.RCVHWM: 0,
            zmq.SNDHWM: 0,
            zmq.LINGER: 0,
            zmq.MAXMSGSIZE: 67_108_928,
            zmq.IPV6: int("[" in found["endpoint"]),
        }.items():
            if value != b"":  # no identity: ZeroMQ makes one
                socket.setsockopt(option, value)
        self._monitor = socket.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_HANDSHAKE_FAILED_AUTH)
        socket.connect(found["endpoint"])
        if hello:
            self.tell("Hello", client="foreign", client_id=client_id, live_frames=live_frames)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        """End the conversation; jobs go on."""
        if not self.socket.closed:
            self.socket.disable_monitor()
            self._monitor.close(0)
            self.socket.close(0)
            self._context.term()

    # Speaking -----------------------------------------------------------------------------------------------

    def tell(self, kind: str, *buffers: bytes, **fields: Any) -> str:
        """Send a request. Its name."""
        name = fields.setdefault("request_id", f"foreign {next(self._numbers)}")
        self.raw(json.dumps({"type": kind, **fields}).encode(), *buffers)
        return str(name)

    def raw(self, header: bytes, *buffers: bytes, tag: bytes = TAG) -> None:
        """Send whatever it is."""
        self.socket.send_multipart([tag, header, *buffers], zmq.NOBLOCK)

    # Hearing ------------------------------------------------------------------------------------------------

    def hear(self, seconds: float = LONG) -> Heard:
        """The next message."""
        deadline = time.monotonic() + seconds
        while not self.socket.poll(200):
            if self._monitor.poll(0):
                raise Lost("the connection has broken")
            if time.monotonic() > deadline:
                raise AssertionError(f"nothing came within {seconds} s; before: {[h.type for h in self.heard[-5:]]}")
        tag, header, *buffers = self.socket.recv_multipart()
        assert tag == TAG
        assert len(header) <= MAX_HEADER
        assert all(len(buffer) <= MAX_BUFFER for buffer in buffers)
        fields = json.loads(header)
        kind = fields.pop("type")
        one = kind in ("Frame", "Thumbnail") or (kind == "Progress" and fields["preview_frames"])
        assert len(buffers) == int(bool(one)), kind
        assert ("request_id" in fields) == (kind not in ("Progress", "Notice", "Styles", "Alive")), kind
        heard = Heard(kind, fields, buffers)
        self.heard.append(heard)
        return heard

    def expect(self, *kinds: str, fits: Callable[[Heard], bool] = lambda heard: True) -> Heard:
        """The next message of these kinds."""
        while True:
            heard = self.hear()
            if heard.type in kinds and fits(heard):
                return heard
            if heard.type == "Refused":
                raise Lost(heard["message"])

    def answer(self, name: str) -> Heard:
        """The next answer to a request."""
        earlier = [heard for heard in self.heard if heard.fields.get("request_id") == name]
        return earlier[0] if earlier else self.expect(*ANY, fits=lambda heard: heard.fields.get("request_id") == name)

    def ask(self, kind: str, *buffers: bytes, **fields: Any) -> Heard:
        """Send a request and wait for its answer."""
        return self.answer(self.tell(kind, *buffers, **fields))

    # What users want ----------------------------------------------------------------------------------------

    def welcome(self) -> Heard:
        """The greeting."""
        return self.expect("Welcome")

    def submit(self, prompt: str = "a fox", **fields: Any) -> str:
        """Ask for a small clip, and see that it is accepted. Its name."""
        job = new_job()
        answer = self.ask("Generate", **clip(job, prompt, **fields))
        assert answer.type == "Accepted", answer
        return job

    def end_of(self, job: str) -> Heard:
        """How a job ends, or has ended."""

        def ends(heard: Heard) -> bool:
            return heard["job"] == job and heard.fields.get("code") != "duplicate_job"

        ended = [heard for heard in self.heard if heard.type in ENDS and ends(heard)]
        return ended[0] if ended else self.expect(*ENDS, fits=ends)

    def of(self, job: str, *kinds: str) -> list[Heard]:
        """What was heard of a job."""
        return [heard for heard in self.heard if heard.type in kinds and heard["job"] == job]

    def fetch(self, job: str, frames: int) -> list[bytes]:
        """All frames of a finished clip."""
        pngs: list[bytes] = []
        while len(pngs) < frames:
            name = self.tell("Fetch", job=job, first=len(pngs), count=16)
            while (heard := self.expect("Frame", "Fetched", "Denied", fits=named(name))).type == "Frame":
                assert heard["index"] == len(pngs)
                pngs += heard.buffers
            assert heard.type == "Fetched", heard
            assert heard["first"] + heard["count"] == len(pngs)
        return pngs

    def upload(self, png: bytes) -> str:
        """Bring a picture. Its hash."""
        sha256 = hashlib.sha256(png).hexdigest()
        there = self.ask("Offer", sha256=sha256, size=len(png))["offset"]
        while there < len(png):
            there = self.ask("Chunk", png[there : there + CHUNK], sha256=sha256, offset=there)["offset"]
        return sha256


ANY = (
    *("Welcome", "Accepted", "Frame", *ENDS, "Denied", "Jobs", "Queue", "Fetched", "Have", "Thumbnail"),
    *("Estimate", "Status", "Goodbye", "Refused"),
)


def named(name: str) -> Callable[[Heard], bool]:
    """Whether a message answers this request."""
    return lambda heard: heard["request_id"] == name


def new_job() -> str:
    """32 hex digits of a UUID4."""
    digits = list(secrets.token_hex(16))
    digits[12], digits[16] = "4", secrets.choice("89ab")
    return "".join(digits)


def clip(job: str, prompt: str = "a fox", **fields: Any) -> dict[str, Any]:
    """The fields of a small clip, but for its style's own those that must be there."""
    small = {"style": "plain", "frames": 2, "width": 64, "height": 64, "seed": 1}
    return {"job": job, "prompt": prompt, **small, **fields}


def pages(client: Foreign) -> Iterator[Mapping[str, Any]]:
    """All jobs that this key has, the last 500 ended ones included."""
    yield from client.ask("AskJobs", ended=500)["jobs"]
