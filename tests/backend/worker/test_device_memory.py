"""The memory of a device: the GPU that is meant is asked, else the machine."""

from __future__ import annotations

import pytest
import torch

from backend.machine_memory import machine_memory
from backend.worker.device_memory import available_on, memory_of


def test_a_gpu_is_asked_for_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    free_and_all = {"cuda": (1, 20), "cuda:1": (3, 10)}
    kept = {"cuda": 5, "cuda:1": 4}  # by this process, between two tensors
    monkeypatch.setattr(torch.cuda, "mem_get_info", free_and_all.__getitem__)
    monkeypatch.setattr(torch.cuda, "memory_reserved", kept.__getitem__)
    assert (memory_of("cuda"), memory_of("cuda:1")) == (20, 10)
    assert (available_on("cuda"), available_on("cuda:1")) == (6, 7)


def test_a_processor_has_the_machines() -> None:
    assert memory_of("cpu") == machine_memory()
    assert 0 < available_on("cpu") <= machine_memory()
