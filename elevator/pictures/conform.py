"""A clip at another frame rate, exact to the frame.

    for pixels in conform(frames, Fraction(8), Fraction(24000, 1001), "flow"): ...

"hold" repeats frames of the clip: no new picture is made. "flow" makes the pictures between them: every pixel moves
along the optical flow, forwards from the frame before and backwards from the frame after, and what only one of the two
shows is taken from that one. How many frames there are, and when, says `rates`. Importing this imports OpenCV.

Motions of more than about 16 pixels between two frames are found too short, see `flow`. The flow at the time of the
new frame is that of both frames carried there ("forward splatting", as in Niklaus and Liu, arXiv 2003.05534, with equal
weights). Where too little of the flow is confirmed, as at a cut, the nearer frame is shown instead.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Literal, Protocol, TypeAlias

import cv2
import numpy as np

from ..errors import RequestError
from ..pixels import Pixels
from .flow import Field, confirmed, flow_of, places, warped
from .rates import length, times

__all__ = ["FrameSequence", "Method", "Pixels", "conform", "length"]

Method: TypeAlias = Literal["hold", "flow"]
"""Of making the pictures of a new rate."""
MIN_CONFIRMED = 0.25
"""Of the pixels. With less, the two frames do not show the same."""


class FrameSequence(Protocol):
    """Frames (H, W, 3) uint8 of one size: a list, an array, or something that reads each when it is asked for.

    Every frame is asked for at most once, in order, and no more than a few are kept.
    """

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> Pixels: ...


def conform(frames: FrameSequence, source: Fraction, target: Fraction, method: Method) -> Iterator[Pixels]:
    """The frames of the clip at `target` frames a second, one after the other.

    source: the rate of `frames`, frames a second.
    method: "hold" shows at n / target seconds the frame of that time, floor(n · source / target). "flow" shows a
        picture between that and the next; a frame of the clip itself where the times are equal, and the last one after
        its own time.
    Raises RequestError for no frames, rates that are not above 0, frames that are not (H, W, 3) uint8 of one size.
    """
    if method not in ("hold", "flow"):
        raise RequestError(f'There is no method "{method}"; choose "hold" or "flow".')
    when = times(len(frames), source, target)
    return _conformed(_Reader(frames), len(frames) - 1, when, method)


def _conformed(frame: _Reader, last: int, when: Iterator[Fraction], method: Method) -> Iterator[Pixels]:
    between = None
    for time in when:
        index = math.floor(time)
        part = time - index
        if method == "hold" or not part or index == last:
            yield frame(index)
            continue
        if between is None or between.index != index:
            between = _Between(index, frame(index), frame(index + 1))
        yield between.at(float(part))


class _Reader:
    """Reads frames in order, each once, and keeps the last two."""

    def __init__(self, frames: FrameSequence) -> None:
        self._frames = frames
        self._kept: dict[int, Pixels] = {}
        self._shape: tuple[int, ...] | None = None

    def __call__(self, index: int) -> Pixels:
        if index not in self._kept:
            self._kept = {old: pixels for old, pixels in self._kept.items() if old == index - 1}
            self._kept[index] = self._checked(index)
        return self._kept[index]

    def _checked(self, index: int) -> Pixels:
        pixels = np.asarray(self._frames[index])
        if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
            raise RequestError(
                f"Frame {index + 1} is no (height, width, 3) of levels 0…255 as uint8; give such frames."
            )
        if self._shape not in (None, pixels.shape):
            raise RequestError(f"Frame {index + 1} has another size than those before; give frames of one size.")
        self._shape = pixels.shape
        return pixels


class _Between:
    """Pictures between two frames, at times between 0, the earlier, and 1, the later."""

    def __init__(self, index: int, before: Pixels, after: Pixels) -> None:
        self.index = index
        self._before, self._after = before, after
        self._forward, self._backward = flow_of(before, after), flow_of(after, before)
        self._seen_after = confirmed(self._forward, self._backward).astype(np.float32)
        """(H, W): 1 where a pixel of the earlier frame is seen in the later one too, else 0."""
        self._seen_before = confirmed(self._backward, self._forward).astype(np.float32)
        self._same = min(float(self._seen_after.mean()), float(self._seen_before.mean())) >= MIN_CONFIRMED

    def at(self, time: float) -> Pixels:
        """The picture at `time`, 0 < time < 1."""
        if not self._same:
            return self._before if time < 0.5 else self._after
        flow, known = self._flow_at(time)
        before, seen_after = _moved(self._before, self._seen_after, -time * flow)
        after, seen_before = _moved(self._after, self._seen_before, (1 - time) * flow)
        # Where nothing arrives that both frames show, only one of them shows what is there, and that one is taken.
        # Elsewhere they are mixed, the nearer one more.
        hides = (1 - known) * seen_before * (1 - seen_after)
        shows = (1 - known) * seen_after * (1 - seen_before)
        share = (shows + (1 - hides - shows) * time)[..., None]
        return np.asarray(np.rint(before + share * (after - before)).clip(0, 255), np.uint8)

    def _flow_at(self, time: float) -> tuple[Field, Field]:
        """Flow from the earlier to the later frame, (H, W, 2), at the places where things are at `time`; and how well
        it is known there, (H, W), 0 … 1."""
        early = _carried(self._forward, self._seen_after, time, self._forward)
        late = _carried(self._backward, self._seen_before, 1 - time, -self._backward)
        total = early * (1 - time) + late * time
        return _filled(total[..., :2], total[..., 2]), _known(total[..., 2])


def _moved(picture: Pixels, seen: Field, flow: Field) -> tuple[Field, Field]:
    """The picture, (H, W, 3), and what is seen, (H, W), read where `flow` leads; outside the border goes on."""
    return warped(picture, flow), cv2.remap(seen, *places(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _carried(flow: Field, weight: Field, time: float, vectors: Field) -> Field:
    """Each pixel's vector brought to where `flow` has led it at `time`, (H, W, 3): sums of weighted x and y, weights.

    A pixel that ends between four others is shared among them.
    """
    x, y = places(time * flow)
    height, width = x.shape
    left, top = np.floor(x), np.floor(y)
    right_share, down_share = x - left, y - top
    total = np.zeros((3, height * width))
    for dx, dy in ((0, 0), (1, 0), (0, 1), (1, 1)):
        column, row = left.astype(np.int64) + dx, top.astype(np.int64) + dy
        share = weight * (right_share if dx else 1 - right_share) * (down_share if dy else 1 - down_share)
        used = (column >= 0) & (column < width) & (row >= 0) & (row < height) & (share > 0)
        place, amount = (row * width + column)[used], share[used]
        for sums, value in zip(total, (vectors[..., 0][used], vectors[..., 1][used], 1.0), strict=True):
            sums += np.bincount(place, amount * value, height * width)
    return np.moveaxis(total.reshape(3, height, width), 0, -1).astype(np.float32)


def _known(weights: Field) -> Field:
    """1 where at least a quarter of a pixel has arrived, less where less has, 0 where nothing has."""
    return np.minimum(4 * weights, 1)


def _filled(sums: Field, weights: Field) -> Field:
    """sums / weights, (H, W, 2); where there is no weight, from the surroundings, ever wider ones (pull–push)."""
    height, width = weights.shape
    known = _known(weights)[..., None]
    own = sums / np.maximum(weights, 1e-6)[..., None]
    if max(height, width) == 1 or known.min() == 1:
        return np.asarray(own, np.float32)
    size = ((width + 1) // 2, (height + 1) // 2)
    small = cv2.resize(np.dstack([own * known, known]), size, interpolation=cv2.INTER_AREA)
    wider = _filled(np.ascontiguousarray(small[..., :2]), np.ascontiguousarray(small[..., 2]))
    wide = cv2.resize(wider, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(known * own + (1 - known) * wide, np.float32)
