"""What a backend holds stays the same, however long it works and however many workers have ended."""

from __future__ import annotations

import os
import random
import sys

import pytest

from shared_protocol.messages import Done, Free
from tests.backend.harness import Conversation, Running, gone, pid_of, running, until
from tests.benchmarks.soak import HEADER, RESTLESS, Customer, Held, Sample, flaws, grown, samples_by_time, told

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="descriptors and threads are counted as on Linux")
HOUR = 3600.0
KILOBYTES_WARM = 0.1
"""How much larger a process may become in the seconds after it has hardly begun: its tables are still filling."""
GROWTH_AN_HOUR = 0.01
"""And in each hour after the first."""


def soak(seconds: float, every: float, warm: float, restless: float) -> tuple[Sample, Sample, list[str]]:
    """Let four clients work for so long. What was held at the end of warming up and at the end, and what went wrong."""
    seed = int(os.environ.get("ELEVATOR_SOAK_SEED", random.randrange(2**32)))
    print(f"ELEVATOR_SOAK_SEED={seed}", HEADER, sep="\n")
    chance = random.Random(seed)
    with running("--stay", "--keep", "100", step_seconds=0.0005) as backend:
        customers = [Customer(backend, f"{number:032x}", chance) for number in range(1, 5)]
        samples = samples_by_time(backend, customers, chance, seconds, every, restless)
        for customer in customers:
            customer.leave()
    print(told(customers))
    return next(sample for sample in samples if sample.seconds >= warm), samples[-1], flaws(customers)


def test_a_quarter_of_a_minute() -> None:
    warm, last, wrong = soak(seconds=16, every=4, warm=8, restless=0)
    assert not wrong
    assert last.jobs > warm.jobs
    assert not grown(warm, last, KILOBYTES_WARM)


@pytest.mark.long
@pytest.mark.timeout(5 * HOUR)
def test_four_hours(capfd: pytest.CaptureFixture[str]) -> None:
    with capfd.disabled():
        warm, last, wrong = soak(seconds=4 * HOUR, every=HOUR, warm=HOUR, restless=RESTLESS)
        wrong += grown(warm, last, 3 * GROWTH_AN_HOUR)
    assert not wrong


@pytest.mark.parametrize("count", [12, pytest.param(1000, marks=[pytest.mark.long, pytest.mark.timeout(2 * HOUR)])])
def test_workers_that_have_ended_leave_nothing(count: int) -> None:
    """Whether they were idle, were killed, or have died over a job."""
    with running("--stay", step_seconds=0.0) as backend, backend.client() as client:
        end_one(backend, client, 0)
        before = settled(backend, client)
        for number in range(count):
            end_one(backend, client, number)
        after = settled(backend, client)
        assert (after.files, after.threads) == (before.files, before.threads)
        assert client.status().loads > count


def end_one(backend: Running, client: Conversation, number: int) -> None:
    """Let a worker make a clip and end, in one of three ways."""
    crash = number % 3 == 2
    assert isinstance(client.end_of(client.submit("fail:crash-once" if crash else "a cat", frames=1)), Done)
    (worker,) = backend.family
    if number % 3 == 0:
        client.client.send(Free())
    else:
        worker.kill()
    assert gone(worker)
    assert until(lambda: pid_of(client.status()) == 0)
    client.heard.clear()


def settled(backend: Running, client: Conversation) -> Held:
    """What the server holds when no worker runs and nothing more is given back."""
    held = [Held.by(backend.process.pid)]

    def steady() -> bool:
        client.status()
        held.append(Held.by(backend.process.pid))
        return len(held) > 10 and len({(each.files, each.threads) for each in held[-10:]}) == 1

    assert until(steady)
    return held[-1]
