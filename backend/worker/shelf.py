"""Models that stay loaded between jobs, so that only what changes is read."""

from __future__ import annotations

from collections.abc import Generator, Iterable
from dataclasses import dataclass
from math import prod
from pathlib import Path

import torch
from torch import Tensor

from elevator import Models, devices
from elevator.checkpoints.header import read_header
from elevator.cost.shapes import networks
from elevator.models.loading import WEIGHTS, Components, Loading, loading
from elevator.provenance import SourceFile, source_files
from elevator.sources import Sources
from elevator.steps import relay
from elevator.text import TextEncoder


@dataclass(frozen=True)
class _Set:
    """Which models, in which state of their files, and whether they wait outside of the device."""

    sources: Sources
    files: tuple[tuple[Path, int, int], ...]
    """Path, bytes and time of change, ns."""
    offload: bool


class Shelf:
    """Model sets, the one that was used longest ago first. Components that several of them have are there once."""

    def __init__(self, device: str, dtype: torch.dtype, budget: int = 0) -> None:
        """`budget`: bytes of parameters that all sets together may have; 0: half of the device's memory.

        A set that is larger alone is used all the same, and is the first to go.
        """
        self._device, self._dtype = device, dtype
        self._budget = budget or devices.memory(device).total // 2
        self._sets: dict[_Set, Models] = {}
        self.loads = 0
        """How many networks were read from disk."""

    @property
    def bytes(self) -> int:
        """Of the parameters of all sets."""
        return _bytes(self._sets.values())

    def take(self, sources: Sources, offload: bool = False, alone: bool = False) -> Generator[Loading, None, Models]:
        """The models of these sources, without their LoRAs and embeddings, which no set has.

        `offload`: one network at a time on the device. `alone`: all other sets are dropped before anything is read.
        Yields while they are read, and nothing if they are there. Closing it keeps what is there. Raises ModelError and
        OutOfMemory.
        """
        base = sources.pair
        files = source_files(base)
        wanted = _Set(base, _stamps(files), offload)
        held, models = self._usable(wanted), self._sets.pop(wanted, None)
        if alone:
            self._sets.clear()
        if models is None:
            self._make_room(wanted, held)
            models = yield from self._read(wanted, held)
        self._sets[wanted] = models
        while len(self._sets) > 1 and self.bytes > self._budget:
            self._drop_oldest()
        return models

    def _read(self, wanted: _Set, held: Components) -> Generator[Loading, None, Models]:
        before = self.loads
        steps = loading(
            wanted.sources,
            self._device,
            self._dtype,
            offload=wanted.offload,
            held=held,
        )

        def counted(step: Loading) -> Loading:
            self.loads = before + step.networks
            return step

        return (yield from relay(steps, counted))

    def _usable(self, wanted: _Set) -> Components:
        """The components that are there of what will be read."""
        if wanted.offload:
            return {}
        places = {place for path, _, _ in wanted.files for place in (path, path.parent)}
        return {
            component: network
            for kept, models in self._sets.items()
            if not kept.offload
            for component, network in models.components.items()
            if component.path in places
        }

    def _make_room(self, wanted: _Set, held: Components) -> None:
        """Drop sets until what will be read fits, too."""
        if wanted.offload or any(kept.offload for kept in self._sets):
            self._sets.clear()  # the device has room for one network at a time, or had
        needed = sum(_parameters(path) for path in _to_read(wanted, held)) * self._dtype.itemsize
        while self._sets and _bytes(self._sets.values(), held) + needed > self._budget:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        del self._sets[next(iter(self._sets))]


def _stamps(files: Iterable[SourceFile]) -> tuple[tuple[Path, int, int], ...]:
    """Files that are there, with what changes when their content does."""
    there = ((file.path.absolute(), file.path.stat()) for file in files if file.path.is_file())
    return tuple((path, status.st_size, status.st_mtime_ns) for path, status in there)


def _to_read(wanted: _Set, held: Components) -> set[Path]:
    """The files of weights of which no component is there."""
    known = {component.path for component in held}
    return {path for path, _, _ in wanted.files if path.suffix in WEIGHTS and not known & {path, path.parent}}


def _parameters(path: Path) -> int:
    """How many numbers a file of weights holds."""
    return sum(prod(shape) for shape in read_header(path).shapes.values())


def _bytes(sets: Iterable[Models], components: Components | None = None) -> int:
    """Bytes of all tensors; those that several networks have count once."""
    modules = [network for models in sets for network in networks(models)]
    modules += [each.encoder if isinstance(each, TextEncoder) else each for each in (components or {}).values()]
    tensors: dict[int, Tensor] = {
        id(tensor): tensor for module in modules for tensor in (*module.parameters(), *module.buffers())
    }
    return sum(tensor.nbytes for tensor in tensors.values())
