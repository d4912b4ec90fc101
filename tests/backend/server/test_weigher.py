"""How much memory a clip takes is found out beside the loop, by a process of its own."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest
import torch

from backend.orders import Answer, Question, Sample
from backend.server import weigher as weigher_module
from backend.server.weigher import CANNOT_SAY, Weigher
from backend.styles.catalogue import read_catalogue
from backend.worker import weighing
from backend.worker.foresight import Foreseen
from elevator import Plan
from elevator.calls import calls_of
from elevator.cost.shapes import Shapes
from shared_protocol.messages import AskEstimate, Done, Estimate, Generate, LoraChoice
from tests.backend.harness import Running, running
from tests.backend.orders import order

A, B = "a" * 32, "b" * 32
ME, YOU = b"me", b"you"
TWO = Answer(memory=2000)
ANSWER = """
import json, pathlib, sys
order = json.load(sys.stdin)["order"]
with pathlib.Path(sys.argv[1]).open("a") as asked:
    print(order["frames"], order["prompt"], file=asked)
if order["frames"] == 13:
    sys.exit(1)
json.dump({"memory": order["frames"] * 1000}, sys.stdout)
"""


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    """What the process was asked."""
    return tmp_path / "asked"


@pytest.fixture
def weigher(asked: Path) -> Iterator[Weigher]:
    weigher = Weigher((sys.executable, "-c", ANSWER, str(asked)))
    yield weigher
    weigher.close()


def clip(job: str = A, **fields: object) -> Generate:
    told = {"prompt": "a", "style": "plain", "frames": 2, "width": 64, "height": 64, "seed": 1}
    return Generate(job=job, **{**told, **fields})  # type: ignore[arg-type]


def sample(frames: int, **fields: object) -> Sample:
    return msgspec.structs.replace(order(), frames=frames, **fields)


def until_told(weigher: Weigher) -> list[tuple[bytes, Generate, Answer]]:
    """Be the server's loop until something is told."""
    deadline = time.monotonic() + 60
    while not (told := list(weigher.look())):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    return told


@pytest.mark.process
def test_the_same_question_is_asked_once_whatever_the_words(weigher: Weigher, asked: Path) -> None:
    assert weigher.ask(ME, clip(), sample(2, prompt="a secret"), "cpu") is None
    assert until_told(weigher) == [(ME, clip(), TWO)]
    assert weigher.ask(YOU, clip(B), sample(2, prompt="another", seed=5), "cpu") == TWO
    assert asked.read_text().split() == ["2"], "and no prompt leaves the server"


@pytest.mark.process
def test_of_each_client_the_last_question_is_answered(weigher: Weigher, asked: Path) -> None:
    for frames in (2, 3, 4):
        assert weigher.ask(ME, clip(frames=frames), sample(frames), "cpu") is None
    weigher.ask(YOU, clip(B, frames=5), sample(5), "cpu")
    assert until_told(weigher) + until_told(weigher) == [
        (ME, clip(frames=4), Answer(memory=4000)),
        (YOU, clip(B, frames=5), Answer(memory=5000)),
    ]
    assert asked.read_text().split() == ["2", "4", "5"]


@pytest.mark.process
def test_what_cannot_be_said_is_0(weigher: Weigher) -> None:
    assert weigher.ask(ME, clip(), sample(13), "cpu") is None
    assert until_told(weigher) == [(ME, clip(), CANNOT_SAY)]
    assert weigher.ask(ME, clip(), sample(13), "cpu") == CANNOT_SAY


@pytest.mark.process
def test_a_process_that_does_not_start_is_no_harm(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    weigher = Weigher((str(tmp_path / "no python"),))
    assert weigher.ask(ME, clip(), sample(2), "cpu") is None
    assert list(weigher.look()) == [(ME, clip(), CANNOT_SAY)]
    weigher.foresee(sample(3), "cpu", 0)
    assert weigher.known(sample(3), "cpu", 0) == CANNOT_SAY
    caplog.clear()
    assert list(weigher.look()) == []
    assert not caplog.records, "it is not tried again and again"


@pytest.mark.process
def test_what_is_known_is_not_asked_again_and_the_oldest_answer_goes_first(
    weigher: Weigher, asked: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weigher_module, "MOST_KEPT", 2)
    for frames in (2, 3, 4):
        weigher.foresee(sample(frames), "cpu", 0)
    deadline = time.monotonic() + 60
    while weigher.known(sample(4), "cpu", 0) is None:
        assert time.monotonic() < deadline
        assert list(weigher.look()) == [], "no client has asked"
        time.sleep(0.01)
    weigher.foresee(sample(4), "cpu", 0)
    known = [weigher.known(sample(frames), "cpu", 0) for frames in (2, 3, 4)]
    assert known == [None, Answer(memory=3000), Answer(memory=4000)]
    assert list(weigher.look()) == []
    assert weigher._process is None
    assert asked.read_text().split() == ["2", "3", "4"]


@pytest.mark.process
def test_the_end_of_the_backend_ends_what_is_being_found_out() -> None:
    weigher = Weigher((sys.executable, "-c", "import time; time.sleep(600)"))
    weigher.ask(ME, clip(), sample(2), "cpu")
    weigher.foresee(sample(3), "cpu", 0)
    process = weigher._process
    assert process is not None
    weigher.close()
    assert process.returncode not in (None, 0)
    assert list(weigher.look()) == []
    assert weigher._process is None, "nothing is asked any more"


@pytest.mark.process
def test_who_has_gone_is_told_nothing(weigher: Weigher) -> None:
    weigher.ask(ME, clip(), sample(2), "cpu")
    weigher.forget(ME)
    weigher.ask(YOU, clip(B), sample(2), "cpu")
    assert until_told(weigher) == [(YOU, clip(B), TWO)]


@pytest.mark.slow
def test_the_answer_is_what_the_sampler_foresees(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    foreseen: list[tuple[Plan, torch.dtype, dict[str, int]]] = []

    def estimate(plan: Plan, shapes: Shapes, **size: int) -> SimpleNamespace:
        foreseen.append((plan, shapes.models.t2i.unet.dtype, size))
        return SimpleNamespace(peak=1000, process=300)

    monkeypatch.setattr(weighing, "estimate", estimate)
    recipe = read_catalogue().recipes["plain"]
    plan = recipe.presets["draft"]
    wanted = msgspec.structs.replace(sample(1, width=32, height=48), sources=recipe.sources, plan=plan)
    assert weighing.weigh(Question(order=wanted, device="cpu")).memory == 1000
    assert weighing.weigh(Question(order=wanted, device="cuda:1")).memory == 700, "the process's own is not the card's"
    size = {"frames": 1, "height": 48, "width": 32}
    assert foreseen == [(plan, torch.float32, size), (plan, torch.float16, size)]

    def foresee(shapes: Shapes, plan: Plan, size: tuple[int, ...], device: str, there: int) -> Foreseen:
        return Foreseen((0, 2), sum(size) + there)

    monkeypatch.setattr(weighing, "foresee", foresee)
    enough, too_little = (weighing.weigh(Question(order=wanted, device="cpu", there=there)) for there in (1000, 999))
    assert enough == Answer(memory=1000, least=1000)
    assert too_little == Answer(memory=1000, least=1 + 48 + 32 + 999, rungs=(0, 2))


@pytest.mark.slow
def test_of_models_that_are_not_there_nothing_can_be_said(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    question = msgspec.json.encode(Question(order=order(), device="cpu"))
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(question)))
    assert weighing.main() == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.strip()


@pytest.mark.process
def test_a_client_is_told_calls_and_then_time(backend: Running) -> None:
    with backend.client() as client:
        client.client.send(AskEstimate(clip=clip(preset="draft")))
        first = client.expect(Estimate)
        calls = calls_of(read_catalogue().recipes["plain"].presets["draft"]).total
        assert first == Estimate(job=A, calls=calls), "nothing was made yet, and the fake generator has no models"
        assert isinstance(client.end_of(client.submit()), Done)
        client.client.send(AskEstimate(clip=clip(B, preset="draft")))
        second = client.expect(Estimate)
        assert second.job == B
        assert second.seconds is not None
        assert second.seconds > 0
        client.client.send(AskEstimate(clip=clip(loras=(LoraChoice(name="none such"),))))
        third = client.expect(Estimate)
        assert third.problem.startswith('The LoRA "none such" cannot be used')
        assert third.next_step
        assert client.jobs(ended=5).jobs[0].job != A, "nothing was submitted"


@pytest.mark.slow
@pytest.mark.process
def test_memory_comes_later(home: Path) -> None:
    with running(fake=False) as backend, backend.client() as client:
        client.client.send(AskEstimate(clip=clip(preset="draft")))
        first = client.expect(Estimate)
        assert (first.memory, first.more) == (0, True)
        second = client.expect(Estimate)
        assert second.memory > 10**8
        assert not second.more
        assert client.status().loads == 0, "no model was loaded"
