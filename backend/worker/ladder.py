"""What is tried when memory is not enough: a ladder of measures, each of which saves memory and costs time.

Chunks and putting models away change no pixel but by rounding; the seams of tiles are blended.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, replace

from elevator import OutOfMemory, Plan, devices
from elevator.memory import enough_for

from .maker import Item, Note

CHUNKS = (4, 1)
TILES = (512, 256, 128, 64)
"""Sides of tiles, pixels; 64 is the least that a plan takes."""
PHASES = {
    "loading": "loading the models",
    "text": "reading the prompt",
    "encoding": "reading the footage",
    "painting": "painting",
    "refining": "refining",
    "inverting": "inverting",
    "decoding": "decoding",
    "writing": "writing",
}


@dataclass(frozen=True)
class Way:
    """How a clip is made."""

    plan: Plan
    offload: bool = False
    """Whether one network at a time is on the device; on a processor, whether the other models are put away."""


@dataclass(frozen=True)
class Rung:
    """One measure."""

    sentence: str
    """What is done, a clause."""
    helps: frozenset[str]
    """In which phases it saves memory."""
    change: Callable[[Way], Way]


class TooLittle(Exception):
    """Nothing is left to try."""

    def __init__(self, phase: str, way: Way) -> None:
        self.phase = phase
        self.way = way
        super().__init__(phase)


def rungs(plan: Plan, frames: int, side: int, on_processor: bool) -> tuple[Rung, ...]:
    """The measures that save something for a clip of so many frames, of this longer side in pixels."""
    made = [_chunk(size) for size in CHUNKS if size < min(plan.chunk or frames, frames)]
    tile = next((tile for tile in TILES if tile <= side // 2), None)
    if tile is not None and tile < (plan.tile or side):
        made.append(
            Rung(
                f"frames are decoded in tiles of {tile} pixels, whose seams are blended",
                frozenset({"decoding"}),
                lambda way: replace(way, plan=replace(way.plan, tile=tile)),
            )
        )
    put_away = "all other models are put away" if on_processor else "only the network that runs stays on the device"
    return (*made, Rung(put_away, frozenset(PHASES), lambda way: replace(way, offload=True)))


def begin_with(way: Way, ladder: tuple[Rung, ...], places: Sequence[int]) -> tuple[Way, str]:
    """The way with these measures of the ladder, and a sentence that says why; without any, the way as it is.

    Places that the ladder does not have are left out.
    """
    taken = [ladder[place] for place in places if place < len(ladder)]
    for rung in taken:
        way = rung.change(way)
    listed = "; ".join(rung.sentence for rung in taken)
    return way, f"The clip is expected to take more memory than is there: {listed}." if taken else ""


def _chunk(size: int) -> Rung:
    return Rung(
        f"the clip is painted in chunks of {size} frames" if size > 1 else "the clip is painted frame by frame",
        frozenset({"painting", "inverting"}),
        lambda way: replace(way, plan=replace(way.plan, chunk=size)),
    )


def climb(
    way: Way, ladder: tuple[Rung, ...], attempt: Callable[[Way], Generator[Item, None, None]], cautious: bool = False
) -> Generator[Item, None, Way]:
    """Make the clip by `attempt`; when memory is not enough, take the next rung that helps, and begin anew.

    `cautious`: take all of them beforehand. Returns the way in which it was made. Raises TooLittle.
    """
    left = list(ladder)
    if cautious:
        for rung in left:
            way = rung.change(way)
        left.clear()
        yield Note("The clip is made with as little memory as possible, which takes longer.")
    while True:
        try:
            with enough_for("writing"):  # what no other phase has claimed
                yield from attempt(way)
            return way
        except OutOfMemory as error:
            phase = error.phase
        # The error is gone here, and with it the frames of the stack that held tensors.
        free()
        rung_that_helps = next((rung for rung in left if phase in rung.helps), None)
        if rung_that_helps is None:
            raise TooLittle(phase, way)
        left.remove(rung_that_helps)
        way = rung_that_helps.change(way)
        yield Note(f"The memory was not enough while {PHASES[phase]}: {rung_that_helps.sentence}.", again=True)


def free() -> None:
    """Give memory back that nothing uses."""
    gc.collect()
    devices.empty_caches()
