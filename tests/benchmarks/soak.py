"""Whether the backend stays as it is: `python -m tests.benchmarks.soak [--jobs 1000] [--clients 4] [--seed N]`.

A real backend with the fake maker and tiny steps; clients that submit, fetch, cancel, go and come back under their
name at random. Every 100 jobs all is let settle, and a line is printed: memory (RSS) of server and worker, and their
open descriptors. Exit code 1 if an accepted job is lost or ends otherwise than it may, or if after 800 more jobs to
warm up memory grows by 2 % or a descriptor is added.

Warming up takes so long because two things get their size late and then keep it: CPython's table of interned strings,
to which `pathlib` adds every name of a job for a while (0.6 MB, at about 650 jobs), and the pages of the allocator.
"""

from __future__ import annotations

import os
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import psutil

from elevator.arguments import ArgumentParser
from shared_protocol.messages import Accepted, Cancel, Cancelled, Done, Failed, Fetch, Fetched, Message, Received
from tests.backend.harness import Conversation, Running, pid_of, running, until

EVERY, WARM = 100, 800
"""Jobs between two lines; jobs after which nothing may grow any more, which are made beside those asked for."""
AT_ONCE = 3
"""Unfinished jobs that a client has at most."""
FRAMES = 2
GROWTH = 0.02


@dataclass(frozen=True)
class Sample:
    """What the processes hold at one moment."""

    jobs: int
    seconds: float
    server: int
    worker: int
    """Bytes."""
    server_files: int
    worker_files: int


@dataclass
class Customer:
    """A client that comes and goes."""

    backend: Running
    name: str
    chance: random.Random
    line: Conversation | None = None
    asked: set[str] = field(default_factory=set)
    """Not answered yet."""
    open: set[str] = field(default_factory=set)
    """Accepted, and not ended yet."""
    cancelled: set[str] = field(default_factory=set)
    ends: dict[str, str] = field(default_factory=dict)
    """Job → how it ended."""
    wrong: list[str] = field(default_factory=list)
    departures: int = 0

    def submit(self) -> None:
        """Ask for a clip, and perhaps think better of it."""
        job = self.come().submit(frames=FRAMES, seed=self.chance.randrange(9999), previews=self.chance.random() < 0.5)
        self.asked.add(job)
        if self.chance.random() < 0.1:
            self.cancelled.add(job)
            self.come().client.send(Cancel(job=job))

    def come(self) -> Conversation:
        """Its line to the backend."""
        if self.line is None:
            self.line = self.backend.client(client_id=self.name)
        return self.line

    def leave(self) -> None:
        """Go without a word. What was not accepted yet may never have arrived."""
        if self.line is not None:
            self.line.client.close()
            self.line = None
            self.asked.clear()
            self.departures += 1

    def hear(self) -> None:
        """Look at what has come."""
        for message, _ in self.come().client.poll():
            self._hear(message)

    def _hear(self, message: Message) -> None:
        match message:
            case Accepted(job=job):
                self.asked.discard(job)
                self.open.add(job)
            case Fetched(job=job, count=count) if count != FRAMES:
                self.wrong.append(f"{count} frames of {job} came again")
            case Failed(job=job):
                self.wrong.append(f"{job} failed: {message.message}")
                self._end(job, "failed")
            case Done(job=job):
                self._end(job, "done")
                if self.chance.random() < 0.2:
                    self.come().client.send(Fetch(job=job))
                self.come().client.send(Received(job=job))
            case Cancelled(job=job):
                if job not in self.cancelled:
                    self.wrong.append(f"{job} was cancelled by nobody")
                self._end(job, "cancelled")
                self.come().client.send(Received(job=job))

    def _end(self, job: str, how: str) -> None:
        if self.ends.setdefault(job, how) != how:
            self.wrong.append(f"{job} has ended in two ways")
        self.asked.discard(job)
        self.open.discard(job)


def settle(backend: Running, customers: Sequence[Customer], began: float) -> Sample:
    """Wait until all have come and nothing is to be done."""
    probe = customers[0].backend.client()
    try:

        def quiet() -> bool:
            for customer in customers:
                customer.hear()
            status = probe.status()
            busy = any(customer.open or customer.asked for customer in customers)
            idle = not status.queue.running and not status.queue.waiting
            return not busy and idle and status.clients == len(customers) + 1

        if not until(quiet):
            lost = {job for customer in customers for job in customer.open | customer.asked}
            raise SystemExit(f"These jobs were accepted and never ended: {', '.join(lost)}")
        time.sleep(0.5)  # what the last messages held is given back
        server = psutil.Process(backend.process.pid)
        worker = psutil.Process(pid_of(probe.status()))
        return Sample(
            jobs=sum(len(customer.ends) for customer in customers),
            seconds=time.monotonic() - began,
            server=server.memory_info().rss,
            worker=worker.memory_info().rss,
            server_files=server.num_fds(),
            worker_files=worker.num_fds(),
        )
    finally:
        probe.client.close()


def soak(jobs: int, clients: int, seed: int) -> int:
    """Run it. The exit code."""
    chance = random.Random(seed)
    samples: list[Any] = []
    print("  jobs  seconds  server MB  worker MB  server fds  worker fds")
    with running("--stay", "--keep", "100", step_seconds=0.0005) as backend:
        customers = [Customer(backend, f"{number:032x}", chance) for number in range(1, clients + 1)]
        began, due = time.monotonic(), EVERY
        while not samples or samples[-1].jobs < WARM + jobs:
            customer = chance.choice(customers)
            if len(customer.open) + len(customer.asked) < AT_ONCE:
                customer.submit()
            customer.hear()
            customer.come().client.wait(0.005)
            if chance.random() < 0.005:
                customer.leave()
            if sum(len(customer.ends) for customer in customers) >= due:
                due += EVERY
                samples.append(one := settle(backend, customers, began))
                memory = f"{one.server / 1e6:9.2f}  {one.worker / 1e6:9.2f}"
                files = f"{one.server_files:10d}  {one.worker_files:10d}"
                print(f"{one.jobs:6d}  {one.seconds:7.1f}  {memory}  {files}", flush=True)
        for customer in customers:
            customer.leave()
    return judge(samples, customers, seed)


def judge(samples: Sequence[Sample], customers: Sequence[Customer], seed: int) -> int:
    """Say what came of it. The exit code."""
    ends = [how for customer in customers for how in customer.ends.values()]
    wrong = [sentence for customer in customers for sentence in customer.wrong]
    warm = next(sample for sample in samples if sample.jobs >= WARM)
    last = samples[-1]
    for name, before, after in (("server", warm.server, last.server), ("worker", warm.worker, last.worker)):
        growth = after / before - 1
        print(f"{name}: {growth:+.2%} memory after the first {warm.jobs} jobs")
        if growth >= GROWTH:
            wrong.append(f"The {name}'s memory grows.")
    if (last.server_files, last.worker_files) > (warm.server_files, warm.worker_files):
        wrong.append("Descriptors are left open.")
    counts = ", ".join(f"{ends.count(how)} {how}" for how in ("done", "cancelled", "failed"))
    left = sum(customer.departures for customer in customers)
    print(f"{len(ends)} jobs: {counts}; clients left {left} times; seed {seed}")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return int(bool(wrong))


def main() -> int:
    """Read the options and run."""
    parser = ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ELEVATOR_HOME"] = home
        return soak(options.jobs, options.clients, options.seed)


if __name__ == "__main__":
    sys.exit(main())
