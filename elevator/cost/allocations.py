"""Which bytes tensors take while a program runs, on real tensors or on those of shapes alone."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

MAPPED = 32 * 2**20
"""Bytes from which glibc gives a block pages of its own, which it takes back when the block is freed (mallopt(3),
M_MMAP_THRESHOLD: its greatest value). Smaller blocks lie in a heap that hardly shrinks."""

aten = torch.ops.aten


class Allocations(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch leaves it so
    """Follows the storages that operations make, from their making to their end; those made before do not count.

    Operations that are made of others must be taken apart before they come here, as `FlopCounterMode` does it.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._live = {False: 0, True: 0}  # bytes by whether a block has pages of its own
        self._peak = {False: 0, True: 0}
        self._known: set[int] = set()

    @property
    def peak(self) -> int:
        """Bytes that the process takes for tensors at most.

        The heap at its fullest beside the greatest sum of larger blocks, as the heap does not give its pages back.
        """
        return sum(self._peak.values())

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        if func is aten._local_scalar_dense.default and isinstance(args[0], FakeTensor):
            return True  # numbers that nothing knows are taken to be fit: finite, where that is asked
        out = func(*args, **(kwargs or {}))
        given = {
            tensor.untyped_storage()._cdata for tensor in tree_leaves((args, kwargs)) if isinstance(tensor, Tensor)
        }
        for tensor in tree_leaves(out):
            if isinstance(tensor, Tensor) and not tensor.is_meta:
                self._count(tensor.untyped_storage(), given)
        passing = _copies(args[0], args[1], out) if func is aten.convolution.default else ()
        for large in (False, True):
            now = self._live[large] + sum(size for size in passing if (size > MAPPED) is large)
            self._peak[large] = max(self._peak[large], now)
        return out

    def _count(self, storage: torch.UntypedStorage, given: set[int]) -> None:
        key, size = storage._cdata, storage.nbytes()
        if key not in self._known and key not in given:
            self._known.add(key)
            self._live[size > MAPPED] += size
            weakref.finalize(storage, self._forget, key, size)

    def _forget(self, key: int, size: int) -> None:
        self._known.discard(key)
        self._live[size > MAPPED] -= size


def _copies(x: Tensor, weight: Tensor, out: Tensor) -> tuple[int, ...]:
    """Bytes of what oneDNN copies into layouts of its own for a convolution on the CPU.

    They are the weights, the input and the result; the result's own memory is first used when the input's copy is gone.
    """
    if out.device.type != "cpu":
        return ()
    size = {tensor: tensor.numel() * tensor.element_size() for tensor in (x, weight, out)}
    return size[weight], max(size[x], size[out])
