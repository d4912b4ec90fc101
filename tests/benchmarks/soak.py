"""Whether the backend stays as it is: `python -m tests.benchmarks.soak [--jobs 1000 | --hours 4] [--clients 4]`.

A real backend with the fake maker and tiny steps; clients that submit, fetch, cancel, go and come back under their
name at random. Every 100 jobs, or four times an hour, all is let settle, and a line is printed: memory (RSS) of server
and worker, their open descriptors and threads. Exit code 1 if an accepted job is lost or ends otherwise than it may, or
if after 800 more jobs to warm up, or the first hour, memory grows by 2 % or a descriptor or thread is added.

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

import psutil

from elevator.arguments import ArgumentParser
from shared_protocol.messages import Accepted, Cancel, Cancelled, Done, Failed, Fetch, Fetched, Free, Message, Received
from tests.backend.harness import Conversation, Running, pid_of, running, until

EVERY, WARM = 100, 800
"""Jobs between two lines; jobs after which nothing may grow any more, which are made beside those asked for."""
EVERY_SECONDS, WARM_SECONDS = 900.0, 3600.0
"""The same where it lasts for hours."""
RESTLESS = 0.0005
"""How probably, at each step, all workers without a job are ended, where it lasts for hours: thousands of times."""
AT_ONCE = 3
"""Unfinished jobs that a client has at most."""
FRAMES = 2
GROWTH = 0.02
HEADER = "  jobs  seconds   server MB  files  threads   worker MB  files  threads"


@dataclass(frozen=True)
class Held:
    """What a process holds."""

    memory: int
    """Bytes."""
    files: int
    threads: int

    @classmethod
    def by(cls, pid: int) -> Held:
        """What this process holds now."""
        process = psutil.Process(pid)
        return cls(process.memory_info().rss, process.num_fds(), process.num_threads())

    def __str__(self) -> str:
        return f"{self.memory / 1e6:9.2f}  {self.files:5d}  {self.threads:7d}"


@dataclass(frozen=True)
class Sample:
    """What the processes hold at one moment."""

    jobs: int
    seconds: float
    server: Held
    worker: Held

    def __str__(self) -> str:
        return f"{self.jobs:6d}  {self.seconds:7.1f}   {self.server}   {self.worker}"


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
            if not pid_of(status) and not busy:  # its worker was ended: another is to be looked at
                customers[0].submit()
            return not busy and idle and status.clients == len(customers) + 1 and pid_of(status) > 0

        if not until(quiet):
            lost = {job for customer in customers for job in customer.open | customer.asked}
            raise SystemExit(f"These jobs were accepted and never ended: {', '.join(lost)}")
        time.sleep(0.5)  # what the last messages held is given back
        return Sample(
            jobs=sum(len(customer.ends) for customer in customers),
            seconds=time.monotonic() - began,
            server=Held.by(backend.process.pid),
            worker=Held.by(pid_of(probe.status())),
        )
    finally:
        probe.client.close()


def samples_by_jobs(backend: Running, customers: Sequence[Customer], chance: random.Random, jobs: int) -> list[Sample]:
    """Work until so many jobs have ended, and look every 100 of them."""
    samples: list[Sample] = []
    began, due = time.monotonic(), EVERY
    while not samples or samples[-1].jobs < jobs:
        step(customers, chance)
        if sum(len(customer.ends) for customer in customers) >= due:
            due += EVERY
            samples.append(settle(backend, customers, began))
            print(samples[-1], flush=True)
    return samples


def samples_by_time(
    backend: Running,
    customers: Sequence[Customer],
    chance: random.Random,
    seconds: float,
    every: float,
    restless: float = 0.0,
) -> list[Sample]:
    """Work for so long, and look every so many seconds. `restless`: see RESTLESS."""
    samples: list[Sample] = []
    began = time.monotonic()
    while not samples or samples[-1].seconds < seconds:
        step(customers, chance)
        if chance.random() < restless:
            chance.choice(customers).come().client.send(Free())
        if time.monotonic() - began >= every * (len(samples) + 1):
            samples.append(settle(backend, customers, began))
            print(samples[-1], flush=True)
    return samples


def step(customers: Sequence[Customer], chance: random.Random) -> None:
    """One of them does something."""
    customer = chance.choice(customers)
    if len(customer.open) + len(customer.asked) < AT_ONCE:
        customer.submit()
    customer.hear()
    customer.come().client.wait(0.005)
    if chance.random() < 0.005:
        customer.leave()


def soak(jobs: int, hours: float, clients: int, seed: int) -> int:
    """Run it. The exit code."""
    chance = random.Random(seed)
    print(HEADER)
    with running("--stay", "--keep", "100", step_seconds=0.0005) as backend:
        customers = [Customer(backend, f"{number:032x}", chance) for number in range(1, clients + 1)]
        if hours:
            samples = samples_by_time(backend, customers, chance, hours * 3600, EVERY_SECONDS, RESTLESS)
            warm = next((sample for sample in samples if sample.seconds >= WARM_SECONDS), samples[0])
        else:
            samples = samples_by_jobs(backend, customers, chance, WARM + jobs)
            warm = next(sample for sample in samples if sample.jobs >= WARM)
        for customer in customers:
            customer.leave()
    wrong = [*grown(warm, samples[-1], GROWTH), *flaws(customers)]
    print(f"{told(customers)}; seed {seed}")
    for sentence in wrong:
        print(f"WRONG: {sentence}")
    return int(bool(wrong))


def grown(warm: Sample, last: Sample, growth: float) -> list[str]:
    """What has become more since then. `growth`: the share of its memory that a process may grow by."""
    wrong = []
    for name, before, after in (("server", warm.server, last.server), ("worker", warm.worker, last.worker)):
        print(f"{name}: {after.memory / before.memory - 1:+.2%} memory after the first {warm.jobs} jobs")
        if after.memory / before.memory - 1 >= growth:
            wrong.append(f"The {name}'s memory grows.")
        if after.files > before.files:
            wrong.append(f"The {name} leaves {after.files - before.files} descriptors open.")
        if after.threads > before.threads:
            wrong.append(f"The {name} leaves {after.threads - before.threads} threads behind.")
    return wrong


def flaws(customers: Sequence[Customer]) -> list[str]:
    """What has become of jobs that should not."""
    return [sentence for customer in customers for sentence in customer.wrong]


def told(customers: Sequence[Customer]) -> str:
    """What they have done."""
    ends = [how for customer in customers for how in customer.ends.values()]
    counts = ", ".join(f"{ends.count(how)} {how}" for how in ("done", "cancelled", "failed"))
    return f"{len(ends)} jobs: {counts}; clients left {sum(customer.departures for customer in customers)} times"


def main() -> int:
    """Read the options and run."""
    parser = ArgumentParser(description=__doc__.partition("\n\n")[0])
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--hours", type=float, default=0.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        os.environ["ELEVATOR_HOME"] = home
        return soak(options.jobs, options.hours, options.clients, options.seed)


if __name__ == "__main__":
    sys.exit(main())
