"""Whether a PNG file is whole, to its last byte: a decoder for eyes is content with less."""

from __future__ import annotations

import struct
import zlib

import cv2
import numpy as np

START = b"\x89PNG\r\n\x1a\n"
CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
"""Colour type → values of a pixel."""


def is_whole(data: bytes, width: int, height: int) -> bool:
    """Whether this is a PNG of that size, pixels, with every chunk's sum right, all lines, and nothing behind it."""
    if not data.startswith(START):
        return False
    place, packed, sort = len(START), b"", b""
    size = (0, 0, 8, 2)
    while sort != b"IEND":
        if place + 12 > len(data):
            return False
        length, sort = struct.unpack_from(">I4s", data, place)
        body = data[place + 8 : place + 8 + length]
        place += 12 + length
        if place > len(data) or zlib.crc32(sort + body) != int.from_bytes(data[place - 4 : place], "big"):
            return False
        if sort == b"IHDR":
            size = struct.unpack_from(">IIBB", body)
        if sort == b"IDAT":
            packed += body
    try:
        lines = zlib.decompress(packed)
    except zlib.error:
        return False
    bytes_of_line = 1 + width * CHANNELS[size[3]]
    return place == len(data) and size[:3] == (width, height, 8) and len(lines) == height * bytes_of_line


def noise(seed: int, width: int = 64, height: int = 64) -> bytes:
    """A PNG that cannot be packed, so that it takes several parts to send."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return cv2.imencode(".png", pixels)[1].tobytes()
