"""`python -m elevator.pictures.metrics FOLDER…`: how much a clip moves and flickers, and how sharp it is.

    metrics = measure(clip)  # (F, H, W, 3) uint8
    print(*metrics.lines(), sep="\\n")

Nothing here needs downloaded weights. No measure alone says that a clip is good: a clip with little frame difference
may be smooth or frozen, and only the flow tells which, so every report shows both. The warp error is what is left of
the frame difference once motion is taken out.

Flow is that of `flow`; 16 frames of 512 × 512 take about 4 s of one core. Frames need 16 pixels a side. On
textured frames motions of up to a tenth of the shorter side, and at most 16 pixels, are right to .2 pixel, so 64
pixels a side are sensible; motions of a fifth and more are found too short. Importing this module imports OpenCV.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ..arguments import ArgumentParser, until_unread
from ..errors import RequestError
from ..pixels import Pixels
from .clip_folder import pictures_in
from .flow import MIN_SIDE_PX, confirmed, flow_of, warped
from .footage import decoded

Frames: TypeAlias = Pixels | Sequence[Pixels]
"""(F, H, W, 3), or its frames."""

MIN_SPECTRUM_FRAMES = 8
"""Least frames for `high_frequency_share`: with fewer, the window lets slow changes count as fast ones."""


@dataclass(frozen=True)
class ClipMetrics:
    """The measures of a clip; None where it has too few frames. Levels are those of 0…255, averaged over R, G, B."""

    frame_difference: float | None
    """Mean |f[k+1] − f[k]|, levels; None for one frame. VBench's temporal flickering (arXiv 2311.17982) is (255 −
    frame_difference) / 255."""
    flow: float | None
    """Mean length of the flow from f[k] to f[k+1] over all pixels, pixels a frame; None for one frame."""
    warp_error: float | None
    """Mean |f[k+1] warped back by the flow − f[k]| over the pixels whose flow is confirmed, levels; None for one frame,
    and where no flow is confirmed. Rounding to levels and resampling leave about .5 of fine textures."""
    confirmed: float | None
    """Share of pixels whose flow the backward flow confirms, 0…1: what `warp_error` is based on; None for one frame.
    """
    second_difference: float | None
    """Mean |f[k−1] − 2 f[k] + f[k+1]|, levels; None for less than 3 frames. 0 for a linear fade."""
    high_frequency_share: float | None
    """Share of the pixels' temporal spectral energy, mean removed, above half of Nyquist (periods of less than 4
    frames), 0…1; None for less than 8 frames. 0 for a frozen clip, about .5 for white noise."""
    sharpness: float
    """Variance of the Laplacian of the grey values, mean over the frames, levels²."""

    def as_dict(self) -> dict[str, float | None]:
        """Name → value, fit for JSON."""
        return asdict(self)

    def lines(self) -> tuple[str, ...]:
        """The measures as text, with units; frame difference and flow share a line."""
        shown = _cells(self)
        return (
            f"frame difference      {shown['difference']} levels at a flow of {shown['flow']} pixels a frame",
            f"warp error            {shown['warp error']} levels, on {shown['confirmed']} of the pixels",
            f"second difference     {shown['second diff.']} levels",
            f"high-frequency share  {shown['high freq.']}",
            f"sharpness             {shown['sharpness']} levels²",
        )


class FrameMotion(NamedTuple):
    """How one frame becomes the next."""

    flow: NDArray[np.float32]
    """(H, W, 2), how far each pixel of the first frame moves in x and y, pixels."""
    confirmed: NDArray[np.bool_]
    """(H, W), it stays in the frame, and the backward flow leads back to it."""
    residual: NDArray[np.float32]
    """(H, W), |second frame warped back by the flow − first frame|, levels."""


def measure(clip: Frames) -> ClipMetrics:
    """Measure a clip (F, H, W, 3) uint8, given whole or as F frames.

    Raises RequestError for no frames, other types or shapes, frames of different sizes or of less than 16 pixels a
    side.
    """
    frames = _checked(clip)
    flow, warp_error, confirmed = _motion_of(frames)
    second = (np.abs(np.diff(frames[k - 1 : k + 2].astype(np.int16), 2, axis=0)) for k in range(1, len(frames) - 1))
    return ClipMetrics(
        frame_difference=_mean([float(cv2.absdiff(before, after).mean()) for before, after in pairwise(frames)]),
        flow=flow,
        warp_error=warp_error,
        confirmed=confirmed,
        second_difference=_mean([float(difference.mean()) for difference in second]),
        high_frequency_share=_high_frequency_share(frames) if len(frames) >= MIN_SPECTRUM_FRAMES else None,
        sharpness=float(np.mean([cv2.Laplacian(_gray(frame), cv2.CV_64F).var() for frame in frames])),
    )


def measure_folder(path: Path) -> ClipMetrics:
    """Measure the pictures of a folder, a clip's or another, ordered by the numbers in their names (2 before 10).

    Raises RequestError as `measure` does, and for no folder, no PNG files or one that cannot be read.
    """
    if not path.is_dir():
        raise RequestError(f"There is no folder {path}; choose a folder of PNG frames.")
    files = sorted(pictures_in(path), key=_natural)
    if not files:
        raise RequestError(f"The folder {path} holds no PNG file; choose a folder of PNG frames.")
    return measure([_read(file) for file in files])


def motion(before: Pixels, after: Pixels) -> FrameMotion:
    """Flow between two frames (H, W, 3) uint8, where it is confirmed, and what it leaves unexplained.

    Raises RequestError as `measure` does.
    """
    before, after = _checked((before, after))
    forward, backward = flow_of(before, after), flow_of(after, before)
    residual = np.abs(warped(after, forward) - before).mean(-1)
    return FrameMotion(forward, confirmed(forward, backward), residual)


def table(metrics: Sequence[tuple[str, ClipMetrics]]) -> str:
    """Named clips as lines of a table, with a line on the units."""
    rows = [{"clip": name, **_cells(each)} for name, each in metrics]
    widths = {key: max(len(key), *(len(row[key]) for row in rows)) for key in rows[0]}
    lines = ["  ".join(f"{row[key]:>{width}}" for key, width in widths.items()) for row in rows]
    header = "  ".join(f"{key:>{width}}" for key, width in widths.items())
    units = "Differences and error in levels of 0…255, flow in pixels a frame, sharpness in levels²; – is undefined."
    return "\n".join([header, *lines, "", units])


def _cells(metrics: ClipMetrics) -> dict[str, str]:
    """Heading → value as text; frame difference and flow come first, side by side."""
    return {
        "difference": _number(metrics.frame_difference),
        "flow": _number(metrics.flow),
        "warp error": _number(metrics.warp_error),
        "confirmed": _percent(metrics.confirmed),
        "second diff.": _number(metrics.second_difference),
        "high freq.": _percent(metrics.high_frequency_share),
        "sharpness": _number(metrics.sharpness),
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f} %"


def _checked(clip: Frames) -> NDArray[np.uint8]:
    """The clip as one array (F, H, W, 3), contiguous as OpenCV wants it."""
    frames = [np.asarray(frame) for frame in clip]
    if not frames:
        raise RequestError("The clip has no frames; give at least one.")
    for number, frame in enumerate(frames, 1):
        if frame.ndim != 3 or frame.shape[2] != 3:
            raise RequestError(f"Frame {number} has the shape {frame.shape}; give frames (height, width, 3) of RGB.")
        if frame.dtype != np.uint8:
            raise RequestError(f"Frame {number} is of {frame.dtype}; give levels of 0…255 as uint8.")
        if frame.shape != frames[0].shape:
            raise RequestError(
                f"Frame {number} has {_size(frame)} pixels and frame 1 has {_size(frames[0])}; give frames of one size."
            )
    if min(frames[0].shape[:2]) < MIN_SIDE_PX:
        raise RequestError(
            f"The frames have {_size(frames[0])} pixels; choose at least {MIN_SIDE_PX}×{MIN_SIDE_PX}, "
            "because optical flow needs them."
        )
    return np.stack(frames)


def _size(frame: Pixels) -> str:
    return f"{frame.shape[1]}×{frame.shape[0]}"


def _motion_of(frames: NDArray[np.uint8]) -> tuple[float | None, float | None, float | None]:
    """Mean flow, warp error and confirmed share over the pairs of neighbours."""
    lengths, shares = [], []
    errors, count = 0.0, 0
    for before, after in pairwise(frames):
        flow, confirmed, residual = motion(before, after)
        lengths.append(float(np.hypot(flow[..., 0], flow[..., 1]).mean()))
        shares.append(float(confirmed.mean()))
        errors += float(residual[confirmed].sum())
        count += int(confirmed.sum())
    return _mean(lengths), errors / count if count else None, _mean(shares)


def _high_frequency_share(frames: NDArray[np.uint8]) -> float:
    """Energy above half of Nyquist relative to all but the mean's.

    The Hann window keeps the jump from the last frame to the first, which only the DFT sees, from counting as fast.
    """
    count = len(frames)
    window = np.sin(np.pi * (np.arange(count) + 0.5) / count) ** 2
    energy = np.zeros(count)
    for row in frames.swapaxes(0, 1):  # a row of pixels at a time, (F, W, 3), to bound memory
        change = row.astype(np.float64) - row[0]  # exactly 0 where nothing changes
        change -= np.average(change, axis=0, weights=window)
        energy += (np.abs(np.fft.fft(window[:, None, None] * change, axis=0)) ** 2).sum(axis=(1, 2))
    total = energy.sum()
    return float(energy[np.abs(np.fft.fftfreq(count)) > 0.25].sum() / total) if total else 0.0


def _gray(frame: Pixels) -> NDArray[np.uint8]:
    return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY), np.uint8)


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None


def _natural(file: Path) -> tuple[list[str | int], str]:
    """A key that orders names by their numbers; equal numbers such as 1 and 01 by their text."""
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", file.name)], file.name


def _read(file: Path) -> Pixels:
    """A PNG file as R, G, B."""
    try:
        frame = decoded(file.read_bytes())
    except OSError as error:
        raise RequestError(f"{file} could not be read ({error.strerror}); choose a folder of PNG frames.") from error
    if frame is None:
        raise RequestError(f"{file} is no whole PNG file; remove or replace it.")
    return frame


def main(arguments: Sequence[str] | None = None) -> int:
    parser = ArgumentParser(prog="python -m elevator.pictures.metrics", description="Measure clips.")
    parser.add_argument("folders", type=Path, nargs="+", metavar="FOLDER", help="PNG frames of a clip")
    parser.add_argument("--json", action="store_true", help="print an object of folders and their measures")
    chosen = parser.parse_args(arguments)
    metrics = []
    for folder in chosen.folders:
        try:
            metrics.append((str(folder), measure_folder(folder)))
        except RequestError as error:
            sys.exit(f"{folder}: {error}")
    if chosen.json:
        print(json.dumps({name: each.as_dict() for name, each in metrics}, indent=1))
    else:
        print(table(metrics))
    return 0


if __name__ == "__main__":
    sys.exit(until_unread(main))
