"""A live backend gets thousands of spoiled messages, while honest clients' jobs go on."""

from __future__ import annotations

import random
from collections import Counter
from contextlib import closing
from typing import Any

import pytest
import zmq

from shared_protocol import wire
from shared_protocol.client import new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import (
    AskJobs,
    AskStatus,
    Cancel,
    Chunk,
    Conform,
    Done,
    Fetch,
    Forget,
    Free,
    Generate,
    Hello,
    Message,
    Move,
    Offer,
    Received,
    Resume,
    Shutdown,
    Watch,
)
from tests.backend.harness import greet, running, until
from tests.protocol.rudeness import spoiled
from tests.protocol.strategies import with_buffers
from tests.security.guests import answer_on, list_key, open_line, with_key

ROUNDS, BATCH = 30, 100


def originals(job: str) -> list[Message]:
    """A message of each kind, but for Pause, which a guest may send with right. `job`: an honest client's."""
    sha = "0123456789abcdef" * 4
    new: dict[str, Any] = {"negative_prompt": "", "style": "nosuch", "frames": 4, "width": 64, "height": 64, "seed": 1}
    return [
        Hello(client="rude", client_id="d" * 32),
        Generate(job=new_job_id(), prompt="a pumpkin", settings={"steps": 3, "x": [1], "y": {"a": 1.5}}, **new),
        Conform(job=new_job_id(), source=job, fps_numerator=30_000, fps_denominator=1001),
        Cancel(job=job),
        Move(job=job, position=0),
        Watch(job=job, previews=True),
        Fetch(job=job, first=0, count=64),
        Received(job=job),
        Forget(job=job),
        Offer(sha256=sha, size=4),
        Chunk(sha256=sha, offset=0),
        *(Resume(), Free(), AskJobs(ended=500), AskStatus(), Shutdown()),
    ]


@pytest.mark.timeout(180)
def test_honest_clients_notice_nothing() -> None:
    chance = random.Random(6)
    pair = list_key()
    answers: Counter[str] = Counter()
    with running() as backend, backend.client() as honest, zmq.Context() as context:
        greet(honest)
        watched = honest.submit("a pumpkin", frames=8)
        jobs = [watched]
        rude = with_key(backend.connection, pair)
        for number in range(ROUNDS):
            with closing(open_line(context, rude)) as line:
                for message in chance.choices(originals(watched), k=BATCH):
                    # What is malformed ends the conversation, so each is begun anew.
                    line.send_multipart(wire.encode(Hello(client="rude")))
                    line.send_multipart(spoiled(wire.encode(message, with_buffers(message)), chance) or [b""])
                last = new_job_id()
                line.send_multipart(wire.encode(Hello(client="rude")))
                line.send_multipart(wire.encode(Cancel(job=last)))
                while getattr(answer := answer_on(line), "job", "") != last:
                    answers[type(answer).__name__] += 1
            if number % 5 == 0:
                jobs.append(honest.submit(f"an okapi {number}"))
        for job in jobs:
            assert isinstance(honest.end_of(job), Done), "it was neither cancelled nor lost"
        assert until(lambda: honest.status().clients == 1), "the others are forgotten"
        assert honest.client.lost is None
        assert backend.process.poll() is None
    assert answers["Refused"] > ROUNDS * BATCH / 4
    assert answers["Denied"] > 10
    assert "Traceback" not in places.log_file().read_text(encoding="utf-8")
