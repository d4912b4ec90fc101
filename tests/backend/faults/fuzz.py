"""Clients of listed keys that send right and wrong requests by turns, and look at every answer."""

from __future__ import annotations

import hashlib
import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import msgspec
import zmq
from hypothesis import HealthCheck, given, settings

from shared_protocol import wire
from shared_protocol.client import new_job_id
from shared_protocol.connection import Connection
from shared_protocol.messages import (
    Accepted,
    AskEstimate,
    AskJobs,
    AskStatus,
    AskThumbnail,
    Cancel,
    Cancelled,
    Chunk,
    Conform,
    Denied,
    Done,
    Failed,
    Fetch,
    Forget,
    Free,
    Generate,
    Have,
    Hello,
    Jobs,
    JobView,
    LoraChoice,
    Message,
    Move,
    Offer,
    Pause,
    Received,
    Resume,
    Shutdown,
    Status,
    Style,
    Watch,
    Welcome,
    WorkerView,
)
from shared_protocol.wire import Buffer, buffers_of
from tests.backend.faults.pngs import noise
from tests.protocol.rudeness import spoiled
from tests.protocol.strategies import REQUESTS, one_of_each, with_buffers
from tests.security.guests import open_line

PART_BYTES = 2048
MOST_OPEN = 40
"""Unfinished jobs of a key, beyond which it rather cancels."""
KNOWN = 300
"""Ended jobs that a key remembers, to ask for them again."""
TROUBLESOME = (Hello, Free, Pause)
"""Requests that are not made in any number: after a Hello of another version all else would be refused, a worker needs
longer to start than all else takes, and a paused queue makes nothing."""
Request = tuple[Message, list[Buffer]]


def typed(count: int, seed: int) -> list[Message]:
    """At least so many requests made from the types alone: each field is right by itself, hardly any makes sense."""
    found: list[Message] = []

    @hypothesis.seed(seed)
    @settings(
        max_examples=-(-count // len(REQUESTS)), database=None, deadline=None, suppress_health_check=list(HealthCheck)
    )
    @given(one_of_each(REQUESTS))
    def collect(messages: list[Message]) -> None:
        found.extend(messages)

    collect()
    return [message for message in found if not isinstance(message, TROUBLESOME)]


@dataclass
class Property:
    """What belongs to a key, as far as its clients know."""

    key: str
    styles: tuple[Style, ...] = ()
    open: dict[str, None] = field(default_factory=dict)
    """Jobs that are accepted and have not ended; a dict keeps their order, for the seed's sake."""
    cancelled: set[str] = field(default_factory=set)
    """Open jobs of which the backend was asked to end them."""
    done: dict[str, int] = field(default_factory=dict)
    """Finished jobs that are not forgotten, and their frames."""
    ended: list[str] = field(default_factory=list)
    pictures: dict[str, bytes] = field(default_factory=dict)
    there: dict[str, int] = field(default_factory=dict)
    """Sha256 → bytes of the picture that the backend has."""
    accepted: int = 0

    @property
    def going_on(self) -> list[str]:
        """Open jobs that nobody has cancelled."""
        return [job for job in self.open if job not in self.cancelled]

    def note(self, request: Message) -> None:
        """Something of its own is asked for with right."""
        match request:
            case Cancel(job=job) if job in self.open:
                self.cancelled.add(job)
            case Forget(job=job):
                self.done.pop(job, None)


class Registry:
    """Whose each job is, by who ordered it or heard first of it."""

    def __init__(self) -> None:
        self._keys: dict[str, str] = {}

    def claim(self, job: str, key: str) -> str:
        """The key that it belongs to, which is this one if it was nobody's."""
        return self._keys.setdefault(job, key)


class Requests:
    """An endless source of requests that a client of a key may well make."""

    def __init__(self, mine: Property, others: Sequence[Property], registry: Registry, chance: random.Random) -> None:
        self._mine, self._others, self._registry, self._chance = mine, others, registry, chance

    def __iter__(self) -> Iterator[Request]:
        while True:
            message = self._next()
            yield message if isinstance(message, tuple) else (message, [])

    def _next(self) -> Message | Request:
        chance, mine = self._chance, self._mine
        going_on = mine.going_on
        if len(going_on) > MOST_OPEN:
            return Cancel(job=chance.choice(going_on))
        kind = chance.choices(*zip(*WEIGHTS.items(), strict=True))[0]
        known = [*mine.open, *mine.done, *mine.ended]
        match kind:
            case "clip":
                return self._clip()
            case "conform" if mine.done:
                rate = chance.choice(((24, 1), (12, 1), (30_000, 1001), (2000, 1)))
                method = "flow" if chance.random() < 0.2 else "hold"
                return self._conform(self._some(mine.done), *rate, method)
            case "cancel" if going_on:
                return Cancel(job=chance.choice(going_on))
            case "move" if going_on:
                return Move(job=chance.choice(going_on), position=chance.randrange(6))
            case "watch" if known:
                return Watch(job=chance.choice(known), previews=chance.random() < 0.5)
            case "fetch" if mine.done:
                return Fetch(job=self._some(mine.done), first=chance.randrange(2), count=chance.randint(1, 64))
            case "forget" if mine.done:
                return Forget(job=self._some(mine.done))
            case "received" if mine.ended:
                return Received(job=chance.choice(mine.ended))
            case "upload":
                return self._upload()
            case "estimate":
                return AskEstimate(clip=self._clip())
            case "list":
                return AskJobs(ended=chance.choice((0, 5, 50)))
            case "thumbnail" if mine.styles:
                return AskThumbnail(sha256=chance.choice(mine.styles).thumbnail or "0" * 64)
            case "refused":
                return self._refused()
            case "probe":
                return self._probe()
            case "rare":
                return chance.choice((Free(), Pause(), Resume(), Resume(), Resume(), Shutdown()))
        return AskStatus()

    def _some(self, jobs: dict[str, Any]) -> str:
        return self._chance.choice(list(jobs))

    def _clip(self) -> Generate:
        chance, mine = self._chance, self._mine
        style = chance.choice(mine.styles)
        frames = chance.choice((1, 1, 1, 2, 3))
        fields: dict[str, Any] = {}
        whole = [sha256 for sha256, picture in mine.pictures.items() if mine.there.get(sha256) == len(picture)]
        if whole and chance.random() < 0.3:
            fields = {"footage": tuple(chance.choices(whole, k=frames)), "strength": chance.random()}
            fields["anchor"] = chance.choice(("", chance.choice(whole)))
        if chance.random() < 0.1:
            fields |= {"flow_fps_numerator": 12}
        if chance.random() < 0.2:
            fields |= {"settings": {"steps": chance.randint(1, 9)}, "preset": chance.choice(("", *style.presets))}
        script = chance.choice(("", "", "", "fail:internal", "unknown:okapi", "(cat:1.2) BREAK"))
        job = new_job_id()
        self._registry.claim(job, mine.key)
        return Generate(
            job=job,
            prompt=f"a pumpkin {script}",
            style=style.name,
            frames=frames,
            width=style.min_size,
            height=style.min_size + style.size_step * chance.randrange(2),
            seed=chance.randrange(2**31),
            previews=chance.random() < 0.3,
            **fields,
        )

    def _conform(self, source: str, numerator: int, denominator: int, method: Any = "hold") -> Conform:
        job = new_job_id()
        self._registry.claim(job, self._mine.key)
        return Conform(job=job, source=source, fps_numerator=numerator, fps_denominator=denominator, method=method)

    def _upload(self) -> Message | Request:
        mine, chance = self._mine, self._chance
        begun = [sha256 for sha256 in mine.there if mine.there[sha256] < len(mine.pictures[sha256])]
        if begun:
            sha256 = begun[0]
            offset = mine.there[sha256]
            part = mine.pictures[sha256][offset : offset + PART_BYTES]
            return Chunk(sha256=sha256, offset=offset), [part]
        if len(mine.pictures) < 20:
            picture = noise(chance.randrange(2**32), 24, 24 + len(mine.pictures))
            mine.pictures[hashlib.sha256(picture).hexdigest()] = picture
        sha256 = chance.choice(list(mine.pictures))
        return Offer(sha256=sha256, size=len(mine.pictures[sha256]))

    def _refused(self) -> Message:
        """What is well said and cannot be followed."""
        chance, mine = self._chance, self._mine
        clip, job = self._clip(), next(reversed(mine.open), "0" * 32)
        wrong: tuple[dict[str, Any], ...] = (
            {"width": 63},
            {"height": 8192},
            {"frames": 1024},
            {"prompt": "  "},
            {"style": "nouveau"},
            {"preset": "nouveau"},
            {"settings": {"nouveau": 1}},
            {"strength": 0.5, "footage": ()},
            {"footage": ("0" * 64,) * clip.frames},
            {"loras": (LoraChoice(name="../../etc/passwd"),)},
            {"job": next(reversed(mine.ended), clip.job)},
        )
        orders = [msgspec.structs.replace(clip, **fields) for fields in wrong]
        return chance.choice((*orders, Forget(job=job), Fetch(job=job), AskThumbnail(sha256="0" * 64)))

    def _probe(self) -> Message:
        """Ask for a job of another key, which is as if it did not exist."""
        theirs = self._chance.choice(self._others)
        jobs = [*theirs.open, *theirs.ended[-20:], *theirs.done]
        job = self._chance.choice(jobs) if jobs else "0" * 32
        kinds = (
            Cancel(job=job),
            Move(job=job, position=0),
            Watch(job=job, previews=True),
            Fetch(job=job),
            Received(job=job),
            Forget(job=job),
        )
        return self._chance.choice((*kinds, self._conform(job, 24, 1)))


WEIGHTS = {
    "clip": 60,
    "cancel": 10,
    "conform": 4,
    "move": 4,
    "watch": 4,
    "fetch": 5,
    "forget": 3,
    "received": 6,
    "upload": 8,
    "estimate": 4,
    "list": 2,
    "status": 3,
    "thumbnail": 1,
    "refused": 6,
    "probe": 6,
    "rare": 1,
}
"""How often each kind of request is made."""


class Fuzzer:
    """A key's two connections: one says nothing that is not a request, the other nothing but spoiled ones."""

    def __init__(
        self,
        context: zmq.Context[zmq.Socket[bytes]],
        connection: Connection,
        mine: Property,
        requests: Requests,
        registry: Registry,
        pool: Sequence[Message],
        chance: random.Random,
    ) -> None:
        self._mine, self._requests, self._registry = mine, iter(requests), registry
        self._pool, self._chance = pool, chance
        self._lines = [open_line(context, connection) for _ in range(2)]
        self.answers: Counter[str] = Counter()
        self.sent: Counter[str] = Counter()
        self._greet()

    def close(self) -> None:
        for line in self._lines:
            line.close()

    def batch(self, count: int) -> None:
        """Send so many requests, half of them right ones, and hear all that is answered to them."""
        orderly, rude = self._lines
        for _ in range(count // 2):
            message, buffers = next(self._requests)
            if isinstance(message, Pause):
                self._send(orderly, message)
                message = Resume()
            self._mine.note(message)
            self._send(orderly, message, buffers)
            self.sent["right"] += 1
            if self._chance.random() < 0.3:
                self._send(orderly, self._from_types())
                self.sent["of right types"] += 1
            else:
                message, buffers = next(self._requests)
                rude.send_multipart(wire.encode(self._hello()))
                rude.send_multipart(spoiled(wire.encode(message, buffers), self._chance) or [b""])
                self.sent["spoiled"] += 1
            self._hear_what_is_there()
        rude.send_multipart(wire.encode(self._hello()))
        for line in self._lines:
            self._hear_until_asked(line)

    def _from_types(self) -> Message:
        message = self._chance.choice(self._pool)
        job = new_job_id()
        if isinstance(message, Generate | Conform | AskEstimate):  # two keys shall not order the same
            self._registry.claim(job, self._mine.key)
        if isinstance(message, Generate | Conform):
            return msgspec.structs.replace(message, job=job)
        if isinstance(message, AskEstimate):
            return AskEstimate(clip=msgspec.structs.replace(message.clip, job=job))
        return message

    def _hello(self) -> Hello:
        return Hello(client="fuzzer", live_frames=self._chance.random() < 0.5)

    def _greet(self) -> None:
        for line in self._lines:
            self._send(line, self._hello())
            self._hear_until_asked(line)

    def _send(self, line: zmq.Socket[bytes], message: Message, buffers: Sequence[Buffer] = ()) -> None:
        if not buffers and buffers_of(message):
            buffers = with_buffers(message)
        line.send_multipart(wire.encode(message, buffers))

    def _hear_until_asked(self, line: zmq.Socket[bytes]) -> None:
        """Hear all that comes until the answer to what is asked now."""
        asked = new_job_id()
        self._send(line, Cancel(job=asked))
        while True:
            assert line.poll(120_000), "the backend says nothing any more"
            message = self._hear(line)
            if isinstance(message, Denied) and message.job == asked:
                return

    def _hear_what_is_there(self) -> None:
        for line in self._lines:
            while line.poll(0):
                self._hear(line)

    def _hear(self, line: zmq.Socket[bytes]) -> Message:
        message = wire.decode_event(line.recv_multipart()).message  # raises what is no event of the protocol
        self.answers[f"{type(message).__name__} {getattr(message, 'code', '')}".strip()] += 1
        self._check_whose(message)
        mine = self._mine
        match message:
            case Welcome(styles=styles):
                mine.styles = styles
            case Accepted(job=job):
                mine.open[job] = None
                mine.accepted += 1
            case Done() | Failed() | Cancelled():
                mine.cancelled.discard(message.job)
                if mine.open.pop(message.job, 0) is None:
                    mine.ended = [*mine.ended[-KNOWN:], message.job]
                    if isinstance(message, Done):
                        mine.done[message.job] = message.frames
                        for old in list(mine.done)[:-KNOWN]:
                            del mine.done[old]
            case Have(sha256=sha256, offset=offset) if sha256 in mine.pictures:
                mine.there[sha256] = offset
            case Denied(request="Chunk" | "Offer", job=sha256):
                mine.there.pop(sha256, None)
            case Denied(code="no_result", job=job):
                mine.done.pop(job, None)
        return message

    def _check_whose(self, message: Message) -> None:
        """Nothing is said of another key's job but that there is none."""
        if isinstance(message, Denied) and message.code == "unknown_job":
            return
        views: Sequence[JobView | WorkerView] = ()
        if isinstance(message, Jobs):
            views = message.jobs
        elif isinstance(message, Status):
            views = message.workers
        named = [getattr(message, "job", ""), *(view.job for view in views)]
        for job in (name for name in named if len(name) == 32):  # a file's name is longer
            assert self._registry.claim(job, self._mine.key) == self._mine.key, message
