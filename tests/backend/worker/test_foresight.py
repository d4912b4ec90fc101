"""Which measures a clip is expected to need, before anything is tried."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
from torch import nn

from backend.orders import Question
from backend.worker import foresight, weighing
from backend.worker.foresight import Foreseen, foresee
from backend.worker.ladder import Way, begin_with, rungs
from elevator import Plan, devices
from elevator.cost.estimating import Cost
from tests.backend.clip_orders import order

PLAN = Plan(steps=2, refine=(2,), refine_steps=1)
SIZE = (16, 512, 512)
CHUNK_OF_4, FRAME_BY_FRAME, TILES, PUT_AWAY = range(4)


def network(size: int) -> nn.Module:
    """So many bytes."""
    return nn.Linear(size // 4, 1, bias=False)


class Thought:
    """Costs that can be told by heart: 100 for a painted frame, 50 for a refined one, 800 for a decoded one, 40 for one
    in tiles, beside weights of 1000, of which the T2I's are 400, the T2V's 500 and the VAE's 100."""

    def __init__(self) -> None:
        self.asked: list[tuple[int | None, int | None, int]] = []
        models = SimpleNamespace(
            t2i=SimpleNamespace(unet=network(400)), t2v=SimpleNamespace(unet=network(500)), vae=network(100)
        )
        self.shapes: Any = SimpleNamespace(models=models)

    def estimate(self, plan: Plan, shapes: object, *, frames: int, height: int, width: int) -> SimpleNamespace:
        assert (height, width) == SIZE[1:]
        self.asked.append((plan.chunk, plan.tile, frames))
        painting = 100 * min(plan.chunk or frames, frames)
        decoding = 800 if plan.tile is None else 40
        refining = 50 * frames if plan.refine else 0
        return SimpleNamespace(
            weights=1000,
            kept=frames,
            process=7000,
            painting=Cost(0, painting),
            refining=Cost(0, refining),
            decoding=Cost(0, decoding),
            peak=7000 + 1000 + max(painting, refining, decoding) + frames,
        )


@pytest.fixture
def thought(monkeypatch: pytest.MonkeyPatch) -> Thought:
    thought = Thought()
    monkeypatch.setattr(foresight, "estimate", thought.estimate)
    return thought


@pytest.mark.parametrize(
    ("there", "needed", "takes"),
    [
        (2616, (), 2616),
        (2615, (CHUNK_OF_4,), 1816),  # 8 frames would be refined at once, were refining in chunks, too
        (1816, (CHUNK_OF_4,), 1816),
        (1815, (CHUNK_OF_4, TILES, PUT_AWAY), 1316),  # decoding first, then refining, which tiles do not help
        (1, (CHUNK_OF_4, FRAME_BY_FRAME, TILES, PUT_AWAY), 1316),
    ],
)
def test_measures_help_in_the_phase_that_takes_most(
    there: int, needed: tuple[int, ...], takes: int, thought: Thought
) -> None:
    foreseen = foresee(thought.shapes, PLAN, SIZE, "cuda", there)
    assert foreseen.takes == takes
    if there > 1:
        assert foreseen.rungs == needed


def test_without_refining_its_network_counts_for_nothing(thought: Thought) -> None:
    plan = replace(PLAN, refine=())
    assert foresee(thought.shapes, plan, SIZE, "cuda", 1).takes == 400 + 100 + 16


def test_a_processor_gains_nothing_by_putting_networks_away(thought: Thought) -> None:
    """Its own process counts, too."""
    assert foresee(thought.shapes, PLAN, SIZE, "cpu", 1).takes == 7000 + 1000 + 800 + 16


def test_each_kind_of_call_is_looked_at_once(thought: Thought) -> None:
    foresee(thought.shapes, PLAN, SIZE, "cuda", 1)
    assert len(thought.asked) == len(set(thought.asked))
    assert {(chunk, frames) for chunk, tile, frames in thought.asked if tile is None} <= {(None, 16), (4, 8), (1, 2)}


@pytest.mark.parametrize(("there", "least", "needed"), [(0, 0, ()), (3000, 2616, ()), (2000, 1816, (CHUNK_OF_4,))])
def test_the_answer_names_them_where_it_is_known_what_there_is(
    there: int, least: int, needed: tuple[int, ...], thought: Thought, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(weighing, "load_shapes", lambda sources, dtype: thought.shapes)
    monkeypatch.setattr(weighing, "estimate", thought.estimate)
    question = Question(order=order(plan=PLAN, frames=16, height=512, width=512), device="cuda", there=there)
    answer = weighing.weigh(question)
    assert (answer.memory, answer.least, answer.rungs) == (2616, least, needed)


def test_places_are_those_of_the_ladder() -> None:
    ladder = rungs(PLAN, SIZE[0], SIZE[1], on_processor=False)
    way, sentence = begin_with(Way(PLAN), ladder, (CHUNK_OF_4, TILES))
    assert way == Way(replace(PLAN, chunk=4, tile=256))
    assert sentence == (
        "The clip is expected to take more memory than is there: the clip is painted in chunks of 4 frames; "
        "frames are decoded in tiles of 256 pixels, whose seams are blended."
    )
    assert begin_with(Way(PLAN), ladder, ()) == (Way(PLAN), "")
    assert begin_with(Way(PLAN), ladder, (9,)) == (Way(PLAN), ""), "a server of another release"
    assert begin_with(Way(PLAN), ladder, (PUT_AWAY,))[0].offload
    assert Foreseen((), 1) != Foreseen((PUT_AWAY,), 1)
    assert devices.is_gpu("cuda")
