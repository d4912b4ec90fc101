"""Whether a PNG file is whole, without reading its pixels (W3C PNG, sections 5 and 11). Standard library only."""

from __future__ import annotations

import struct
import zlib

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_OTHERS = (
    (b"\xff\xd8\xff", "a JPEG"),
    (b"GIF8", "a GIF"),
    (b"BM", "a BMP"),
    (b"II*\0", "a TIFF"),
    (b"MM\0*", "a TIFF"),
    (b"\x76\x2f\x31\x01", "an OpenEXR"),
    (b"8BPS", "a Photoshop"),
)


def fault(data: bytes) -> str | None:
    """What is wrong with a PNG file, as a clause behind its name; None if it is whole.

    Every chunk is followed to the end and compared with its check sum: a file that is still being written, or whose
    copy has broken off, has no IEND.
    """
    if not data:
        return "is empty; it may still be written"
    if not data.startswith(SIGNATURE):
        if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
            return "is a WebP picture; save it as PNG"
        kind = next((kind for mark, kind in _OTHERS if data.startswith(mark)), None)
        return f"is {kind} picture; save it as PNG" if kind else "is no PNG picture"
    at = len(SIGNATURE)
    view = memoryview(data)
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[at + 4 : end - 4]) != struct.unpack_from(">I", data, end - 4)[0]:
            return "is a damaged PNG; copy or make it again"
        if name == b"IEND":
            return None
        at = end
    return "is a PNG that breaks off; it may still be written, or its copy is not whole"


def has_alpha(data: bytes) -> bool:
    """Whether a whole PNG has transparent parts, or could have: by its colour type, or by a chunk tRNS."""
    at = len(SIGNATURE)
    if not data.startswith(SIGNATURE) or len(data) < at + 25:
        return False
    if data[at + 17] & 4:
        return True
    while at + 12 <= len(data):
        length, name = struct.unpack_from(">I4s", data, at)
        if name in (b"tRNS", b"IDAT", b"IEND"):
            return bool(name == b"tRNS")
        at += 12 + length
    return False
