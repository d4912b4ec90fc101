"""Pictures that stand in for frames that are not there: grey stripes, or red ones where there will be none. No bpy.

They have the clip's own size, so that a strip keeps its scale when the frames come. One serves all clips of that size.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

from shared_protocol.machine import files

WAITING, FAILED = "waiting", "failed"
_COLORS = {WAITING: "3a3a3e 4a4a50", FAILED: "482828 603030"}
PERIOD_PX = 64


def name(kind: str, width: int, height: int) -> str:
    """The file of such a picture."""
    return f"{kind}-{width}x{height}.png"


def put(folder: Path, kind: str, width: int, height: int) -> str:
    """Have the picture in the folder, and return its name. Raises OSError."""
    path = folder / name(kind, width, height)
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        files.write(path, stripes(kind, width, height), private=False, durable=False)
    return path.name


def stripes(kind: str, width: int, height: int) -> bytes:
    """A PNG of diagonal stripes in two colours of a palette (PNG, third edition, colour type 3)."""
    half = PERIOD_PX // 2
    row = (bytes(half) + b"\x01" * half) * (width // PERIOD_PX + 2)
    rows = b"".join(b"\x00" + row[y % PERIOD_PX : y % PERIOD_PX + width] for y in range(height))
    palette = bytes.fromhex(_COLORS[kind])
    header = struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"PLTE", palette), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(tag, data) for tag, data in chunks)


def _chunk(tag: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + tag + data + struct.pack(">I", zlib.crc32(tag + data))
