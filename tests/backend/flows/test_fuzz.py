"""Thousands of requests, half of them right, from clients of two keys; an honest client works beside them.

Which requests are made follows from a seed, which is printed; `ELEVATOR_FUZZ_SEED=SEED` gives it.
"""

from __future__ import annotations

import os
import random
import sqlite3
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec
import pytest
import zmq

from backend.server.store import KEPT_ROWS
from elevator.pictures.clip_folder import frame_name
from shared_protocol.machine import places
from shared_protocol.messages import Done, Resume, Terminal
from tests.backend.faults.fuzz import Fuzzer, Property, Registry, Requests, typed
from tests.backend.faults.honest_client import Report, job_of
from tests.backend.faults.pngs import is_whole
from tests.backend.harness import LONG, ROOT, Running, running
from tests.security.guests import list_key, with_key

BATCH = 50
POOL = 1900
"""Requests that are made from the types alone."""
REACHED = (
    *("Accepted", "Progress", "Frame", "Done", "Cancelled", "Failed internal", "Jobs", "Fetched", "Have", "Estimate"),
    *("Status", "Welcome", "Thumbnail", "Queue", "Refused malformed", "Refused version", "Failed bad_request"),
    *("Failed unknown_style", "Failed source_missing", "Failed size_out_of_range", "Failed frames_out_of_range"),
    *("Failed empty_prompt", "Failed footage_missing", "Failed lora_missing", "Failed duplicate_job"),
    *("Denied unknown_job", "Denied unknown_thumbnail"),
    *("Denied job_not_waiting", "Denied job_not_ended", "Denied no_result", "Denied not_allowed"),
    *("Denied upload_refused",),
)
"""What at least one request must have led to."""


@contextmanager
def honest() -> Iterator[list[Report]]:
    """A client that works beside the block; what it has seen is there behind it."""
    arguments = [sys.executable, "-m", "tests.backend.faults.honest_client"]
    reports: list[Report] = []
    with subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            yield reports
            said, _ = process.communicate(timeout=LONG)
            reports.append(msgspec.json.decode(said, type=Report))
        finally:
            process.kill()


def fuzz(backend: Running, count: int, seed: int) -> tuple[list[Property], Counter[str]]:
    """Send so many requests. What the keys own then, and what was answered."""
    chance, registry = random.Random(seed), Registry()
    for number in range(count):
        registry.claim(job_of(number), "honest")
    pairs = [list_key("one"), list_key("two")]
    belongings = [Property(pair.public) for pair in pairs]
    pool = typed(POOL, seed)
    answers: Counter[str] = Counter()
    with ExitStack() as stack:
        context = stack.enter_context(zmq.Context())
        fuzzers = []
        for pair, mine in zip(pairs, belongings, strict=True):
            others = [each for each in belongings if each is not mine]
            requests = Requests(mine, others, registry, chance)
            connection = with_key(backend.connection, pair)
            fuzzer = Fuzzer(context, connection, mine, requests, registry, pool, chance)
            stack.callback(fuzzer.close)
            fuzzers.append(fuzzer)
        while sum(sum(fuzzer.sent.values()) for fuzzer in fuzzers) < count:
            for fuzzer in fuzzers:
                fuzzer.batch(BATCH)
        sent = sum((fuzzer.sent for fuzzer in fuzzers), Counter())
        answers = sum((fuzzer.answers for fuzzer in fuzzers), answers)
    print(f"sent: {dict(sent)}")
    print(f"answered: {dict(answers.most_common())}")
    return belongings, answers


@pytest.mark.parametrize(
    "count",
    [
        pytest.param(20_000, marks=pytest.mark.timeout(1800)),
        pytest.param(1_000_000, marks=[pytest.mark.long, pytest.mark.timeout(6 * 3600)]),
    ],
)
def test_whatever_is_asked_an_honest_client_is_answered(count: int, capfd: pytest.CaptureFixture[str]) -> None:
    seed = int(os.environ.get("ELEVATOR_FUZZ_SEED", random.randrange(2**32)))
    print(f"ELEVATOR_FUZZ_SEED={seed}")
    with running("--stay", "--keep", "300", step_seconds=0.0) as backend:
        began = time.monotonic()
        with honest() as reports:
            belongings, answers = fuzz(backend, count, seed)
        with backend.client() as client:
            client.client.send(Resume())
            client.until_settled()
        assert backend.process.poll() is None
        (report,) = reports
        with capfd.disabled():
            print(f"\n{count} requests in {time.monotonic() - began:.0f} s, seed {seed}: {told(report, belongings)}")
    assert report.lost == ""
    assert report.accepted == len(report.ends) > 3
    assert set(report.ends.values()) == {"Done"}, "nobody has cancelled it"
    assert sum(mine.accepted for mine in belongings) > count / 10
    assert not [event for event in REACHED if not answers[event]]
    check_kept(belongings)
    assert "Traceback" not in places.log_file().read_text(encoding="utf-8")


def told(report: Report, belongings: list[Property]) -> str:
    """What can be said of it in a line."""
    waits = statistics.quantiles(report.waits, n=100)
    accepted = sum(mine.accepted for mine in belongings)
    return (
        f"{accepted} orders accepted; an honest client beside them was answered {len(report.waits)} times, after"
        f" {waits[49] * 1e3:.0f} ms (median), {waits[98] * 1e3:.0f} ms (p99), {max(report.waits) * 1e3:.0f} ms (max)"
    )


def check_kept(belongings: list[Property]) -> None:
    """The database is whole and belongs to those who have ordered; so are the results."""
    with closing(sqlite3.connect(places.data_folder() / "queue.db")) as base:
        assert base.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        rows = base.execute("SELECT id, principal, ending, bytes FROM jobs").fetchall()
    # Of more than that, those are forgotten whose end was confirmed and whose result is gone (PROTOCOL.md).
    assert len(rows) >= min(KEPT_ROWS, sum(mine.accepted for mine in belongings))
    assert {principal for _, principal, _, _ in rows} == {"local", *(mine.key for mine in belongings)}
    ends = {job: msgspec.json.decode(ending, type=Terminal) for job, _, ending, _ in rows}
    results = {path.name: path for path in (places.data_folder() / "results").iterdir()}
    assert set(results) == {job for job, _, _, size in rows if size}
    for job, folder in results.items():
        end = ends[job]
        assert isinstance(end, Done)
        check_frames(folder, end)


def check_frames(folder: Path, end: Done) -> None:
    for index in range(end.frames):
        assert is_whole((folder / frame_name(index)).read_bytes(), end.width, end.height)
