"""`generate --dry-run`: what clips would take. It imports torch; nothing is submitted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from pathlib import Path

from elevator import ElevatorError, Estimate, Plan, Sources, estimate, load_shapes
from elevator.cost.shapes import Shapes
from elevator.pictures.rates import length

from ..client.api import Wish
from ..failures import EXIT_DONE, BackendError, Failure
from ..machine_memory import machine_memory
from ..styles.catalogue import Catalogue, read_catalogue
from .batch_file import Row
from .checking import check
from .failures import CommandFailure
from .output import Error, Foreseen, Output, size_text, warn

HEAD = ("row", "frames", "size", "calls", "memory", "TFLOP", "disk", "")
TOO_MUCH = "does not fit into this machine's memory"


def foresee_one(wish: Wish, fps: Fraction | None, output: Output) -> int:
    """Say what one clip would take. Raises BackendError."""
    foreseen = foresee(wish, fps, _styles(), machine_memory())
    output.line(foreseen)
    output.table(HEAD[1:], [_cells(foreseen)])
    return EXIT_DONE


def foresee_rows(file: Path, rows: Sequence[Row], wrong: dict[int, str], output: Output) -> int:
    """Say what each row of a file would take, and all together. Raises BackendError if rows cannot be used."""
    count = len(rows) + len(wrong)
    catalogue, memory = _styles(), machine_memory()
    found: list[tuple[Row, Foreseen]] = []
    for row in rows:
        try:
            foreseen = foresee(row.wish, row.fps, catalogue, memory)
        except BackendError as error:
            wrong[row.number] = f"{row.where}: {error}"
            output.line(Error.of(error), row=row.number)
            continue
        output.line(foreseen, row=row.number)
        found.append((row, foreseen))
    for number in sorted(wrong):
        warn(wrong[number])
    output.table(HEAD, [(str(row.number), *_cells(foreseen)) for row, foreseen in found])
    every = [foreseen for _, foreseen in found]
    output.say(
        f"{len(every)} clips, {sum(one.frames for one in every)} frames, {sum(one.calls for one in every)} calls, "
        f"{sum(one.tflop for one in every):.3g} TFLOP, at most {size_text(sum(one.disk for one in every))} on the disk."
    )
    if wrong:
        raise CommandFailure("batch_refused", count=len(wrong), rows=count, file=file)
    return EXIT_DONE


def _styles() -> Catalogue:
    """All that can be used; what is wrong with others is said once."""
    catalogue = read_catalogue()
    for note in catalogue.notes:
        warn(note)
    return catalogue


def foresee(wish: Wish, fps: Fraction | None, catalogue: Catalogue, memory: int) -> Foreseen:
    """What a clip would take, with `memory` bytes in the machine. Raises BackendError if it is not possible.

    The memory is that of sampling on a processor. The disk's bytes are those of pictures that cannot be compressed; a
    clip of another frame rate lies there beside the first one.
    """
    _, order = check(wish, catalogue, fake=False)
    plan = order.plan
    start = plan.steps - math.ceil(order.strength * plan.steps) if order.footage else 0
    try:
        takes = _estimate(plan, _shapes(order.sources), order.frames, order.height, order.width, start)
    except ElevatorError as error:
        raise Failure("model_unfit", detail=str(error).rstrip(".")) from error
    kept = order.frames if fps is None else order.frames + length(order.frames, Fraction(order.fps), fps)
    return Foreseen(
        frames=order.frames,
        width=order.width,
        height=order.height,
        calls=takes.calls.total,
        memory=takes.peak,
        tflop=takes.flops / 1e12,
        disk=kept * order.width * order.height * 3,
        fits=takes.fits(memory),
    )


@lru_cache(maxsize=4)
def _shapes(sources: Sources) -> Shapes:
    """Read once for all rows of a base: headers alone, but of large files that takes its time."""
    return load_shapes(sources)


@lru_cache(maxsize=256)
def _estimate(plan: Plan, shapes: Shapes, frames: int, height: int, width: int, start: int) -> Estimate:
    """Counted once for all rows that are alike: it takes seconds."""
    return estimate(plan, shapes, frames=frames, height=height, width=width, start=start)


def _cells(foreseen: Foreseen) -> tuple[str, ...]:
    return (
        str(foreseen.frames),
        f"{foreseen.width} × {foreseen.height}",
        str(foreseen.calls),
        size_text(foreseen.memory),
        f"{foreseen.tflop:.3g}",
        size_text(foreseen.disk),
        "" if foreseen.fits else TOO_MUCH,
    )
