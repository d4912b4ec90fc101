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
    (b"II+\0", "a TIFF"),
    (b"MM\0+", "a TIFF"),
    (b"SDPX", "a DPX"),
    (b"XPDS", "a DPX"),
    (b"#?RADIANCE", "a Radiance"),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000"),
    (b"\0\0\0\x0cJXL ", "a JPEG XL"),
    (b"\xff\x0a", "a JPEG XL"),
    (b"qoif", "a QOI"),
)


_PICTURE_BRANDS = {b"avif", b"avis", b"heic", b"heix", b"hevc", b"heim", b"heis", b"mif1", b"msf1"}


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
        if _is_film(data):
            return "is a film; make PNG files of its frames"
        if data[4:8] == b"ftyp":
            return "is a HEIF or AVIF picture; save it as PNG"
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


def _is_film(data: bytes) -> bool:
    """Whether a file begins as films do: Matroska, AVI, or ISO's base format (14496-12) of a brand other than those of
    pictures (HEIF, 23008-12)."""
    if data.startswith(b"\x1a\x45\xdf\xa3") or (data.startswith(b"RIFF") and data[8:12] == b"AVI "):
        return True
    return data[4:8] == b"ftyp" and data[8:12] not in _PICTURE_BRANDS


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
