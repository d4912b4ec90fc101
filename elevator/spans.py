"""Which frames one network call sees: chunks that follow each other, or windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Frames start … stop − 1, and how much each frame's output counts beside that of other spans."""

    start: int
    stop: int
    weights: tuple[float, ...]
    """One a frame; over all spans of a clip, those of a frame sum to 1."""

    @property
    def frames(self) -> slice:
        return slice(self.start, self.stop)


def chunks(frames: int, size: int | None) -> tuple[Span, ...]:
    """The clip cut into chunks of `size` frames, of which the last may be shorter; None: one of all."""
    size = size or frames
    cuts = [(start, min(start + size, frames)) for start in range(0, frames, size)]
    return tuple(Span(start, stop, (1.0,) * (stop - start)) for start, stop in cuts)


def windows(frames: int, size: int | None, overlap: int) -> tuple[Span, ...]:
    """As few windows of at most `size` frames as can be, each sharing `overlap` with the one before.

    They are as long as each other, to a frame, so that no frame is computed more often than the overlap asks for.
    In an overlap the weight goes over in a straight line, where MultiDiffusion (arXiv 2302.08113) averages and leaves
    a step. A clip that is no longer than a window, or the size None, gives one span.
    """
    if size is None or frames <= size:
        return chunks(frames, None)
    count = -(-(frames - overlap) // (size - overlap))
    shares = frames + (count - 1) * overlap
    cuts, stop = [], overlap
    for number in range(count):
        start = stop - overlap
        stop = start + shares * (number + 1) // count - shares * number // count
        cuts.append((start, stop))
    heights = [[_height(k - start, stop - start, overlap) for k in range(frames)] for start, stop in cuts]
    sums = [sum(column) for column in zip(*heights, strict=True)]
    return tuple(
        Span(start, stop, tuple(row[k] / sums[k] for k in range(start, stop)))
        for (start, stop), row in zip(cuts, heights, strict=True)
    )


def _height(k: int, size: int, overlap: int) -> int:
    """A window's weight at its k-th frame before it is shared out: 1 at its edges, rising inwards, 0 outside."""
    return max(0, min(k + 1, size - k, overlap + 1))
