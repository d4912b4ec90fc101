"""How long will a job take? From what earlier ones of its kind took, by their network calls, frames and pixels."""

from __future__ import annotations

from functools import lru_cache

from elevator import Plan
from elevator.calls import calls_of

from ..orders import Order, Resample


def kind(order: Order) -> str:
    """What has a pace of its own: a pair of models, or a way of conforming."""
    if isinstance(order, Resample):
        return f"conform {order.method}"
    return f"{order.sources.t2i} {order.sources.t2v}{'' if order.flow_fps is None else ' flow'}"


def units(order: Order) -> float:
    """How much work it is: millions of pixels, times the network calls of the plan."""
    pixels = order.frames * order.width * order.height / 1e6
    return pixels if isinstance(order, Resample) else pixels * _calls(order.plan)


@lru_cache(maxsize=256)
def _calls(plan: Plan) -> int:
    return max(1, calls_of(plan).total)
