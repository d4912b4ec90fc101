"""A device as the parts see it: its clock, its memory, its ceiling."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch

from elevator.cost.allocations import Allocations


@dataclass(frozen=True)
class Took:
    """What a call took."""

    first: float
    """Seconds of the very first one: kernels are chosen or compiled."""
    seconds: float
    """Median of those after it."""
    peak: int
    """Bytes of tensors at most, what was there before included."""
    held: int
    """Bytes that were there before."""

    @property
    def own(self) -> int:
        """Bytes that the call itself takes."""
        return self.peak - self.held


@dataclass(frozen=True)
class Card:
    """A device, CUDA's or the processor."""

    device: torch.device

    @property
    def is_cuda(self) -> bool:
        return self.device.type == "cuda"

    def wait(self) -> None:
        """Until it has nothing left to do."""
        if self.is_cuda:
            torch.cuda.synchronize(self.device)

    def seconds(self, work: Callable[[], Any]) -> float:
        """Of one call."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    @torch.inference_mode()
    def took(self, work: Callable[[], Any], repeats: int = 3) -> Took:
        """Time and memory of a call, once and then `repeats` times."""
        if self.is_cuda:
            torch.cuda.reset_peak_memory_stats(self.device)
        held = self.held
        made = Allocations()
        with nullcontext() if self.is_cuda else made:
            first = self.seconds(work)
        peak = torch.cuda.max_memory_allocated(self.device) if self.is_cuda else held + made.peak
        times = [self.seconds(work) for _ in range(repeats)]
        return Took(first, statistics.median(times or [first]), peak, held)

    @property
    def held(self) -> int:
        """Bytes of tensors that are there now; 0 on a processor, which does not count them."""
        return torch.cuda.memory_allocated(self.device) if self.is_cuda else 0

    def free(self) -> int:
        """Bytes of the device that no process holds, as its driver counts them."""
        return torch.cuda.mem_get_info(self.device)[0]

    def empty(self) -> None:
        """Give back what no tensor uses."""
        if self.is_cuda:
            torch.cuda.empty_cache()

    def products(self, size: int, dtype: torch.dtype) -> float:
        """FLOP a second in products of square matrices: the ceiling of anything that computes."""
        a, b = (torch.randn(size, size, device=self.device).to(dtype) for _ in range(2))
        return 2 * size**3 / self.took(lambda: a @ b, 10).seconds

    def copies(self, size: int) -> float:
        """Bytes a second read and written by copies on the device: the ceiling of anything that moves."""
        source = torch.empty(size, dtype=torch.uint8, device=self.device)
        target = torch.empty_like(source)
        return 2 * size / self.took(lambda: target.copy_(source), 10).seconds

    def __str__(self) -> str:
        if not self.is_cuda:
            return "processor"
        return torch.cuda.get_device_name(self.device)
