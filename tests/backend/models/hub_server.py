"""A hub on loopback: it speaks the hub's addresses and headers, leads to a store of another origin, and breaks as told.

Nothing in it is ours: the client's code is on the other side of real sockets.
"""

from __future__ import annotations

import hashlib
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit


@dataclass
class Seen:
    """One request that came."""

    server: str
    """`hub` or `store`."""
    method: str
    path: str
    headers: dict[str, str]

    @property
    def start(self) -> int:
        """Where the asked range begins."""
        told = re.match(r"bytes=(\d+)-$", self.headers.get("range", ""))
        return int(told[1]) if told else 0


Fault = Callable[["Answering", bytes, int], None]
"""Answers a GET of the store in its own way: the content from the asked place on, and that place."""


@dataclass
class HubServer:
    """What it has, how it fails, and what it was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    """By `owner/name/path`."""
    small: set[str] = field(default_factory=set)
    """Of these, those that are no large files: the hub sends them itself, and tells git's hash."""
    faults: dict[str, list[Fault]] = field(default_factory=dict)
    """By the same names: each is used for one request to the store, the first first."""
    statuses: dict[str, list[tuple[int, dict[str, str]]]] = field(default_factory=dict)
    """By the same names: with what the hub answers instead; the last one stays."""
    needs_token: str = ""
    """What the hub wants to hear before it tells anything."""
    etags: dict[str, str] = field(default_factory=dict)
    """What it says of a file instead of its hash."""
    ranges: bool = True
    seen: list[Seen] = field(default_factory=list)
    address: str = ""
    store_address: str = ""
    woken: threading.Event = field(default_factory=threading.Event)
    """Set at the end, for those who stall."""

    def gets(self, name: str = "") -> list[Seen]:
        """GETs that reached the bytes of a file."""
        return [one for one in self.seen if one.method == "GET" and one.server == "store" and name in one.path]

    def hash_of(self, name: str) -> str:
        return hashlib.sha256(self.files[name]).hexdigest()


class Answering(BaseHTTPRequestHandler):
    """One connection."""

    protocol_version = "HTTP/1.1"
    hub: HubServer
    role: str

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""

    def handle(self) -> None:
        with suppress(ConnectionError):
            super().handle()

    def do_HEAD(self) -> None:
        self._answer("HEAD")

    def do_GET(self) -> None:
        self._answer("GET")

    def say(self, status: int, headers: dict[str, str], body: bytes = b"") -> None:
        """A whole answer."""
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def begin(self, content: bytes, start: int, whole: int) -> None:
        """The head of an answer that promises `content`."""
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(content)))
        if start:
            self.send_header("Content-Range", f"bytes {start}-{whole - 1}/{whole}")
        self.end_headers()

    def hang_up(self) -> None:
        """Close the connection at once, as a broken line does."""
        self.close_connection = True
        self.wfile.flush()
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _answer(self, method: str) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.hub.seen.append(Seen(self.role, method, self.path, headers))
        # A proxy is asked with the whole address.
        told = re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", unquote(urlsplit(self.path).path))
        name = f"{told[1]}/{told[3]}" if told else ""
        if self.role == "store":
            self._store(name)
        else:
            self._hub(name)

    def _hub(self, name: str) -> None:
        hub = self.hub
        if answers := hub.statuses.get(name):
            status, headers = answers.pop(0) if len(answers) > 1 else answers[0]
            if status:
                return self.say(status, headers, b"no")
        if hub.needs_token and self.headers.get("Authorization") != f"Bearer {hub.needs_token}":
            return self.say(401, {"X-Error-Code": "GatedRepo"})
        if name not in hub.files:
            return self.say(404, {"X-Error-Code": "EntryNotFound"})
        content = hub.files[name]
        if name in hub.small:
            git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            return self.say(200, {"ETag": f'"{git}"', "X-Repo-Commit": "c" * 40}, content)
        etag = hub.etags.get(name, hub.hash_of(name))
        headers = {
            "Location": f"{hub.store_address}{self.path}?signature=secret",
            "X-Linked-Etag": f'"{etag}"',
            "X-Linked-Size": str(len(content)),
            "X-Repo-Commit": "c" * 40,
        }
        return self.say(302, headers)

    def _store(self, name: str) -> None:
        hub, content = self.hub, self.hub.files.get(name)
        if content is None:
            return self.say(404, {})
        start = hub.seen[-1].start if hub.ranges else 0
        if start and start >= len(content):
            return self.say(416, {})
        faults = hub.faults.get(name)
        if faults:
            return faults.pop(0)(self, content[start:], start)
        self.begin(content[start:], start, len(content))
        self.wfile.write(content[start:])
        return None


def cut(after: int) -> Fault:
    """Send so many bytes of what was promised, and close the connection."""

    def fault(answer: Answering, content: bytes, start: int) -> None:
        answer.begin(content, start, start + len(content))
        answer.wfile.write(content[:after])
        answer.hang_up()

    return fault


def stall(after: int) -> Fault:
    """Send so many bytes, and then nothing more, with the connection open."""

    def fault(answer: Answering, content: bytes, start: int) -> None:
        answer.begin(content, start, start + len(content))
        answer.wfile.write(content[:after])
        answer.wfile.flush()
        answer.hub.woken.wait(60)
        answer.close_connection = True

    return fault


def corrupt(answer: Answering, content: bytes, start: int) -> None:
    """Send as many bytes as promised, one of them wrong."""
    answer.begin(content, start, start + len(content))
    answer.wfile.write(content[:-1] + bytes([content[-1] ^ 1]))


def shorter(by: int) -> Fault:
    """Promise and send less than the file has."""

    def fault(answer: Answering, content: bytes, start: int) -> None:
        answer.begin(content[:-by], start, start + len(content))
        answer.wfile.write(content[:-by])

    return fault


def status(code: int, **headers: str) -> Fault:
    """Answer with a status."""
    return lambda answer, content, start: answer.say(code, {k.replace("_", "-"): v for k, v in headers.items()})


@contextmanager
def serving() -> Iterator[HubServer]:
    """A hub and its store, each on a port of its own."""
    hub = HubServer()
    servers = []
    for role in ("hub", "store"):
        handler = type("Handler", (Answering,), {"hub": hub, "role": role})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        servers.append((server, thread))
    hub.address, hub.store_address = (f"http://127.0.0.1:{server.server_port}" for server, _ in servers)
    try:
        yield hub
    finally:
        hub.woken.set()
        for server, thread in servers:
            server.shutdown()
            thread.join()
            server.server_close()
