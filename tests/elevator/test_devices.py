"""Devices and their memory; GPUs are modules of torch's that answer as the real ones would."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from elevator import Plan, devices, elevate
from elevator.chain import frequency
from elevator.devices import LEAST_SHARE, MARGIN_SHARE, Memory
from elevator.models.loading import load_models
from elevator.plan import LowPass
from elevator.sources import Sources

GB = 1_000_000_000


class Gpus:
    """torch.cuda, torch.xpu and torch.mps of a machine, and what they were told."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, **there: int) -> None:
        """`there`: how many of a kind there are."""
        self.limits: list[tuple[str, float, torch.device | None]] = []
        self.emptied: list[str] = []
        self.free = {0: 6 * GB, 1: 2 * GB}
        self.modules = {kind: self.module(kind, there.get(kind, 0)) for kind in devices.GPUS}
        monkeypatch.setattr(devices, "_module", self.modules.__getitem__)

    def module(self, kind: str, count: int) -> SimpleNamespace:
        def fraction(share: float, device: torch.device | None = None) -> None:
            self.limits.append((kind, share, device))

        return SimpleNamespace(
            is_available=lambda: count > 0,
            device_count=lambda: count,
            mem_get_info=lambda device: (self.free[device.index or 0], 10 * GB),
            memory_reserved=lambda device: (device.index or 0) * GB + GB,
            get_device_properties=lambda device: SimpleNamespace(total_memory=10 * GB),
            get_device_name=lambda device: f"{kind} number {device.index or 0}",
            set_per_process_memory_fraction=fraction,
            empty_cache=lambda: self.emptied.append(kind),
            recommended_max_memory=lambda: 10 * GB,
            driver_allocated_memory=lambda: 3 * GB,
        )


@pytest.mark.parametrize(
    ("there", "best"),
    [({}, "cpu"), ({"cuda": 1, "xpu": 1}, "cuda"), ({"xpu": 2}, "xpu"), ({"mps": 1}, "mps")],
)
def test_auto_is_the_best_there_is(there: dict[str, int], best: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, **there)
    assert (devices.best(), devices.resolved("auto"), devices.resolved("cuda:7")) == (best, best, "cuda:7")


def test_a_number_that_no_gpu_has_is_not_available(monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, cuda=2)
    wanted = ("cpu", "cuda", "cuda:0", "cuda:1", "cuda:2", "xpu", "mps", "meta")
    assert [devices.is_available(each) for each in wanted] == [True, True, True, True, False, False, False, False]


def test_precision_is_half_on_gpus() -> None:
    of = {device: devices.usual_dtype(device) for device in ("cpu", "cuda:1", "xpu", "mps")}
    assert of == {"cpu": torch.float32, **dict.fromkeys(("cuda:1", "xpu", "mps"), torch.float16)}


@pytest.mark.parametrize("kind", ["cuda", "xpu"])
def test_memory_is_that_of_the_gpu_that_is_meant(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, **{kind: 2})
    assert devices.memory(kind) == Memory(6 * GB, 10 * GB, GB)
    assert devices.memory(f"{kind}:1") == Memory(2 * GB, 10 * GB, 2 * GB)
    assert devices.memory(f"{kind}:1").available == 4 * GB


def test_a_driver_that_does_not_tell_what_is_free_is_believed_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    def no(device: torch.device) -> tuple[int, int]:
        raise RuntimeError("The device does not support querying the available free memory.")

    Gpus(monkeypatch, xpu=1).modules["xpu"].mem_get_info = no
    assert devices.memory("xpu") == Memory(9 * GB, 10 * GB, GB)


@pytest.mark.parametrize(("machine", "free"), [(20 * GB, 7 * GB), (2 * GB, 2 * GB)])
def test_macs_share_the_machines_memory(machine: int, free: int, monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, mps=1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=machine))
    assert devices.memory("mps") == Memory(free, 10 * GB, 3 * GB)


def test_a_processor_has_the_machines_memory() -> None:
    there = devices.memory("cpu")
    assert there.total == psutil.virtual_memory().total
    assert 0 < there.free < there.total
    assert 0 < there.held < there.total


def test_limit_is_what_is_free_and_what_is_held(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10 GB another process has 3: beyond 7, less the margin, torch is to raise its error."""
    gpus = Gpus(monkeypatch, cuda=2)
    assert devices.limit("cuda:0") == pytest.approx((0.7 - MARGIN_SHARE) * 10 * GB)
    ((kind, share, device),) = gpus.limits
    assert (kind, device) == ("cuda", torch.device("cuda:0"))
    assert share == pytest.approx(0.7 - MARGIN_SHARE)


def test_limit_goes_neither_below_nor_above_what_torch_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(monkeypatch, cuda=2)
    gpus.modules["cuda"].memory_reserved = lambda device: 0
    gpus.free = {0: 0, 1: 12 * GB}
    devices.limit("cuda:0")
    devices.limit("cuda:1")
    assert [share for _, share, _ in gpus.limits] == [LEAST_SHARE, 1.0]


def test_metals_limit_names_no_device(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 would mean none at all there."""
    gpus = Gpus(monkeypatch, mps=1)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=0))
    devices.limit("mps")
    ((kind, share, device),) = gpus.limits
    assert (kind, device) == ("mps", None)
    assert share == pytest.approx(0.3 - MARGIN_SHARE)


def test_a_processor_has_no_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(monkeypatch, cuda=1)
    assert devices.limit("cpu") == 0
    assert gpus.limits == []


def test_caches_of_what_is_there_are_emptied(monkeypatch: pytest.MonkeyPatch) -> None:
    gpus = Gpus(monkeypatch, cuda=1, mps=1)
    devices.empty_caches()
    assert gpus.emptied == ["cuda", "mps"]


def test_names_are_those_of_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, cuda=2)
    assert [devices.name_of(each) for each in ("cpu", "cuda:1", "mps")] == ["", "cuda number 1", "Apple's, by Metal"]


def test_memory_that_is_gone_is_no_less_than_none(monkeypatch: pytest.MonkeyPatch) -> None:
    Gpus(monkeypatch, mps=1).modules["mps"].driver_allocated_memory = lambda: 12 * GB
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=GB))
    assert devices.memory("mps") == Memory(0, 10 * GB, 12 * GB)


def test_where_a_device_has_no_fourier_transform_the_processor_makes_it(monkeypatch: pytest.MonkeyPatch) -> None:
    assert [devices.has_fft(torch.device(each)) for each in ("cpu", "cuda:1", "xpu", "mps")] == [
        True,
        True,
        False,
        False,
    ]
    x = torch.randn(4, 4, 6, 6, generator=torch.Generator().manual_seed(1)).half()
    gain = frequency.mask(LowPass(), 4, 6, 6)
    there = frequency.lowpass(x, gain)
    monkeypatch.setattr(frequency, "has_fft", lambda device: False)
    elsewhere = frequency.lowpass(x, gain)
    assert elsewhere.dtype == torch.float16
    assert torch.equal(there, elsewhere)


class Wide(TorchDispatchMode):
    """Notes tensors that Metal cannot hold."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[tuple[str, torch.Size]] = []

    def __torch_dispatch__(
        self, func: Callable[..., object], types: object, args: tuple[object, ...] = (), kwargs: Any = None
    ) -> object:
        made = func(*args, **(kwargs or {}))
        if isinstance(made, torch.Tensor) and made.dtype in (torch.float64, torch.complex128):
            self.seen.append((str(func), made.shape))
        return made


@pytest.mark.slow
def test_no_network_and_no_latents_meet_numbers_that_metal_lacks() -> None:
    """float64 and complex128: only schedules are made of them, which never leave the processor."""
    models = load_models(Sources("embedded", "embedded"))
    plan = Plan(steps=3, refine=(3, 2), refine_steps=1)  # filters after the first refinement alone
    with Wide() as wide:
        for _ in elevate(models, prompt="a cat", plan=plan, frames=2, height=32, width=32, seed=1):
            pass
    assert {len(shape) for _, shape in wide.seen} <= {0, 1}, wide.seen
    assert {shape.numel() for _, shape in wide.seen} <= {1, plan.steps, 1000}, wide.seen


@pytest.mark.parametrize(
    ("lies_on", "device", "way"),
    [
        ("cpu", "cuda:1", ["pin_memory", ("to", "cuda:1", True)]),
        ("cuda", "cuda:1", [("to", "cuda:1", False)]),
        ("cpu", "mps", [("to", "mps", False)]),
        ("cuda", "cpu", [("to", "cpu", False)]),
    ],
)
def test_only_from_the_processor_to_cuda_nobody_waits(lies_on: str, device: str, way: list[object]) -> None:
    told: list[object] = []

    class Told:
        device = torch.device(lies_on)

        def pin_memory(self) -> Told:
            told.append("pin_memory")
            return self

        def to(self, device: str, non_blocking: bool = False) -> Told:
            told.append(("to", device, non_blocking))
            return self

    devices.moved(Told(), device)  # type: ignore[arg-type]
    assert told == way
