"""On which channel a clip goes. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Set as AbstractSet
from enum import Enum
from typing import NamedTuple

LAST_CHANNEL = 128


class Taken(NamedTuple):
    """What a strip takes of the timeline: [start, end) on a channel."""

    channel: int
    start: int
    end: int


class Where(Enum):
    """How the artist wants the channel chosen."""

    ABOVE_ALL = "above everything in the clip's span"
    ABOVE_ACTIVE = "above the active strip"
    CHANNEL = "a chosen channel"


def above_all(taken: Iterable[Taken], start: int, end: int, closed: AbstractSet[int]) -> int | None:
    """The lowest channel above every strip in the span; None: there is none up to the last channel.

    closed: channels that are locked or muted, where nobody would see the clip, or expect it.
    """
    top = max((each.channel for each in _within(taken, start, end)), default=0)
    return next((channel for channel in range(top + 1, LAST_CHANNEL + 1) if channel not in closed), None)


def free_from(lowest: int, taken: Iterable[Taken], start: int, end: int, closed: AbstractSet[int]) -> int | None:
    """The lowest channel from `lowest` on that is free for the whole span and not closed, or None."""
    used = {each.channel for each in _within(taken, start, end)} | closed
    return next((channel for channel in range(max(1, lowest), LAST_CHANNEL + 1) if channel not in used), None)


def _within(taken: Iterable[Taken], start: int, end: int) -> Iterable[Taken]:
    return (each for each in taken if each.start < end and start < each.end)
