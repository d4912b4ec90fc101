"""Server or worker is killed at an exact call of the system: before it, when half of the bytes are written, or after
it; beside it, server, worker and clients are killed at random. No job is lost, none ends twice, nothing is left half.

Each round says its seed. `ELEVATOR_KILLS_SEED=SEED` makes that round again, alone: the same requests and the same call,
though how far the others have come by then still differs a little.
"""

from __future__ import annotations

import math
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import msgspec
import psutil
import pytest

from shared_protocol.client import new_job_id
from shared_protocol.messages import Event, Generate
from tests.backend.faults.ledger import SIDE, Customer, Ledger, check_database, check_files, check_with
from tests.backend.faults.lives import killable_client, life
from tests.backend.faults.switchboard import Call, Moment, Role, Switchboard, switchboard
from tests.backend.harness import Running, gone

NAMES = ("1" * 32, "2" * 32, "3" * 32)
KILLABLE = "4" * 32
MOST: dict[tuple[Role, Call], int] = {
    ("server", "write"): 120,
    ("server", "sync"): 60,
    ("server", "rename"): 12,
    ("server", "mkdir"): 8,
    ("server", "unlink"): 30,
    ("worker", "write"): 40,
    ("worker", "sync"): 40,
    ("worker", "rename"): 40,
}
"""Who is killed at what, and up to which call; the first ones most often. A worker makes and deletes no folder."""
LIVES = (1, 1, 1, 1, 2, 2, 3)
"""How many backends of a round are killed, or may be."""
ACTS = (8, 30)
"""How many requests clients make in the life of a backend."""
Strike = Literal["none", "server", "worker", "client", "all", "stop", "end"]
STRIKES: tuple[Strike, ...] = ("none", "none", "server", "worker", "client", "all", "stop", "end")


@dataclass
class Trap:
    """Where a process is killed."""

    role: Role
    call: Call
    count: int
    moment: Moment

    @classmethod
    def drawn(cls, chance: random.Random) -> Trap:
        """One at random."""
        role, call = chance.choice(list(MOST))
        count = int(math.exp(chance.uniform(0, math.log(MOST[role, call] + 0.99))))
        moments: tuple[Moment, ...] = ("before", "half", "after") if call == "write" else ("before", "after")
        return cls(role, call, count, chance.choice(moments))

    def set_on(self, board: Switchboard) -> None:
        board.mend()
        board.kill(self.role, self.call, self.count, self.moment)

    def has_snapped(self, board: Switchboard) -> bool:
        return board.befell(self.role, self.call)


def one_round(seed: int, board: Switchboard, folder: Path) -> int:
    """One to three backends that are killed, and one that is not. Says what was done; returns how many traps have
    snapped."""
    # Everybody has dice of their own: what one does, which depends on how quick the others were, changes no trap.
    chance, ledger, snapped = random.Random(seed), Ledger(), 0
    print(f"ELEVATOR_KILLS_SEED={seed}")
    names = NAMES[: chance.randint(2, 3)]
    customers = [Customer(name, ledger, random.Random(f"{seed} {name}")) for name in names]
    with ExitStack() as stack:
        for customer in customers:
            stack.callback(customer.leave)
        for number in range(chance.choice(LIVES)):
            trap = Trap.drawn(chance) if chance.random() < 0.8 else None
            strike = chance.choice(STRIKES) if trap is None or chance.random() < 0.4 else "none"
            board.mend()
            if trap:
                trap.set_on(board)
            with life(**board.environment) as backend:
                if backend is not None:
                    dice = random.Random(f"{seed} {number}")
                    live(backend, ledger, customers, dice, strike, folder / f"{seed}-{number}.jsonl")
                hit = trap is not None and trap.has_snapped(board)
                snapped += hit
                print(f"  {trap}{' snapped' if hit else ''}, {strike}; {len(ledger.accepted)} jobs accepted")
            for customer in customers:
                customer.hear()
                customer.leave()
    board.mend()
    with life(**board.environment) as backend:
        assert backend is not None
        customers[0].finish_sending(backend)
        check_with(backend, ledger, [*NAMES, KILLABLE])
    check_database(ledger)
    check_files(ledger)
    print(f"  {len(ledger.ends)} ends, {len(ledger.pictures)} pictures")
    return snapped


def live(
    backend: Running, ledger: Ledger, customers: list[Customer], chance: random.Random, strike: Strike, heard: Path
) -> None:
    """Clients do this and that, until the backend has been killed or they have done enough."""
    acts = chance.randint(*ACTS)
    moment, patient = chance.randrange(acts), chance.random() < 0.8
    with ExitStack() as stack:
        doomed = stack.enter_context(doomed_client(ledger, chance, heard)) if strike == "client" else None
        for number in range(acts):
            customer = chance.choice(customers)
            customer.come(backend)
            customer.act()
            listen(customers, lambda: False, chance.random() * 0.1)
            if number == moment:
                strike_at(backend, strike, customer)
                if doomed is not None:
                    doomed.kill()
            if backend.process.poll() is not None:
                break
        if patient:
            for customer in customers:
                customer.come(backend)
            listen(customers, lambda: not ledger.open or backend.process.poll() is not None, 30.0)
    if heard.exists():
        for line in heard.read_bytes().split(b"\n")[:-1]:  # the last may be torn
            ledger.hear(msgspec.json.decode(line, type=Event))


def listen(customers: list[Customer], enough: Callable[[], bool], seconds: float) -> None:
    """Hear what comes until it is enough, for so many seconds at most."""
    deadline = time.monotonic() + seconds
    while not enough() and time.monotonic() < deadline:
        for customer in customers:
            customer.hear()
        time.sleep(0.01)  # each look asks the system whether the backend lives, which is not free


def strike_at(backend: Running, strike: Strike, customer: Customer) -> None:
    """Something befalls somebody."""
    workers = backend.family
    if strike in ("worker", "all"):
        for worker in workers:
            worker.kill()
            gone(worker)
    if strike in ("server", "all"):
        backend.process.kill()
        backend.process.wait()
    if strike in ("client", "all"):
        customer.leave()
    if strike == "stop":
        for process in (psutil.Process(backend.process.pid), *workers):
            with suppress(psutil.NoSuchProcess):  # the trap was quicker
                process.suspend()
                time.sleep(0.2)
                process.resume()
    if strike == "end":
        backend.process.send_signal(signal.SIGTERM)


def doomed_client(
    ledger: Ledger, chance: random.Random, heard: Path
) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """A client in a process of its own, which is killed with the block."""
    orders = [
        ledger.order(
            KILLABLE,
            Generate(
                job=new_job_id(),
                prompt="an okapi",
                style="plain",
                frames=chance.randint(1, 3),
                width=SIDE,
                height=SIDE,
                seed=number,
            ),
        )
        for number in range(2)
    ]
    return killable_client(KILLABLE, orders, heard)


@pytest.mark.parametrize(
    "rounds",
    [
        pytest.param(20, marks=pytest.mark.timeout(1800)),
        pytest.param(500, marks=[pytest.mark.long, pytest.mark.timeout(4 * 3600)]),
    ],
)
def test_kills_at_exact_calls(rounds: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given = os.environ.get("ELEVATOR_KILLS_SEED")
    first = int(given) if given else random.randrange(2**32)
    snapped = 0
    for seed in range(first, first + (1 if given else rounds)):
        home = tmp_path / f"mon été {seed}"
        home.mkdir()
        monkeypatch.setenv("ELEVATOR_HOME", str(home))
        with switchboard(home, tmp_path) as board:
            snapped += one_round(seed, board, tmp_path)
        shutil.rmtree(home)
    assert given or snapped >= rounds / 2, "most rounds have a trap that somebody comes to"
