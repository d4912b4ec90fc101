"""What is foreseen of a clip when it is submitted: a word on memory, and measures for its worker."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from backend.orders import Sample
from backend.serve_options import ServeOptions
from backend.server import estimates as estimates_module
from backend.server.estimates import Estimates
from backend.server.requests import no_uploads
from backend.server.weigher import Weigher
from backend.styles.catalogue import read_catalogue
from shared_protocol.messages import Estimate, Generate
from tests.backend.orders import order

pytestmark = pytest.mark.process
ANSWER = """
import json, pathlib, sys
asked = json.load(sys.stdin)
with pathlib.Path(sys.argv[1]).open("a") as file:
    print(asked["device"], asked["there"], asked["order"]["frames"], file=file)
frames = asked["order"]["frames"]
json.dump({"memory": 1000 * frames, "least": 600 * frames if asked["there"] else 0, "rungs": [0, 2]}, sys.stdout)
"""
CLIP = Generate(job="a" * 32, prompt="a", style="plain", frames=2, width=64, height=64, seed=1)


class Asked:
    """Estimates of a backend whose worker has told what it has, and what the weigher was asked."""

    def __init__(self, file: Path, device: str, memory: int, **options: Any) -> None:
        self._file = file
        scheduler: Any = SimpleNamespace(device=device, memory=memory, seconds_of=lambda order: None)
        self.estimates = Estimates(ServeOptions(**options), read_catalogue, scheduler, no_uploads)
        self.estimates._weigher = Weigher((sys.executable, "-c", ANSWER, str(file)))

    @property
    def questions(self) -> list[str]:
        return self._file.read_text().splitlines() if self._file.exists() else []

    def wait(self, sample: Sample) -> None:
        """Until the weigher knows it, as the server's loop does."""
        deadline = time.monotonic() + 60
        while self.estimates._weigher.known(sample, *self.estimates._place) is None:
            assert time.monotonic() < deadline
            assert list(self.estimates.look()) == [], "no client has asked"
            time.sleep(0.01)


@pytest.fixture
def ask(tmp_path: Path, home: Path) -> Iterator[Any]:
    made: list[Asked] = []

    def start(device: str, memory: int, **options: Any) -> Asked:
        made.append(Asked(tmp_path / "asked", device, memory, **options))
        return made[-1]

    yield start
    for each in made:
        each.estimates.close()


def sample(frames: int) -> Sample:
    return msgspec.structs.replace(order(), frames=frames)


def test_for_a_gpu_it_is_found_out_while_the_clip_waits(ask: Any) -> None:
    gpu = ask("cuda:1", 1500)
    assert gpu.estimates.foresee(sample(2)) == (), "nobody waits for it"
    assert gpu.estimates.rungs(sample(2)) == ()
    gpu.wait(sample(2))
    assert gpu.questions == ["cuda:1 1500 2"]
    assert gpu.estimates.rungs(sample(2)) == (0, 2)
    assert gpu.estimates.foresee(sample(2)) == (), "it fits with these measures"


def test_what_does_not_fit_in_any_way_is_said_beside_the_order(ask: Any) -> None:
    gpu = ask("cuda", 1_500_000)
    gpu.estimates.foresee(sample(3000))
    gpu.wait(sample(3000))
    (warning,) = gpu.estimates.foresee(sample(3000))
    assert warning.startswith(
        "The clip may fail: even with all measures that save memory it is expected to take 0.0 GB,"
    )
    assert "and cuda has 0.0 GB. Fewer frames" in warning
    exact = ask("cuda", 1_800_000)
    exact.estimates.foresee(sample(3000))
    exact.wait(sample(3000))
    assert exact.estimates.foresee(sample(3000)) == (), "all of the memory is enough"


def test_processors_are_left_to_their_clips(ask: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless a client has asked already: then what is known is said."""
    monkeypatch.setattr(estimates_module, "machine_memory", lambda: 1000)
    cpu = ask("cpu", 0)
    assert cpu.estimates.foresee(sample(2)) == ()
    time.sleep(0.5)
    assert cpu.questions == []
    cpu.estimates._weigher.ask(b"me", CLIP, sample(2), *cpu.estimates._place)
    deadline = time.monotonic() + 60
    while not list(cpu.estimates._weigher.look()):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert cpu.questions == ["cpu 1000 2"]
    assert len(cpu.estimates.foresee(sample(2))) == 1
    assert cpu.estimates.rungs(sample(2)) == (), "its worker climbs as ever"


def test_test_pictures_take_no_memory(ask: Any) -> None:
    fake = ask("cuda", 1500, fake=True)
    assert fake.estimates.foresee(sample(2)) == ()
    time.sleep(0.5)
    assert fake.questions == []


def test_what_clients_ask_comes_first(ask: Any) -> None:
    gpu = ask("cuda", 1500)
    for frames in (2, 3):
        gpu.estimates.foresee(sample(frames))
    gpu.estimates._weigher.ask(b"me", CLIP, sample(4), "cuda", 1500)
    deadline = time.monotonic() + 60
    while len(gpu.questions) < 3 or gpu.estimates._weigher.known(sample(3), "cuda", 1500) is None:
        assert time.monotonic() < deadline
        list(gpu.estimates._weigher.look())
        time.sleep(0.01)
    assert [line.split()[-1] for line in gpu.questions] == ["2", "4", "3"]


def test_who_has_gone_is_told_nothing_and_an_end_asks_nothing_more(ask: Any) -> None:
    gpu = ask("cuda", 1500)
    for client in (b"me", b"you"):
        first = gpu.estimates.ask(client, CLIP)
        assert (first.job, first.memory, first.more, first.problem) == (CLIP.job, 0, True, "")
        assert first.calls > 0
    gpu.estimates.forget(b"me")
    told: list[tuple[bytes, Estimate]] = []
    deadline = time.monotonic() + 60
    while not told:
        assert time.monotonic() < deadline
        told += gpu.estimates.look()
        time.sleep(0.01)
    assert told == [(b"you", msgspec.structs.replace(first, memory=2000, more=False))]
    assert gpu.estimates.ask(b"me", CLIP) == told[0][1]
    gpu.estimates.ask(b"me", msgspec.structs.replace(CLIP, frames=3))
    gpu.estimates.close()
    assert list(gpu.estimates.look()) == []
    assert gpu.estimates._weigher._process is None
