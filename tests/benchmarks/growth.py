"""What many clips cost: `python -m tests.benchmarks.growth [--waiting 10000] [--ended 100000] [--results 5000]`.

A real backend with the fake maker, on a home of its own:

1. While ever more clips wait, one client submits, lists a page, asks for the status, and watches and moves a clip: the
   median of each at some lengths of the queue, in brackets the time of the server's processor, and the exponents of
   their growth from the shortest to the longest.
2. Starts beside so many ended clips, some with results on the disk, from the process to its connection file; beside it
   the start with nothing.
3. Those results are more than are kept: while they are deleted, a client asks for the status all the time; its longest
   wait. Then, in this process, the slices of the same deletion, each beside the smallest change that SQLite can store.
4. A client comes back that has confirmed none of its ended clips; another's longest wait meanwhile.

Prints the load beside it, for other work on the computer counts.
"""

from __future__ import annotations

import itertools
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import psutil

from backend.serve_options import ServeOptions
from backend.server.endings import Endings
from backend.server.jobs import Job, Owner, State
from backend.server.open_stores import DATABASE
from backend.server.requests import resolve
from backend.server.result_record import record
from backend.server.results import RESULT_FILE, ResultStore
from backend.server.store import JobStore
from backend.styles.catalogue import read_catalogue
from elevator.arguments import ArgumentParser
from elevator.pictures.clip_folder import frame_name
from shared_protocol.client import new_job_id
from shared_protocol.machine import places
from shared_protocol.messages import (
    Accepted,
    AskJobs,
    Done,
    Generate,
    Jobs,
    Move,
    Pause,
    Queue,
    Watch,
)
from tests.backend.harness import Conversation, greet, running

LEVELS = (250, 500, 1000, 2000, 4000, 8000)
TIMES = 80
"""Measurements of each kind at each length."""
AT_ONCE = 100
"""Clips that are submitted together to lengthen the queue."""
KEPT = 500
FRAMES = 8
ME, OTHER = "1" * 32, "2" * 32
PROMPT = "a pumpkin moving right, blue background"


def clip() -> Generate:
    """A small one."""
    return Generate(job=new_job_id(), prompt=PROMPT, style="plain", frames=FRAMES, width=64, height=64, seed=1)


def timed(action: Callable[[], object]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    action()
    return 1000 * (time.perf_counter() - began)


# 1. A long queue -----------------------------------------------------------------------------------------------


def submit(client: Conversation) -> str:
    """Submit a clip, and wait until it is accepted."""
    request = clip()
    client.client.send(request)
    client.expect(Accepted, lambda told: told.job == request.job)
    return request.job


def lengthen(client: Conversation, by: int) -> None:
    """Submit clips together."""
    while by > 0:
        jobs = {client.submit(PROMPT, frames=FRAMES) for _ in range(min(by, AT_ONCE))}
        by -= len(jobs)
        while jobs:
            jobs.discard(client.expect(Accepted).job)
        client.heard.clear()


@dataclass(frozen=True)
class Cost:
    """Of one request, in the median and on average, milliseconds."""

    wait: float
    """Until the client has the answer."""
    work: float
    """Of the server's processor."""


def cost_of(client: Conversation, server: psutil.Process, requests: Iterable[Callable[[], object]]) -> Cost:
    """What requests of one kind cost."""
    before, waits = server.cpu_times(), []
    for request in requests:
        waits.append(timed(request))
        client.heard.clear()
    after = server.cpu_times()
    work = 1000 * (after.user + after.system - before.user - before.system) / len(waits)
    return Cost(statistics.median(waits), work)


def at_length(client: Conversation, server: psutil.Process) -> dict[str, Cost]:
    """What each kind of request costs while so many clips wait."""

    def asks(*requests: Watch | Move) -> list[Callable[[], object]]:
        def ask(request: Watch | Move) -> object:
            client.client.send(request)
            return client.expect(Jobs)

        return [partial(ask, request) for request in requests]

    jobs: list[str] = []
    return {
        "submit": cost_of(client, server, [lambda: jobs.append(submit(client))] * TIMES),
        "list": cost_of(client, server, [client.jobs] * TIMES),
        "status": cost_of(client, server, [client.status] * TIMES),
        "watch": cost_of(client, server, asks(*(Watch(job=job) for job in jobs))),
        "move": cost_of(client, server, asks(*(Move(job=job, position=3) for job in jobs))),
    }


def long_queue(longest: int) -> None:
    """Print the first table."""
    levels = [level for level in LEVELS if level < longest] + [longest - TIMES]
    rows = []
    with home(), running("--stay") as backend, backend.client(client_id=ME) as client:
        server = psutil.Process(backend.process.pid)
        greet(client)
        client.client.send(Pause())
        client.expect(Queue)
        there = 0
        for level in levels:
            lengthen(client, level - there)
            row = at_length(client, server)
            there = client.status().queue.waiting
            rows.append((level, row))
            line = ", ".join(f"{name} {each.wait:.2f} ({each.work:.2f})" for name, each in row.items())
            memory = server.memory_info().rss / 1e6
            print(f"{level} wait: {line} ms; {memory:.0f} MB; load {os.getloadavg()[0]:.1f}", flush=True)
        last, seen = "", 0
        began = time.perf_counter()
        while True:
            client.client.send(AskJobs(count=500, after=last))
            told = client.expect(Jobs)
            seen, last = seen + len(told.jobs), told.next
            if not last:
                break
        print(f"all {seen} listed in pages of 500: {1000 * (time.perf_counter() - began):.0f} ms")
    (first, low), (last_level, high) = rows[0], rows[-1]
    for name, least in low.items():
        times = math.log(last_level / first)
        print(
            f"{name}: exponents {math.log(high[name].wait / least.wait) / times:.2f} (wait),"
            f" {math.log(max(high[name].work, 0.01) / max(least.work, 0.01)) / times:.2f} (work)"
        )


# 2–4. Many ended clips -----------------------------------------------------------------------------------------


@contextmanager
def home() -> Iterator[Path]:
    """A home that no other backend knows."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["ELEVATOR_HOME"] = folder
        yield Path(folder)


def fill(ended: int, results: int) -> None:
    """The queue and the results of a backend that has made much: the first ones have results, all are received."""
    order, _ = resolve(clip(), read_catalogue(), fake=True)
    places.data_folder().mkdir(parents=True)
    store, kept = JobStore(places.data_folder() / DATABASE), ResultStore(places.data_folder() / "results")
    sample = Job(new_job_id(), Owner("local", ME), order, PROMPT, State.DONE, time.time(), received=True)
    for begin in range(0, ended, 1000):
        jobs = []
        for number in range(begin, min(begin + 1000, ended)):
            job = new_job_id()
            folder = kept.folder(job)
            end = Done(job=job, frames=FRAMES, width=64, height=64, fps_numerator=8, seed=1, seconds=2.5)
            made = replace(sample, id=job, end=end, bytes=5000 if number < results else 0)
            jobs.append(made)
            if number < results:
                folder.mkdir()
                for index in range(FRAMES):
                    (folder / frame_name(index)).write_bytes(bytes(600))
                (folder / RESULT_FILE).write_bytes(record(made, end))
        store.restore(*jobs)
    store.close()


def start(*options: str) -> float:
    """Seconds until a backend has its connection file."""
    began = time.perf_counter()
    with running("--stay", *options):
        return time.perf_counter() - began


def longest_wait(client: Conversation, goes_on: Callable[[], bool]) -> tuple[float, float, int]:
    """How long an answer took at most, in the median, and how many were measured; milliseconds."""
    waits = []
    while goes_on():
        waits.append(timed(client.status))
        client.heard.clear()
        time.sleep(0.002)
    return max(waits), statistics.median(waits), len(waits)


def many_ended(ended: int, results: int) -> None:
    """Print what comes of them."""
    with home():
        empty = statistics.median(start() for _ in range(3))
    with home():
        fill(ended, results)
        size = (places.data_folder() / DATABASE).stat().st_size / 1e6
        took = [start("--keep", str(ended)) for _ in range(5)]
        print(
            f"start beside {ended} ended clips ({size:.0f} MB) and {results} results: median"
            f" {statistics.median(took):.2f} s, longest {max(took):.2f} s; beside nothing {empty:.2f} s;"
            f" load {os.getloadavg()[0]:.1f}",
            flush=True,
        )
        folder = places.data_folder() / "results"
        with running("--stay", "--keep", str(KEPT)) as backend, backend.client() as client:
            greet(client)
            began = time.perf_counter()
            most, median, count = longest_wait(client, lambda: len(os.listdir(folder)) > KEPT)
            print(
                f"{results - KEPT} results deleted in {time.perf_counter() - began:.1f} s: an answer takes"
                f" {median:.2f} ms in the median, {most:.1f} ms at most ({count} asked); load {os.getloadavg()[0]:.1f}",
                flush=True,
            )
    with home():
        fill(results, results)
        slices(results)
    with home():
        fill(ended, 0)
        coming_back()


def slices(results: int) -> None:
    """Print how long the slices of a deletion take in this process."""
    store, kept = JobStore(places.data_folder() / DATABASE), ResultStore(places.data_folder() / "results")
    seconds = itertools.count(0, 10)  # so that it looks each time
    endings = Endings(
        store,
        kept,
        ServeOptions(kept_results=KEPT),
        emit=lambda *told: None,
        stop=lambda why: None,
        go_on=lambda: None,
        clock=lambda: float(next(seconds)),
    )
    took, commits = [], []
    while store.tally.number > min(KEPT, results):
        took.append(timed(endings.tidy))
        commits.append(timed(lambda: store.pause(True)))
    for name, times in (("slices", took), ("commits of one row between them", commits)):
        print(
            f"{len(times)} {name}: median {statistics.median(times):.1f} ms, 99 of 100 within"
            f" {statistics.quantiles(times, n=100)[-1]:.1f} ms, longest {max(times):.1f} ms;"
            f" load {os.getloadavg()[0]:.1f}"
        )


def coming_back() -> None:
    """Print how long others wait while a client is told all that it has missed."""
    store = JobStore(places.data_folder() / DATABASE)
    store._base.execute("UPDATE jobs SET received = 0")
    store.close()
    with running("--stay", "--keep", "1000000") as backend, backend.client(client_id=OTHER) as other:
        greet(other)
        with backend.client(client_id=ME) as client:
            greet(client)
            began, ends = time.perf_counter(), 0

            def missed() -> bool:
                nonlocal ends
                ends += sum(isinstance(message, Done) for message, _ in client.client.poll())
                return ends < 5000

            most, median, count = longest_wait(other, missed)
            print(
                f"a client comes back and is told {ends} ends in {time.perf_counter() - began:.1f} s: another's answer"
                f" takes {median:.2f} ms in the median, {most:.1f} ms at most ({count} asked);"
                f" load {os.getloadavg()[0]:.1f}"
            )


def main() -> None:
    """Measure, and print."""
    parser = ArgumentParser(description=__doc__)
    parser.add_argument("--waiting", type=int, default=10_000)
    parser.add_argument("--ended", type=int, default=100_000)
    parser.add_argument("--results", type=int, default=5000)
    options = parser.parse_args()
    long_queue(options.waiting)
    many_ended(options.ended, options.results)


if __name__ == "__main__":
    main()
