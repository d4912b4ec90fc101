"""A clip as one film: `.mp4` (H.264), `.webm` (VP9) or `.gif`. PyAV and Pillow do the work."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ..errors import RequestError
from .clip_folder import FILMS

QUALITY = {"libx264": {"crf": "16", "preset": "medium"}, "libvpx-vp9": {"crf": "20", "b": "0", "row-mt": "1"}}
"""Options by encoder: hardly to be told from the frames."""
ENCODERS = {".mp4": ("libx264", "mp4", {"movflags": "+faststart"}), ".webm": ("libvpx-vp9", "webm", {})}
"""By the name's end: encoder, container and its options."""
BT709 = 1
"""The colours of high definition, by the number of ITU-T H.273 that ffmpeg uses."""
GIF_TICK = 100
"""A GIF counts hundredths of a second."""


class Writer(Protocol):
    """Takes the frames of a film, one by one."""

    def add(self, frame: NDArray[np.uint8]) -> None:
        """The next frame, (H, W, 3) sRGB, of the size of the first."""

    def close(self) -> None:
        """No frame follows: the film is whole."""


class Film:
    """A film on its way into a file, as a context; one that was left by an error is not whole."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        """rate: frames a second. Raises RequestError for a name that is no film's."""
        suffix = path.suffix.lower()
        if suffix not in FILMS:
            raise RequestError(f"{path.name} is no film; choose a name that ends in {', '.join(FILMS)}.")
        self.frames = 0
        self._shape: tuple[int, ...] = ()
        self._writer: Writer = _Gif(path, rate) if suffix == ".gif" else _Encoded(path, rate)

    def add(self, frame: NDArray[np.uint8]) -> None:
        """The next frame, (H, W, 3) sRGB. Raises OSError, and RequestError if it has another size than the first."""
        self._shape = self._shape or frame.shape
        if frame.shape != self._shape:
            raise RequestError(f"Frame {self.frames + 1} has another size than the first; a film has one size.")
        self._writer.add(frame)
        self.frames += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._writer.close()


class _Encoded:
    """Video by ffmpeg's libraries."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        import av  # not before it is needed: it brings ffmpeg along

        encoder, container, options = ENCODERS[path.suffix.lower()]
        self._file: Any = av.open(str(path), "w", format=container, options=options)
        self._stream: Any = self._file.add_stream(encoder, rate=rate, options=QUALITY[encoder])
        self._rate, self._count = rate, 0

    def add(self, frame: NDArray[np.uint8]) -> None:
        import av

        even = _even(frame)
        stream = self._stream
        if not self._count:
            stream.height, stream.width = even.shape[:2]
            stream.pix_fmt = "yuv420p"  # which all players know
            for what in ("color_primaries", "color_trc", "colorspace"):
                setattr(stream.codec_context, what, BT709)
        picture = av.VideoFrame.from_ndarray(even, format="rgb24")
        picture = picture.reformat(format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG")
        picture.pts = self._count
        picture.time_base = 1 / self._rate
        self._file.mux(stream.encode(picture))
        self._count += 1

    def close(self) -> None:
        if self._count:
            self._file.mux(self._stream.encode(None))
        self._file.close()


class _Gif:
    """Pictures of 256 colours each, which any page shows."""

    def __init__(self, path: Path, rate: Fraction) -> None:
        self._path, self._rate = path, rate
        self._pictures: list[Image.Image] = []

    def add(self, frame: NDArray[np.uint8]) -> None:
        self._pictures.append(Image.fromarray(frame).quantize(256, dither=Image.Dither.FLOYDSTEINBERG))

    def close(self) -> None:
        if not self._pictures:
            return
        # Rounded at each frame's end, so that the film as a whole keeps its time.
        ends = [round(GIF_TICK * k / self._rate) for k in range(len(self._pictures) + 1)]
        shown: Sequence[int] = [10 * (end - begin) for begin, end in pairwise(ends)]
        first, *others = self._pictures
        first.save(self._path, "GIF", save_all=True, append_images=others, duration=shown, loop=0, optimize=False)


def _even(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The frame with even sides: players want those. The last row or column of an odd one is there twice."""
    height, width = frame.shape[:2]
    if height % 2 or width % 2:
        return np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    return np.ascontiguousarray(frame)
