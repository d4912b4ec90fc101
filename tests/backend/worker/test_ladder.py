"""Running out of memory at each phase of the real maker: what is tried next, and that the clip is the same."""

from __future__ import annotations

import re
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch._subclasses.fake_tensor import FakeTensor

from backend.failures import BackendError
from backend.worker import advice
from backend.worker.foresight import peak
from backend.worker.ladder import rungs
from backend.worker.maker import Advance, Note, Picture
from backend.worker.sampling import SamplingMaker
from elevator import Models, OutOfMemory, Plan, Sources, devices, estimate, load_shapes
from elevator.devices import Memory
from elevator.models.decoding import Decoder
from elevator.models.pair import T2V, InflatedT2I
from elevator.sidecar import decode
from elevator.text import TextEncoder
from tests.backend.clip_orders import PATHS, WEIGHTS, Made, made, order

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (WEIGHTS / "t2i").is_dir(), reason="the embedded models are not there"),
]
torch.set_num_threads(1)
SHORTAGES: dict[str, Callable[[], BaseException]] = {
    "device": lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    "host": lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:121] data. DefaultCPUAllocator: can't allocate memory"
    ),
    "python": MemoryError,
}


class Scarce:
    """Memory that is not enough for some calls of one function."""

    def __init__(self, patch: pytest.MonkeyPatch, owner: Any, name: str, too_large: Callable[..., bool]) -> None:
        self.failed = 0
        self.kind = "device"
        real = getattr(owner, name)

        def call(*arguments: Any, **named: Any) -> Any:
            estimating = any(isinstance(each, FakeTensor) for each in arguments)
            if not estimating and too_large(*arguments, **named):
                self.failed += 1
                raise SHORTAGES[self.kind]()
            return real(*arguments, **named)

        patch.setattr(owner, name, call)


@pytest.fixture(scope="module")
def maker() -> SamplingMaker:
    maker = SamplingMaker("cpu")
    made(maker.make(order(plan=Plan(steps=1, refine=()))))
    return maker


@pytest.fixture(scope="module")
def untroubled(maker: SamplingMaker) -> np.ndarray:
    return made(maker.make(order(frames=6))).clip


@pytest.fixture(autouse=True)
def nothing_is_remembered(maker: SamplingMaker) -> None:
    maker._ways.clear()


def frames_above(most: int) -> Callable[..., bool]:
    """Calls of a network with more frames than that."""
    return lambda network, z, *_: z.shape[1] > most


def first(count: int) -> Callable[..., bool]:
    """The first calls."""
    left = [count]

    def too_large(*_: Any, **__: Any) -> bool:
        left[0] -= 1
        return left[0] >= 0

    return too_large


def plan_in(made: Made) -> Plan:
    return decode(made.extras["clip.json"], Path("clip.json")).settings.plan


@pytest.mark.parametrize(("kind", "most"), [("device", 4), ("host", 4), ("python", 4), ("device", 1)])
def test_painting_goes_on_in_chunks(
    most: int, kind: str, maker: SamplingMaker, untroubled: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(monkeypatch, InflatedT2I, "__call__", frames_above(most))
    scarce.kind = kind
    result = made(maker.make(order(frames=6)))
    sentences = ["the clip is painted in chunks of 4 frames", "the clip is painted frame by frame"]
    count = 1 if most == 4 else 2
    assert result.again == [f"The memory was not enough while painting: {each}." for each in sentences[:count]]
    assert scarce.failed == count
    assert plan_in(result).chunk == most
    assert near(result.clip, untroubled)


def near(clip: np.ndarray, other: np.ndarray) -> bool:
    return bool(np.abs(clip.astype(int) - other).max() <= 1)


def test_inverting_goes_on_in_chunks(
    maker: SamplingMaker, untroubled: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A call with one prompt inverts; painting calls with two.
    Scarce(monkeypatch, InflatedT2I, "__call__", lambda network, z, *_: len(z) == 1 and z.shape[1] > 4)
    result = made(maker.make(order(frames=6)))
    assert result.again == ["The memory was not enough while inverting: the clip is painted in chunks of 4 frames."]
    steps = [item.step for item in result.items if isinstance(item, Advance)]
    assert steps.count(1) == 2, "steps begin anew"
    assert near(result.clip, untroubled)


PLACES: dict[str, tuple[Any, str]] = {
    "reading the prompt": (TextEncoder, "together"),
    "reading the footage": (Models, "encode"),
    "refining": (T2V, "__call__"),
    "loading the models": (Models, "with_loras"),
}


@pytest.mark.parametrize("phase", PLACES)
def test_where_chunks_do_not_help_other_models_are_put_away(
    phase: str, maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    made(maker.make(order(t2v=str(WEIGHTS / "animatediff"))))
    held = maker._shelf.bytes
    wanted = order(anchor=str(WEIGHTS.parents[2] / "docs" / "panel.png"))
    with monkeypatch.context() as patch:
        Scarce(patch, *PLACES[phase], first(1))
        result = made(maker.make(wanted, PATHS))
    assert result.again == [f"The memory was not enough while {phase}: all other models are put away."]
    assert maker._shelf.bytes < held
    maker._ways.clear()
    loads = maker.loads
    assert near(result.clip, made(maker.make(wanted, PATHS)).clip)
    assert maker.loads == loads


def test_loading_begins_anew_without_other_models(monkeypatch: pytest.MonkeyPatch) -> None:
    maker = SamplingMaker("cpu")
    made(maker.make(order(t2v=str(WEIGHTS / "animatediff"))))
    kept = maker._shelf.bytes
    Scarce(
        monkeypatch,
        torch.nn.Module,
        "load_state_dict",
        lambda network, *_, **__: "UNet3D" in type(network).__name__ and maker._shelf.bytes >= kept,
    )
    result = made(maker.make(order()))
    assert result.again == ["The memory was not enough while loading the models: all other models are put away."]
    assert result.clip.shape == (4, 64, 64, 3)


def test_decoding_goes_on_in_tiles_and_frames_begin_anew(maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    large = order(width=128, height=128, frames=3)
    whole = made(maker.make(large)).clip
    left = [1]

    def third_frame(decoder: Decoder, latents: torch.Tensor, tile: int | None = None) -> bool:
        left[0] += 1
        return tile is None and left[0] > 3

    Scarce(monkeypatch, Decoder, "begin", third_frame)
    result = made(maker.make(large))
    assert result.again == [
        "The memory was not enough while decoding: frames are decoded in tiles of 64 pixels, whose seams are blended."
    ]
    at = next(k for k, item in enumerate(result.items) if isinstance(item, Note))
    indices = [[each.index for each in part if isinstance(each, Picture)] for part in (result.items[:at], result.items)]
    assert indices == [[0, 1], [0, 1, 0, 1, 2]]
    assert plan_in(result).tile == 64
    assert np.abs(result.clip.astype(int) - whole).mean() < 8


def test_what_helped_is_tried_first_next_time(
    maker: SamplingMaker, untroubled: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(monkeypatch, InflatedT2I, "__call__", frames_above(1))
    made(maker.make(order(frames=6)))
    result = made(maker.make(order(frames=6, seed=2)))
    assert scarce.failed == 2, "all of them in the first clip"
    assert result.notes == ["Memory is saved as for the clip of this kind before."]
    assert result.again == []
    assert plan_in(result).chunk == 1
    assert made(maker.make(order(frames=1))).notes == []


def test_what_is_foreseen_is_done_from_the_start(
    maker: SamplingMaker, untroubled: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(monkeypatch, InflatedT2I, "__call__", frames_above(4))
    result = made(maker.make(order(frames=6), rungs=(0,)))
    assert scarce.failed == 0, "it was right"
    assert result.notes == [
        "The clip is expected to take more memory than is there: the clip is painted in chunks of 4 frames."
    ]
    assert result.again == []
    assert plan_in(result).chunk == 4
    assert near(result.clip, untroubled)
    next_one = made(maker.make(order(frames=6, seed=2)))
    assert next_one.notes == ["Memory is saved as for the clip of this kind before."]


def test_what_is_foreseen_may_be_too_little(maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    Scarce(monkeypatch, InflatedT2I, "__call__", frames_above(1))
    result = made(maker.make(order(frames=6), rungs=(0,)))
    assert len(result.again) == 1
    assert plan_in(result).chunk == 1


def test_torchs_limit_is_set_before_each_try(maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was free may have gone to another process since."""
    limited: list[str] = []
    monkeypatch.setattr(devices, "limit", lambda device: limited.append(device) or 5_000)
    scarce = Scarce(monkeypatch, InflatedT2I, "__call__", frames_above(1))
    seen: list[int] = []
    take = maker._shelf.take
    monkeypatch.setattr(maker._shelf, "take", lambda *a, **k: seen.append(len(limited)) or take(*a, **k))
    made(maker.make(order(frames=6)))
    assert scarce.failed == 2
    assert limited == ["cpu"] * 3
    assert seen == [1, 2, 3], "before the models are loaded"
    assert maker.memory == 5_000, "which the server is told"


def test_a_cautious_order_takes_little_from_the_start(maker: SamplingMaker, untroubled: np.ndarray) -> None:
    result = made(maker.make(order(frames=6), cautious=True))
    assert result.notes == ["The clip is made with as little memory as possible, which takes longer."]
    assert result.again == []
    assert plan_in(result).chunk == 1
    assert near(result.clip, untroubled)
    assert made(maker.make(order(frames=6))).notes == [], "the next order is not"


def test_when_nothing_helps_the_error_says_what_would_fit(
    maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    scarce = Scarce(monkeypatch, T2V, "__call__", lambda *_: True)
    monkeypatch.setattr(devices, "memory", lambda device: Memory(552_000_000, 0, 0))
    monkeypatch.setattr(advice, "PATIENCE_SECONDS", 600.0)  # on a machine that others use, too
    plan = Plan(steps=1, refine=(1,), refine_steps=1)
    with pytest.raises(BackendError, match="was not enough: while refining; the clip takes about") as error:
        made(maker.make(order(frames=16, plan=plan)))
    assert error.value.code == "out_of_memory"
    assert scarce.failed == 2
    said = error.value.sentence
    assert "0.6 GB are there" in said
    assert re.search(r"; \d+ frames of 64 × 64 pixels or 16 frames of \d+ × \d+ pixels would fit\.", said)


def test_two_chunks_tell_what_many_take() -> None:
    shapes = load_shapes(Sources.of(WEIGHTS / "t2i", WEIGHTS / "zeroscope"))
    plan = Plan(steps=2, refine=(2,), refine_steps=1, chunk=1)
    quick = advice._estimate(shapes, plan, (4, 64, 64))
    whole = estimate(plan, shapes, frames=4, height=64, width=64)
    assert quick.activations == pytest.approx(whole.activations, rel=0.02)
    assert (
        quick.painting.memory
        < estimate(replace(plan, chunk=None), shapes, frames=4, height=64, width=64).painting.memory / 2
    )
    assert quick.kept == whole.kept


def test_a_smaller_clip_keeps_its_shape() -> None:
    assert list(advice._candidates((16, 256, 512), 0.5, 8)) == [(7, 256, 512), (16, 168, 336)]
    assert list(advice._candidates((16, 256, 512), 1, 8)) == [(14, 256, 512), (16, 240, 480)]
    assert list(advice._candidates((1, 64, 64), 1, 8)) == [(1, 56, 56)], "no clip is shorter than one frame"
    assert list(advice._candidates((16, 8, 8), 0.5, 8)) == [(7, 8, 8)], "nor smaller than its models can"
    assert not list(advice._candidates((16, 256, 512), 0, 8))


def test_what_would_fit_is_looked_for_where_it_may_be_and_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes = load_shapes(Sources.of(WEIGHTS / "t2i", WEIGHTS / "zeroscope"))
    plan, size = Plan(steps=1, refine=(1,), refine_steps=1), (16, 64, 64)
    cost = advice._estimate(shapes, plan, size)
    whole, moving = peak(cost, "cpu"), cost.activations + cost.kept
    monkeypatch.setattr(advice, "PATIENCE_SECONDS", 600.0)

    def said(there: int) -> str:
        return advice._fitting(shapes, plan, size, cost, "cpu", there)

    candidates = advice._candidates(size, 0.5, shapes.models.size_multiple)
    clips = [f"{frames} frames of {width} × {height} pixels" for frames, height, width in candidates]
    assert said(whole - moving // 2) == f"; {' or '.join(clips)} would fit"
    assert said(whole - moving) == "; no clip was found that would fit", "the models alone take all"
    monkeypatch.setattr(advice, "PATIENCE_SECONDS", -1.0)
    assert said(whole - moving // 2) == "; no clip was found that would fit", "whoever waits is told"


def test_where_the_clip_should_fit_other_programs_are_suspected(
    maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    Scarce(monkeypatch, T2V, "__call__", lambda *_: True)
    with pytest.raises(BackendError, match="other programs may have had them"):
        made(maker.make(order()))


@pytest.mark.parametrize("cautious", [False, True])
def test_after_all_failed_the_next_job_is_made(
    cautious: bool, maker: SamplingMaker, untroubled: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        scarce = Scarce(patch, T2V, "__call__", lambda *_: True)
        patch.setattr("backend.worker.sampling.what_would_fit", lambda *_: "nothing would fit")
        with pytest.raises(BackendError, match="was not enough: nothing would fit"):
            made(maker.make(order(), cautious=cautious))
        assert scarce.failed == (1 if cautious else 2)
    assert near(made(maker.make(order(frames=6))).clip, untroubled)


def test_memory_that_is_not_enough_for_the_advice_is_said_too(
    maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise OutOfMemory("loading")

    Scarce(monkeypatch, T2V, "__call__", lambda *_: True)
    monkeypatch.setattr(advice, "load_shapes", fails)
    with pytest.raises(BackendError, match="too large for it") as error:
        made(maker.make(order()))
    assert error.value.code == "out_of_memory"


def test_other_errors_climb_no_ladder(maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: Any) -> None:
        raise RuntimeError("The size of tensor a (4) must match the size of tensor b (5)")

    monkeypatch.setattr(T2V, "__call__", fails)
    with pytest.raises(RuntimeError, match="size of tensor"):
        made(maker.make(order()))


def test_nothing_of_a_failed_try_is_held_in_the_next(maker: SamplingMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the second try would have less memory than the first."""
    held: list[list[int]] = []
    tensors: list[Any] = []

    def too_large(network: Any, z: torch.Tensor, *_: Any) -> bool:
        held.append([each.numel() for ref in tensors if (each := ref()) is not None])
        tensors.append(weakref.ref(z))
        return z.shape[1] > 4

    Scarce(monkeypatch, InflatedT2I, "__call__", too_large)
    made(maker.make(order(frames=6)))
    assert held[1] == [], "the failed call's latents are gone"


@pytest.mark.parametrize(
    ("plan", "frames", "side", "expected"),
    [
        (Plan(), 16, 512, ["4", "1", "256"]),
        (Plan(chunk=4), 16, 512, ["1", "256"]),
        (Plan(chunk=2, tile=256), 16, 512, ["1"]),
        (Plan(chunk=4, tile=512), 16, 512, ["1", "256"]),
        (Plan(), 4, 64, ["1"]),
        (Plan(), 1, 1024, ["512"]),
        (Plan(tile=128), 1, 100, []),
    ],
)
def test_only_what_saves_something_is_tried(plan: Plan, frames: int, side: int, expected: list[str]) -> None:
    found = rungs(plan, frames, side, on_processor=False)
    words = {"frame by frame": "1"}
    numbers = [
        next((short for phrase, short in words.items() if phrase in rung.sentence), "")
        or "".join(letter for letter in rung.sentence if letter.isdigit())
        for rung in found
    ]
    assert numbers == [*expected, ""]
    assert found[-1].sentence == "only the network that runs stays on the device"
