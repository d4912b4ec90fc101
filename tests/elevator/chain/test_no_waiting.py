"""The processor never waits for a GPU inside the chain.

Chains run on tensors without values that say that they lie on CUDA, which torch has on every machine. Whatever would
make the processor wait there is refused: a number read from a tensor, a choice by its values, and a copy between
processor and GPU, but for those of `moved`, which go through pinned memory.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.functional import interpolate
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from elevator import NumericsError, Plan, devices
from elevator.chain import algorithm, denoiser, watching
from elevator.chain.algorithm import chain
from elevator.chain.cross_frame import Text
from elevator.chain.denoiser import Denoiser
from elevator.chain.schedule import Schedule
from elevator.chain.watching import Watch
from elevator.cost.shapes import networks
from elevator.models import pair as loaded
from elevator.models.pair import Models
from tests.elevator.golden import drain, models

aten = torch.ops.aten
READS = {aten._local_scalar_dense.default, aten.nonzero.default, aten.is_nonzero.default, aten.masked_select.default}
FRAMES, SIDE = 4, 8


class NoWaiting(TorchDispatchMode):
    """Refuses what makes a processor wait for a GPU."""

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        given = [each for each in tree_leaves((args, kwargs)) if isinstance(each, Tensor)]
        on_gpu = any(tensor.is_cuda for tensor in given)
        assert not (on_gpu and func in READS), f"{func} reads from the GPU"
        out = func(*args, **(kwargs or {}))
        # A number of the processor's is told to the GPU's kernels; anything larger would have to be copied.
        made = [each for each in tree_leaves(out) if isinstance(each, Tensor)]
        if on_gpu or any(tensor.is_cuda for tensor in made):
            larger = [each for each in (*given, *made) if not each.is_cuda and each.ndim]
            assert not larger, f"{func} copies {[tuple(each.shape) for each in larger]}"
        return out


class Driverless(TorchFunctionMode):
    """Does by other operations what asks for a driver though its tensors have no values: torch's brackets, copies."""

    def __torch_function__(
        self, func: Any, types: Sequence[type], args: Any = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is Tensor.__getitem__ and args[0].is_cuda:
            return part(*args)
        if func is Tensor.__setitem__ and args[0].is_cuda:
            return None  # there are no values to write
        if func is Tensor.contiguous and args[0].is_cuda:
            return args[0].clone()
        if func == Tensor.new_zeros and args[0].is_cuda:
            return torch.zeros(args[1:], dtype=args[0].dtype, device="cuda")
        if func is interpolate and args[0].is_cuda:
            size = (kwargs or {}).get("size") or [2 * side for side in args[0].shape[2:]]
            return torch.empty(*args[0].shape[:2], *size, dtype=args[0].dtype, device="cuda")
        return func(*args, **(kwargs or {}))


def part(x: Tensor, key: Any) -> Tensor:
    """x[key] of numbers, slices, None and an ellipsis."""
    keys = list(key) if isinstance(key, tuple) else [key]
    if Ellipsis in keys:
        at = keys.index(Ellipsis)
        keys[at : at + 1] = [slice(None)] * (x.ndim - len([each for each in keys if each is not None]) + 1)
    axis = 0
    for each in keys:
        if each is None:
            x = x.unsqueeze(axis)
        elif isinstance(each, slice):
            x = aten.slice(x, axis, each.start, each.stop, each.step or 1)
        else:
            x = x.select(axis, each)
            axis -= 1
        axis += 1
    return x


def on_gpu(models: Models, mode: FakeTensorMode) -> Models:
    """The models without values, as if they lay on CUDA."""
    memo: dict[int, Any] = {}
    with mode:
        for network in networks(models):
            for parameter in network.parameters():
                empty = torch.empty_like(parameter, device="cuda")
                memo[id(parameter)] = nn.Parameter(empty, requires_grad=False)
            for buffer in network.buffers():
                memo[id(buffer)] = torch.empty_like(buffer, device="cuda")
    return copy.deepcopy(models, memo)


@pytest.fixture
def moves(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, ...]]:
    """Shapes of what `moved` brings to the GPU: stands in for it, because pinned memory is CUDA's own."""
    shapes: list[tuple[int, ...]] = []

    def moved(x: Tensor, device: str | torch.device) -> Tensor:
        if x.is_cuda:
            return x
        shapes.append(tuple(x.shape))
        return torch.empty(x.shape, dtype=x.dtype, device=device)

    for module in (devices, algorithm, denoiser, loaded):
        monkeypatch.setattr(module, "moved", moved)
    monkeypatch.setattr(watching, "answer_later", lambda fit: lambda: True)
    return shapes


PUBLISHED = Plan(steps=3, refine=(3,), refine_steps=1)
SHORT = Plan(steps=2, refine=(2,), refine_steps=2)
VARIED = Plan(
    *(2, (2, 1), 1), way_back="random_noise", eta=0.5, chunk=2, cache_interval=2, window=3, overlap=1, matching="snr"
)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("t2v", "settings", "schedule"),
    [
        ("zeroscope", PUBLISHED, "stable_diffusion"),
        ("zeroscope", VARIED, "stable_diffusion"),
        ("animatediff", SHORT, "lcm"),
        ("lavie", SHORT, "lavie"),
    ],
)
def test_a_chain_reads_nothing_from_the_gpu(
    t2v: str, settings: Plan, schedule: str, moves: list[tuple[int, ...]]
) -> None:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    pair = on_gpu(models(t2v), mode)
    schedules = [each.with_steps(settings.steps) for each in (pair.t2i_schedule, Schedule.of(schedule))]
    draws: list[tuple[Any, ...]] = []
    with mode:
        noises = torch.empty(FRAMES, 4, SIDE, SIDE)

    def noise(purpose: str, n: int, k: int = 0) -> Tensor:
        draws.append((purpose, n, k))
        return devices.moved(noises, "cuda")

    def side(name: str, network: Any, encoder: Any, schedule: Schedule, spans: Callable[..., Any]) -> Denoiser:
        # Two prompts that the clip travels through.
        hidden = torch.empty(2, 2, encoder.length, encoder.encoder.config.hidden_size, device="cuda")
        text = Text(hidden, torch.empty(FRAMES, 2, device="cuda"))
        return Denoiser(name, network, schedule, text, 7.5, spans)

    with mode:
        t2i = side("T2I", pair.t2i, pair.t2i_text, schedules[0], settings.image_spans)
        t2v_side = side("T2V", pair.t2v, pair.t2v_text, schedules[1], settings.video_spans)
        z = torch.empty(FRAMES, 4, SIDE, SIDE, device="cuda")
        with Driverless(), NoWaiting():
            units, latents = drain(chain(t2i, t2v_side, settings, z, noise))
    assert latents.is_cuda
    assert units
    assert len(set(draws)) == len(draws), "each noise is made once"
    # The gain of the filter, the noises, and the weights of windows, each of them once.
    windows = len(settings.video_spans(FRAMES)) if settings.window else 0
    assert len(moves) == 1 + len(draws) + windows


def test_a_frame_is_decoded_without_waiting_for_it() -> None:
    mode = FakeTensorMode(allow_non_fake_inputs=True)
    pair = on_gpu(models("zeroscope"), mode)
    with mode, Driverless(), NoWaiting():
        pair.decoder.begin(torch.empty(4, SIDE, SIDE, device="cuda"))


def test_waiting_is_seen() -> None:
    with FakeTensorMode(allow_non_fake_inputs=True), NoWaiting():
        x = torch.empty(3, device="cuda")
        with pytest.raises(AssertionError, match="reads from the GPU"):
            bool(x.sum())
        with pytest.raises((AssertionError, RuntimeError)):
            x.to("cpu")


def test_an_output_that_is_not_finite_is_told_with_the_next_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([True, False, True])
    read: list[bool] = []

    def answer_later(fit: Tensor) -> Callable[[], bool]:
        value = next(values)
        return lambda: read.append(value) or value

    monkeypatch.setattr(watching, "answer_later", answer_later)
    watch = Watch()
    with FakeTensorMode():
        output = torch.empty(3, device="cuda")
        watch.look(output, lambda: "first")
        assert read == [], "nobody waits for the call that has just begun"
        watch.look(output, lambda: "second")
        assert read == [True]
        with pytest.raises(NumericsError, match="second"):
            watch.look(output, lambda: "third")
    watch.settle()


def test_what_is_left_of_a_watch_is_told_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watching, "answer_later", lambda fit: lambda: False)
    watch = Watch()
    with FakeTensorMode():
        watch.look(torch.empty(3, device="cuda"), lambda: "last")
    with pytest.raises(NumericsError, match="last"):
        watch.settle()
    watch.settle()  # told once
