"""What a clip will take on a device, and which measures it needs to fit, before anything is tried."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from torch import nn

from elevator import Plan, devices, estimate
from elevator.cost.estimating import Estimate
from elevator.cost.shapes import Shapes

from .ladder import Way, rungs

Size = tuple[int, int, int]
"""Frames, height and width, pixels."""


@dataclass(frozen=True)
class Foreseen:
    """How a clip fits into a device."""

    rungs: tuple[int, ...]
    """Places in the ladder of the measures that are needed."""
    takes: int
    """Bytes with them; more than there are, if nothing helps."""


def peak(cost: Estimate, device: str) -> int:
    """Bytes on the device."""
    return cost.peak - (cost.process if devices.is_gpu(device) else 0)


def foresee(shapes: Shapes, plan: Plan, size: Size, device: str, there: int) -> Foreseen:
    """Climb the ladder in thought: as long as a phase takes more than is there, take the next rung that helps in it."""
    frames, height, width = size
    ladder = rungs(plan, frames, max(height, width), not devices.is_gpu(device))
    needs, way, taken = _Needs(shapes, size, device), Way(plan), list[int]()
    while True:
        phase, takes = max(needs.of(way).items(), key=lambda need: need[1])
        left = [place for place, rung in enumerate(ladder) if place not in taken and phase in rung.helps]
        if takes <= there or not left:
            return Foreseen(tuple(sorted(taken)), takes)
        taken.append(left[0])
        way = ladder[left[0]].change(way)


class _Needs:
    """Bytes on a device in each phase, for any way to make one clip. Each kind of call is looked at once."""

    def __init__(self, shapes: Shapes, size: Size, device: str) -> None:
        self._models, self._frames, self._on_gpu = shapes.models, size[0], devices.is_gpu(device)
        _, height, width = size

        @cache
        def cost(plan: Plan, frames: int) -> Estimate:
            return estimate(plan, shapes, frames=frames, height=height, width=width)

        self._cost = cost

    def of(self, way: Way) -> dict[str, int]:
        """By phase."""
        chunk, plan = way.plan.chunk, way.plan
        whole = self._cost(replace(plan, chunk=None, tile=None), self._frames)
        # Of many chunks two are looked at, as the others take the same; a frame is decoded alone.
        part = whole if chunk is None else self._cost(replace(plan, tile=None), min(2 * chunk, self._frames))
        tiled = whole if plan.tile is None else self._cost(replace(plan, chunk=None), 1)
        beside = whole.kept + (0 if self._on_gpu else whole.process)

        def with_weights(network: nn.Module, activations: int) -> int:
            # A processor gains nothing by putting a network away, which then lies in the same memory.
            alone = way.offload and self._on_gpu
            return (_bytes(network) if alone else whole.weights) + activations + beside

        needs = {
            "painting": with_weights(self._models.t2i.unet, part.painting.memory),
            "decoding": with_weights(self._models.vae, tiled.decoding.memory),
        }
        if refining := whole.refining.memory:
            needs["refining"] = with_weights(self._models.t2v.unet, refining)
        return needs


def _bytes(network: nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*network.parameters(), *network.buffers()))
