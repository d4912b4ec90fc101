"""What it looks like when memory is not enough."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .errors import OutOfMemory

SIGNS = (
    *("DefaultCPUAllocator: ", "alloc_cpu.cpp", "bad_alloc", "bad allocation"),
    *("could not create a primitive", "could not create a memory", "Cannot allocate memory"),
    *("ALLOC_FAILED", "out of memory", "hipErrorOutOfMemory", "OUT_OF_DEVICE_MEMORY", "OUT_OF_HOST_MEMORY"),
)
"""In what torch and the libraries under it say (oneDNN, cuBLAS, cuDNN, MPS, HIP, XPU), where they have no exception of
their own for this."""


def is_shortage(error: BaseException) -> bool:
    """Whether memory was not enough, of the processor or of a device."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in SIGNS)


@contextmanager
def enough_for(phase: str) -> Iterator[None]:
    """Within it, a shortage of memory is raised as OutOfMemory, with the phase of work."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if is_shortage(error):
            raise OutOfMemory(phase) from error
        raise
