"""How much memory a device has."""

from __future__ import annotations

import psutil
import torch

from ..machine_memory import machine_memory


def memory_of(device: str) -> int:
    """Bytes in all."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[1])
    return machine_memory()


def available_on(device: str) -> int:
    """Bytes that this process has there, or can get."""
    if device.startswith("cuda"):
        return int(torch.cuda.mem_get_info(device)[0]) + torch.cuda.memory_reserved(device)
    return int(psutil.virtual_memory().available + psutil.Process().memory_info().rss)
