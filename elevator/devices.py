"""Devices that torch samples on: what is there, in which precision, with how much memory.

AMD's GPUs are "cuda" to torch. Only processors and NVIDIA's GPUs were ever tried.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import psutil
import torch
from torch import Tensor

GPUS = ("cuda", "xpu", "mps")
"""Kinds of device with memory limits of their own, the best first."""
WITH_FFT = ("cpu", "cuda")
"""Kinds whose complex numbers and Fourier transforms are complete."""
MARGIN_SHARE = 0.03
"""Of a device's memory, how much stays free for what torch does not count: contexts, workspaces of libraries."""
LEAST_SHARE = 0.05
"""Of a device's memory, the smallest limit that is set."""


@dataclass(frozen=True)
class Memory:
    """Of a device, in bytes."""

    free: int
    """That no process holds."""
    total: int
    held: int
    """By torch in this process, whether tensors use it or not."""

    @property
    def available(self) -> int:
        """That this process has or can get."""
        return self.free + self.held


def kind_of(device: str | torch.device) -> str:
    """ "cpu", "cuda", "xpu" or "mps"."""
    return torch.device(device).type


def is_gpu(device: str | torch.device) -> bool:
    """Whether it has limits of memory of its own."""
    return kind_of(device) in GPUS


def is_available(device: str | torch.device) -> bool:
    """Whether torch can use it here."""
    wanted = torch.device(device)
    if wanted.type not in GPUS:
        return wanted.type == "cpu"
    module = _module(wanted.type)
    return bool(module.is_available()) and (wanted.index or 0) < module.device_count()


def best() -> str:
    """What "auto" means here."""
    return next((kind for kind in GPUS if is_available(kind)), "cpu")


def resolved(device: str) -> str:
    """The device, with "auto" replaced by what is there."""
    return best() if device == "auto" else device


def usual_dtype(device: str | torch.device) -> torch.dtype:
    """The precision of networks there, where nobody asks for another. bfloat16 is for those who ask."""
    return torch.float16 if is_gpu(device) else torch.float32


def name_of(device: str | torch.device) -> str:
    """What a GPU calls itself; "" for what is none."""
    if kind_of(device) == "mps":
        return "Apple's, by Metal"
    return str(_module(kind_of(device)).get_device_name(torch.device(device))) if is_gpu(device) else ""


def memory(device: str | torch.device) -> Memory:
    """How much there is now. On Macs the GPU has the machine's own; then total is what Metal recommends at most."""
    if kind_of(device) == "mps":
        mps = _module("mps")
        total, held = int(mps.recommended_max_memory()), int(mps.driver_allocated_memory())
        return Memory(max(min(total - held, psutil.virtual_memory().available), 0), total, held)
    if is_gpu(device):
        module, place = _module(kind_of(device)), torch.device(device)
        held = int(module.memory_reserved(place))
        try:
            free, total = module.mem_get_info(place)
        except RuntimeError:  # not all of Intel's drivers tell
            total = module.get_device_properties(place).total_memory
            free = total - held
        return Memory(int(free), int(total), held)
    machine, held = psutil.virtual_memory(), psutil.Process().memory_info().rss
    return Memory(int(machine.available), int(machine.total), int(held))


def limit(device: str | torch.device) -> int:
    """Let this process take what it has and what is free, less a margin, and no more: then torch raises its error.

    Without it Windows' driver moves what is too much into the machine's memory, where all takes ages. Returns the
    limit in bytes; 0 for what is no GPU, which has none.
    """
    if not is_gpu(device):
        return 0
    there = memory(device)
    share = min(max(there.available / there.total - MARGIN_SHARE, LEAST_SHARE), 1.0)
    place = () if kind_of(device) == "mps" else (torch.device(device),)
    _module(kind_of(device)).set_per_process_memory_fraction(share, *place)
    return int(share * there.total)


def empty_caches() -> None:
    """Give memory back that torch holds on any GPU and that no tensor uses."""
    for kind in GPUS:
        if is_available(kind):
            _module(kind).empty_cache()


def moved(x: Tensor, device: str | torch.device) -> Tensor:
    """A tensor on a device. What goes to CUDA goes through pinned memory, so that nobody waits for it."""
    if kind_of(device) != "cuda" or x.device.type != "cpu":
        return x.to(device)
    return x.pin_memory().to(device, non_blocking=True)


def has_fft(device: torch.device) -> bool:
    """Whether Fourier transforms are computed there: Metal had none for long, and few use Intel's."""
    return device.type in WITH_FFT


def _module(kind: str) -> Any:
    """torch.cuda, torch.xpu or torch.mps."""
    return torch.get_device_module(kind)
