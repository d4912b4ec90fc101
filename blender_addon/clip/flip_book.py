"""A preview's PNG as pages of pixels. Pure, and without a library: the protocol has it unfiltered, so that it is no
more than lines of bytes."""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass

from .job import Preview

MOST_PIXELS = 1 << 20
"""More than any preview has; a larger one is not unpacked."""
PAGES_PER_SECOND = 8
"""As most motion models make frames. The preview is coarse in time, too: nobody judges speed by it."""
SIGNATURE = b"\x89PNG\r\n\x1a\n"
HEADER = struct.Struct(">II5B")
EIGHT_BIT_RGB = (8, 2, 0, 0, 0)
"""Depth, kind of colour, compression, filter, interlace."""


@dataclass(frozen=True)
class FlipBook:
    """The frames of a preview, to be shown in turn."""

    width: int
    height: int
    """Of a page, pixels."""
    pages: int
    lines: bytes
    """RGB of all pages beside each other, each line after the number of its filter."""

    def page_at(self, now: float) -> int:
        """Which page is to be seen; `now`: seconds of any clock."""
        return int(now * PAGES_PER_SECOND) % self.pages

    def pixels(self, page: int) -> bytes:
        """A page in RGBA, the lowest line first, as Blender has pixels. A preview is replaced before most of its pages
        were seen, so each is made when its turn comes."""
        line, begin = 1 + 3 * self.width * self.pages, 1 + 3 * self.width * page
        starts = range(begin, len(self.lines), line)
        rgb = b"".join(self.lines[start : start + 3 * self.width] for start in reversed(starts))
        rgba = bytearray(b"\xff" * (4 * self.width * self.height))
        for channel in range(3):
            rgba[channel::4] = rgb[channel::3]
        return bytes(rgba)


def read(preview: Preview) -> FlipBook | None:
    """The pages of a preview; None if it is not as the protocol says."""
    try:
        width, height, lines = _unpacked(preview.png)
    except (struct.error, ValueError, zlib.error):
        return None
    if any(lines[:: 1 + 3 * width]) or width % preview.frames:
        return None
    return FlipBook(width // preview.frames, height, preview.frames, lines)


def _unpacked(png: bytes) -> tuple[int, int, bytes]:
    """Width, height and lines of a PNG. Raises ValueError, struct.error or zlib.error."""
    if not png.startswith(SIGNATURE):
        raise ValueError("no PNG")
    chunks, at = [], len(SIGNATURE)
    width = height = 0
    while at < len(png):
        size, kind = struct.unpack_from(">I4s", png, at)
        content = png[at + 8 : at + 8 + size]
        if kind == b"IHDR":
            width, height, *how = HEADER.unpack(content)
            if tuple(how) != EIGHT_BIT_RGB:
                raise ValueError("another kind of PNG")
        elif kind == b"IDAT":
            chunks.append(content)
        at += 12 + size
    size = (1 + 3 * width) * height
    if not 0 < width * height <= MOST_PIXELS:
        raise ValueError("too large")
    data = zlib.decompressobj().decompress(b"".join(chunks), size)
    if len(data) != size:
        raise ValueError("lines are missing")
    return width, height, data
