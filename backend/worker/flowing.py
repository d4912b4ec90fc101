"""A clip that is sampled at its models' rate and kept at another, with pictures along the optical flow between."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import closing
from typing import Any

import msgspec

from elevator.pictures.clip_folder import RECORD
from elevator.pictures.conform import conform
from elevator.pictures.rates import exact
from elevator.pixels import Pixels

from ..orders import Sample
from .maker import Advance, Extra, Item, Note, Picture


def with_flow(made: Generator[Item, None, None], order: Sample) -> Generator[Item, None, None]:
    """What a maker makes of `order`, its pictures at the rate `order.flow_fps`.

    The sampled pictures are all in memory until the last is there. The contact sheet shows these, and the record tells
    of these, and the rate. Closing it closes `made`. Raises what that raises.
    """
    sampled: list[Pixels] = []
    kept = 0
    with closing(made) as items:
        for item in items:
            match item:
                case Picture():
                    sampled.append(item.pixels)
                    continue
                case Note(again=True):
                    sampled.clear()
                case Extra() if not kept:
                    for kept, pixels in enumerate(conform(sampled, exact(order.fps), order.result_fps, "flow"), 1):
                        yield Picture(kept - 1, pixels)
                        yield Advance("conforming", kept, order.result_frames)
            yield _told(item, order) if isinstance(item, Extra) and item.name == RECORD else item


def _told(record: Extra, order: Sample) -> Extra:
    """The record with the rate in it."""
    fields: dict[str, Any] = msgspec.json.decode(record.data)
    fields["flow_fps"] = str(order.result_fps)
    return Extra(record.name, msgspec.json.format(msgspec.json.encode(fields), indent=1) + b"\n")
