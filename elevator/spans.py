"""Which frames one network call sees: chunks that follow each other, or windows that overlap."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Span:
    """Frames start … stop − 1, and how much each frame's output counts beside that of other spans."""

    start: int
    stop: int
    weights: tuple[float, ...]  #: one a frame; over all spans of a clip, those of a frame sum to 1

    @property
    def frames(self) -> slice:
        return slice(self.start, self.stop)


def chunks(frames: int, size: int | None) -> tuple[Span, ...]:
    """The clip cut into chunks of ``size`` frames, of which the last may be shorter; None: one of all."""
    size = size or frames
    cuts = [(start, min(start + size, frames)) for start in range(0, frames, size)]
    return tuple(Span(start, stop, (1.0,) * (stop - start)) for start, stop in cuts)


def windows(frames: int, size: int | None, overlap: int) -> tuple[Span, ...]:
    """Windows of ``size`` frames, each sharing ``overlap`` or more with the one before; the last ends with the clip.

    In an overlap the weight goes over in a straight line, where MultiDiffusion (arXiv 2302.08113) averages and leaves
    a step. A clip that is no longer than a window, or the size None, gives one span.
    """
    if size is None or frames <= size:
        return chunks(frames, None)
    starts = [*range(0, frames - size, size - overlap), frames - size]
    heights = [[_height(k - start, size, overlap) for k in range(frames)] for start in starts]
    sums = [sum(column) for column in zip(*heights, strict=True)]
    return tuple(
        Span(start, start + size, tuple(row[k] / sums[k] for k in range(start, start + size)))
        for start, row in zip(starts, heights, strict=True)
    )


def _height(k: int, size: int, overlap: int) -> int:
    """A window's weight at its k-th frame before it is shared out: 1 at its edges, rising inwards, 0 outside."""
    return max(0, min(k + 1, size - k, overlap + 1))
